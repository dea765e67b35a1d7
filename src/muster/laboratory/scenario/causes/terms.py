"""What causes say things with: sets of states, delays, and reasons that leave the same traces.

Delays are those of the manual's table of reasons, in time that the device is about.
"""

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final, TypeAlias

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.claims import Claim
from muster.laboratory.scenario.life import Life
from muster.laboratory.scenario.played import Episode

Cause: TypeAlias = Callable[[Life, int, Episode], Iterable[Claim]]
"""*life*, the number of the episode in it, and the episode: what is right to say for it."""

AT_RISK: Final = frozenset({ControlState.AT_RISK})
LOST: Final = frozenset({ControlState.OUT_OF_CONTROL})
ENDED: Final = frozenset({ControlState.ENDED})
UNKNOWN: Final = frozenset({ControlState.UNKNOWN})
AWAY: Final = frozenset({ControlState.DORMANT})
SILENCE: Final = frozenset({ControlState.QUIET, ControlState.INACTIVE, ControlState.OUT_OF_CONTROL})

PROMPT: Final = timedelta(hours=2)
A_DAY: Final = timedelta(days=1)
ONE_DAY_ON: Final = timedelta(days=2)
"""A reason with a delay of a day: one to the push or question that shows it, and one of its own."""

DEAD_TOKEN: Final = frozenset({Reason.PUSH_TOKEN_UNREGISTERED, Reason.PUSH_TOKEN_BAD})
OF_USERS: Final = frozenset({Reason.SILENT, Reason.USER_NOT_LOGGED_IN, Reason.PROFILE_REMOVED})

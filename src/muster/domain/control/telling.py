"""Which steps of a channel's story others are told, and which of them wait for a person's word.

Who listens holds of each channel what he was told last. A channel is told of when it enters or leaves a state of TOLD;
what blinds us (`unknown`) and what is idle (`dormant`) tells nobody anything, so that of X, unknown, Y only X, Y is
told, and of X, unknown, X nothing.
"""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from muster.domain.control.states import TOLD, ControlState

NOT_TELLING: Final = frozenset({ControlState.UNKNOWN, ControlState.DORMANT})
"""States that tell nobody to cut access, and nobody to give it back."""
CUTTING: Final = frozenset({ControlState.INACTIVE, ControlState.OUT_OF_CONTROL})
"""States upon which others cut a device's access without an administrator having wanted its end."""
SMALLEST_MASS_FLIP: Final = 20
"""Fewer channels are no mass, whatever share of the fleet they are: a person would be asked for every cart."""


@dataclass(frozen=True, slots=True)
class Telling:
    """What others know of a channel. *state*: what they were told last; IN_CONTROL where they were told nothing.

    *declined*: the state of which a person decided that it is not told.
    """

    state: ControlState = ControlState.IN_CONTROL
    declined: ControlState | None = None


class Say(Enum):
    """What follows for others when a channel has come to another state."""

    NOTHING = auto()
    """Nothing is new to them; what waited of the channel waits on."""
    LET_BE = auto()
    """They know it as it is: what waited of the channel waits no more."""
    TELL = auto()
    """They are told at once."""
    TELL_UNLESS_MANY = auto()
    """They are told, unless so many are that a person has to say so."""


def as_heard(state: ControlState) -> ControlState:
    """Return what a listener makes of *state*: those of which nobody is told are IN_CONTROL to him."""
    return state if state in TOLD else ControlState.IN_CONTROL


def what_to_say(known: Telling, state: ControlState, cutting: frozenset[ControlState] = CUTTING) -> Say:
    """Decide what others are told of a channel that is in *state* now; *cutting*: upon which they cut access."""
    if state in NOT_TELLING:
        return Say.NOTHING
    heard = as_heard(state)
    if heard is known.state or state is known.declined:
        return Say.LET_BE
    return Say.TELL_UNLESS_MANY if heard in cutting else Say.TELL


def is_mass_flip(count: int, fleet: int, share_percent: int) -> bool:
    """Tell whether *count* of *fleet* channels that would be told of within an hour are too many to go unasked."""
    return count >= SMALLEST_MASS_FLIP and count * 100 > fleet * share_percent

"""What follows from one thing that went wrong: which verdicts are right from when to when, and from when on no other.

A claim begins with its cause. Until `right_by` what was right before is right as well; after that only what it claims.
After its end the server has until `lingers_until` to notice. Where several claims meet, the verdict has to be as grave
as the gravest of them asks, and any of their reasons will do.
"""

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster.domain.control.reasons import Reason
from muster.domain.control.states import SEVERITY, ControlState

WHOLE: Final = -1
"""In `Claim.user`: the device's channel, and those of its users."""
DEVICE: Final = 0
"""In `Claim.user`: the device's channel."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One thing that is true of a channel for a time.

    *cause*: what it is counted under; causes that leave the same traces share one. *states*, *reasons*: any of them is
    right. *right_by*: None: nobody has to notice, and what would be right without it stays so. *user*: DEVICE, WHOLE,
    or the number of a user. *is_fault*: something is wrong; else it is a matter of course, such as a break.
    *episode*: the place of its cause in `Played.episodes`; None: it follows from none.
    """

    cause: str
    began_at: datetime
    ended_at: datetime
    right_by: datetime | None
    states: frozenset[ControlState]
    reasons: frozenset[Reason]
    lingers_until: datetime
    user: int = DEVICE
    is_fault: bool = True
    is_ours: bool = False
    episode: int | None = None


@dataclass(frozen=True, slots=True)
class Truth:
    """What is right of a channel from *began_at* to *ended_at*.

    *causes*: what is wrong for so long that it has to be noticed, the gravest first; none: nothing, or not yet.
    *is_faulted*: something has to be noticed; *is_healthy*: nothing is wrong, and nothing was shortly before.
    """

    began_at: datetime
    ended_at: datetime
    states: frozenset[ControlState]
    reasons: frozenset[Reason]
    causes: tuple[str, ...]
    is_faulted: bool
    is_healthy: bool

    def is_right(self, state: ControlState) -> bool:
        """Whether *state* is right."""
        return state in self.states

    def is_explained(self, state: ControlState, reason: Reason) -> bool:
        """Whether *reason* is right as well."""
        return state in self.states and reason in self.reasons


_HEALTHY: Final = frozenset({ControlState.IN_CONTROL})


def combine(claims: Sequence[Claim], began_at: datetime, ended_at: datetime) -> tuple[Truth, ...]:
    """Tell what is right of one channel from *began_at* to *ended_at*, given all *claims* on it."""
    cuts = {began_at, ended_at}
    for claim in claims:
        cuts.update((claim.began_at, claim.ended_at, claim.lingers_until))
        if claim.right_by is not None:
            cuts.add(claim.right_by)
    moments = sorted(at for at in cuts if began_at <= at <= ended_at)
    truths: list[Truth] = []
    for since, until in itertools.pairwise(moments):
        active = [claim for claim in claims if claim.began_at <= since < max(claim.lingers_until, claim.ended_at)]
        truths.append(_at(active, since, until))
    return _joined(truths)


def _at(active: Sequence[Claim], since: datetime, until: datetime) -> Truth:
    settled = [one for one in active if one.right_by is not None and one.right_by <= since < one.ended_at]
    faults = sorted((one for one in settled if one.is_fault), key=lambda one: _grade(_mildest(one.states)))
    theirs = [one for one in settled if not one.is_ours]  # whoever was found wrong before ours began may stay so
    least = min((_grade(_mildest(one.states)) for one in theirs or settled), default=_grade(ControlState.IN_CONTROL))
    possible = {state for one in active for state in one.states}
    reasons = {reason for one in active for reason in one.reasons}
    if not settled:
        possible |= _HEALTHY
    states = frozenset(state for state in possible if _grade(state) <= least)
    if ControlState.IN_CONTROL in states:
        reasons.add(Reason.NONE)
    return Truth(
        since,
        until,
        states,
        frozenset(reasons),
        tuple(dict.fromkeys(one.cause for one in faults)),
        is_faulted=bool(faults) and ControlState.IN_CONTROL not in states,
        is_healthy=not any(one.is_fault for one in active),
    )


def _grade(state: ControlState) -> int:
    """The smaller the graver."""
    return SEVERITY.index(state)


def _mildest(states: Iterable[ControlState]) -> ControlState:
    return max(states, key=_grade)


def _joined(truths: Iterable[Truth]) -> tuple[Truth, ...]:
    joined: list[Truth] = []
    for one in truths:
        if joined and _says(joined[-1]) == _says(one):
            last = joined[-1]
            joined[-1] = Truth(
                last.began_at, one.ended_at, *_says(one)[:3], is_faulted=one.is_faulted, is_healthy=one.is_healthy
            )
        else:
            joined.append(one)
    return tuple(joined)


def _says(
    one: Truth,
) -> tuple[frozenset[ControlState], frozenset[Reason], tuple[str, ...], bool, bool]:
    return one.states, one.reasons, one.causes, one.is_faulted, one.is_healthy

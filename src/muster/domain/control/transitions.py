"""Which state may follow which: total over the states, and the diagram in the manual is drawn from it.

The judge looks at a channel as it is, and not at what was held of it before: between two looks much may happen. So
nearly every state may follow every other; what is told apart here is what usually follows and what only does so when
several things happened between two looks, or when an administrator or we changed our mind.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import product
from types import MappingProxyType
from typing import Final

from muster.domain.control.states import ControlState


class Likelihood(StrEnum):
    """How a state follows another."""

    USUAL = "usual"
    """In one step; drawn in the diagram."""
    RARE = "rare"
    IMPOSSIBLE = "impossible"


@dataclass(frozen=True, slots=True)
class Transition:
    """Whether a state may follow another, and by what; of what is impossible, why."""

    likelihood: Likelihood
    why: str


_CONTROL, _RISK, _QUIET, _INACTIVE, _OUT, _ENDED, _DORMANT, _UNKNOWN = (
    ControlState.IN_CONTROL,
    ControlState.AT_RISK,
    ControlState.QUIET,
    ControlState.INACTIVE,
    ControlState.OUT_OF_CONTROL,
    ControlState.ENDED,
    ControlState.DORMANT,
    ControlState.UNKNOWN,
)
_USUAL: Final = {
    (_CONTROL, _RISK): "something broke or will break",
    (_CONTROL, _QUIET): "silent, longer than its rhythm explains",
    (_CONTROL, _OUT): "it lives, and won't obey",
    (_CONTROL, _ENDED): "a known end",
    (_RISK, _CONTROL): "mended, and proved",
    (_RISK, _INACTIVE): "silent beyond the tolerance",
    (_RISK, _OUT): "the risk came true",
    (_RISK, _ENDED): "a known end",
    (_QUIET, _CONTROL): "heard again",
    (_QUIET, _RISK): "heard again, and not well",
    (_QUIET, _INACTIVE): "silent beyond the tolerance",
    (_QUIET, _OUT): "it lives, and won't obey",
    (_INACTIVE, _CONTROL): "heard again",
    (_INACTIVE, _RISK): "heard again, and not well",
    (_INACTIVE, _OUT): "silent past the limit",
    (_INACTIVE, _ENDED): "a known end",
    (_OUT, _CONTROL): "back, and proved",
    (_OUT, _RISK): "back, and not proved yet",
    (_OUT, _ENDED): "a known end",
    (_ENDED, _RISK): "enrolls again",
    (_ENDED, _CONTROL): "enrolled again",
    (_CONTROL, _DORMANT): "the user logs out",
    (_DORMANT, _CONTROL): "the user logs in",
    (_CONTROL, _UNKNOWN): "a fault of ours",
    (_UNKNOWN, _CONTROL): "the fault is over",
}
_RARE_TO: Final = {
    _CONTROL: "what stood against it is over",
    _RISK: "what was worse is over, and something else was found",
    _QUIET: "its silence is all that is left of what was found, or less of it counts since a fault of ours is known",
    _INACTIVE: "what else was found is over, or a limit was changed; the silence stays",
    _OUT: "several limits were passed between two looks",
    _ENDED: "a known end",
    _DORMANT: "the user logs out",
    _UNKNOWN: "a fault of ours; what was held before is judged again after it",
}


def _every() -> dict[tuple[ControlState, ControlState], Transition]:
    found = {}
    for before, after in product(ControlState, ControlState):
        pair = (before, after)
        if before is after:
            found[pair] = Transition(Likelihood.IMPOSSIBLE, "that is no change of state; its reason may change")
        elif pair in _USUAL:
            found[pair] = Transition(Likelihood.USUAL, _USUAL[pair])
        else:
            found[pair] = Transition(Likelihood.RARE, _RARE_TO[after])
    return found


TRANSITIONS: Final[Mapping[tuple[ControlState, ControlState], Transition]] = MappingProxyType(_every())
"""For each pair of states (before, after)."""

_NEVER_OF_DEVICES: Final = Transition(Likelihood.IMPOSSIBLE, "a device has no user to log out: only users are dormant")


def transition(before: ControlState, after: ControlState, *, is_device: bool) -> Transition:
    """Tell whether *after* may follow *before* on a device's own channel, or on a user's."""
    if is_device and ControlState.DORMANT in (before, after):
        return _NEVER_OF_DEVICES
    return TRANSITIONS[before, after]


def diagram() -> str:
    """Draw what usually follows, as a state diagram in Mermaid's language."""
    arrows = (
        f"    {before.value} --> {after.value}: {one.why}\n"
        for (before, after), one in TRANSITIONS.items()
        if one.likelihood is Likelihood.USUAL
    )
    starts = "".join(f"    [*] --> {state.value}\n" for state in (_CONTROL, _RISK, _DORMANT))
    return f"stateDiagram-v2\n{starts}{''.join(arrows)}"

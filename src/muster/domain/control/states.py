"""The states a channel can be in, what is expected of it, and how strong the proof is."""

from enum import IntEnum, StrEnum
from typing import Final


class ControlState(StrEnum):
    """The eight states. Which of several findings decides is `SEVERITY`'s to say."""

    IN_CONTROL = "in_control"
    """In contact, obeying, and nothing found against it."""
    AT_RISK = "at_risk"
    """It answers, but something has broken or will break."""
    QUIET = "quiet"
    """Silent for longer than its own rhythm explains, still inside the policy's tolerance."""
    INACTIVE = "inactive"
    """Silent beyond the tolerance on every witness; it may come back by itself."""
    OUT_OF_CONTROL = "out_of_control"
    """It won't obey and won't come back by itself, as the evidence says; or it is past a hard limit."""
    ENDED = "ended"
    DORMANT = "dormant"
    """Of user channels only: that user is not logged in, and nothing is wrong."""
    UNKNOWN = "unknown"
    """Our own side is at fault or blind: no verdict against a device is made from our own failure."""


SEVERITY: Final = (
    ControlState.ENDED,
    ControlState.UNKNOWN,
    ControlState.OUT_OF_CONTROL,
    ControlState.INACTIVE,
    ControlState.DORMANT,
    ControlState.AT_RISK,
    ControlState.QUIET,
    ControlState.IN_CONTROL,
)
"""Which state counts where several are found, the first of all of them first: an end on record is the end, our own
fault keeps us from judging, and what is lost is lost whatever else ails it. A user who is away makes the worries of his
channel idle."""

TOLD: Final = frozenset({ControlState.AT_RISK, ControlState.INACTIVE, ControlState.OUT_OF_CONTROL, ControlState.ENDED})
"""States of which others are told when a channel enters or leaves them."""


class Forecast(StrEnum):
    """How a channel comes back under control."""

    NOTHING_TO_DO = "nothing_to_do"
    BY_ITSELF = "by_itself"
    WITH_US = "with_our_help"
    WITH_A_PERSON = "with_a_person"
    NOT_AT_ALL = "not_at_all"


class ProofLevel(IntEnum):
    """How well it is proved that a channel is under control (the strongest proof inside the proof window)."""

    NOTHING = 0
    PUSH_ACCEPTED = 1
    """APNs took a push, which says nothing of the device."""
    SIGNED = 2
    """An authenticated DDM status, or a refused contact signed under a certificate that we know."""
    CONTACT = 3
    OBEYED = 4
    """A harmless command was acknowledged by a valid pinned identity."""

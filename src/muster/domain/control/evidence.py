"""Evidence: what was observed of a channel, append-only, and never more than that.

Repeats of one class are one row with a count, a first and a last time; a change of class is a row of its own.
Refused contacts, which anyone with an identity can alternate at will, have a row for each class and five minutes; what
other witnesses say has one for each witness and day, for several speak in turns.
Contacts (S1) are not here: see muster.domain.control.contact; nor are pushes (S3), which have a log of their own: see
muster.storage.pushes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

from muster.protocol.identifiers import ChannelId


class Signal(StrEnum):
    """The kinds of observation, by their number in docs/protocol/glossary.md."""

    CONTACT = "S1"
    REFUSED_CONTACT = "S2"
    PUSH_ANSWER = "S3"
    COMMAND_ANSWER = "S5"
    TOKEN_UPDATE = "S6"  # noqa: S105 - a signal's number
    AUTHENTICATE = "S7"
    CHECK_OUT = "S8"
    INVENTORY = "S9"
    DDM_STATUS = "S10"
    ADE = "S11"
    PROFILE_FETCHED = "S12"
    IDENTITY_ISSUED = "S13"
    WITNESS = "S16"
    QUESTION = "S17"
    REACH = "S18"
    OWN_ERROR = "own"


COUNTED = frozenset(
    {
        Signal.CONTACT,
        Signal.REFUSED_CONTACT,
        Signal.COMMAND_ANSWER,
        Signal.DDM_STATUS,
        Signal.PROFILE_FETCHED,
        Signal.WITNESS,
        Signal.QUESTION,
        Signal.REACH,
        Signal.OWN_ERROR,
    }
)
"""Signals of which repeats of one class are counted instead of kept one by one."""

REFUSED_RENEWAL = "renewal_refused"
"""Class of S13: a SCEP request with the challenge of a device's renewal was refused. Counted too, for who has such a
challenge may ask as often as he likes."""

CLOCK_WRONG = "clock_wrong"
"""Class of S1: the message was signed at another time than it came. *detail* has `seconds`, how far the device's clock
is ahead of ours. Of a contact this alone is evidence of its own."""
CLOCK_RIGHT = "clock_right"
"""Class of S1: a device of which that was noted signed at the right time again."""
CLOCK_OFF_BY = timedelta(minutes=5)
"""A clock that is off by less than this is nobody's trouble."""

ERASE_HANDED_OUT = "erase_handed_out"
ERASE_ACKNOWLEDGED = "erase_acknowledged"
"""Classes of S5: the device was handed an EraseDevice of ours, and said that it obeys."""
STATUS_MALFORMED = "status_malformed"
"""Class of S10: a status report that can't be read."""
CLONED = "cloned"
"""Class of S7: somebody else came by the channel's identity."""


def is_counted(signal: Signal, observed_class: str) -> bool:
    """Tell whether repeats of a class are counted instead of kept one by one."""
    return signal in COUNTED or (signal is Signal.IDENTITY_ISSUED and observed_class == REFUSED_RENEWAL)


Detail: TypeAlias = Mapping[str, str | int | bool | None]


@dataclass(frozen=True, slots=True)
class Observation:
    """Something seen of *channel_id* at *at*. *observed_class* is the signal's own closed word for what it was."""

    channel_id: ChannelId
    signal: Signal
    observed_class: str
    at: datetime
    epoch: int
    source: str = ""
    """Network address it came from; empty for observations of our own."""
    detail: Detail = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Evidence:
    """One row of evidence: an observation and how often it was repeated."""

    id: str
    observation: Observation
    last_at: datetime
    count: int


@dataclass(frozen=True, slots=True)
class Rumour:
    """A contact that only claims to come from *claimed_id*: nobody's word, kept apart, and it changes nothing."""

    claimed_id: str
    refusal_code: str
    source: str
    at: datetime

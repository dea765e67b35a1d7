"""Evidence: what was observed of a channel, append-only, and never more than that.

Repeats of one class are one row with a count, a first and a last time; a change of class is a row of its own.
Refused contacts, which anyone with an identity can alternate at will, have a row for each class and five minutes.
Contacts (S1) are not here: see muster.domain.control.contact; nor are pushes (S3), which have a log of their own: see
muster.storage.pushes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TypeAlias

from muster.protocol.identifiers import ChannelId


class Signal(StrEnum):
    """The kinds of observation, by their number in docs/protocol/glossary.md."""

    REFUSED_CONTACT = "S2"
    PUSH_ANSWER = "S3"
    COMMAND_ANSWER = "S5"
    TOKEN_UPDATE = "S6"  # noqa: S105 - a signal's number
    AUTHENTICATE = "S7"
    CHECK_OUT = "S8"
    INVENTORY = "S9"
    PROFILE_FETCHED = "S12"
    IDENTITY_ISSUED = "S13"
    QUESTION = "S17"
    OWN_ERROR = "own"


COUNTED = frozenset(
    {
        Signal.REFUSED_CONTACT,
        Signal.COMMAND_ANSWER,
        Signal.PROFILE_FETCHED,
        Signal.QUESTION,
        Signal.OWN_ERROR,
    }
)
"""Signals of which repeats of one class are counted instead of kept one by one."""

REFUSED_RENEWAL = "renewal_refused"
"""Class of S13: a SCEP request with the challenge of a device's renewal was refused. Counted too, for who has such a
challenge may ask as often as he likes."""


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

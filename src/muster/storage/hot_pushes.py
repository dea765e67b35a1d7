"""The records of pushing's hot methods, which each engine writes out for itself.

`muster.storage.push` and `muster.storage.pushes` are what operations call; whether a channel is pushed, and what an
outcome means, is decided between a claim and what is written after it, never in SQL.

Named tuples, like the other records of which each push has one: a frozen dataclass takes four times as long to make.
"""

from datetime import datetime
from typing import NamedTuple

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_outcomes import Consequence
from muster.domain.push_policy import NoPush, PushReason, TargetState
from muster.protocol.apns import OutcomeClass, PushOutcome
from muster.protocol.identifiers import ChannelId


class PushAddress(NamedTuple):
    """Where a push goes, and by what name the device knows it is meant."""

    topic: str
    token: bytes
    push_magic: str


class DueWish(NamedTuple):
    """A wish that is due, with what the decision needs. *address* and *target* are absent when there is no token yet.

    *commands_waiting* are those that may still be handed out; *declined* of them were answered with NotNow.
    """

    channel_id: ChannelId
    reason: PushReason
    wanted_at: datetime
    attempts: int
    failures: int
    fence: int
    address: PushAddress | None
    target: TargetState | None
    state: EnrollmentState
    last_contact_at: datetime | None
    commands_waiting: int
    declined: int


class NewWish(NamedTuple):
    """A wish of which nothing was sent yet; *fence* is what it has where there was no wish of the channel before."""

    channel_id: ChannelId
    reason: PushReason
    wanted_at: datetime
    due_at: datetime
    fence: int


class PutOff(NamedTuple):
    """A claimed wish that is not pushed now. *held_because* names an obstacle whose end releases it sooner."""

    channel_id: ChannelId
    until: datetime
    held_because: NoPush | None


class SettledPush(NamedTuple):
    """What to store of a push that has its outcome: for the wish of *fence*, and for the token as it was pushed.

    *due_at* None: the wish is dropped. *taken_back*: it doesn't count as a push of the wish. *held_because* names an
    obstacle whose end releases the wish sooner.
    """

    channel_id: ChannelId
    fence: int
    token: bytes
    token_updated_at: datetime
    outcome: OutcomeClass
    reason: str | None
    due_at: datetime | None
    failures: int
    taken_back: bool
    target: TargetState
    held_because: NoPush | None = None


class RecordedPush(NamedTuple):
    """A push that has its outcome. *attempts*: how often it may have reached APNs, one outcome all the same."""

    channel_id: ChannelId
    at: datetime
    apns_id: str
    topic: str
    wanted: PushReason
    outcome: PushOutcome
    latency_ms: int
    attempts: int
    consequence: Consequence

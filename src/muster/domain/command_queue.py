"""Which command a channel is handed next, and what its report does to the queue.

Source: Apple, "Sending MDM commands to a device" and the NotNow rules of "CommandResponse". The last command stays
queued until its answer is stored; a repeated answer changes nothing; NotNow keeps the command.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId, CommandUUID

ONCE_ONLY_REQUEST_TYPES = frozenset({"EraseDevice", "DeviceLock", "RestartDevice", "ShutDownDevice"})
"""Handed out once: their answer may never come, and a second hand-out would act a second time."""


class QueuePurpose(StrEnum):
    """For what a command was queued; it decides how it is handed out and what its answer means."""

    COMMAND = "command"
    RENEWAL = "renewal"
    """The enrollment profile once more, with a fresh identity: it goes first, and is handed out in every lane."""
    UNENROLL = "unenroll"
    """The removal of our own enrollment profile: once only, and its acknowledgement is the end."""
    INVENTORY = "inventory"
    """A question that we ask by ourselves: after what anybody wants done, and no reason to wake a device by itself."""


RENEWAL_PRIORITY = 1_000_000
"""Above what anybody may ask for: a device that renews late is lost."""
INVENTORY_PRIORITY = -1_000
"""Below what anybody may ask for."""
UNENROLL_PRIORITY = 500_000
"""Above what anybody may ask for, too: what comes after it is for nobody."""


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """A command waiting on one channel. *body* is the stored plist: byte for byte what the device gets, or sealed."""

    command_uuid: CommandUUID
    request_type: str
    body: bytes
    epoch: int
    queued_at: datetime
    not_now_count: int
    handed_out_count: int
    handed_out_at: datetime | None
    """When it was handed out last."""
    purpose: QueuePurpose = QueuePurpose.COMMAND
    is_sealed: bool = False


@dataclass(frozen=True, slots=True)
class HeadQuery:
    """Which entry of a channel's queue may be handed out next: the first in order, but not *answered*.

    With *skip_not_now* the entries the device already declined with NotNow are passed over: offering them again in
    the same breath is a pointless loop.
    """

    channel_id: ChannelId
    answered: CommandUUID | None
    skip_not_now: bool


def head_query(channel_id: ChannelId, status: Status | None, command_uuid: CommandUUID | None) -> HeadQuery:
    """Tell which entry to look for after a report of *status* (None: a status Apple does not define)."""
    answered = None if status is Status.IDLE else command_uuid
    return HeadQuery(channel_id, answered, skip_not_now=status is Status.NOT_NOW)


def ends_dialogue(status: Status | None, command_uuid: CommandUUID | None) -> bool:
    """Tell whether nothing is handed out after a report: it is about a command, and doesn't say about which.

    The command it fails to name would come first again, and the device would say the same for ever.
    """
    return status is not Status.IDLE and command_uuid is None


class QueueEffect(StrEnum):
    """What a report does to the entry it answers."""

    NONE = "none"
    CLOSE = "close"
    COUNT_NOT_NOW = "count_not_now"


def effect_of(status: Status | None) -> QueueEffect:
    """Tell what a report of *status* does to the entry it answers; an undefined status keeps it queued."""
    match status:
        case Status.ACKNOWLEDGED | Status.ERROR | Status.COMMAND_FORMAT_ERROR:
            return QueueEffect.CLOSE
        case Status.NOT_NOW:
            return QueueEffect.COUNT_NOT_NOW
        case Status.IDLE | None:
            return QueueEffect.NONE
        case _:
            assert_never(status)


def is_once_only(request_type: str, purpose: QueuePurpose = QueuePurpose.COMMAND) -> bool:
    """Tell whether a command of this type, queued for *purpose*, is handed out a single time."""
    return purpose is QueuePurpose.UNENROLL or request_type in ONCE_ONLY_REQUEST_TYPES

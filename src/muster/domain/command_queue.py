"""Which command a channel is handed next, and what its report does to the queue.

Source: Apple, "Sending MDM commands to a device" and the NotNow rules of "CommandResponse". The last command stays
queued until its answer is stored; a repeated answer changes nothing; NotNow keeps the command.
"""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, assert_never

from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.records import record

ONCE_ONLY_REQUEST_TYPES = frozenset({"EraseDevice", "DeviceLock", "RestartDevice", "ShutDownDevice"})
"""Handed out once: their answer may never come, and a second hand-out would act a second time."""

ENDS_ITS_DIALOGUE = frozenset({"EraseDevice", "RestartDevice", "ShutDownDevice"})
"""Acknowledged, nothing is handed out after it: the device is about to be gone, and would take it along."""
MAXIMUM_UNANSWERED = 5
"""Hand-outs of a command since the device last said anything to it; then it is parked, so that the rest goes on."""
MAXIMUM_SET_ASIDE = 10
"""Commands that one connect parks, closes as expired or finds unreadable; the next connect sees to what is left."""
RETRY_PAUSES: Final = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=4), timedelta(days=1))
"""Between an error and the next attempt; the last one is repeated."""
MAXIMUM_RETRIES = 20
"""Nobody wants more than three weeks of the same error."""


class HoldReason(StrEnum):
    """Why a queued command is not handed out now."""

    ROLLED_BACK = "rolled_back"
    """The database was restored from a backup: the command may have been handed out after that was made."""
    HANDED_OUT_BEFORE = "handed_out_before"
    """The journal has it that the command was handed out; what the device answered is not known any more."""
    PARKED = "parked"
    """It was handed out again and again, and the device never said anything to it."""
    UNREADABLE = "unreadable"
    """Its body is sealed and can't be opened."""
    ERASED = "erased"
    """The device has acknowledged that it erases itself; what waits is closed when it is enrolled anew."""
    AFTER = "after"
    """The command that it comes after is still to be answered."""
    RETRY = "retry"
    """The device answered with an error; it is tried again when the pause is over."""
    PAUSED = "paused"
    """Somebody paused the channel's queue."""


def may_have_left(handed_out_count: int, held_because: HoldReason | None) -> bool:
    """Tell whether a device may have a queued command. A restored database doesn't know of all it was handed."""
    return handed_out_count > 0 or held_because in (HoldReason.ROLLED_BACK, HoldReason.HANDED_OUT_BEFORE)


FOR_A_PERSON: Final = frozenset(
    {
        HoldReason.ROLLED_BACK,
        HoldReason.HANDED_OUT_BEFORE,
        HoldReason.PARKED,
        HoldReason.UNREADABLE,
        HoldReason.ERASED,
    }
)
"""What waits for a person's word; the others end by themselves, or with the pause."""


class OwnStatus(StrEnum):
    """How a command ended that no answer ended: words of ours, which stand where Apple's stand else."""

    CLOSED = "closed"
    """The enrollment it was for ended, or another took its place before it was answered."""
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    """A newer question asks for all that it asked for."""
    DEPENDENCY_FAILED = "dependency_failed"
    """The command that it came after was not acknowledged."""
    VERIFIED = "verified"
    """Its answer was lost, and what the device said of itself since shows that it is done."""


SUCCESSES: Final = frozenset({Status.ACKNOWLEDGED.value, OwnStatus.VERIFIED.value})
"""Recorded statuses of what a device has done."""


class QueuePurpose(StrEnum):
    """For what a command was queued; it decides how it is handed out and what its answer means."""

    COMMAND = "command"
    RENEWAL = "renewal"
    """The enrollment profile once more, with a fresh identity: it goes first, and is handed out in every lane."""
    UNENROLL = "unenroll"
    """The removal of our own enrollment profile: once only, and its acknowledgement is the end."""
    INVENTORY = "inventory"
    """A question that we ask by ourselves: after what anybody wants done, and no reason to wake a device by itself."""
    PROBE = "probe"
    """A harmless question whose answer alone matters: it proves that the channel obeys. It goes before what may be
    stuck, and is no reason to wake a device by itself either."""


UNASKED_FOR: Final = frozenset({QueuePurpose.INVENTORY, QueuePurpose.PROBE})
"""What nobody waits for, so that it wakes no device by itself."""


RENEWAL_PRIORITY = 1_000_000
"""Above what anybody may ask for: a device that renews late is lost."""
INVENTORY_PRIORITY = -1_000
"""Below what anybody may ask for."""
PROBE_PRIORITY = -500
"""After what people send, of which any answer proves as much, and before what is asked for the inventory."""
UNENROLL_PRIORITY = 500_000
"""Above what anybody may ask for, too: what comes after it is for nobody."""


@record(frozen=True, slots=True)
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
    unanswered_count: int = 0
    """Hand-outs since the device last said something to it."""
    expires_at: datetime | None = None
    """From then on it is not handed out any more."""
    has_followers: bool = False
    """Others wait until it is answered."""
    retries_left: int = 0
    """Errors that it may still be answered with and be tried again."""
    failed_count: int = 0
    """Errors that it was answered with and is tried again after."""


@record(frozen=True, slots=True)
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


def is_parting(answered: QueueEntry, status: Status | None) -> bool:
    """Tell whether a report says that the device is about to erase itself, restart or shut down."""
    return status is Status.ACKNOWLEDGED and answered.request_type in ENDS_ITS_DIALOGUE


class QueueEffect(StrEnum):
    """What a report does to the entry it answers."""

    NONE = "none"
    CLOSE = "close"
    COUNT_NOT_NOW = "count_not_now"
    RETRY = "retry"
    """It stays queued, and is handed out again when a pause is over."""


def effect_of(status: Status | None, entry: QueueEntry) -> QueueEffect:
    """Tell what a report of *status* does to *entry*, which it answers; an undefined status keeps it queued.

    An error is tried again where that was wished for; said twice of one hand-out, it is one. A command of the wrong
    form stays wrong.
    """
    match status:
        case Status.ERROR if entry.failed_count > 0 and entry.unanswered_count == 0:
            return QueueEffect.NONE
        case Status.ERROR if entry.retries_left > 0:
            return QueueEffect.RETRY
        case Status.ACKNOWLEDGED | Status.ERROR | Status.COMMAND_FORMAT_ERROR:
            return QueueEffect.CLOSE
        case Status.NOT_NOW:
            return QueueEffect.COUNT_NOT_NOW
        case Status.IDLE | None:
            return QueueEffect.NONE
        case _:
            assert_never(status)


def retry_at(entry: QueueEntry, now: datetime) -> datetime:
    """Tell when *entry* is handed out again that was answered with an error at *now*."""
    return now + RETRY_PAUSES[min(entry.failed_count, len(RETRY_PAUSES) - 1)]


def is_expired(entry: QueueEntry, now: datetime) -> bool:
    """Tell whether *entry* must not be handed out any more."""
    return entry.expires_at is not None and entry.expires_at <= now


def is_stuck(entry: QueueEntry) -> bool:
    """Tell whether *entry* was handed out often enough without any answer. A renewal never is: a device that renews
    late is lost.
    """
    return entry.purpose is not QueuePurpose.RENEWAL and entry.unanswered_count >= MAXIMUM_UNANSWERED


def is_once_only(request_type: str, purpose: QueuePurpose = QueuePurpose.COMMAND) -> bool:
    """Tell whether a command of this type, queued for *purpose*, is handed out a single time."""
    return purpose is QueuePurpose.UNENROLL or request_type in ONCE_ONLY_REQUEST_TYPES

"""What the check-in operations share: the request, its outcomes, and who may speak."""

from dataclasses import dataclass
from typing import Generic, TypeAlias, TypeVar

from muster.domain.control.contact import ContactDay, fold_contact
from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import (
    Enrollment,
    EnrollmentState,
    Speaker,
    channel_unknown,
    goes_on,
    not_pinned,
    who_speaks,
)
from muster.domain.errors import Refusal
from muster.operations.context import Context
from muster.protocol.checkin import CheckinMessage
from muster.protocol.identifiers import Channel, ChannelId
from muster.storage import enrollments, evidence, reviews
from muster.storage.engine import Transaction

MessageT_co = TypeVar("MessageT_co", bound=CheckinMessage, covariant=True)

XML = "application/xml"
JSON = "application/json"


@dataclass(frozen=True, slots=True)
class CheckinRequest(Generic[MessageT_co]):
    """One check-in: the decoded message, the SHA-256 of the certificate that signed it, and the body as it came."""

    message: MessageT_co
    fingerprint: bytes
    body: bytes
    source: str


@dataclass(frozen=True, slots=True)
class CheckinAnswer:
    """Accepted; *body* is what the device gets, usually nothing."""

    body: bytes = b""
    content_type: str = XML
    signal: str = ""
    """What it meant, for the log."""


@dataclass(frozen=True, slots=True)
class DeclarationUnknown:
    """The device asks for a declaration that does not exist; it drops it."""


@dataclass(frozen=True, slots=True)
class UserNotManaged:
    """Policy does not manage this user: the device stops the user channel until the next login."""


CheckinOutcome: TypeAlias = CheckinAnswer | DeclarationUnknown | UserNotManaged | Refusal


@dataclass(frozen=True, slots=True)
class Speaking:
    """The enrollment a message may speak for. *epoch* is the one it belongs to: the provisional one while that is so.

    For a user channel that is not stored yet, *enrollment* is the device's.
    """

    enrollment: Enrollment
    epoch: int
    speaker: Speaker


def speaking(tx: Transaction, channel: Channel, fingerprint: bytes, ctx: Context) -> Speaking | Refusal:
    """Tell for which enrollment the identity *fingerprint* may speak on *channel*."""
    device = ChannelId(channel.device_id)
    stored = enrollments.find(tx, [channel.id, device])
    enrollment = stored.get(channel.id) or stored.get(device)
    if enrollment is None:
        return channel_unknown(channel)
    speaker = who_speaks(enrollment.pins, fingerprint, ctx.now)
    if speaker is None:
        return not_pinned(channel)
    provisional = enrollment.provisional_epoch
    if speaker is Speaker.PROVISIONAL and provisional is not None and not goes_on(enrollment, fingerprint):
        return Speaking(enrollment, provisional, speaker)
    return Speaking(enrollment, stored[device].epoch if device in stored else enrollment.epoch, speaker)


def hear(tx: Transaction, spoken: Speaking, ctx: Context, source: str) -> None:
    """Tick the contact of a message that changes nothing else; after a CheckOut it shows that the device is back."""
    record_contact(tx, spoken.enrollment.channel.id, ctx)
    if spoken.enrollment.state is EnrollmentState.ENDED and spoken.speaker is Speaker.CURRENT:
        come_back(tx, spoken.enrollment, ctx, source)


def come_back(tx: Transaction, enrollment: Enrollment, ctx: Context, source: str) -> None:
    """Mark an ended channel enrolled again, for it speaks by the current pin; evidence says so.

    Nothing happens for a message that came before the end and is processed belatedly, nor for a user's channel of an
    earlier life of the device: that user comes back by a TokenUpdate.
    """
    channel_id, device = enrollment.channel.id, ChannelId(enrollment.channel.device_id)
    ended_at = enrollments.ended_at(tx, channel_id)
    if ended_at is None or ended_at > ctx.now or enrollments.find(tx, [device])[device].epoch != enrollment.epoch:
        return
    enrollments.set_enrolled(tx, channel_id, epoch=enrollment.epoch, enrolled_at=ctx.now)
    observation = Observation(channel_id, Signal.TOKEN_UPDATE, "returned", ctx.now, enrollment.epoch, source)
    evidence.append(tx, [observation], ctx.new_id)
    reviews.schedule(tx, channel_id, ctx.now)


def record_contact(tx: Transaction, channel_id: ChannelId, ctx: Context) -> None:
    """Tick the contact into the channel's strip."""
    before = enrollments.contact_of(tx, channel_id)
    folded = fold_contact(None if before is None else ContactDay(*before), ctx.now)
    enrollments.touch(tx, channel_id, at=ctx.now, day=folded.current.day, strip=folded.current.strip)
    if folded.finished is not None:
        enrollments.keep_day(tx, channel_id, day=folded.finished.day, strip=folded.finished.strip)

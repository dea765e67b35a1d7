"""What the check-in operations share: the request, its outcomes, and who may speak."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Generic, TypeAlias, TypeVar

from muster.domain.control.contact import fold_contact
from muster.domain.control.evidence import Observation, Signal
from muster.domain.control.rhythm import fold_rhythm
from muster.domain.enrollment import (
    Enrollment,
    EnrollmentState,
    Lane,
    Speaker,
    channel_unknown,
    goes_on,
    lane_of,
    not_speaking,
    restricted,
    shows_return,
    who_speaks,
    who_speaks_unpinned,
)
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import LetGo
from muster.domain.renewal import RenewalReason
from muster.domain.renewal_failures import EXPLANATIONS, RenewalFailure
from muster.operations.context import Context
from muster.protocol.checkin import CheckinMessage
from muster.protocol.identifiers import ChannelId
from muster.storage import departures, enrollments, evidence, identities, push, renewals, reviews
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
    identity_not_after: datetime
    """Until when the certificate is valid."""
    beside: bytes | None = None
    """SHA-256 of another certificate that the connection presented, where it is not the signer's."""
    received_at: datetime | None = None
    """When it came, as the journal has it; absent: now."""
    wants_reply: bool = True
    """False for a message that is processed belatedly: nobody is there to be told anything."""
    password_key: str | None = field(default=None, repr=False)
    """What the directory keeps of the password of whom a UserAuthenticate names; absent: it knows no such user."""
    parameters: Mapping[str, str] | None = None
    """Those of its address, where others are told what devices say; absent: nobody is."""


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


CheckinOutcome: TypeAlias = CheckinAnswer | DeclarationUnknown | UserNotManaged | LetGo | Refusal


@dataclass(frozen=True, slots=True)
class Speaking:
    """The enrollment a message may speak for. *epoch* is the one it belongs to: the provisional one while that is so.

    For a user channel that is not stored yet, *enrollment* is the device's.
    """

    enrollment: Enrollment
    epoch: int
    speaker: Speaker
    lane: Lane


def speaking(tx: Transaction, request: CheckinRequest[CheckinMessage], ctx: Context) -> Speaking | Refusal:
    """Tell for which enrollment *request* may speak, and how much of the service it gets."""
    channel = request.message.channel
    device = ChannelId(channel.device_id)
    stored = enrollments.find(tx, [channel.id, device])
    enrollment = stored.get(channel.id) or stored.get(device)
    if enrollment is None:
        return channel_unknown(channel)
    speaker = speaker_for(tx, enrollment, request.fingerprint, request.beside, ctx)
    if isinstance(speaker, Refusal):
        return speaker
    lane = lane_of(speaker, request.identity_not_after, ctx.now, ctx.policy.restricted_lane)
    if isinstance(lane, Refusal):
        return lane
    provisional = enrollment.provisional_epoch
    if speaker is Speaker.PROVISIONAL and provisional is not None and not goes_on(enrollment, request.fingerprint):
        return Speaking(enrollment, provisional, speaker, lane)
    return Speaking(enrollment, stored[device].epoch if device in stored else enrollment.epoch, speaker, lane)


def speaking_freely(tx: Transaction, request: CheckinRequest[CheckinMessage], ctx: Context) -> Speaking | Refusal:
    """As `speaking`, for messages that the restricted lane doesn't hold."""
    spoken = speaking(tx, request, ctx)
    if isinstance(spoken, Speaking) and spoken.lane is Lane.RENEWAL:
        reviews.schedule(tx, ChannelId(spoken.enrollment.channel.device_id), ctx.now)
        return restricted(spoken.speaker)
    return spoken


def speaker_for(
    tx: Transaction, enrollment: Enrollment, fingerprint: bytes, beside: bytes | None, ctx: Context
) -> Speaker | Refusal:
    """Tell as what the identity *fingerprint* speaks for *enrollment*; only one that is no pin costs a look."""
    speaker = who_speaks(enrollment.pins, fingerprint, ctx.now)
    if speaker is None:
        identity = identities.find(tx, fingerprint)
        speaker = who_speaks_unpinned(enrollment, identity)
        if speaker is None:
            return not_speaking(enrollment, identity)
    if beside is not None and beside != fingerprint:
        other = identities.find(tx, beside)
        device_id = enrollment.channel.device_id
        # one that is none of ours says nothing: a connection needs no certificate at all
        if other is not None and device_id not in (other.device_id, other.renewal_of):
            return Refusal(
                RefusalCode.IDENTITY_MISMATCH,
                "the message is signed by one identity and came over a connection of another's",
                "A signed message was sent again from somewhere else, or a proxy mixes connections up.",
            )
    return speaker


def note_restricted(tx: Transaction, spoken: Speaking, ctx: Context, source: str) -> None:
    """Keep it as evidence that a device speaks by an identity that has expired or was replaced, and have it renewed."""
    device = ChannelId(spoken.enrollment.channel.device_id)
    code = restricted(spoken.speaker).code.value
    observation = Observation(
        spoken.enrollment.channel.id, Signal.REFUSED_CONTACT, code, ctx.now, spoken.epoch, source, {"restricted": True}
    )
    evidence.append(tx, [observation], ctx.new_id)
    if spoken.speaker is Speaker.SUPERSEDED:
        _renew_restored(tx, spoken.enrollment, ctx)
    reviews.schedule(tx, device, ctx.now)


def _renew_restored(tx: Transaction, enrollment: Enrollment, ctx: Context) -> None:
    """Have a device renewed that speaks by an identity replaced long ago; if it was just renewed, that failed."""
    device_id, epoch = enrollment.channel.device_id, enrollment.epoch
    closed_at = renewals.used_at(tx, device_id)
    if closed_at is not None and ctx.now - closed_at < ctx.policy.former_pin_lifetime:
        failure = RenewalFailure.ROLLED_BACK
        renewals.reopen(tx, device_id, failure, EXPLANATIONS[failure].what, epoch=epoch, at=ctx.now)
    else:
        renewals.open_if_none(tx, device_id, epoch=epoch, reason=RenewalReason.SUPERSEDED, at=ctx.now)


def hear(tx: Transaction, spoken: Speaking, ctx: Context, source: str) -> None:
    """Tick the contact of a message that changes nothing else; after a CheckOut it shows that the device is back."""
    record_contact(tx, spoken.enrollment.channel.id, ctx, source)
    if spoken.enrollment.state is EnrollmentState.ENDED:
        come_back(tx, spoken.enrollment, spoken.speaker, ctx, source)
    elif wakes(spoken.enrollment, spoken.speaker):
        wake(tx, [spoken.enrollment.channel.id], ctx)


def come_back(tx: Transaction, enrollment: Enrollment, speaker: Speaker, ctx: Context, source: str) -> bool:
    """Mark an ended channel enrolled again, for it speaks by a pin of its last life; evidence says so. Tells whether.

    Nothing happens while a message of *speaker* may be a straggler, nor for one whose TokenUpdate is still to come; nor
    for one that came before the end and is processed belatedly, nor for a user's channel of an earlier life of the
    device: that user comes back by a TokenUpdate. A device that was rejected doesn't come back.
    """
    channel_id, device = enrollment.channel.id, ChannelId(enrollment.channel.device_id)
    ended_at = enrollments.ended_at(tx, channel_id)
    if ended_at is None or not shows_return(speaker, ended_at, ctx.now):
        return False
    if enrollments.find(tx, [device])[device].epoch != enrollment.epoch:
        return False
    rejection = departures.rejection_of(tx, enrollment.channel.device_id)
    if rejection is not None and enrollment.epoch <= rejection.epoch:
        return False
    enrollments.set_enrolled(tx, channel_id, epoch=enrollment.epoch, enrolled_at=ctx.now)
    observation = Observation(channel_id, Signal.TOKEN_UPDATE, "returned", ctx.now, enrollment.epoch, source)
    evidence.append(tx, [observation], ctx.new_id)
    reviews.schedule(tx, channel_id, ctx.now)
    return True


def wakes(enrollment: Enrollment, speaker: Speaker) -> bool:
    """Tell whether a message of *speaker* shows that a dormant user is logged in again."""
    return enrollment.state is EnrollmentState.DORMANT and speaker in (Speaker.CURRENT, Speaker.FORMER)


def wake(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> None:
    """Mark dormant users logged in again; their reviews see to it that they are pushed for what waited meanwhile."""
    enrollments.set_awake(tx, channel_ids)
    for channel_id in channel_ids:
        reviews.schedule(tx, channel_id, ctx.now)


def let_sleep(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> None:
    """Mark users logged out: queue and token are kept, and nothing is pushed until they are heard again."""
    if channel_ids:
        enrollments.set_dormant(tx, channel_ids)
        push.drop_wishes(tx, channel_ids)
        reviews.schedule_all(tx, channel_ids, ctx.now)


def record_contact(tx: Transaction, channel_id: ChannelId, ctx: Context, source: str) -> None:
    """Tick the contact from the address *source* into the channel's row; one that is watched is reviewed at once."""
    known = enrollments.contact_of(tx, channel_id)
    folded = fold_contact(known.day, ctx.now)
    rhythm = fold_rhythm(known.rhythm, folded.current.day)
    enrollments.touch(tx, channel_id, at=ctx.now, day=folded.current, rhythm=rhythm, source=source or None)
    if known.is_watched:
        reviews.schedule(tx, channel_id, ctx.now)
    if folded.finished is not None:
        enrollments.keep_day(tx, channel_id, day=folded.finished.day, strip=folded.finished.strip)

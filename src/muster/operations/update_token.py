"""TokenUpdate: an enrollment is complete, a renewed identity is used for the first time, or the token changed."""

from typing import assert_never

from muster.domain.control.evidence import Detail, Observation, Signal
from muster.domain.enrollment import (
    EndReason,
    Enrollment,
    EnrollmentState,
    Lane,
    Speaker,
    TokenUpdateDecision,
    TokenUpdateMeaning,
    read_token_update,
)
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import Event, EventType
from muster.domain.letting_go import LetGo
from muster.domain.push_policy import PushReason
from muster.domain.secrets import SecretKind
from muster.domain.user_login import MAC_USERS, TokenStanding, token_standing
from muster.operations.attend_logins import hash_of_token, note_console
from muster.operations.checkin import (
    CheckinAnswer,
    CheckinOutcome,
    CheckinRequest,
    Speaking,
    come_back,
    let_sleep,
    note_restricted,
    record_contact,
    speaking,
    wake,
)
from muster.operations.context import Context
from muster.operations.follow_pin import complete_renewal, follow_pin, note_rolled_back
from muster.operations.keep_secrets import keep_secret
from muster.operations.release_set_up import note_awaiting
from muster.operations.turn_away import restored_refused
from muster.protocol.checkin import TokenUpdate
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId
from muster.storage import (
    enrollments,
    epoch_records,
    escrow,
    evidence,
    identities,
    known_facts,
    outbox,
    push,
    queues,
    renewals,
    reviews,
    user_logins,
)
from muster.storage.engine import Transaction
from muster.storage.renewals import ClosedBecause


def update_token(tx: Transaction, request: CheckinRequest[TokenUpdate], ctx: Context) -> CheckinOutcome:
    """Store where to push the channel, and complete what this TokenUpdate completes."""
    message = request.message
    channel_id = message.channel.id
    spoken = speaking(tx, request, ctx)
    if isinstance(spoken, Refusal):
        return spoken
    refused = _refused(tx, request, spoken, ctx)
    if refused is not None:
        return refused
    update = _update_device if message.channel.is_device else _update_user
    meaning, epoch = update(tx, request, spoken, ctx)
    changed = push.set_target(
        tx,
        channel_id,
        topic=message.topic,
        token=message.token,
        push_magic=message.push_magic,
        at=ctx.now,
        begins_life=meaning is TokenUpdateMeaning.ENROLLED,
    )
    is_awaiting = message.awaiting_configuration
    if is_awaiting is None and meaning is TokenUpdateMeaning.ENROLLED:
        is_awaiting = False  # absent keeps what was known, and of this life of the device nothing was
    known_facts.store_facts(
        tx,
        channel_id,
        known_facts.Facts(
            user_short_name=message.identifiers.user_short_name,
            user_long_name=message.identifiers.user_long_name,
            awaiting_configuration=is_awaiting,
        ),
        ctx.now,
    )
    note_awaiting(tx, message.channel, epoch, is_awaiting=is_awaiting, ctx=ctx)
    if spoken.lane is Lane.FULL:
        record_contact(tx, channel_id, ctx, request.source)
    else:
        note_restricted(tx, spoken, ctx, request.source)
    _note_login(tx, request, epoch, ctx)
    if message.unlock_token:
        device_id, kind = message.channel.device_id, SecretKind.UNLOCK_TOKEN
        keep_secret(tx, device_id, kind, message.unlock_token, epoch, ctx, origin="TokenUpdate")
    if meaning is TokenUpdateMeaning.REFRESH and not changed:
        return CheckinAnswer(signal="unchanged")  # a retransmission: the contact is all there is to it
    observed = "token_changed" if meaning is TokenUpdateMeaning.REFRESH else meaning.value
    detail: Detail = {
        "identity": request.fingerprint.hex(),
        "topic": message.topic,
        "has_unlock_token": message.unlock_token is not None,
        "awaiting_configuration": message.awaiting_configuration,
    }
    seen = Observation(channel_id, Signal.TOKEN_UPDATE, observed, ctx.now, epoch, request.source, detail)
    evidence.append(tx, [seen], ctx.new_id)
    reason = PushReason.ENROLLED if meaning is TokenUpdateMeaning.ENROLLED else PushReason.TOKEN_CHANGED
    push.wish(tx, [channel_id], reason=reason, at=ctx.now, due_at=ctx.now)
    reviews.schedule(tx, channel_id, ctx.now)
    return CheckinAnswer(signal=observed)


def _note_login(tx: Transaction, request: CheckinRequest[TokenUpdate], epoch: int, ctx: Context) -> None:
    """Note what a TokenUpdate says of a user's login to a Mac.

    One without the token that he was given is heard all the same, for it hands nothing out, and may not come again.
    """
    message = request.message
    channel = message.channel
    if channel.kind not in MAC_USERS:
        return
    login = user_logins.find(tx, [channel.id]).get(channel.id)
    note_console(tx, channel.id, message.not_on_console, login, ctx)
    if login is None:
        return
    standing = token_standing(login, hash_of_token(message.auth_token))
    if standing is not TokenStanding.GOOD:
        seen = Observation(channel.id, Signal.QUESTION, standing.value, ctx.now, epoch, request.source)
        evidence.append(tx, [seen], ctx.new_id)


def _refused(
    tx: Transaction, request: CheckinRequest[TokenUpdate], spoken: Speaking, ctx: Context
) -> LetGo | Refusal | None:
    """Put off a user who comes before the device, and ask the policy about one restored from an older backup.

    None: the device is heard.
    """
    if _comes_too_early(spoken, request.message.channel):
        return Refusal(
            RefusalCode.DEVICE_NOT_YET_ENROLLED,
            f"the TokenUpdate of {request.message.channel.device_id} itself has to come before its users'",
            "Nothing: the device sends it again.",
        )
    if spoken.speaker is not Speaker.SUPERSEDED or not request.wants_reply:
        return None
    return restored_refused(tx, request.message.channel.device_id, request.fingerprint, ctx)


def _update_device(
    tx: Transaction, request: CheckinRequest[TokenUpdate], spoken: Speaking, ctx: Context
) -> tuple[TokenUpdateMeaning, int]:
    channel, enrollment = request.message.channel, spoken.enrollment
    if enrollment.state is EnrollmentState.ENDED and come_back(tx, enrollment, spoken.speaker, ctx, request.source):
        enrollment = enrollment._replace(state=EnrollmentState.ENROLLED, ended_reason=None)
    decision = read_token_update(
        enrollment, request.fingerprint, spoken.speaker, ctx.now, ctx.policy.former_pin_lifetime
    )
    match decision.meaning:
        case TokenUpdateMeaning.ENROLLED:
            _start_epoch(tx, enrollment, decision, ctx)
            renewals.close(tx, channel.device_id, ClosedBecause.ENDED, ctx.now)
            identities.mark_pinned(
                tx, request.fingerprint, channel.device_id, epoch=decision.epoch, begins_life=True, at=ctx.now
            )
        case TokenUpdateMeaning.RENEWED:
            complete_renewal(tx, channel.device_id, decision.epoch, decision.pins, ctx)
        case TokenUpdateMeaning.WENT_BACK:
            if follow_pin(tx, enrollment, request.fingerprint, ctx):
                note_rolled_back(tx, enrollment, ctx)
        case TokenUpdateMeaning.REFRESH | TokenUpdateMeaning.RESTORED:
            pass
        case _:
            assert_never(decision.meaning)
    if enrollment.state is EnrollmentState.ENDED and decision.meaning is TokenUpdateMeaning.RENEWED:
        come_back(tx, enrollment, Speaker.CURRENT, ctx, request.source)
    return decision.meaning, decision.epoch


def _start_epoch(tx: Transaction, enrollment: Enrollment, decision: TokenUpdateDecision, ctx: Context) -> None:
    """Make the provisional epoch current: what the one before left behind is closed and archived, never purged."""
    channel_id, device_id = enrollment.channel.id, enrollment.channel.device_id
    epoch_records.close(tx, device_id, before=decision.epoch, at=ctx.now)
    epoch_records.start(tx, device_id, number=decision.epoch, at=ctx.now)
    enrollments.set_current(tx, channel_id, epoch=decision.epoch, pins=decision.pins, enrolled_at=ctx.now)
    known_facts.forget_standing(tx, channel_id)
    users = _users_of_earlier_epochs(tx, device_id, decision.epoch)
    enrollments.set_ended(tx, users, at=ctx.now, reason=EndReason.RE_ENROLLED)
    user_logins.forget(tx, users)
    push.drop_wishes(tx, users)
    reviews.schedule_all(tx, users, ctx.now)
    queues.close_unanswered(tx, [channel_id, *users], below_epoch=decision.epoch, at=ctx.now)
    escrow.archive(tx, device_id, None, at=ctx.now, below_epoch=decision.epoch)
    _tell(tx, EventType.DEVICE_ENROLLED, channel_id, ctx)


def _users_of_earlier_epochs(tx: Transaction, device_id: DeviceId, epoch: int) -> list[ChannelId]:
    users = enrollments.find(tx, enrollments.user_channels_of(tx, device_id))
    return [channel_id for channel_id, enrollment in users.items() if enrollment.epoch < epoch]


def _comes_too_early(spoken: Speaking, channel: Channel) -> bool:
    """Tell whether a user's TokenUpdate would cut off that user in the life in force, which the device's has not ended.

    An Authenticate alone proves nothing: anybody with a link can claim to be a device.
    """
    if channel.is_device or spoken.speaker is not Speaker.PROVISIONAL:
        return False
    in_force = spoken.enrollment
    return in_force.channel.id == channel.id and 0 < in_force.epoch < spoken.epoch and in_force.state in IN_FORCE


IN_FORCE = frozenset({EnrollmentState.ENROLLED, EnrollmentState.DORMANT})


def _update_user(
    tx: Transaction, request: CheckinRequest[TokenUpdate], spoken: Speaking, ctx: Context
) -> tuple[TokenUpdateMeaning, int]:
    """A user logged in. The user's channel belongs to the device's epoch, the provisional one while that is so."""
    channel = request.message.channel
    known = spoken.enrollment.channel.id == channel.id
    if channel.kind is ChannelKind.SHARED_IPAD:
        let_sleep(tx, _other_users(tx, channel), ctx)
    if known and spoken.enrollment.epoch == spoken.epoch:
        match spoken.enrollment.state:
            case EnrollmentState.ENROLLED:
                return TokenUpdateMeaning.REFRESH, spoken.epoch
            case EnrollmentState.DORMANT:
                wake(tx, [channel.id], ctx)
                return TokenUpdateMeaning.REFRESH, spoken.epoch
            case EnrollmentState.ENROLLING | EnrollmentState.ENDED:
                pass
            case _:
                assert_never(spoken.enrollment.state)
    enrollments.add(tx, channel, state=EnrollmentState.ENROLLED, epoch=spoken.epoch, first_seen_at=ctx.now)
    enrollments.set_enrolled(tx, channel.id, epoch=spoken.epoch, enrolled_at=ctx.now)
    queues.close_unanswered(tx, [channel.id], below_epoch=spoken.epoch, at=ctx.now)
    _tell(tx, EventType.USER_ENROLLED, channel.id, ctx)
    return TokenUpdateMeaning.ENROLLED, spoken.epoch


def _other_users(tx: Transaction, channel: Channel) -> list[ChannelId]:
    return [user for user in enrollments.user_channels_of(tx, channel.device_id) if user != channel.id]


def _tell(tx: Transaction, event_type: EventType, channel_id: ChannelId, ctx: Context) -> None:
    outbox.append(tx, [Event(ctx.new_id(), event_type, channel_id, ctx.now)])

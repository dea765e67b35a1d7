"""Messages that were accepted although we could not process them: kept, tried again, never asked for again.

The device got its 200: it must not resend for ever what trips over a fault of ours. It is journaled, and evidence of
our own error marks the channel until it went through.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import channel_unknown
from muster.domain.errors import Refusal
from muster.domain.secrets import SecretKind
from muster.operations.answer_checkin import AnyCheckin, answer_checkins
from muster.operations.answer_connect import ConnectRequest, answer_connects
from muster.operations.checkin import CheckinRequest, speaker_for, speaking
from muster.operations.context import Context
from muster.operations.keep_secrets import keep_secret
from muster.protocol.checkin import CheckinMessage, CheckOut, SetBootstrapToken, TokenUpdate, decode_checkin
from muster.protocol.connect import read_report_head
from muster.protocol.identifiers import Channel, ChannelId
from muster.storage import deferred, enrollments, escrow, evidence, identities, push
from muster.storage.deferred import DeferredMessage
from muster.storage.engine import Transaction

RETRY_DELAYS = (timedelta(minutes=1), timedelta(minutes=10), timedelta(hours=1), timedelta(hours=6))
"""The last one is repeated: an update of ours may cure what nothing else does."""
CLAIM_LIMIT = 50
CONNECT = "connect"
"""How a report is named among the deferred; check-ins have their MessageType."""
MAXIMUM_ERROR_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class Deferral:
    """A message to keep, and what went wrong with it."""

    channel: Channel
    message: str
    body: bytes
    fingerprint: bytes
    source: str
    error: str


def defer_messages(tx: Transaction, deferrals: Sequence[Deferral], ctx: Context) -> list[Refusal | None]:
    """Keep messages for another attempt, with evidence that the fault is ours; None where that was done, in order.

    Refused when the identity may not speak for the device: what a stranger says is not kept.
    """
    return [_defer(tx, one, ctx) for one in deferrals]


def _defer(tx: Transaction, one: Deferral, ctx: Context) -> Refusal | None:
    channel_id, device = one.channel.id, ChannelId(one.channel.device_id)
    stored = enrollments.find(tx, [channel_id, device])
    if device not in stored:
        return channel_unknown(one.channel)
    speaker = speaker_for(tx, stored[device], one.fingerprint, None, ctx)
    if isinstance(speaker, Refusal):
        return speaker
    message_id = ctx.new_id()
    body = ctx.seal(one.body, table="deferred_messages", column="body", row=message_id)  # it may hold an unlock token
    message = DeferredMessage(message_id, channel_id, one.message, body, one.fingerprint, one.source, ctx.now, 0)
    error = one.error[:MAXIMUM_ERROR_CHARACTERS]
    deferred.add(tx, message, error=error, next_attempt_at=ctx.now + RETRY_DELAYS[0])
    epoch = stored.get(channel_id, stored[device]).epoch
    detail = {"message": one.message, "error": error}
    observation = Observation(channel_id, Signal.OWN_ERROR, one.message, ctx.now, epoch, one.source, detail)
    evidence.append(tx, [observation], ctx.new_id)
    return None


@dataclass(frozen=True, slots=True)
class DueDeferred:
    """Messages whose next attempt is due, and when to look again."""

    messages: tuple[DeferredMessage, ...]
    next_due_at: datetime | None


def claim_deferred(tx: Transaction, items: Sequence[None], ctx: Context) -> list[DueDeferred]:
    """Take the messages that are due; each is due again after its delay, unless it is settled before."""
    claims = []
    for _ in items:
        messages = deferred.claim_due(tx, ctx.now, CLAIM_LIMIT)
        for message in messages:
            delay = RETRY_DELAYS[min(message.attempts + 1, len(RETRY_DELAYS) - 1)]
            deferred.failed_again(tx, message.id, error="in progress", next_attempt_at=ctx.now + delay)
        claims.append(DueDeferred(messages, deferred.next_due(tx)))
    return claims


def process_deferred(tx: Transaction, messages: Sequence[DeferredMessage], ctx: Context) -> list[None]:
    """Process messages as of the time they came, and forget them; one None for each.

    The device got its reply long ago: what is decided is recorded, and nothing is handed out. What the device has
    itself replaced since is left alone.
    """
    for message in messages:
        then = replace(ctx, now=message.received_at)
        body = ctx.open(message.body, table="deferred_messages", column="body", row=message.id)
        if message.message == CONNECT:
            head = read_report_head(body)
            not_after = _not_after(tx, message)
            report = ConnectRequest(head, message.fingerprint, body, message.source, not_after, wants_command=False)
            answer_connects(tx, [report], then)
        else:
            not_after = _not_after(tx, message)
            checkin = decode_checkin(body)
            request = CheckinRequest(checkin, message.fingerprint, body, message.source, not_after, wants_reply=False)
            _process_checkin(tx, request, then)
        deferred.remove(tx, message.id)
    return [None] * len(messages)


def _not_after(tx: Transaction, message: DeferredMessage) -> datetime:
    """Until when the identity is valid that signed *message*; one that is not ours was valid then."""
    identity = identities.find(tx, message.fingerprint)
    return message.received_at + timedelta(days=1) if identity is None else identity.not_after


def _process_checkin(tx: Transaction, request: AnyCheckin, then: Context) -> None:
    message = request.message
    tx.lock_rows([ChannelId(message.channel.device_id)])
    if not is_overtaken(tx, message, then.now):
        answer_checkins(tx, [request], then)
    elif isinstance(message, TokenUpdate) and message.unlock_token:
        # only the first TokenUpdate may bring it: the newer one has none, and so didn't replace it
        device_id = message.channel.device_id
        newer = escrow.changed_at(tx, device_id, SecretKind.UNLOCK_TOKEN)
        spoken = speaking(tx, request, then)
        if not isinstance(spoken, Refusal) and (newer is None or newer < then.now):
            kind, token = SecretKind.UNLOCK_TOKEN, message.unlock_token
            keep_secret(tx, device_id, kind, token, spoken.epoch, then, origin="TokenUpdate")


def is_overtaken(tx: Transaction, message: CheckinMessage, received_at: datetime) -> bool:
    """Tell whether the device has said something newer that *message* would undo."""
    newer: datetime | None = None
    match message:
        case TokenUpdate() | CheckOut():
            newer = push.target_updated_at(tx, message.channel.id)
        case SetBootstrapToken():
            newer = escrow.changed_at(tx, message.channel.device_id, SecretKind.BOOTSTRAP_TOKEN)
    return newer is not None and newer > received_at


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """What went wrong with another attempt."""

    message_id: str
    error: str


def note_failures(tx: Transaction, failures: Sequence[FailedAttempt], ctx: Context) -> list[None]:  # noqa: ARG001 - the shape of operations
    """Keep what went wrong, for whoever looks for the cause; one None for each."""
    for failure in failures:
        deferred.note_error(tx, failure.message_id, failure.error[:MAXIMUM_ERROR_CHARACTERS])
    return [None] * len(failures)

"""Messages that were accepted although we could not process them: kept, tried again, never asked for again.

The device got its 200: it must not resend for ever what trips over a fault of ours. It is journaled, and evidence of
our own error marks the channel until it went through.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from muster.domain.control.evidence import Observation, Signal
from muster.operations.answer_checkin import answer_checkins
from muster.operations.answer_connect import ConnectRequest, answer_connects
from muster.operations.checkin import CheckinRequest
from muster.operations.context import Context
from muster.protocol.checkin import decode_checkin
from muster.protocol.connect import read_report_head
from muster.protocol.identifiers import ChannelId
from muster.storage import deferred, enrollments, evidence
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

    channel_id: ChannelId
    message: str
    body: bytes
    fingerprint: bytes
    source: str
    error: str


def defer_messages(tx: Transaction, deferrals: Sequence[Deferral], ctx: Context) -> list[None]:
    """Keep messages for another attempt, with evidence that the fault is ours; one None for each."""
    for one in deferrals:
        message = DeferredMessage(
            ctx.new_id(), one.channel_id, one.message, one.body, one.fingerprint, one.source, ctx.now, 0
        )
        error = one.error[:MAXIMUM_ERROR_CHARACTERS]
        deferred.add(tx, message, error=error, next_attempt_at=ctx.now + RETRY_DELAYS[0])
        enrollment = enrollments.find(tx, [one.channel_id]).get(one.channel_id)
        epoch = 0 if enrollment is None else enrollment.epoch
        detail = {"message": one.message, "error": error}
        observation = Observation(one.channel_id, Signal.OWN_ERROR, one.message, ctx.now, epoch, one.source, detail)
        evidence.append(tx, [observation], ctx.new_id)
    return [None] * len(deferrals)


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

    The device got its reply long ago: what is decided is recorded, and nothing is handed out.
    """
    for message in messages:
        then = replace(ctx, now=message.received_at)
        if message.message == CONNECT:
            head = read_report_head(message.body)
            report = ConnectRequest(head, message.fingerprint, message.body, message.source, wants_command=False)
            answer_connects(tx, [report], then)
        else:
            decoded = decode_checkin(message.body)
            answer_checkins(tx, [CheckinRequest(decoded, message.fingerprint, message.body, message.source)], then)
        deferred.remove(tx, message.id)
    return [None] * len(messages)

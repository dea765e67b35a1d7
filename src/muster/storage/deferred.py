"""Messages that were accepted and journaled but could not be processed for a fault of ours; they are tried again."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction, Work
from muster.storage.schema import deferred_messages


@dataclass(frozen=True, slots=True)
class DeferredMessage:
    """A device's message. *message* is `connect` or the check-in's MessageType.

    *body* is what came, sealed with associated data (deferred_messages, body, *id*).
    """

    id: str
    channel_id: ChannelId
    message: str
    body: bytes
    fingerprint: bytes
    source: str
    received_at: datetime
    attempts: int


def add(tx: Transaction, deferred: DeferredMessage, *, error: str, next_attempt_at: datetime) -> None:
    """Keep a message for another attempt."""
    tx.made_due(Work.DEFERRED, next_attempt_at)
    tx.connection.execute(
        sa.insert(deferred_messages).values(
            id=deferred.id,
            channel_id=deferred.channel_id,
            message=deferred.message,
            body=deferred.body,
            fingerprint=deferred.fingerprint,
            source=deferred.source,
            received_at=deferred.received_at,
            error=error,
            attempts=deferred.attempts,
            next_attempt_at=next_attempt_at,
        )
    )


def claim_due(tx: Transaction, now: datetime, limit: int) -> tuple[DeferredMessage, ...]:
    """Take up to *limit* messages whose next attempt is due, oldest first."""
    rows = tx.connection.execute(
        tx.claim(
            sa.select(deferred_messages)
            .where(deferred_messages.c.next_attempt_at <= now)
            .order_by(deferred_messages.c.received_at, deferred_messages.c.id)
            .limit(limit)
        )
    )
    return tuple(
        DeferredMessage(
            row.id,
            ChannelId(row.channel_id),
            row.message,
            row.body,
            row.fingerprint,
            row.source,
            row.received_at,
            row.attempts,
        )
        for row in rows
    )


def note_error(tx: Transaction, message_id: str, error: str) -> None:
    """Keep what went wrong with the attempt that was counted last."""
    tx.connection.execute(sa.update(deferred_messages).where(deferred_messages.c.id == message_id).values(error=error))


def failed_again(tx: Transaction, message_id: str, *, error: str, next_attempt_at: datetime) -> None:
    """Count a failed attempt."""
    tx.connection.execute(
        sa.update(deferred_messages)
        .where(deferred_messages.c.id == message_id)
        .values(attempts=deferred_messages.c.attempts + 1, error=error, next_attempt_at=next_attempt_at)
    )


def remove(tx: Transaction, message_id: str) -> None:
    """Forget a message that has been processed."""
    tx.connection.execute(sa.delete(deferred_messages).where(deferred_messages.c.id == message_id))


def next_due(tx: Transaction) -> datetime | None:
    """Tell when the next attempt is due; None when nothing waits."""
    value: datetime | None = tx.connection.scalar(sa.select(sa.func.min(deferred_messages.c.next_attempt_at)))
    return value

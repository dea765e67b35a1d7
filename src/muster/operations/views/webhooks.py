"""Webhooks as people see them: where they go, how it goes with them, what waits and what was delivered."""

from dataclasses import dataclass
from datetime import datetime

from muster.domain.webhooks import SubscriptionKind
from muster.storage import outbox, subscriptions
from muster.storage.engine import Transaction

LIST_LIMIT = 100


@dataclass(frozen=True, slots=True)
class WebhookRow:
    """One webhook. *event_types* empty: everything; *waiting*: events not delivered yet, the oldest of
    *oldest_waiting_at*; *failures* in a row, since *failing_since*."""

    name: str
    url: str
    format: str
    state: str
    event_types: tuple[str, ...]
    allows_plain: bool
    allows_private: bool
    created_at: datetime
    waiting: int
    oldest_waiting_at: datetime | None
    failures: int
    failing_since: datetime | None
    retry_at: datetime | None
    last_error: str | None
    former_secret_until: datetime | None


@dataclass(frozen=True, slots=True)
class DeliveryRow:
    """One event on its way or delivered. *delivered_at* absent: it waits, and its next attempt is at *due_at*."""

    sequence: int
    event_id: str
    event_type: str
    channel_id: str
    at: datetime
    attempts: int
    due_at: datetime | None
    delivered_at: datetime | None
    status: int | None
    last_error: str | None


def list_webhooks(tx: Transaction, name: str | None = None) -> tuple[WebhookRow, ...]:
    """Read all webhooks by name, or the one that is called *name*."""
    found = [one for one in subscriptions.all_of(tx, SubscriptionKind.WEBHOOK) if name in (None, one.name)]
    addressed = subscriptions.webhooks_of(tx, [one.id for one in found])
    waiting = outbox.count_waiting(tx)
    rows = []
    for one in found:
        webhook = addressed[one.id]
        count, oldest = waiting.get(one.id, (0, None))
        rows.append(
            WebhookRow(
                name=one.name,
                url=webhook.url,
                format=webhook.format.value,
                state=one.state.value,
                event_types=one.event_types,
                allows_plain=webhook.allows_plain,
                allows_private=webhook.allows_private,
                created_at=one.created_at,
                waiting=count,
                oldest_waiting_at=oldest,
                failures=one.failures,
                failing_since=one.failing_since,
                retry_at=one.retry_at,
                last_error=one.last_error,
                former_secret_until=webhook.former_until,
            )
        )
    return tuple(rows)


def list_deliveries(tx: Transaction, name: str, *, limit: int = LIST_LIMIT) -> tuple[DeliveryRow, ...] | None:
    """Read what waits for a webhook, in its order, and then what was delivered, the latest first; at most *limit* of
    each. None: there is no such webhook."""
    found = subscriptions.named(tx, name, SubscriptionKind.WEBHOOK)
    if found is None:
        return None
    waiting = [
        DeliveryRow(
            one.event.sequence,
            one.event.id,
            one.event.type,
            one.event.channel_id,
            one.event.at,
            one.attempts,
            one.due_at,
            None,
            None,
            one.last_error,
        )
        for one in outbox.waiting(tx, found.id, limit=limit)
    ]
    delivered = [
        DeliveryRow(
            one.event.sequence,
            one.event.id,
            one.event.type,
            one.event.channel_id,
            one.event.at,
            one.attempts,
            None,
            one.delivered_at,
            one.status,
            None,
        )
        for one in outbox.delivered(tx, found.id, limit=limit)
    ]
    return (*waiting, *delivered)

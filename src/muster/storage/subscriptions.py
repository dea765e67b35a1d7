"""Who is told: webhooks and streams, and how it goes with each."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.webhooks import BodyFormat, SubscriptionKind, SubscriptionState
from muster.storage.engine import Transaction, Work
from muster.storage.schema import deliveries, outbox, subscriptions, webhooks


@dataclass(frozen=True, slots=True)
class Subscription:
    """Somebody who is told. *event_types*: the names of what he is told; none: everything.

    *failures* attempts failed in a row, since *failing_since*, the last for *last_error*; nothing is sent before
    *retry_at*.
    """

    id: str
    name: str
    kind: SubscriptionKind
    state: SubscriptionState
    event_types: tuple[str, ...]
    created_at: datetime
    failures: int = 0
    failing_since: datetime | None = None
    retry_at: datetime | None = None
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where a webhook's requests go, and how they are written and signed. Until *former_until* also by the former
    secret."""

    subscription_id: str
    url: str
    format: BodyFormat
    secret_sealed: bytes = field(repr=False)
    allows_plain: bool
    allows_private: bool
    former_secret_sealed: bytes | None = field(default=None, repr=False)
    former_until: datetime | None = None


def add(tx: Transaction, subscription: Subscription) -> None:
    """Store a subscription whose name nobody has."""
    tx.connection.execute(
        sa.insert(subscriptions).values(
            id=subscription.id,
            name=subscription.name,
            kind=subscription.kind.value,
            state=subscription.state.value,
            event_types=" ".join(subscription.event_types),
            created_at=subscription.created_at,
        )
    )


def add_webhook(tx: Transaction, webhook: Webhook) -> None:
    """Store what a webhook has beside its subscription, which is stored."""
    tx.connection.execute(
        sa.insert(webhooks).values(
            subscription_id=webhook.subscription_id,
            url=webhook.url,
            format=webhook.format.value,
            secret_sealed=webhook.secret_sealed,
            allows_plain=webhook.allows_plain,
            allows_private=webhook.allows_private,
        )
    )


def named(tx: Transaction, name: str, kind: SubscriptionKind | None = None) -> Subscription | None:
    """Find a subscription by its name; None: there is none, or none of that *kind*."""
    row = tx.connection.execute(sa.select(subscriptions).where(subscriptions.c.name == name)).first()
    found = None if row is None else _subscription(row)
    return found if found is not None and kind in (None, found.kind) else None


def all_of(tx: Transaction, kind: SubscriptionKind | None = None) -> tuple[Subscription, ...]:
    """Read all subscriptions, or those of one *kind*, by name."""
    select = sa.select(subscriptions).order_by(subscriptions.c.name)
    if kind is not None:
        select = select.where(subscriptions.c.kind == kind.value)
    return tuple(_subscription(row) for row in tx.connection.execute(select))


def webhooks_of(tx: Transaction, subscription_ids: Sequence[str]) -> dict[str, Webhook]:
    """Read what webhooks have beside their subscriptions."""
    rows = tx.connection.execute(sa.select(webhooks).where(webhooks.c.subscription_id.in_(subscription_ids)))
    return {row.subscription_id: _webhook(row) for row in rows}


def set_state(tx: Transaction, subscription_id: str, state: SubscriptionState, at: datetime) -> None:
    """Have somebody told, or not; what failed before counts no more, so that he is asked at once."""
    _update(tx, subscription_id, state=state.value, failures=0, failing_since=None, retry_at=None, last_error=None)
    tx.made_due(Work.OUTBOX, at)


def set_secret(tx: Transaction, subscription_id: str, sealed: bytes, former: bytes, former_until: datetime) -> None:
    """Store a webhook's new secret; the former is good until *former_until*."""
    tx.connection.execute(
        sa.update(webhooks)
        .where(webhooks.c.subscription_id == subscription_id)
        .values(secret_sealed=sealed, former_secret_sealed=former, former_until=former_until)
    )


def set_failing(
    tx: Transaction, subscription_id: str, *, failures: int, since: datetime, retry_at: datetime | None, why: str
) -> None:
    """Store that attempts fail."""
    _update(tx, subscription_id, failures=failures, failing_since=since, retry_at=retry_at, last_error=why)
    if retry_at is not None:
        tx.made_due(Work.OUTBOX, retry_at)


def set_well(tx: Transaction, subscription_id: str) -> None:
    """Store that an attempt came through."""
    _update(tx, subscription_id, failures=0, failing_since=None, retry_at=None, last_error=None)


def hold_back(tx: Transaction, subscription_id: str, until: datetime) -> None:
    """Have nothing sent to somebody before *until*."""
    _update(tx, subscription_id, retry_at=until)


def remove(tx: Transaction, subscription_id: str) -> None:
    """Remove a webhook's subscription with all that waits for it and all that was delivered."""
    for table in (outbox, deliveries, webhooks):
        tx.connection.execute(sa.delete(table).where(table.c.subscription_id == subscription_id))
    tx.connection.execute(sa.delete(subscriptions).where(subscriptions.c.id == subscription_id))


def _update(tx: Transaction, subscription_id: str, **values: object) -> None:
    tx.connection.execute(sa.update(subscriptions).where(subscriptions.c.id == subscription_id).values(**values))


def _subscription(row: sa.Row[Any]) -> Subscription:
    return Subscription(
        row.id,
        row.name,
        SubscriptionKind(row.kind),
        SubscriptionState(row.state),
        tuple(row.event_types.split()),
        row.created_at,
        row.failures,
        row.failing_since,
        row.retry_at,
        row.last_error,
    )


def _webhook(row: sa.Row[Any]) -> Webhook:
    return Webhook(
        row.subscription_id,
        row.url,
        BodyFormat(row.format),
        row.secret_sealed,
        row.allows_plain,
        row.allows_private,
        row.former_secret_sealed,
        row.former_until,
    )

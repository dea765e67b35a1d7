"""Events on their way to others: one sequence for each subscription and channel, of which the head alone is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

import sqlalchemy as sa

from muster.domain.event_bodies import OutgoingEvent
from muster.domain.events import Detail, Event
from muster.domain.signals import Signal, SignalType
from muster.domain.webhooks import BodyFormat, SubscriptionKind, SubscriptionState
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage.engine import Transaction, Work
from muster.storage.schema import deliveries, outbox, subscriptions, webhooks

NO_CHANNEL = ChannelId("")
"""Of events that are about no channel: a sequence of their own."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """An event that waits to be delivered: to whom, after how many *attempts*, and what kept the last one."""

    subscription_id: str
    event: OutgoingEvent
    attempts: int
    due_at: datetime
    last_error: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """An event that was delivered, by its *attempts*-th attempt. *status*: of HTTP; absent where it was fetched."""

    event: OutgoingEvent
    attempts: int
    delivered_at: datetime
    status: int | None


_TOLD = sa.select(subscriptions.c.id, subscriptions.c.event_types).where(
    subscriptions.c.kind == SubscriptionKind.WEBHOOK.value,
    subscriptions.c.state != SubscriptionState.DISABLED.value,
)


_TOLD_MESSAGES = (
    sa.select(subscriptions.c.id, subscriptions.c.event_types)
    .join(webhooks, webhooks.c.subscription_id == subscriptions.c.id)
    .where(
        webhooks.c.format == BodyFormat.MICROMDM.value,
        subscriptions.c.state != SubscriptionState.DISABLED.value,
    )
)


def append_of_no_channel(tx: Transaction, events: Sequence[Event]) -> None:
    """Put *events* of NO_CHANNEL into the outbox of whoever wants them; their writers take turns, cluster-wide."""
    if events:
        tx.lock_name("events_of_no_channel")
        append(tx, events)


def append(tx: Transaction, events: Sequence[Event]) -> None:
    """Put *events* into the outbox of every webhook that wants them, in their order.

    Of one channel, what a transaction puts in that begins after another's end comes after it; whoever wants his events
    of a channel in order has to take turns, as reviews do.
    """
    if not events:
        return
    told = [(id_, frozenset(wanted.split())) for id_, wanted in tx.connection.execute(_TOLD)]
    append_to(
        tx, [(id_, event) for id_, wanted in told for event in events if not wanted or event.type.value in wanted]
    )


SEALED: Final = "sealed"
"""Where a message of a device stands in what an event says, sealed."""
LONGEST_KEPT_MESSAGE: Final = 64 * 1024
"""Characters of it; longer ones are forgotten when they are delivered, and can't be sent again."""


class WaitingMessage(NamedTuple):
    """A message of a device as it waits for each of *wanted_by*, subscriptions."""

    event_id: str
    topic: str
    channel_id: ChannelId
    wanted_by: tuple[str, ...]
    detail: Detail


def message_receivers(tx: Transaction) -> list[tuple[str, frozenset[str]]]:
    """Find who is told what devices say: the subscriptions, with the topics that each wants."""
    rows = tx.connection.execute(_TOLD_MESSAGES)
    return [(id_, frozenset(wanted.split())) for id_, wanted in rows]


def wants_messages(tx: Transaction) -> bool:
    """Tell whether anybody is told what devices say."""
    return tx.connection.execute(_TOLD_MESSAGES.limit(1)).first() is not None


def append_messages(tx: Transaction, messages: Sequence[WaitingMessage], at: datetime) -> None:
    """Put messages into the outbox of those who want them, in their order."""
    rows = [
        {
            "subscription_id": subscription_id,
            "channel_id": one.channel_id,
            "event_id": one.event_id,
            "event_type": one.topic,
            "at": at,
            "detail": dict(one.detail),
            "attempts": 0,
            "due_at": at,
        }
        for one in messages
        for subscription_id in one.wanted_by
    ]
    if rows:
        tx.connection.execute(sa.insert(outbox), rows)
        tx.made_due(Work.OUTBOX, at)


def append_to(tx: Transaction, events: Sequence[tuple[str, Event | Signal]]) -> None:
    """Put each event into the outbox of the subscription that it is for, whatever that one wants."""
    if not events:
        return
    rows = [
        {
            "subscription_id": subscription_id,
            "channel_id": event.channel_id,
            "event_id": event.id,
            "event_type": event.type.value,
            "at": event.at,
            "detail": dict(event.detail),
            "attempts": 0,
            "due_at": event.at,
        }
        for subscription_id, event in events
    ]
    tx.connection.execute(sa.insert(outbox), rows)
    tx.made_due(Work.OUTBOX, min(event.at for _, event in events))


def claim_heads(
    tx: Transaction,
    subscription_id: str,
    *,
    now: datetime,
    until: datetime,
    limit: int,
    channel_id: ChannelId | None = None,
) -> tuple[Waiting, ...]:
    """Take up to *limit* events of a subscription that are due, the longest due first, and count an attempt for each.

    *channel_id*: only of this one.

    Of each channel only the first is there: those behind it wait until it is delivered. Who takes them has them until
    *until*; what isn't recorded by then is due again.
    """
    if limit <= 0:
        return ()
    select = (
        sa.select(outbox)
        .where(outbox.c.subscription_id == subscription_id, outbox.c.due_at <= now, _is_head())
        .order_by(outbox.c.due_at, outbox.c.sequence)
        .limit(limit)
    )
    if channel_id is not None:
        select = select.where(outbox.c.channel_id == channel_id)
    rows = tx.connection.execute(tx.claim(select)).all()
    if rows:
        tx.connection.execute(
            sa.update(outbox)
            .where(outbox.c.sequence.in_([row.sequence for row in rows]))
            .values(due_at=until, attempts=outbox.c.attempts + 1)
        )
    return tuple(_waiting(row, attempts=row.attempts + 1) for row in rows)


def record_delivered(tx: Transaction, sequence: int, event_id: str, *, at: datetime, status: int | None) -> bool:
    """Move a delivered event to what was delivered; False where another had done so."""
    row = tx.connection.execute(
        sa.delete(outbox).where(outbox.c.sequence == sequence, outbox.c.event_id == event_id).returning(outbox)
    ).first()
    if row is None:
        return False
    kept = {name: value for name, value in row._mapping.items() if name not in ("due_at", "last_error")}  # noqa: SLF001 - public by SQLAlchemy's documentation
    kept["detail"] = _kept_detail(row.detail)
    tx.connection.execute(sa.insert(deliveries).values(**kept, delivered_at=at, status=status))
    return True


def record_failure(tx: Transaction, sequence: int, event_id: str, *, attempts: int, due_at: datetime, why: str) -> None:
    """Have an event due again, where its *attempts*-th attempt is still the last."""
    tx.connection.execute(
        sa.update(outbox)
        .where(outbox.c.sequence == sequence, outbox.c.event_id == event_id, outbox.c.attempts == attempts)
        .values(due_at=due_at, last_error=why)
    )
    tx.made_due(Work.OUTBOX, due_at)


def record_fetched(
    tx: Transaction, subscription_id: str, event_ids: Sequence[str], *, at: datetime, status: int | None
) -> None:
    """Move events that a receiver fetched, and settled by their ids, to what was delivered; others are passed over."""
    if not event_ids:
        return
    found = sa.select(outbox.c.sequence, outbox.c.event_id).where(
        outbox.c.subscription_id == subscription_id, outbox.c.event_id.in_(event_ids)
    )
    for sequence, event_id in tx.connection.execute(found).all():
        record_delivered(tx, sequence, event_id, at=at, status=status)


def drop_statuses(tx: Transaction, subscription_id: str) -> list[tuple[DeviceId, str]]:
    """Drop what waits for a stream of devices; returns for each of these as what its receiver knows it still."""
    rows = tx.connection.execute(
        sa.select(outbox.c.channel_id, outbox.c.detail)
        .where(outbox.c.subscription_id == subscription_id, outbox.c.event_type == SignalType.COMPLIANCE.value)
        .order_by(outbox.c.sequence.desc())
    )
    known = {DeviceId(channel_id): str(detail["previous_status"]) for channel_id, detail in rows}  # the first one stays
    tx.connection.execute(
        sa.delete(outbox).where(
            outbox.c.subscription_id == subscription_id, outbox.c.event_type == SignalType.COMPLIANCE.value
        )
    )
    return list(known.items())


def is_due(tx: Transaction, subscription_id: str, now: datetime, channel_id: ChannelId | None = None) -> bool:
    """Tell whether a subscription has events that are due and wait for no other; *channel_id*: of this one."""
    found = sa.select(sa.literal(1)).where(
        outbox.c.subscription_id == subscription_id, outbox.c.due_at <= now, _is_head()
    )
    if channel_id is not None:
        found = found.where(outbox.c.channel_id == channel_id)
    return tx.connection.scalar(found.limit(1)) is not None


def next_due(tx: Transaction, subscription_id: str, now: datetime) -> datetime | None:
    """Tell when an event of a subscription is due after *now*; those that are due already wait for the one before."""
    due_at: datetime | None = tx.connection.scalar(
        sa.select(sa.func.min(outbox.c.due_at)).where(
            outbox.c.subscription_id == subscription_id, outbox.c.due_at > now
        )
    )
    return due_at


def waiting(
    tx: Transaction, subscription_id: str, *, limit: int, channel_id: ChannelId | None = None
) -> tuple[Waiting, ...]:
    """Read at most *limit* of the events that wait for a subscription, in their order; *channel_id*: of this one."""
    select = sa.select(outbox).where(outbox.c.subscription_id == subscription_id)
    if channel_id is not None:
        select = select.where(outbox.c.channel_id == channel_id)
    rows = tx.connection.execute(select.order_by(outbox.c.sequence).limit(limit))
    return tuple(_waiting(row, attempts=row.attempts) for row in rows)


def count_waiting(tx: Transaction) -> Mapping[str, tuple[int, datetime]]:
    """Count the events that wait for each subscription, with the time of the oldest; none: it is absent."""
    rows = tx.connection.execute(
        sa.select(outbox.c.subscription_id, sa.func.count(), sa.func.min(outbox.c.at)).group_by(
            outbox.c.subscription_id
        )
    )
    return {id_: (count, oldest) for id_, count, oldest in rows}


def delivered(tx: Transaction, subscription_id: str, *, limit: int) -> tuple[Delivered, ...]:
    """Read at most *limit* of the events that were delivered to a subscription, the latest first."""
    rows = tx.connection.execute(
        sa.select(deliveries)
        .where(deliveries.c.subscription_id == subscription_id)
        .order_by(deliveries.c.sequence.desc())
        .limit(limit)
    )
    return tuple(Delivered(_event(row), row.attempts, row.delivered_at, row.status) for row in rows)


def append_again(
    tx: Transaction, subscription_id: str, *, since: datetime | None, event_id: str | None, now: datetime, limit: int
) -> int:
    """Put what was delivered into a subscription's outbox once more, in its order, under the same ids.

    Returns how many. *since*: what happened at or after it; *event_id*: that one event.
    """
    select = sa.select(deliveries).where(deliveries.c.subscription_id == subscription_id)
    if since is not None:
        select = select.where(deliveries.c.at >= since)
    if event_id is not None:
        select = select.where(deliveries.c.event_id == event_id)
    rows = tx.connection.execute(select.order_by(deliveries.c.sequence).limit(limit)).all()
    rows = [row for row in rows if row.detail.get(SEALED) != _FORGOTTEN]
    if rows:
        names = ("subscription_id", "channel_id", "event_id", "event_type", "at", "detail")
        again = [{name: getattr(row, name) for name in names} | {"attempts": 0, "due_at": now} for row in rows]
        tx.connection.execute(sa.insert(outbox), again)
        tx.made_due(Work.OUTBOX, now)
    return len(rows)


def forget_delivered(tx: Transaction, *, before: datetime, keep: int) -> None:
    """Forget what was delivered before *before*, and of each subscription all but the latest *keep*."""
    tx.connection.execute(sa.delete(deliveries).where(deliveries.c.delivered_at < before))
    for subscription_id in tx.connection.scalars(sa.select(subscriptions.c.id)).all():
        oldest_kept = (
            sa.select(deliveries.c.sequence)
            .where(deliveries.c.subscription_id == subscription_id)
            .order_by(deliveries.c.sequence.desc())
            .offset(keep)
            .limit(1)
            .scalar_subquery()
        )
        tx.connection.execute(
            sa.delete(deliveries).where(
                deliveries.c.subscription_id == subscription_id, deliveries.c.sequence <= oldest_kept
            )
        )


_FORGOTTEN: Final = ""


def _kept_detail(detail: Detail) -> Detail:
    sealed = detail.get(SEALED)
    is_long = isinstance(sealed, str) and len(sealed) > LONGEST_KEPT_MESSAGE
    return {**detail, SEALED: _FORGOTTEN} if is_long else detail


def _is_head() -> sa.ColumnElement[bool]:
    """Tell events that wait for no other of their subscription and channel."""
    earlier = outbox.alias()
    return ~sa.exists().where(
        earlier.c.subscription_id == outbox.c.subscription_id,
        earlier.c.channel_id == outbox.c.channel_id,
        earlier.c.sequence < outbox.c.sequence,
    )


def _waiting(row: sa.Row[Any], *, attempts: int) -> Waiting:
    return Waiting(row.subscription_id, _event(row), attempts, row.due_at, row.last_error)


def _event(row: sa.Row[Any]) -> OutgoingEvent:
    return OutgoingEvent(row.event_id, row.event_type, ChannelId(row.channel_id), row.at, row.sequence, row.detail)

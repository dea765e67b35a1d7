"""Events on their way to others: one sequence for each subscription and channel, of which the head alone is sent."""

from collections.abc import Sequence

import sqlalchemy as sa

from muster.domain.events import Event
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import outbox, subscriptions

NO_CHANNEL = ChannelId("")
"""Of events that are about no channel: a sequence of their own."""


def append_of_no_channel(tx: Transaction, events: Sequence[Event]) -> None:
    """Put *events* of NO_CHANNEL into the outbox of every subscription; their writers take turns, cluster-wide."""
    if events:
        tx.lock_name("events_of_no_channel")
        append(tx, events)


def append(tx: Transaction, events: Sequence[Event]) -> None:
    """Put *events* into the outbox of every subscription; the caller holds the rows of their channels.

    Holding the channel's row is what makes the next number of its sequence ours.
    """
    if not events:
        return
    subscribers = tx.connection.scalars(sa.select(subscriptions.c.id)).all()
    for event in events:
        for subscriber in subscribers:
            last = tx.connection.scalar(
                sa.select(sa.func.max(outbox.c.sequence)).where(
                    outbox.c.subscription_id == subscriber, outbox.c.channel_id == event.channel_id
                )
            )
            tx.connection.execute(
                sa.insert(outbox).values(
                    subscription_id=subscriber,
                    channel_id=event.channel_id,
                    sequence=(last or 0) + 1,
                    event_id=event.id,
                    event_type=event.type.value,
                    at=event.at,
                    detail=dict(event.detail),
                    attempts=0,
                    due_at=event.at,
                )
            )

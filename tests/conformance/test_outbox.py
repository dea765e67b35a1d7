"""Every subscription gets every event once, in the order of its channel, on both engines alike."""

import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.domain.events import Event, EventType
from muster.protocol.identifiers import ChannelId
from muster.storage import outbox
from muster.storage.engine import Engine
from muster.storage.schema import outbox as outbox_table
from muster.storage.schema import subscriptions


def subscribe(engine: Engine, *names: str) -> None:
    engine.write(
        lambda tx: tx.connection.execute(
            sa.insert(subscriptions), [{"id": name, "name": name, "created_at": NOON} for name in names]
        )
    )


def event(number: int, name: str = "A") -> Event:
    return Event(
        f"event {number}",
        EventType.DEVICE_ENROLLED,
        ChannelId(name),
        after(minutes=number),
        {"epoch": number, "é": None},
    )


def test_events_of_a_subscription_and_channel_stand_in_their_order(engine: Engine) -> None:
    subscribe(engine, "one", "two")

    engine.write(lambda tx: outbox.append(tx, [event(1), event(2, "B"), event(3)]))
    engine.write(lambda tx: outbox.append(tx, [event(4)]))

    columns = outbox_table.c
    ordered = sa.select(columns.subscription_id, columns.channel_id, columns.event_id).order_by(
        columns.subscription_id, columns.channel_id, columns.sequence
    )
    stored = [tuple(row) for row in rows(engine, ordered)]
    expected = [("A", "event 1"), ("A", "event 3"), ("A", "event 4"), ("B", "event 2")]
    assert stored == [(name, *rest) for name in ("one", "two") for rest in expected]


def test_event_is_kept_with_all_it_says(engine: Engine) -> None:
    subscribe(engine, "one")

    engine.write(lambda tx: outbox.append(tx, [event(1)]))

    (row,) = rows(engine, sa.select(outbox_table))
    assert row._asdict() == {
        "sequence": row.sequence,
        "subscription_id": "one",
        "channel_id": "A",
        "event_id": "event 1",
        "event_type": "device.enrolled",
        "at": after(minutes=1),
        "detail": {"epoch": 1, "é": None},
        "attempts": 0,
        "due_at": after(minutes=1),
        "last_error": None,
    }


def test_events_nobody_subscribed_to_are_not_kept(engine: Engine) -> None:
    engine.write(lambda tx: outbox.append(tx, [event(1)]))
    subscribe(engine, "late")
    engine.write(lambda tx: outbox.append(tx, []))

    assert rows(engine, sa.select(outbox_table)) == []

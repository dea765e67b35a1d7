"""Every subscription gets every event once, numbered by channel, on both engines alike."""

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


def test_events_are_numbered_within_subscription_and_channel(engine: Engine) -> None:
    subscribe(engine, "one", "two")

    engine.write(lambda tx: outbox.append(tx, [event(1), event(2, "B"), event(3)]))
    engine.write(lambda tx: outbox.append(tx, [event(4)]))

    columns = outbox_table.c
    numbered = sa.select(columns.subscription_id, columns.channel_id, columns.sequence, columns.event_id)
    stored = [tuple(row) for row in rows(engine, numbered.order_by(*numbered.selected_columns))]
    expected = [("A", 1, "event 1"), ("A", 2, "event 3"), ("A", 3, "event 4"), ("B", 1, "event 2")]
    assert stored == [(name, *rest) for name in ("one", "two") for rest in expected]


def test_event_is_kept_with_all_it_says(engine: Engine) -> None:
    subscribe(engine, "one")

    engine.write(lambda tx: outbox.append(tx, [event(1)]))

    (row,) = rows(engine, sa.select(outbox_table))
    assert row._asdict() == {
        "subscription_id": "one",
        "channel_id": "A",
        "sequence": 1,
        "event_id": "event 1",
        "event_type": "device.enrolled",
        "at": after(minutes=1),
        "detail": {"epoch": 1, "é": None},
        "attempts": 0,
        "due_at": after(minutes=1),
    }


def test_events_nobody_subscribed_to_are_not_kept(engine: Engine) -> None:
    engine.write(lambda tx: outbox.append(tx, [event(1)]))
    subscribe(engine, "late")
    engine.write(lambda tx: outbox.append(tx, []))

    assert rows(engine, sa.select(outbox_table)) == []

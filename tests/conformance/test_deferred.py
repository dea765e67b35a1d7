"""A message that could not be processed is tried again until it is, on both engines alike."""

from dataclasses import replace

import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.protocol.identifiers import ChannelId
from muster.storage import deferred
from muster.storage.deferred import DeferredMessage
from muster.storage.engine import Engine
from muster.storage.schema import deferred_messages

MESSAGE = DeferredMessage("1", ChannelId("A"), "TokenUpdate", b"\x00<plist/>", b"\x01" * 32, "192.0.2.1", NOON, 1)


def keep(engine: Engine, message: DeferredMessage, minutes: int) -> None:
    engine.write(lambda tx: deferred.add(tx, message, error="ValueError", next_attempt_at=after(minutes=minutes)))


def due(engine: Engine, minutes: int, limit: int = 200) -> tuple[DeferredMessage, ...]:
    return engine.write(lambda tx: deferred.claim_due(tx, after(minutes=minutes), limit))


def test_message_comes_back_as_it_came_when_it_is_due(engine: Engine) -> None:
    keep(engine, MESSAGE, 5)

    assert engine.read(deferred.next_due) == after(minutes=5)
    assert due(engine, 4) == ()
    assert due(engine, 5) == (MESSAGE,)


def test_failed_attempt_is_counted_with_its_error(engine: Engine) -> None:
    keep(engine, MESSAGE, 0)

    engine.write(lambda tx: deferred.failed_again(tx, "1", error="KeyError", next_attempt_at=after(hours=1)))

    assert due(engine, 60) == (replace(MESSAGE, attempts=2),)
    assert rows(engine, sa.select(deferred_messages.c.error))[0].error == "KeyError"


def test_processed_message_is_forgotten(engine: Engine) -> None:
    keep(engine, MESSAGE, 0)

    engine.write(lambda tx: deferred.remove(tx, "1"))

    assert due(engine, 60) == ()
    assert engine.read(deferred.next_due) is None


def test_messages_are_tried_in_the_order_they_came_in(engine: Engine) -> None:
    for name, minutes in (("1", 2), ("2", 0), ("3", 1), ("0", 1)):
        keep(engine, replace(MESSAGE, id=name, received_at=after(minutes=minutes)), 9 - minutes)

    assert [message.id for message in due(engine, 60, limit=3)] == ["2", "0", "3"]

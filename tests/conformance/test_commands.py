"""Commands wait in queues, are closed with their epoch, and their reports are kept, on both engines alike."""

import sqlalchemy as sa
from tests.conformance.fleet import TOUCH, after, apply, enroll, head, locked, query, queue, rows
from tests.support.instants import NOON

from muster.domain.command_queue import OwnStatus
from muster.domain.control.contact import ContactDay
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import commands, queues, reports
from muster.storage.commands import NewCommand, StoredBody
from muster.storage.engine import Engine, Transaction
from muster.storage.hot import AppliedConnect
from muster.storage.schema import commands as commands_table
from muster.storage.schema import queue as queue_table
from muster.storage.schema import reports as reports_table

A, B = ChannelId("A"), ChannelId("B")
ONE, TWO = CommandUUID("one"), CommandUUID("two")


def record(engine: Engine, channel_id: str, uuid: str, status: str, minutes: int = 0, body: bytes = b"") -> None:
    engine.write(
        lambda tx: reports.record_unqueued(
            tx,
            ChannelId(channel_id),
            CommandUUID(uuid),
            request_type=commands.request_type_of(tx, CommandUUID(uuid)),
            status=status,
            body=body,
            is_sealed=False,
            epoch=4,
            at=after(minutes=minutes),
        )
    )


def test_command_has_its_body_once_it_was_stored(engine: Engine) -> None:
    engine.write(lambda tx: commands.add(tx, NewCommand(ONE, "DeviceLock", b"\x00body", "ada"), NOON))

    assert engine.read(lambda tx: commands.body(tx, ONE)) == StoredBody(b"\x00body", is_sealed=False)
    assert engine.read(lambda tx: commands.body(tx, TWO)) is None
    (stored,) = rows(engine, sa.select(commands_table))
    assert tuple(stored) == ("one", "DeviceLock", b"\x00body", False, NOON, "ada")


def test_one_command_waits_on_every_channel_it_was_queued_on(engine: Engine) -> None:
    names = [f"{number:04}" for number in range(250)]
    enroll(engine, *names)

    def work(tx: Transaction) -> None:
        commands.add(tx, NewCommand(ONE, "ProfileList", b"", "ada"), NOON)
        queues.enqueue(tx, ONE, [(ChannelId(name), 1) for name in names], priority=1, at=NOON)
        queues.enqueue(tx, ONE, [], priority=1, at=NOON)

    engine.write(work)

    waiting = engine.read(lambda tx: queues.waiting_counts(tx, [ChannelId(name) for name in [*names, "unknown"]]))
    assert waiting == dict.fromkeys(names, queues.WaitingCommands(1, 0))


def test_withheld_commands_are_not_counted_as_waiting(engine: Engine) -> None:
    enroll(engine, "A")
    queue(engine, "A", "erase", request_type="EraseDevice")
    queue(engine, "A", "other", at=after(seconds=1))
    entry = locked(engine, query("A"))["A"].head
    apply(engine, AppliedConnect(A, TOUCH, is_proof=False, handed_out=entry, withhold_after=True))

    assert engine.read(lambda tx: queues.waiting_counts(tx, [A])) == {A: queues.WaitingCommands(1, 0)}
    assert engine.read(lambda tx: queues.waiting_counts(tx, [])) == {}


def test_commands_of_earlier_epochs_are_closed_and_kept_in_history(engine: Engine) -> None:
    enroll(engine, "A", "A:ada", "B")
    queue(engine, "A", "old", epoch=1, at=after(minutes=-5))
    queue(engine, "A", "new", epoch=2)
    queue(engine, "A:ada", "old", epoch=1)
    queue(engine, "B", "old", epoch=1)
    entry = locked(engine, query("A"))["A"].head
    apply(engine, AppliedConnect(A, TOUCH, is_proof=False, handed_out=entry))

    closed = engine.write(
        lambda tx: queues.close_unanswered(tx, [A, ChannelId("A:ada")], below_epoch=2, at=after(hours=1))
    )

    assert closed == 2
    assert (head(engine, "A"), head(engine, "A:ada"), head(engine, "B")) == ("new", None, "old")
    history = rows(engine, sa.select(reports_table).order_by(reports_table.c.channel_id))
    assert [(row.channel_id, row.command_uuid, row.status, row.body) for row in history] == [
        ("A", "old", OwnStatus.CLOSED, None),
        ("A:ada", "old", OwnStatus.CLOSED, None),
    ]
    assert (history[0].queued_at, history[0].handed_out_at, history[0].handed_out_count) == (after(minutes=-5), NOON, 1)
    assert (history[0].request_type, history[0].reported_at) == ("DeviceInformation", after(hours=1))


def test_nothing_is_closed_where_nothing_is_old(engine: Engine) -> None:
    enroll(engine, "A")
    queue(engine, "A", "one", epoch=2)

    assert engine.write(lambda tx: queues.close_unanswered(tx, [A], below_epoch=2, at=NOON)) == 0
    assert engine.write(lambda tx: queues.close_unanswered(tx, [], below_epoch=9, at=NOON)) == 0
    assert len(rows(engine, sa.select(queue_table))) == 1


def test_latest_recorded_status_of_each_answer_is_read(engine: Engine) -> None:
    record(engine, "A", "one", "Error", minutes=2)
    record(engine, "A", "one", "Acknowledged", minutes=1)
    record(engine, "B", "one", "CommandFormatError")
    asked = [(A, ONE), (B, ONE), (B, TWO)]

    assert engine.read(lambda tx: reports.recorded_statuses(tx, asked)) == {
        (A, ONE): "Error",
        (B, ONE): "CommandFormatError",
    }
    assert engine.read(lambda tx: reports.recorded_statuses(tx, [])) == {}


def test_statuses_of_a_whole_batch_are_read_at_once(engine: Engine) -> None:
    asked = [(ChannelId(f"{number:04}"), ONE) for number in range(1000)]
    record(engine, "0999", "one", "Error")

    assert engine.read(lambda tx: reports.recorded_statuses(tx, asked)) == {asked[999]: "Error"}


def test_answer_that_was_not_queued_is_kept_with_its_request_type_where_known(engine: Engine) -> None:
    engine.write(lambda tx: commands.add(tx, NewCommand(ONE, "DeviceLock", b"", "ada"), NOON))
    record(engine, "A", "one", "Acknowledged", body=b"late")
    record(engine, "A", "unknown", "Acknowledged", minutes=1)

    history = rows(engine, sa.select(reports_table).order_by(reports_table.c.reported_at))

    assert [(row.command_uuid, row.request_type, row.epoch) for row in history] == [
        ("one", "DeviceLock", 4),
        ("unknown", None, 4),
    ]
    assert (history[0].body, history[0].queued_at, history[0].handed_out_at) == (b"late", None, None)


def test_same_command_may_wait_again_after_it_was_answered(engine: Engine) -> None:
    enroll(engine, "A")
    queue(engine, "A", "one")
    engine.write(lambda tx: queues.close_unanswered(tx, [A], below_epoch=2, at=NOON))

    queue(engine, "A", "one")

    assert head(engine, "A") == "one"
    assert locked(engine, query("A"))["A"].contact != ContactDay(0, b"")

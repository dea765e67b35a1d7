"""Answers of devices, on both engines."""

from datetime import timedelta

import sqlalchemy as sa
from tests.support import fleet
from tests.support.runner import NOW

from muster.operations.views.answers import AnswerCounts, LatestAnswer, count_answers, latest_answers
from muster.protocol.identifiers import ChannelId
from muster.storage import schema
from muster.storage.engine import Engine

EARLIER, LATER = NOW - timedelta(hours=2), NOW - timedelta(hours=1)


def put_off(engine: Engine, channel_id: str, command_uuid: str, times: int) -> None:
    fleet.add_command(engine, channel_id, command_uuid, "SecurityInfo")
    changed = sa.update(schema.queue).where(schema.queue.c.command_uuid == command_uuid)
    engine.write(lambda tx: tx.connection.execute(changed.values(not_now_count=times, handed_out_at=NOW)))


def test_the_latest_answer_of_each_channel_is_read(engine: Engine) -> None:
    device, silent = fleet.add_device(engine, "A"), fleet.add_device(engine, "B")
    fleet.add_report(engine, device, "first", "Error", queued_at=EARLIER, reported_at=EARLIER)
    fleet.add_report(engine, device, "second", "Acknowledged", queued_at=LATER, reported_at=LATER)

    answers = engine.read(lambda tx: latest_answers(tx, [device, silent]))

    assert answers == {device: LatestAnswer("ProfileList", "Acknowledged", LATER)}


def test_putting_a_command_off_is_an_answer(engine: Engine) -> None:
    device = fleet.add_device(engine, "A")
    fleet.add_report(engine, device, "before", "Acknowledged", queued_at=EARLIER, reported_at=EARLIER)
    put_off(engine, device, "put-off", times=2)

    answers = engine.read(lambda tx: latest_answers(tx, [device]))

    assert answers == {device: LatestAnswer("SecurityInfo", "NotNow", NOW)}


def test_closing_a_command_unanswered_is_none(engine: Engine) -> None:
    device = fleet.add_device(engine, "A")
    fleet.add_report(engine, device, "closed", "closed", queued_at=EARLIER, reported_at=LATER)

    assert engine.read(lambda tx: latest_answers(tx, [device])) == {}
    assert engine.read(lambda tx: count_answers(tx, EARLIER)) == AnswerCounts({}, 0)


def test_answers_are_counted_since_a_time(engine: Engine) -> None:
    device = fleet.add_device(engine, "A")
    fleet.add_report(engine, device, "old", "Error", queued_at=EARLIER, reported_at=EARLIER)
    for uuid, status in (("a", "Acknowledged"), ("b", "Acknowledged"), ("c", "Error")):
        fleet.add_report(engine, device, uuid, status, queued_at=LATER, reported_at=LATER)
    put_off(engine, device, "put-off", times=3)

    counts = engine.read(lambda tx: count_answers(tx, LATER))

    assert counts == AnswerCounts({"Acknowledged": 2, "Error": 1}, 3)
    assert (counts.answered, counts.failed) == (3, 1)


def test_nobody_asked_is_nobody_answered(engine: Engine) -> None:
    fleet.add_device(engine, "A")

    assert engine.read(lambda tx: latest_answers(tx, [ChannelId("A")])) == {}

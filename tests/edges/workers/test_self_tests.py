"""Self tests are made in time, and what they show is said once."""

import asyncio
from datetime import timedelta

from structlog.testing import capture_logs
from tests.support import fleet
from tests.support.runner import NOW, InlineRunner

from muster.domain.control.self_watch import SILENT_AFTER_FAILURE
from muster.edges.workers.self_tests import FIRST_AFTER, SelfTestWorker
from muster.operations.ports import PublicFace
from muster.storage.sqlite import SqliteEngine

EVERY = timedelta(minutes=30)


def test_the_first_is_a_while_after_the_start_and_a_failure_is_said_once(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    faces = [PublicFace(), PublicFace("refused"), PublicFace("refused"), PublicFace()]

    async def test() -> PublicFace:
        return faces.pop(0)

    worker = SelfTestWorker(runner, test, EVERY)
    next_at = [asyncio.run(worker.step())]
    with capture_logs() as logs:
        for _ in range(4):
            at = next_at[-1]
            assert at is not None
            runner.time = at
            next_at.append(asyncio.run(worker.step()))

    assert next_at[:3] == [NOW + FIRST_AFTER, NOW + FIRST_AFTER + EVERY, NOW + FIRST_AFTER + 2 * EVERY]
    assert [log["event"] for log in logs] == ["public_address_does_not_answer", "public_address_answers_again"]


def test_a_fault_that_is_proved_is_said(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    fleet.add_device(sqlite_engine, "A", contacts=[NOW])

    async def test() -> PublicFace:
        return PublicFace("refused")

    worker = SelfTestWorker(runner, test, EVERY)
    said = []
    for wait in (FIRST_AFTER, SILENT_AFTER_FAILURE, EVERY):
        runner.time += wait
        with capture_logs() as logs:
            asyncio.run(worker.step())
        said.append([log["reason"] for log in logs if log["event"] == "own_fault_found"])

    assert said == [[], ["own_downtime"], []]

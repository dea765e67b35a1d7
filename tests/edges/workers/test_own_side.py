"""The watch beats at its times, notices workers that are late, and brings along what the doors saw."""

import asyncio
from datetime import datetime, timedelta

import pytest
from structlog.testing import capture_logs
from tests.support.runner import NOW, InlineRunner

from muster.domain.control.self_watch import BEAT_EVERY, DEAD_AFTER
from muster.edges.workers.loop import Loop
from muster.edges.workers.own_side import OwnSideWatch
from muster.laboratory.virtual_time import START, VirtualTimeLoop
from muster.operations.watch_ourselves import Failing, NodeFindings
from muster.storage import heartbeats, outages
from muster.storage.errors import Unavailable
from muster.storage.sqlite import SqliteEngine


class Idle(Loop):
    """A loop that owes a step since a time that the test sets."""

    def __init__(self, name: str) -> None:
        super().__init__(name, self._nothing, now=lambda: NOW, poll=None)
        self.since: datetime | None = None

    async def _nothing(self) -> None:
        """Do nothing."""

    def owes_since(self) -> datetime | None:
        """Tell what the test says."""
        return self.since


def beats(runner: InlineRunner) -> dict[str, datetime]:
    return {one.worker: one.beat_at for one in runner.engine.read(heartbeats.read_all)}


def reasons(runner: InlineRunner) -> list[str]:
    return [one.reason.value for one in runner.engine.read(outages.lasting)]


def test_it_beats_for_workers_that_owe_nothing(sqlite_engine: SqliteEngine) -> None:
    runner, push, review = InlineRunner(sqlite_engine), Idle("push"), Idle("review")
    watch = OwnSideWatch(runner, lambda: (push, review), NodeFindings)
    asyncio.run(watch.begin())
    push.since = NOW
    runner.time = NOW + DEAD_AFTER - timedelta(seconds=1)
    asyncio.run(watch.step())
    early = beats(runner)
    runner.time = NOW + DEAD_AFTER

    with capture_logs() as logs:
        next_at = asyncio.run(watch.step())

    assert set(early.values()) == {NOW + DEAD_AFTER - timedelta(seconds=1)}
    assert beats(runner) == {"": runner.time, "push": NOW + DEAD_AFTER - timedelta(seconds=1), "review": runner.time}
    assert next_at == runner.time + BEAT_EVERY
    assert [(log["event"], log["worker"]) for log in logs] == [("worker_late", "push")]


def test_it_brings_what_the_doors_found_and_its_end(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    found = NodeFindings({"/mdm": Failing(NOW, 3, 3)})
    watch = OwnSideWatch(runner, lambda: (), lambda: found)
    asyncio.run(watch.step())
    lasting = reasons(runner)
    found = NodeFindings()
    runner.time += BEAT_EVERY

    asyncio.run(watch.step())

    assert lasting == ["own_errors"]
    assert reasons(runner) == []


def test_a_process_that_was_held_still_was_down(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    watch = OwnSideWatch(runner, lambda: (), NodeFindings)
    asyncio.run(watch.step())
    runner.time += timedelta(hours=3)

    asyncio.run(watch.step())

    (outage,) = sqlite_engine.read(lambda tx: outages.between(tx, NOW, runner.time))
    assert (outage.began_at, outage.ended_at) == (NOW, runner.time)


def test_a_clean_stop_is_the_last_sign_of_life(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    watch = OwnSideWatch(runner, lambda: (), NodeFindings)
    asyncio.run(watch.begin())
    runner.time += timedelta(minutes=4)

    asyncio.run(watch.stop())

    assert beats(runner) == {"": runner.time}


def test_a_database_that_is_away_keeps_no_node_from_starting_or_stopping(
    sqlite_engine: SqliteEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    runner = InlineRunner(sqlite_engine)
    watch = OwnSideWatch(runner, lambda: (), NodeFindings)
    asyncio.run(watch.begin())

    def away(_work: object) -> None:
        raise Unavailable("away")

    monkeypatch.setattr(sqlite_engine, "write", away)
    with capture_logs() as logs:
        asyncio.run(watch.begin())
        asyncio.run(watch.stop())

    assert [log["event"] for log in logs] == ["first_sign_of_life_not_written", "last_sign_of_life_not_written"]


def test_a_loop_tells_since_when_it_owes_a_step() -> None:
    virtual = VirtualTimeLoop()
    owed: list[timedelta | None] = []

    async def fails_for_an_hour() -> datetime | None:
        if virtual.now() - START < timedelta(hours=1):
            raise RuntimeError
        return None

    async def main() -> None:
        loop = Loop("test", fails_for_an_hour, now=virtual.now, poll=None)
        running = asyncio.create_task(loop.run())
        for _ in range(3):
            await asyncio.sleep(1810)
            since = loop.owes_since()
            owed.append(None if since is None else since - START)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        loop.wake()
        await asyncio.sleep(10)
        since = loop.owes_since()
        owed.append(None if since is None else since - START)

    virtual.run(main())

    assert owed == [timedelta(0), None, None, timedelta(seconds=3 * 1810)]

"""The fleet's day is measured soon after its end, before it counts as a day of silence."""

import asyncio
from datetime import timedelta

from tests.support.runner import InlineRunner

from muster.domain.control.silence_clock import DAY_SETTLES, day_of, start_of
from muster.edges.workers.fleet_days import AFTER_MIDNIGHT, FleetDayWorker
from muster.storage import fleet_days
from muster.storage.sqlite import SqliteEngine


def test_day_is_measured_soon_after_midnight_and_no_earlier(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    worker = FleetDayWorker(runner)
    today = day_of(runner.time)

    at = asyncio.run(worker.step())
    assert at == start_of(today + 1) + AFTER_MIDNIGHT
    assert AFTER_MIDNIGHT < DAY_SETTLES

    seen = []
    for moment in (at - timedelta(seconds=1), at, at + timedelta(hours=20)):
        runner.time = moment
        asyncio.run(worker.step())
        seen.append(sqlite_engine.read(fleet_days.last_day))

    assert seen == [today - 1, today, today]

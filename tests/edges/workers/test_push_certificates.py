"""The watch over push certificates tells by log and counter what is due, and looks again in time."""

import asyncio
from datetime import timedelta

from prometheus_client import REGISTRY
from structlog.testing import capture_logs
from tests.support import fleet
from tests.support.runner import NOW, InlineRunner

from muster.edges.workers.push_certificates import LOOK_EVERY, PushCertificateWatch
from muster.storage.sqlite import SqliteEngine

DAY = timedelta(days=1)


def counted(days: int) -> float:
    return REGISTRY.get_sample_value("muster_push_certificate_notices_total", {"days": str(days)}) or 0


def test_notices_are_logged_and_counted_by_how_urgent_they_are(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    fleet.add_push_certificate(sqlite_engine, NOW + 14 * DAY)
    before = {days: counted(days) for days in (14, 7, 0)}

    said = []
    for days in (0, 7, 14, 15):
        runner.time = NOW + days * DAY
        with capture_logs() as logs:
            asyncio.run(PushCertificateWatch(runner).step())
        said += [(log["event"], log["log_level"], log["days_left"], log["topic"]) for log in logs]

    assert said == [
        ("push_certificate_expiring", "warning", 14, fleet.TOPIC),
        ("push_certificate_expiring", "error", 7, fleet.TOPIC),
        ("push_certificate_expired", "error", 0, fleet.TOPIC),
    ]
    assert {days: counted(days) - count for days, count in before.items()} == {14: 1, 7: 1, 0: 1}


def test_two_nodes_tell_once(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    fleet.add_push_certificate(sqlite_engine, NOW)

    with capture_logs() as logs:
        for _ in range(2):
            asyncio.run(PushCertificateWatch(runner).step())

    assert len(logs) == 1


def test_looks_again_when_the_next_notice_is_due_or_in_an_hour(sqlite_engine: SqliteEngine) -> None:
    runner = InlineRunner(sqlite_engine)
    watch = PushCertificateWatch(runner)

    without = asyncio.run(watch.step())
    fleet.add_push_certificate(sqlite_engine, NOW + 60 * DAY + timedelta(minutes=10))
    soon = asyncio.run(watch.step())
    runner.time += timedelta(minutes=10)
    told = asyncio.run(watch.step())

    assert without == NOW + LOOK_EVERY
    assert soon == NOW + timedelta(minutes=10)
    assert told == runner.time + LOOK_EVERY

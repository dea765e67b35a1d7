"""Reviews: what is due is looked at, and routine reviews gather so that one transaction serves many."""

import asyncio
from datetime import timedelta

from tests.conformance.fleet import after, enroll, queue
from tests.support.instants import NOON
from tests.support.runner import InlineRunner

from muster.operations.review_channels import REVIEW_GRAIN, REVIEW_INTERVAL, review_channels
from muster.protocol.identifiers import ChannelId
from muster.storage import push, reviews
from muster.storage.engine import Engine
from muster.storage.sqlite import SqliteEngine


def review(engine: Engine, minutes: float) -> int:
    """Review what is due so late after noon; returns how many channels that were."""
    runner = InlineRunner(engine)
    runner.time = after(minutes=minutes)
    return asyncio.run(runner.write(review_channels, [None]))[0].count


def test_channels_reviewed_minutes_apart_are_reviewed_together_the_next_time(sqlite_engine: SqliteEngine) -> None:
    enroll(sqlite_engine, "A", "B")
    sqlite_engine.write(lambda tx: reviews.schedule(tx, ChannelId("A"), after(minutes=1)))
    sqlite_engine.write(lambda tx: reviews.schedule(tx, ChannelId("B"), after(minutes=4)))

    counts = [review(sqlite_engine, minutes) for minutes in (1, 4)]
    next_due = sqlite_engine.read(reviews.next_due)

    assert counts == [1, 1]
    assert next_due == NOON + REVIEW_INTERVAL + REVIEW_GRAIN
    assert review(sqlite_engine, (REVIEW_INTERVAL + REVIEW_GRAIN) / timedelta(minutes=1)) == 2


def test_a_review_on_the_full_grain_keeps_its_interval(sqlite_engine: SqliteEngine) -> None:
    enroll(sqlite_engine, "A")
    sqlite_engine.write(lambda tx: reviews.schedule(tx, ChannelId("A"), NOON))

    review(sqlite_engine, 0)

    assert sqlite_engine.read(reviews.next_due) == NOON + REVIEW_INTERVAL


def test_a_review_finds_the_lost_wish_of_a_channel_with_commands(sqlite_engine: SqliteEngine) -> None:
    enroll(sqlite_engine, "A")
    queue(sqlite_engine, "A", "one")
    sqlite_engine.write(lambda tx: reviews.schedule(tx, ChannelId("A"), NOON))

    review(sqlite_engine, 0)

    assert sqlite_engine.read(push.next_due) == NOON

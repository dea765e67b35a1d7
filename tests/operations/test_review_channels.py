"""Reviews: what is due is looked at, and routine reviews gather so that one transaction serves many."""

import asyncio
from datetime import timedelta

import sqlalchemy as sa
from tests.conformance.fleet import after, enroll, queue
from tests.support.instants import NOON
from tests.support.runner import InlineRunner
from tests.support.site import IPAD, Site, authenticate, token_update

from muster.operations.review_channels import REVIEW_GRAIN, REVIEW_INTERVAL, review_channels
from muster.protocol.identifiers import ChannelId
from muster.storage import push, reviews, schema
from muster.storage.engine import Engine
from muster.storage.sqlite import SqliteEngine


def review(engine: Engine, minutes: float) -> int:
    """Review what is due so late after noon; returns how many channels that were."""
    runner = InlineRunner(engine)
    runner.time = after(minutes=minutes)
    return asyncio.run(runner.write(review_channels, [None]))[0].count


def enroll_proved(engine: Engine, *names: str) -> None:
    """Store channels of which nothing is expected for the next day: they have just obeyed."""
    enroll(engine, *names)
    just = {"last_contact_at": after(minutes=30), "last_proof_at": after(minutes=30)}
    engine.write(lambda tx: tx.connection.execute(sa.update(schema.channels).values(just)))


def test_channels_reviewed_minutes_apart_are_reviewed_together_the_next_time(sqlite_engine: SqliteEngine) -> None:
    enroll_proved(sqlite_engine, "A", "B")
    sqlite_engine.write(lambda tx: reviews.schedule(tx, ChannelId("A"), after(minutes=1)))
    sqlite_engine.write(lambda tx: reviews.schedule(tx, ChannelId("B"), after(minutes=4)))

    counts = [review(sqlite_engine, minutes) for minutes in (1, 4)]
    next_due = sqlite_engine.read(reviews.next_due)

    assert counts == [1, 1]
    assert next_due == NOON + REVIEW_INTERVAL + REVIEW_GRAIN
    assert review(sqlite_engine, (REVIEW_INTERVAL + REVIEW_GRAIN) / timedelta(minutes=1)) == 2


def test_a_review_on_the_full_grain_keeps_its_interval(sqlite_engine: SqliteEngine) -> None:
    enroll_proved(sqlite_engine, "A")
    sqlite_engine.write(lambda tx: reviews.schedule(tx, ChannelId("A"), NOON))

    review(sqlite_engine, 0)

    assert sqlite_engine.read(reviews.next_due) == NOON + REVIEW_INTERVAL


def test_a_review_finds_the_lost_wish_of_a_channel_with_commands(sqlite_engine: SqliteEngine) -> None:
    enroll(sqlite_engine, "A")
    queue(sqlite_engine, "A", "one")
    sqlite_engine.write(lambda tx: reviews.schedule(tx, ChannelId("A"), NOON))

    review(sqlite_engine, 0)

    assert sqlite_engine.read(push.next_due) == NOON


# On either engine


def review_now(site: Site) -> None:
    site.do(review_channels, None)


def lose_wishes(site: Site) -> None:
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.push_wishes)))


def test_commands_whose_wish_was_lost_are_wished_again(site: Site) -> None:
    site.enroll()
    site.queue("one")
    lose_wishes(site)

    review_now(site)

    assert site.wish() == ("command_waiting", site.now, 0)


def test_review_leaves_a_wish_as_it_is(site: Site) -> None:
    site.enroll()
    site.queue("one")
    before = site.wish()

    review_now(site)

    assert site.wish() == before


def test_channel_without_commands_is_not_pushed(site: Site) -> None:
    site.enroll()
    lose_wishes(site)

    review_now(site)

    assert site.wish() is None


def test_authenticate_without_its_token_update_is_evidence_once(site: Site) -> None:
    site.check_in(authenticate(), site.identity())
    site.check_in(authenticate(IPAD), site.identity())
    site.wait(minutes=14)
    review_now(site)
    assert site.evidence() == [("S7", "enrollment", 1)]

    for _ in range(3):
        site.wait(hours=7)
        review_now(site)

    assert site.evidence() == [("S7", "enrollment", 1), ("S7", "token_update_missing", 1)]


def test_enrollment_that_was_completed_in_time_leaves_no_such_evidence(site: Site) -> None:
    identity = site.identity()
    site.check_in(authenticate(), identity)
    site.check_in(token_update(), identity)
    site.wait(hours=1)

    review_now(site)

    assert ("S7", "token_update_missing", 1) not in site.evidence()

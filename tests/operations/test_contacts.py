"""What a contact writes into its channel's row, and that it costs no statement of its own."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from tests.support.site import (
    ADA,
    MAC,
    NOT_AFTER,
    SOURCE,
    Site,
    authenticate,
    head,
    id_of,
    print_of,
    token_update,
)

from muster.domain.access import DEVICE
from muster.domain.control.rhythm import read_rhythm
from muster.operations.answer_connect import ConnectRequest, answer_connects
from muster.operations.judge_channels import dossier_of
from muster.storage import enrollments, schema

READ, READ_HEAD, WRITE = "SELECT", "SELECT", "UPDATE"
KEEP_DAY = REVIEW = "INSERT"


@contextmanager
def statements(site: Site, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Collect the first words of the statements that the database is given, but for those around a transaction."""
    given: list[str] = []

    def note(statement: object) -> None:
        word = str(statement).split(maxsplit=1)[0]
        if word in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            given.append(word)

    if site.engine.name == "postgresql":
        execute: Callable[..., Any] = psycopg.Cursor.execute

        def execute_and_note(cursor: Any, query: object, *values: Any, **options: Any) -> Any:
            note(query)
            return execute(cursor, query, *values, **options)

        with monkeypatch.context() as patched:
            patched.setattr(psycopg.Cursor, "execute", execute_and_note)
            yield given
        return
    driver = site.engine.write(lambda tx: tx.connection.connection.driver_connection)
    assert isinstance(driver, sqlite3.Connection)
    driver.set_trace_callback(note)
    yield given
    driver.set_trace_callback(None)


def watch(site: Site) -> None:
    site.engine.write(lambda tx: enrollments.set_watched(tx, [id_of(MAC)], is_watched=True))


def next_review(site: Site) -> object:
    ((at,),) = site.rows(sa.select(schema.reviews.c.next_review_at).where(schema.reviews.c.channel_id == id_of(MAC)))
    return at


def heard(site: Site, days_ago: int) -> bool:
    ((sketch,),) = site.rows(sa.select(schema.channels.c.rhythm).where(schema.channels.c.id == id_of(MAC)))
    rhythm = read_rhythm(sketch)
    return rhythm.was_heard(rhythm.last_day - days_ago)


def test_contact_costs_two_reads_and_one_write(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = site.enroll()

    with statements(site, monkeypatch) as given:
        site.connect(identity)

    assert given == [READ, READ_HEAD, WRITE]


def test_first_contact_of_a_day_costs_no_more_than_keeping_the_finished_day(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity = site.enroll()
    site.wait(days=2)

    with statements(site, monkeypatch) as given:
        site.connect(identity)

    assert given == [READ, READ_HEAD, WRITE, KEEP_DAY]
    assert [heard(site, ago) for ago in range(4)] == [True, False, True, False]


def test_contact_of_a_watched_channel_has_it_reviewed_at_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    identity = site.enroll()
    site.wait(minutes=1)
    watch(site)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.reviews)))

    with statements(site, monkeypatch) as given:
        site.connect(identity)

    assert given == [READ, READ_HEAD, WRITE, REVIEW]
    assert next_review(site) == site.now


def test_contact_of_a_channel_that_is_not_watched_leaves_its_review(site: Site) -> None:
    identity = site.enroll()
    later = site.now + timedelta(days=1)
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.reviews).values(next_review_at=later)))

    site.connect(identity)

    assert next_review(site) == later


def test_check_in_of_a_watched_channel_has_it_reviewed_at_once(site: Site) -> None:
    identity = site.enroll()
    watch(site)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.reviews)))
    site.wait(days=1)

    site.check_in(token_update(), identity)

    assert next_review(site) == site.now
    assert [heard(site, ago) for ago in range(3)] == [True, True, False]


def test_check_ins_and_connects_tell_where_they_came_from(site: Site) -> None:
    identity = site.identity()
    source = sa.select(schema.channels.c.last_source).order_by(schema.channels.c.id)

    site.check_in(authenticate(), identity)
    assert site.rows(source) == [(SOURCE,)]

    site.check_in(token_update(), identity)
    site.check_in(token_update(ADA), identity)
    assert site.rows(source) == [(SOURCE,), (SOURCE,)]


def test_wrong_clock_is_evidence_of_the_device_and_has_it_reviewed(site: Site) -> None:
    identity = site.enroll()
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.reviews)))
    site.wait(days=1)
    request = ConnectRequest(head(), print_of(identity), b"", SOURCE, NOT_AFTER, clock_seconds=-7200)

    for _ in range(2):
        site.do(answer_connects, request, actor=DEVICE)

    assert site.evidence()[-1] == ("S1", "clock_wrong", 2)
    assert next_review(site) == site.now
    dossier = site.engine.read(lambda tx: dossier_of(tx, id_of(MAC), site.runner.context()))
    assert dossier is not None
    assert dossier.clock is not None
    assert dossier.clock.detail == {"seconds": -7200}


@pytest.mark.parametrize("hours", [-1, 1])
def test_clock_that_was_set_right_or_seen_by_a_wrong_one_of_ours_is_not_wrong(site: Site, hours: int) -> None:
    request = ConnectRequest(head(), print_of(site.enroll()), b"", SOURCE, NOT_AFTER, clock_seconds=-7200)
    site.do(answer_connects, request, actor=DEVICE)

    if hours > 0:
        site.wait(hours=hours)
        site.do(answer_connects, replace(request, clock_seconds=3), actor=DEVICE)
    else:
        site.runner.time += timedelta(hours=hours)

    dossier = site.engine.read(lambda tx: dossier_of(tx, id_of(MAC), site.runner.context()))
    assert dossier is not None
    assert dossier.clock is None

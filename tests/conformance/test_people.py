"""Administrators sign in once per link, and the audit log is an unbroken chain, on both engines alike."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.domain.access import SERVER, Actor, ActorKind
from muster.domain.roles import Role
from muster.storage import people, sessions, sign_in_ways
from muster.storage.engine import Engine
from muster.storage.people import Administrator, AuditDetail, audit_hash
from muster.storage.schema import audit
from muster.storage.sessions import NewSession

ADA = Administrator("1", "ada", Role.OWNER)
ACTOR = Actor(ActorKind.ADMINISTRATOR, "ada")


@pytest.fixture
def with_ada(engine: Engine) -> Engine:
    engine.write(lambda tx: people.add_administrator(tx, ADA, NOON))
    return engine


def sign_in(engine: Engine, token_hash: bytes, now: datetime = NOON) -> Administrator | None:
    return engine.write(lambda tx: people.use_sign_in_link(tx, token_hash, now))


def test_administrator_is_found_by_name_exactly(with_ada: Engine) -> None:
    assert with_ada.read(lambda tx: people.find_administrator(tx, "ada")) == ADA
    assert with_ada.read(lambda tx: people.find_administrator(tx, "Ada")) is None


def test_sign_in_link_is_good_once(with_ada: Engine) -> None:
    with_ada.write(
        lambda tx: people.add_sign_in_link(
            tx, token_hash=b"h", administrator_id="1", at=NOON, expires_at=after(hours=24)
        )
    )

    with ThreadPoolExecutor(4) as pool:
        signed_in = list(pool.map(lambda _: sign_in(with_ada, b"h"), range(4)))

    assert signed_in.count(ADA) == 1
    assert signed_in.count(None) == 3


def test_sign_in_link_that_is_unknown_or_expired_signs_nobody_in(with_ada: Engine) -> None:
    with_ada.write(
        lambda tx: people.add_sign_in_link(
            tx, token_hash=b"h", administrator_id="1", at=NOON, expires_at=after(hours=24)
        )
    )

    assert sign_in(with_ada, b"unknown") is None
    assert sign_in(with_ada, b"h", after(hours=24)) is None
    assert sign_in(with_ada, b"h", after(hours=24, microseconds=-1)) == ADA


def test_session_lasts_until_it_expires_or_ends(with_ada: Engine) -> None:
    def whose(now: datetime) -> Administrator | None:
        found = with_ada.read(lambda tx: sessions.find(tx, b"s", now, after(hours=-1)))
        return None if found is None else found.administrator

    new = NewSession("session", b"s", "1", "link", "192.0.2.1", "browser", NOON, after(hours=1))
    with_ada.write(lambda tx: sessions.add(tx, new))
    assert (whose(NOON), whose(after(hours=1))) == (ADA, None)

    with_ada.write(lambda tx: sessions.end(tx, b"s"))

    assert whose(NOON) is None


def act(engine: Engine, subject: str, detail: AuditDetail, at: datetime = NOON) -> None:
    engine.write(lambda tx: people.record_act(tx, ACTOR, "link.create", subject, detail, at))


def test_audit_log_can_be_recomputed_from_what_is_stored(engine: Engine) -> None:
    act(engine, "link 1", {"note": 'für das Café \U0001f34e "quoted" \\ <b>', "uses": 3, "limit": None, "big": 2**60})
    engine.write(lambda tx: people.record_act(tx, SERVER, "start", "", {}, after(microseconds=1)))
    act(engine, "link 2", {"z": True, "a": False, "": -1}, after(days=1))

    former = b""
    stored = rows(engine, sa.select(audit).order_by(audit.c.sequence))
    for number, row in enumerate(stored, start=1):
        actor = Actor(ActorKind(row.actor_kind), row.actor_name, source=row.source)
        assert row.sequence == number
        former = audit_hash(former, row.sequence, row.at, actor, row.act, row.subject, row.detail)
        assert row.hash == former

    assert len(stored) == 3


def test_audit_hash_covers_every_part_of_a_row() -> None:
    changed = [
        audit_hash(b"", 1, NOON, ACTOR, "act", "subject", {"a": 1}),
        audit_hash(b"x", 1, NOON, ACTOR, "act", "subject", {"a": 1}),
        audit_hash(b"", 2, NOON, ACTOR, "act", "subject", {"a": 1}),
        audit_hash(b"", 1, after(microseconds=1), ACTOR, "act", "subject", {"a": 1}),
        audit_hash(b"", 1, NOON, Actor(ActorKind.ADMINISTRATOR, "eve"), "act", "subject", {"a": 1}),
        audit_hash(b"", 1, NOON, Actor(ActorKind.COMMAND_LINE, "ada"), "act", "subject", {"a": 1}),
        audit_hash(b"", 1, NOON, Actor(ActorKind.ADMINISTRATOR, "ada", source="::1"), "act", "subject", {"a": 1}),
        audit_hash(b"", 1, NOON, ACTOR, "actsubject", "", {"a": 1}),
        audit_hash(b"", 1, NOON, ACTOR, "act", "subject", {"a": "1"}),
        audit_hash(b"", 1, NOON, ACTOR, "act", "subject", {"a": True}),
    ]

    assert len(set(changed)) == len(changed)


def test_audit_writers_of_many_threads_take_turns(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: act(engine, f"{number}", {}), range(20)))

    stored = rows(engine, sa.select(audit.c.sequence).order_by(audit.c.sequence))
    assert [row.sequence for row in stored] == list(range(1, 21))


def test_step_of_one_time_passwords_is_used_once_whoever_else_read_the_one_before(with_ada: Engine) -> None:
    used = [with_ada.write(lambda tx, step=step: sign_in_ways.use_step(tx, ADA.id, step)) for step in (7, 7, 6, 8)]  # type: ignore[misc]

    assert used == [True, False, False, True]

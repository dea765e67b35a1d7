"""People who enroll, their sessions and attempts, on both engines alike."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import after, rows
from tests.support.instants import NOON

from muster.domain.enrollment_users import EnrollmentUser
from muster.storage import enrollment_users as users
from muster.storage.engine import Engine
from muster.storage.schema import enrollment_sessions, sign_in_attempts

ADA = EnrollmentUser("ada@example.org", NOON)
QUARTER = timedelta(minutes=15)


@pytest.fixture
def with_ada(engine: Engine) -> Engine:
    engine.write(lambda tx: users.add(tx, ADA, "hash"))
    return engine


def whose(engine: Engine, token_hash: bytes, now: datetime = NOON) -> EnrollmentUser | None:
    return engine.read(lambda tx: users.session(tx, token_hash, now))


def open_session(engine: Engine, token_hash: bytes, at: datetime = NOON) -> None:
    engine.write(
        lambda tx: users.add_session(
            tx, token_hash=token_hash, user_name=ADA.user_name, at=at, expires_at=at + timedelta(hours=1)
        )
    )


def test_user_is_added_once(with_ada: Engine) -> None:
    assert not with_ada.write(lambda tx: users.add(tx, replace(ADA, created_at=after(hours=1)), "other"))

    stored = with_ada.read(lambda tx: users.find(tx, ADA.user_name))
    assert stored == users.StoredUser(ADA, "hash")
    assert with_ada.read(users.all_users) == [ADA]


def test_session_is_its_users_until_it_is_over(with_ada: Engine) -> None:
    open_session(with_ada, b"s")

    assert whose(with_ada, b"s") == ADA
    assert whose(with_ada, b"t") is None
    assert whose(with_ada, b"s", after(hours=1)) is None


def test_disabling_and_a_new_password_end_sessions(with_ada: Engine) -> None:
    open_session(with_ada, b"s")
    with_ada.write(lambda tx: users.disable(tx, ADA.user_name, after(minutes=1)))
    assert whose(with_ada, b"s") is None

    with_ada.write(lambda tx: users.set_password(tx, ADA.user_name, "new"))
    open_session(with_ada, b"t")
    with_ada.write(lambda tx: users.set_password(tx, ADA.user_name, "newer"))

    assert whose(with_ada, b"t") is None
    assert with_ada.read(users.all_users) == [ADA]


def test_disabled_user_keeps_the_time_of_the_first(with_ada: Engine) -> None:
    with_ada.write(lambda tx: users.disable(tx, ADA.user_name, after(minutes=1)))
    with_ada.write(lambda tx: users.disable(tx, ADA.user_name, after(minutes=2)))

    assert with_ada.read(users.all_users) == [replace(ADA, disabled_at=after(minutes=1))]


def test_sessions_that_are_over_go_when_others_come(with_ada: Engine) -> None:
    open_session(with_ada, b"s")
    open_session(with_ada, b"t", after(hours=1))

    assert [row.token_hash for row in rows(with_ada, sa.select(enrollment_sessions.c.token_hash))] == [b"t"]


def count(engine: Engine, subject: bytes, now: datetime = NOON) -> int:
    return engine.write(lambda tx: users.count_attempt(tx, subject, now, QUARTER))


def test_attempts_count_up_within_the_window_that_the_first_opened(engine: Engine) -> None:
    counts = [count(engine, b"a"), count(engine, b"a", after(minutes=14)), count(engine, b"b", after(minutes=14))]

    assert counts == [1, 2, 1]
    assert count(engine, b"a", after(minutes=15)) == 1


def test_windows_that_are_over_leave_nothing_behind(engine: Engine) -> None:
    for number in range(20):
        count(engine, bytes([number]))
    count(engine, b"last", after(minutes=15))

    assert len(rows(engine, sa.select(sign_in_attempts))) == 1


def test_attempt_can_be_taken_back_and_all_of_them_forgotten(engine: Engine) -> None:
    count(engine, b"a")
    engine.write(lambda tx: users.forgive_attempt(tx, b"a"))
    assert count(engine, b"a") == 1

    count(engine, b"a")
    engine.write(lambda tx: users.forget_attempts(tx, b"a"))
    engine.write(lambda tx: users.forgive_attempt(tx, b"a"))

    assert count(engine, b"a") == 1


def test_attempts_at_the_same_time_are_all_counted(engine: Engine) -> None:
    with ThreadPoolExecutor(4) as pool:
        counts = list(pool.map(lambda _: count(engine, b"a"), range(12)))

    assert sorted(counts) == list(range(1, 13))

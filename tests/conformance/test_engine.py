"""One transaction is one transaction, instants and identifiers mean the same, on both engines."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from threading import Barrier

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conformance.fleet import after, channel, enroll, rows
from tests.support.instants import NOON

from muster.domain.enrollment import EnrollmentState
from muster.domain.roles import Role
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, installations, people, reviews
from muster.storage.engine import Engine, Transaction
from muster.storage.installations import Installation
from muster.storage.people import Administrator
from muster.storage.schema import channels, metadata, reports, ring_canaries

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class OurFaultError(Exception):
    """Something went wrong inside the work."""


def test_work_that_raises_leaves_nothing_and_its_error_comes_through(engine: Engine) -> None:
    def work(tx: Transaction) -> None:
        installations.add(tx, Installation("id", "profile"), NOON)
        raise OurFaultError

    with pytest.raises(OurFaultError):
        engine.write(work)

    assert engine.read(installations.read) is None


def test_broken_statement_is_our_fault_and_not_an_outage(engine: Engine) -> None:
    engine.write(lambda tx: people.add_administrator(tx, Administrator("1", "ada", Role.OWNER), NOON))

    with pytest.raises(sa.exc.IntegrityError):
        engine.write(lambda tx: people.add_administrator(tx, Administrator("2", "ada", Role.OWNER), NOON))

    assert engine.read(lambda tx: people.find_administrator(tx, "ada")) == Administrator("1", "ada", Role.OWNER)


def test_error_of_a_statement_tells_nothing_of_its_parameters(engine: Engine) -> None:
    def work(tx: Transaction) -> None:
        for _ in range(2):
            installations.add_canary(tx, "key", b"secret")
            tx.connection.execute(sa.insert(ring_canaries).values(key_id="key", sealed=b"secret"))

    with pytest.raises(sa.exc.IntegrityError) as raised:
        engine.write(work)

    assert "secret" not in str(raised.value)


def test_reader_may_not_write(engine: Engine) -> None:
    with pytest.raises(Exception, match=r"(?i)read.?only"):
        engine.read(lambda tx: installations.add(tx, Installation("id", "profile"), NOON))

    assert engine.read(installations.read) is None


def test_reader_sees_one_moment_although_others_write(engine: Engine) -> None:
    def work(tx: Transaction) -> tuple[Installation | None, Installation | None]:
        before = installations.read(tx)
        engine.write(lambda writing: installations.add(writing, Installation("id", "profile"), NOON))
        return before, installations.read(tx)

    assert engine.read(work) == (None, None)
    assert engine.read(installations.read) == Installation("id", "profile")


def test_what_a_read_finds_was_committed_by_any_thread(engine: Engine) -> None:
    with ThreadPoolExecutor(1) as other:
        other.submit(engine.write, lambda tx: installations.add(tx, Installation("id", "p"), NOON)).result()

    assert engine.read(installations.read) == Installation("id", "p")


def test_writers_of_many_threads_lose_no_update(engine: Engine) -> None:
    enroll(engine, "A")

    def count_up(tx: Transaction) -> None:
        tx.lock_rows([ChannelId("A")])
        epoch = enrollments.find(tx, [ChannelId("A")])[ChannelId("A")].epoch
        enrollments.set_enrolled(tx, ChannelId("A"), epoch=epoch + 1, enrolled_at=NOON)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(engine.write, [count_up] * 20))

    assert [row.epoch for row in rows(engine, sa.select(channels.c.epoch))] == [21]


def test_name_is_held_by_one_transaction_at_a_time(engine: Engine) -> None:
    start = Barrier(3)

    def first_start(tx: Transaction) -> bool:
        tx.lock_name("first start")
        if installations.read(tx) is not None:
            return False
        installations.add(tx, Installation("id", "profile"), NOON)
        return True

    def contend() -> bool:
        start.wait()
        return engine.write(first_start)

    with ThreadPoolExecutor(3) as pool:
        firsts = [future.result() for future in [pool.submit(contend) for _ in range(3)]]

    assert sorted(firsts) == [False, False, True]


def test_locking_unknown_rows_or_none_is_no_error(engine: Engine) -> None:
    engine.write(lambda tx: tx.lock_rows([ChannelId("nobody")]))
    engine.write(lambda tx: tx.lock_rows([]))


instants = st.integers(0, 250_000_000_000_000_000).map(
    lambda microseconds: EPOCH + timedelta(microseconds=microseconds)
)
"""From 1970 to the end of the year 9891."""


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(at=instants)
def test_instants_come_back_to_the_microsecond(engine: Engine, at: datetime) -> None:
    def work(tx: Transaction) -> datetime | None:
        enrollments.add(tx, channel("A"), state=EnrollmentState.ENROLLED, epoch=1, first_seen_at=NOON)
        reviews.schedule(tx, ChannelId("A"), NOON)
        reviews.done(tx, {ChannelId("A"): at}, at=NOON)
        return reviews.next_due(tx)

    stored = engine.write(work)

    assert stored == at
    assert stored is not None
    assert stored.utcoffset() == timedelta(0)


def test_instant_of_another_zone_is_the_same_instant(engine: Engine) -> None:
    elsewhere = NOON.astimezone(timezone(timedelta(hours=-9, minutes=-30)))
    enroll(engine, "A")

    engine.write(lambda tx: reviews.schedule(tx, ChannelId("A"), elsewhere))

    assert engine.read(reviews.next_due) == NOON


def test_naive_instant_is_refused(engine: Engine) -> None:
    enroll(engine, "A")

    with pytest.raises((AssertionError, sa.exc.StatementError), match="aware"):
        engine.write(lambda tx: reviews.schedule(tx, ChannelId("A"), NOON.replace(tzinfo=None)))


def test_identifiers_sort_as_python_sorts_them(engine: Engine) -> None:
    names = ["a", "A", "B", "b", "_", "-", "0", "Z", "é", "z", "ß", "A-1", "A1", "a:1", "a 1", "\U0001f34e", "\uffee"]
    enroll(engine, *(name for name in names if ":" not in name), "a:1")

    stored = [row.id for row in rows(engine, sa.select(channels.c.id).order_by(channels.c.id))]

    assert stored == sorted(names)


def test_largest_body_of_a_report_is_kept_byte_for_byte(engine: Engine) -> None:
    body = bytes(range(256)) * 65_536  # 16 MiB, the most that is accepted

    def work(tx: Transaction) -> None:
        tx.connection.execute(
            sa.insert(reports).values(
                is_sealed=False,
                channel_id="A",
                command_uuid="one",
                status="Acknowledged",
                body=body,
                epoch=1,
                handed_out_count=1,
                not_now_count=0,
                reported_at=NOON,
            )
        )

    engine.write(work)

    assert rows(engine, sa.select(reports.c.body))[0].body == body


def test_clock_of_the_database_is_aware_or_ours(engine: Engine) -> None:
    now = engine.read(lambda tx: tx.database_now())

    assert now is None or now.tzinfo is not None


def test_partitions_are_ready_before_and_after_rows_arrive(engine: Engine) -> None:
    def add_report(tx: Transaction, at: datetime) -> None:
        tx.connection.execute(
            sa.insert(reports).values(
                is_sealed=False,
                channel_id="A",
                command_uuid=at.isoformat(),
                status="Idle",
                epoch=1,
                handed_out_count=0,
                not_now_count=0,
                reported_at=at,
            )
        )

    moments = [after(days=days) for days in (-400, 0, 28, 29, 45, 4000)]
    for at in moments[:3]:
        engine.write(lambda tx, at=at: add_report(tx, at))  # type: ignore[misc]
    for _ in range(2):
        engine.write(lambda tx: tx.ensure_partitions(NOON))
    for at in moments[3:]:
        engine.write(lambda tx, at=at: add_report(tx, at))  # type: ignore[misc]

    kept = rows(engine, sa.select(reports.c.reported_at).order_by(reports.c.reported_at))
    assert [row.reported_at for row in kept] == moments


def test_tables_are_empty_when_a_test_begins(engine: Engine) -> None:
    def counts(tx: Transaction) -> Iterator[int]:
        for table in metadata.sorted_tables:
            yield tx.connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()

    assert sum(engine.read(lambda tx: list(counts(tx)))) == 0

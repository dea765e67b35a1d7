"""What only PostgreSQL has: nodes that meet each other, connections that break, partitions, its planner."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime
from random import Random
from threading import Barrier, Event
from time import monotonic
from typing import Any

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import TOUCH, after, enroll, query, rows
from tests.conformance.test_deferred import MESSAGE
from tests.conformance.test_push import SETTLED
from tests.conformance.test_push_log import ACCEPTED
from tests.support.instants import NOON

from muster.domain.enrollment import Pins
from muster.domain.push_policy import PushReason
from muster.protocol.identifiers import ChannelId
from muster.storage import deferred, enrollments, installations, postgresql, postgresql_pushes, push, pushes, reviews
from muster.storage.engine import Transaction
from muster.storage.errors import ServerTooOld, Unavailable
from muster.storage.hot import AppliedConnect
from muster.storage.hot_pushes import RecordedPush
from muster.storage.postgresql import CONFLICT_PAUSE_SECONDS, LOCK_TIMEOUT_MILLISECONDS, PostgresqlEngine
from muster.storage.schema import evidence, push_wishes, reports

A, B = ChannelId("A"), ChannelId("B")
NAMES = [f"{number:02}" for number in range(20)]
IDS = [ChannelId(name) for name in NAMES]
PATIENCE_SECONDS = 30


@pytest.fixture
def impatient_url(postgresql_url: str) -> str:
    """A server that looks for deadlocks soon."""
    return f"{postgresql_url}&options=-c%20deadlock_timeout%3D50ms"


@pytest.fixture
def impatient(impatient_url: str) -> Iterator[PostgresqlEngine]:
    """An engine of that server."""
    engine = PostgresqlEngine(impatient_url)
    yield engine
    engine.close()


def wait_until_blocked(engine: PostgresqlEngine) -> None:
    """Return when some transaction waits for a lock that another holds."""
    deadline = monotonic() + PATIENCE_SECONDS
    with engine.sqlalchemy.connect() as connection:
        while not connection.exec_driver_sql("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)").scalar_one():
            assert monotonic() < deadline, "nobody waits"


# --- claims -----------------------------------------------------------------------------------------------------------

Claim = Callable[[Transaction], list[str]]


def claim_pushes(tx: Transaction) -> list[str]:
    return [wish.channel_id for wish in push.claim_due(tx, NOON, 12)]


def claim_reviews(tx: Transaction) -> list[str]:
    return [review.channel_id for review in reviews.claim_due(tx, NOON, 12)]


def claim_deferred(tx: Transaction) -> list[str]:
    return [message.id for message in deferred.claim_due(tx, NOON, 12)]


@pytest.mark.parametrize("claim", [claim_pushes, claim_reviews, claim_deferred])
def test_two_transactions_claim_different_rows_without_waiting(
    postgresql_engine: PostgresqlEngine, claim: Claim
) -> None:
    enroll(postgresql_engine, *NAMES)

    def arrange(tx: Transaction) -> None:
        push.wish(tx, IDS, reason=PushReason.COMMAND_QUEUED, at=NOON, due_at=NOON)
        for name in NAMES:
            reviews.schedule(tx, ChannelId(name), NOON)
            message = deferred.DeferredMessage(name, A, "connect", b"", b"", "", NOON, 0)
            deferred.add(tx, message, error="", next_attempt_at=NOON)

    postgresql_engine.write(arrange)

    def both(tx: Transaction) -> tuple[list[str], list[str]]:
        return claim(tx), postgresql_engine.write(claim)

    first, second = postgresql_engine.write(both)

    assert (len(first), len(second)) == (12, 8)
    assert sorted(first + second) == NAMES


def test_rows_are_free_again_after_the_claim_ended(postgresql_engine: PostgresqlEngine) -> None:
    postgresql_engine.write(lambda tx: deferred.add(tx, MESSAGE, error="", next_attempt_at=NOON))

    assert postgresql_engine.write(claim_deferred) == postgresql_engine.write(claim_deferred) == ["1"]


def test_every_wish_is_claimed_by_one_node_however_many_there_are(postgresql_engine: PostgresqlEngine) -> None:
    names = [f"{number:04}" for number in range(400)]
    enroll(postgresql_engine, *names)
    ids = [ChannelId(name) for name in names]
    postgresql_engine.write(lambda tx: push.wish(tx, ids, reason=PushReason.COMMAND_QUEUED, at=NOON, due_at=NOON))

    def claim_some(tx: Transaction) -> list[str]:
        claimed = [wish.channel_id for wish in push.claim_due(tx, NOON, 7)]
        push.claim_attempts(tx, claimed, lease_until=after(minutes=5))
        return [str(channel_id) for channel_id in claimed]

    def node(_number: int) -> list[str]:
        claimed: list[str] = []
        while some := postgresql_engine.write(claim_some):
            claimed += some
        return claimed

    with ThreadPoolExecutor(4) as pool:
        claimed = [name for some in pool.map(node, range(4)) for name in some]

    assert sorted(claimed) == names
    assert len(postgresql_engine.write(lambda tx: push.claim_due(tx, after(minutes=5), 500))) == 400


# --- locks ------------------------------------------------------------------------------------------------------------


def test_overlapping_batches_of_many_nodes_never_deadlock(impatient: PostgresqlEngine) -> None:
    enroll(impatient, *NAMES)
    runs: list[int] = []

    def flush(seed: int) -> None:
        batch = Random(seed).sample(NAMES, 12)

        def work(tx: Transaction) -> None:
            runs.append(seed)
            if seed % 2:
                tx.lock_rows([ChannelId(name) for name in batch])  # in whatever order the caller has them
            else:
                tx.lock_channels([query(name) for name in sorted(batch)])
            tx.apply_connects([AppliedConnect(ChannelId(name), TOUCH, is_proof=False) for name in batch], NOON)

        impatient.write(work)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(flush, range(80)))

    assert sorted(runs) == list(range(80)), "a transaction had to be run again"


def test_outcomes_that_nodes_settle_together_while_commands_are_queued_never_deadlock(
    impatient: PostgresqlEngine,
) -> None:
    enroll(impatient, *NAMES)

    def arrange(tx: Transaction) -> None:
        push.wish(tx, IDS, reason=PushReason.COMMAND_QUEUED, at=NOON, due_at=NOON)
        for channel_id in IDS:
            push.set_target(tx, channel_id, topic="topic", token=b"token", push_magic="magic", at=NOON)

    def fences(tx: Transaction) -> dict[str, int]:
        return {row.channel_id: row.fence for row in tx.connection.execute(sa.select(push_wishes))}

    impatient.write(arrange)
    runs: list[int] = []

    def node(seed: int) -> None:
        some = Random(seed).sample(IDS, 12)

        def work(tx: Transaction) -> None:
            runs.append(seed)
            if seed % 2:
                push.wish(tx, some, reason=PushReason.COMMAND_QUEUED, at=NOON, due_at=NOON)
            else:
                current = fences(tx)
                settled = [SETTLED._replace(channel_id=id_, fence=current.get(id_, 0)) for id_ in some]
                over = settled[seed % 12]._replace(due_at=None)
                push.settle(tx, [*settled[: seed % 12], over, *settled[seed % 12 + 1 :]], NOON)

        impatient.write(work)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(node, range(80)))

    assert sorted(runs) == list(range(80)), "a transaction had to be run again"


def test_deadlocked_transaction_is_run_once_more_after_the_other(impatient_url: str) -> None:
    both_hold_one, other_is_through = Barrier(2), Event()
    runs: list[ChannelId] = []
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        assert other_is_through.wait(PATIENCE_SECONDS)

    engine = PostgresqlEngine(impatient_url, pause=pause)
    enroll(engine, "A", "B")

    def cross(first: ChannelId, second: ChannelId) -> ChannelId:
        def work(tx: Transaction) -> ChannelId:
            is_first_run = first not in runs
            runs.append(first)
            tx.lock_rows([first])
            if is_first_run:
                both_hold_one.wait()
            tx.lock_rows([second])
            return first

        done = engine.write(work)
        other_is_through.set()
        return done

    with closing(engine), ThreadPoolExecutor(2) as pool:
        assert set(pool.map(cross, [A, B], [B, A])) == {A, B}

    assert len(runs) == 3
    assert pauses == [CONFLICT_PAUSE_SECONDS]


@pytest.mark.parametrize("sqlstate", ["40P01", "40001"])
def test_transaction_that_meets_others_twice_gives_up(postgresql_engine: PostgresqlEngine, sqlstate: str) -> None:
    runs = []

    def work(tx: Transaction) -> None:
        runs.append(1)
        tx.connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$")

    with pytest.raises(Unavailable, match="twice"):
        postgresql_engine.write(work)

    assert len(runs) == 2


def test_locked_channel_is_seen_as_the_transaction_before_left_it(postgresql_engine: PostgresqlEngine) -> None:
    enroll(postgresql_engine, "A", "A:ada")
    renewed = Pins(current=b"\x02" * 32)
    is_locked, may_commit = Event(), Event()

    def renew(tx: Transaction) -> None:
        tx.lock_rows([A, ChannelId("A:ada")])
        enrollments.set_renewed(tx, A, renewed)
        is_locked.set()
        assert may_commit.wait(PATIENCE_SECONDS)

    with ThreadPoolExecutor(2) as pool:
        renewing = pool.submit(postgresql_engine.write, renew)
        assert is_locked.wait(PATIENCE_SECONDS)
        wanted = [query("A"), query("A:ada")]
        waiting: Future[Any] = pool.submit(postgresql_engine.write, lambda tx: tx.lock_channels(wanted))
        wait_until_blocked(postgresql_engine)
        may_commit.set()
        renewing.result(PATIENCE_SECONDS)
        seen = waiting.result(PATIENCE_SECONDS)

    assert {channel.enrollment.pins for channel in seen.values()} == {renewed}


# --- connections ------------------------------------------------------------------------------------------------------


def terminate_others(engine: PostgresqlEngine, url: str) -> None:
    """End every connection of *engine*, as a restart of the server does."""
    killer = PostgresqlEngine(url, connections=1)
    with killer.sqlalchemy.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    killer.close()


def statement(tx: Transaction) -> None:
    installations.read(tx)


def hot_method(tx: Transaction) -> None:
    tx.lock_channels([query("A")])


@pytest.mark.parametrize("use", [statement, hot_method])
def test_lost_connection_is_an_outage_and_then_all_is_well(
    postgresql_url: str, use: Callable[[Transaction], None]
) -> None:
    engine = PostgresqlEngine(postgresql_url)

    def lose(tx: Transaction) -> None:
        use(tx)
        terminate_others(engine, postgresql_url)
        use(tx)

    with pytest.raises(Unavailable, match="database"):
        engine.write(lose)

    engine.write(use)
    engine.close()


@pytest.mark.parametrize("use", [statement, hot_method])
def test_restarted_server_costs_one_failure_however_many_connections_there_were(
    postgresql_url: str, use: Callable[[Transaction], None]
) -> None:
    engine = PostgresqlEngine(postgresql_url, connections=3)
    all_connected = Barrier(3)

    def connect(tx: Transaction) -> None:
        use(tx)
        all_connected.wait()

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(engine.write, [connect] * 3))
    terminate_others(engine, postgresql_url)

    with pytest.raises(Unavailable):
        engine.write(use)

    for _ in range(3):
        engine.write(use)
    engine.close()


def test_connection_lost_at_commit_is_an_outage(postgresql_url: str) -> None:
    engine = PostgresqlEngine(postgresql_url)

    def lose(tx: Transaction) -> None:
        statement(tx)
        terminate_others(engine, postgresql_url)

    with pytest.raises(Unavailable):
        engine.write(lose)

    engine.write(statement)
    engine.close()


def test_server_that_is_not_there_is_an_outage(tmp_path: Any) -> None:
    engine = PostgresqlEngine(f"postgresql://nobody@/nothing?host={tmp_path}")

    with pytest.raises(Unavailable):
        engine.read(installations.read)
    with pytest.raises(Unavailable), engine.migrating():
        pass

    engine.close()


def test_too_few_connections_are_an_outage(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "POOL_TIMEOUT_SECONDS", 0.05)
    engine = PostgresqlEngine(postgresql_url, connections=1)

    with pytest.raises(Unavailable, match="in use"):
        engine.write(lambda _: engine.write(statement))

    engine.write(statement)
    engine.close()


def test_server_older_than_the_tested_ones_is_refused(postgresql_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgresql, "MINIMUM_SERVER_VERSION", 99_00_00)
    engine = PostgresqlEngine(postgresql_url)

    with pytest.raises(ServerTooOld, match="99 or newer"):
        engine.read(statement)

    engine.close()


def test_connections_plan_for_the_values_they_have_and_keep_the_operators_options(postgresql_url: str) -> None:
    engine = PostgresqlEngine(f"{postgresql_url}&options=-c%20work_mem%3D7MB")
    with engine.sqlalchemy.connect() as connection:
        settings = [
            connection.exec_driver_sql(f"SHOW {name}").scalar_one()
            for name in ("plan_cache_mode", "TimeZone", "application_name", "work_mem")
        ]
    engine.close()

    assert settings == ["force_custom_plan", "UTC", "muster", "7MB"]


# --- storage ----------------------------------------------------------------------------------------------------------


def updates(tx: Transaction, table: str) -> tuple[int, int]:
    """How many rows of *table* this connection has updated, and how many of them in place (HOT)."""
    counts = sa.text("SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = :name")
    updated, in_place = tx.connection.execute(counts, {"name": table}).one()
    return updated, in_place


def test_contact_is_written_in_place_without_touching_an_index(impatient: PostgresqlEngine) -> None:
    enroll(impatient, *NAMES)

    def work(tx: Transaction) -> tuple[int, int]:
        updated, in_place = updates(tx, "channels")
        tx.apply_connects([AppliedConnect(channel_id, TOUCH, is_proof=True) for channel_id in IDS], NOON)
        updated_after, in_place_after = updates(tx, "channels")
        return updated_after - updated, in_place_after - in_place

    assert impatient.write(work) == (20, 20)


def test_outcome_of_a_push_is_written_in_place_without_touching_an_index(impatient: PostgresqlEngine) -> None:
    enroll(impatient, *NAMES)
    for channel_id in IDS:
        impatient.write(
            lambda tx, to=channel_id: push.set_target(tx, to, topic="topic", token=b"token", push_magic="", at=NOON)  # type: ignore[misc]
        )

    def work(tx: Transaction) -> tuple[int, int]:
        push.settle(tx, [SETTLED._replace(channel_id=channel_id) for channel_id in IDS], NOON)
        return updates(tx, "push_targets")

    assert impatient.write(work) == (20, 20)


def add_report(tx: Transaction, at: datetime) -> None:
    tx.connection.execute(
        sa.insert(reports).values(
            is_sealed=False,
            channel_id="A",
            command_uuid="one",
            status="Idle",
            epoch=1,
            handed_out_count=0,
            not_now_count=0,
            reported_at=at,
        )
    )


def partitions_of_reports(engine: PostgresqlEngine) -> list[tuple[str, datetime]]:
    select = sa.select(sa.literal_column("tableoid::regclass::text"), reports.c.reported_at)
    return [tuple(row) for row in rows(engine, select.order_by(reports.c.reported_at))]


def test_rows_go_to_the_partition_of_their_month_and_those_before_it_was_made_follow(
    postgresql_engine: PostgresqlEngine,
) -> None:
    december, january = datetime(2026, 12, 31, 23, 59, 59, 999999, UTC), datetime(2027, 1, 1, tzinfo=UTC)
    april = datetime(2027, 4, 1, tzinfo=UTC)
    for at in (NOON, december, april):
        postgresql_engine.write(lambda tx, at=at: add_report(tx, at))  # type: ignore[misc]

    for _ in range(2):
        postgresql_engine.write(lambda tx: tx.ensure_partitions(NOON))
    postgresql_engine.write(lambda tx: add_report(tx, january))

    assert partitions_of_reports(postgresql_engine) == [
        ("reports_y2026m11", NOON),
        ("reports_y2026m12", december),
        ("reports_y2027m01", january),
        ("reports_default", april),
    ]


def tables_of_pushes(engine: PostgresqlEngine) -> set[str]:
    select = sa.text("SELECT relname FROM pg_class WHERE relname ~ '^pushes_' AND relkind = 'r'")
    return engine.read(lambda tx: set(tx.connection.scalars(select)))


def pushed(at: datetime) -> RecordedPush:
    return ACCEPTED._replace(at=at)


def test_months_of_pushes_that_are_over_go_as_a_whole_and_none_by_halves(postgresql_engine: PostgresqlEngine) -> None:
    july, august = datetime(2026, 7, 31, 23, 59, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC)
    assert datetime(2026, 8, 4, 12, tzinfo=UTC) == NOON - pushes.KEPT_FOR
    for month in (july, NOON):
        postgresql_engine.write(lambda tx, month=month: tx.ensure_partitions(month))  # type: ignore[misc]
    postgresql_engine.write(lambda tx: pushes.append(tx, [pushed(july), pushed(august), pushed(NOON)]))
    before = tables_of_pushes(postgresql_engine)

    assert not postgresql_engine.write(lambda tx: pushes.forget(tx, NOON))

    assert before - tables_of_pushes(postgresql_engine) == {"pushes_y2026m07"}
    kept = postgresql_engine.read(lambda tx: pushes.of_channel(tx, A, since=july, limit=9))
    assert [one.at for one in kept] == [NOON, august]


def test_month_of_pushes_that_somebody_reads_is_left_for_another_time(
    postgresql_engine: PostgresqlEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_pushes, "DROP_PATIENCE_MILLISECONDS", 20)
    july = datetime(2026, 7, 31, tzinfo=UTC)
    postgresql_engine.write(lambda tx: tx.ensure_partitions(july))
    postgresql_engine.write(lambda tx: pushes.append(tx, [pushed(july)]))

    def forget(tx: Transaction) -> str:
        pushes.forget(tx, NOON)
        return str(tx.connection.scalar(sa.text("SHOW lock_timeout")))

    def back_up(tx: Transaction) -> str:
        pushes.of_channel(tx, A, since=july, limit=1)
        return postgresql_engine.write(forget)

    patience = postgresql_engine.read(back_up)
    left = tables_of_pushes(postgresql_engine)
    again = postgresql_engine.write(forget)

    assert "pushes_y2026m07" in left
    assert "pushes_y2026m07" not in tables_of_pushes(postgresql_engine)
    assert patience == again == f"{LOCK_TIMEOUT_MILLISECONDS // 1000}s"


def test_partitions_are_made_by_many_nodes_together(impatient: PostgresqlEngine) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(impatient.write, [lambda tx: tx.ensure_partitions(after(days=40))] * 4))

    assert partitions_of_reports(impatient) == []
    assert rows(impatient, sa.select(evidence)) == []


def test_row_that_somebody_holds_for_good_is_an_outage_and_no_endless_wait(postgresql_engine: PostgresqlEngine) -> None:
    hurried = "SET LOCAL lock_timeout = 50"

    def hold_and_wait(tx: Transaction) -> None:
        tx.connection.execute(sa.text("LOCK TABLE channels"))

        def wait(other: Transaction) -> None:
            other.connection.exec_driver_sql(hurried)
            other.lock_rows([ChannelId("any")])

        with pytest.raises(Unavailable):
            postgresql_engine.write(wait)

    postgresql_engine.write(hold_and_wait)
    timeout = postgresql_engine.read(lambda tx: tx.connection.scalar(sa.text("SHOW lock_timeout")))

    assert timeout == f"{LOCK_TIMEOUT_MILLISECONDS // 1000}s"

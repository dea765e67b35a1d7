"""The checks of readiness, on both engines."""

from datetime import UTC, datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support.runner import NOW, InlineRunner

from muster.domain.control.self_watch import DiskSpace
from muster.operations.first_start import CANARY
from muster.operations.views.readiness import (
    MINIMUM_FREE_OCTETS,
    NotReady,
    check_clock,
    check_disk,
    check_journal,
    check_key_ring,
    check_schema,
)
from muster.storage import installations, journal_marks
from muster.storage.engine import Engine
from muster.storage.journal_marks import Rollback
from muster.storage.sqlite import SqliteEngine


def _head(engine: Engine) -> str:
    return str(engine.read(lambda tx: tx.connection.scalar(sa.text("SELECT version_num FROM alembic_version"))))


def test_the_schema_that_this_version_knows_is_ready(engine: Engine) -> None:
    head = _head(engine)

    assert head in engine.read(lambda tx: check_schema(tx, head))


def test_another_schema_is_not_ready_and_says_what_to_do(engine: Engine) -> None:
    with pytest.raises(NotReady, match="muster migrate"):
        engine.read(lambda tx: check_schema(tx, "of tomorrow"))


def test_a_database_without_schema_is_not_ready(tmp_path_engine: SqliteEngine) -> None:
    with pytest.raises(NotReady, match="no schema"):
        tmp_path_engine.read(lambda tx: check_schema(tx, "any"))


def test_a_disk_with_room_is_ready(engine: Engine) -> None:
    disk = DiskSpace(MINIMUM_FREE_OCTETS, 2**40)

    assert engine.read(lambda tx: check_disk(tx, disk)) == "64 MiB are free"
    assert engine.read(lambda tx: check_disk(tx, None)) == "not measured"


def test_a_full_disk_is_not_ready_and_says_what_to_do(engine: Engine) -> None:
    with pytest.raises(NotReady, match=r"63 MiB are free on the disk of the data directory.*make room"):
        engine.read(lambda tx: check_disk(tx, DiskSpace(MINIMUM_FREE_OCTETS - 1, 2**40)))


@pytest.fixture
def tmp_path_engine(sqlite_engine: SqliteEngine) -> SqliteEngine:
    """A database whose schema was never recorded."""
    sqlite_engine.write(lambda tx: tx.connection.execute(sa.text("DROP TABLE alembic_version")))
    return sqlite_engine


def _store_canary(runner: InlineRunner) -> None:
    key_id = runner.ring.keys[-1].key_id.hex()
    place = {"table": "ring_canaries", "column": "sealed", "row": key_id}
    sealed = runner.context().seal(CANARY, **place)
    runner.engine.write(lambda tx: installations.add_canary(tx, key_id, sealed))


def test_the_ring_that_sealed_the_database_is_ready(engine: Engine) -> None:
    runner = InlineRunner(engine)
    _store_canary(runner)

    assert engine.read(lambda tx: check_key_ring(tx, runner.ring)) == "1 key opens"


def test_another_ring_is_not_ready_and_the_key_is_named(engine: Engine) -> None:
    _store_canary(InlineRunner(engine))
    other = InlineRunner(engine, seed=2)

    with pytest.raises(NotReady, match="--key-ring"):
        engine.read(lambda tx: check_key_ring(tx, other.ring))


def test_a_database_that_was_never_started_is_not_ready(engine: Engine) -> None:
    with pytest.raises(NotReady, match="muster init"):
        engine.read(lambda tx: check_key_ring(tx, InlineRunner(engine).ring))


def test_sqlite_has_no_clock_to_differ_from(sqlite_engine: SqliteEngine) -> None:
    assert "one clock" in sqlite_engine.read(lambda tx: check_clock(tx, NOW))


@pytest.mark.parametrize("seconds", [-60, 60])
def test_a_clock_that_differs_from_the_databases_is_not_ready(postgresql_engine: Engine, seconds: int) -> None:
    with pytest.raises(NotReady, match="NTP"):
        postgresql_engine.read(lambda tx: check_clock(tx, datetime.now(UTC) + timedelta(seconds=seconds)))


def test_a_clock_like_the_databases_is_ready(postgresql_engine: Engine) -> None:
    assert "this node" in postgresql_engine.read(lambda tx: check_clock(tx, datetime.now(UTC)))


def test_a_restored_database_is_told_of_and_is_ready(engine: Engine) -> None:
    before = engine.read(check_journal)
    rollback = Rollback("one", NOW, "node", NOW - timedelta(days=2), NOW - timedelta(hours=1), 7)
    engine.write(lambda tx: journal_marks.add_rollback(tx, rollback))

    after = engine.read(check_journal)

    assert before == "taken in"
    assert "2026-11-20T14:31:07Z was restored, noticed at 2026-11-22T14:31:07Z; 7 records replayed" in after

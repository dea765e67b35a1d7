"""What only SQLite has: one writer at a time, in whichever process, and a file that must survive."""

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import enroll, query, rows
from tests.support.instants import NOON

from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, installations
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable
from muster.storage.installations import Installation
from muster.storage.schema import channels, reviews
from muster.storage.sqlite import SqliteEngine

A = ChannelId("A")


def add_installation(tx: Transaction) -> None:
    installations.add(tx, Installation("id", "profile"), NOON)


@contextmanager
def another_writer(path: Path) -> Iterator[sqlite3.Connection]:
    """Another connection that has begun to write, and says when it is through."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield connection


def test_writer_waits_for_another_connections_writer(sqlite_engine: SqliteEngine, tmp_path: Path) -> None:
    with another_writer(tmp_path / "muster.db") as other, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(sqlite_engine.write, add_installation)
        assert wait([writing], timeout=0.2).not_done
        other.execute("COMMIT")
        writing.result(timeout=30)

    assert sqlite_engine.read(installations.read) is not None


HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.read()
"""


def test_writer_of_another_process_that_stays_is_an_outage_until_it_ends(
    sqlite_engine: SqliteEngine, tmp_path: Path
) -> None:
    path = tmp_path / "muster.db"
    engine = SqliteEngine(path, busy_timeout_milliseconds=20)
    runs = []

    def work(tx: Transaction) -> None:
        runs.append(1)
        add_installation(tx)

    with subprocess.Popen(
        [sys.executable, "-c", HOLD, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(Unavailable, match="locked"):
            engine.write(work)
        assert engine.read(installations.read) is None
        other.communicate("")

    engine.write(work)
    engine.close()

    assert runs == [1], "work was begun although it could not write"


def test_two_engines_on_one_file_lose_no_update(sqlite_engine: SqliteEngine, tmp_path: Path) -> None:
    other = SqliteEngine(tmp_path / "muster.db", synchronous="OFF")
    enroll(sqlite_engine, "A")

    def count_up(tx: Transaction) -> None:
        epoch = enrollments.find(tx, [A])[A].epoch
        enrollments.set_enrolled(tx, A, epoch=epoch + 1, enrolled_at=NOON)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda number: (sqlite_engine, other)[number % 2].write(count_up), range(40)))
    other.close()

    assert [row.epoch for row in rows(sqlite_engine, sa.select(channels.c.epoch))] == [41]


def test_readers_do_not_wait_for_the_writer(sqlite_engine: SqliteEngine) -> None:
    def work(tx: Transaction) -> Installation | None:
        add_installation(tx)
        return sqlite_engine.read(installations.read)

    assert sqlite_engine.write(work) is None


def pragma(engine: sa.Engine, name: str) -> object:
    with engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()


def test_what_is_committed_survives_a_power_cut_by_default(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "new.db")

    settings = [pragma(engine.sqlalchemy, name) for name in ("journal_mode", "synchronous", "foreign_keys")]
    engine.close()

    assert settings == ["wal", 2, 1]  # 2 is FULL


def test_closed_database_is_one_file(sqlite_engine: SqliteEngine, tmp_path: Path) -> None:
    sqlite_engine.write(add_installation)

    sqlite_engine.close()

    assert [path.name for path in tmp_path.iterdir()] == ["muster.db"]


def test_references_are_checked_again_after_a_migration(sqlite_engine: SqliteEngine) -> None:
    with sqlite_engine.migrating():
        pass

    with pytest.raises(sa.exc.IntegrityError):
        sqlite_engine.write(
            lambda tx: tx.connection.execute(sa.insert(reviews).values(channel_id="nobody", next_review_at=NOON))
        )


def test_migration_that_breaks_a_reference_is_undone(sqlite_engine: SqliteEngine) -> None:
    with pytest.raises(AssertionError, match="refers to nothing"), sqlite_engine.migrating() as connection:
        connection.execute(sa.insert(reviews).values(channel_id="nobody", next_review_at=NOON))

    assert rows(sqlite_engine, sa.select(reviews)) == []


def test_file_that_cannot_be_opened_is_an_outage(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "missing" / "muster.db")

    with pytest.raises(Unavailable):
        engine.write(add_installation)
    with pytest.raises(Unavailable):
        engine.read(installations.read)

    engine.close()


def test_wrong_statement_is_our_fault_and_not_an_outage(tmp_path: Path) -> None:
    engine = SqliteEngine(tmp_path / "without-schema.db")

    with pytest.raises(sa.exc.OperationalError, match="no such table"):
        engine.write(add_installation)
    with pytest.raises(sqlite3.OperationalError, match="no such table"):
        engine.write(lambda tx: tx.lock_channels([query("A")]))

    engine.close()


def test_full_disk_is_an_outage_and_nothing_is_written(sqlite_engine: SqliteEngine) -> None:
    with sqlite_engine.sqlalchemy.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    with pytest.raises(Unavailable, match="full"):
        enroll(sqlite_engine, *(f"{number:0100}" for number in range(200)))

    assert rows(sqlite_engine, sa.select(channels)) == []

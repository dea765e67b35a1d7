"""Storage embedded in the process: SQLite in WAL mode, one writer, readers beside it.

Another process (the command line) writes through short BEGIN IMMEDIATE transactions of its own.
"""

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry, QueuePool

from muster.storage.engine import Engine, Transaction
from muster.storage.errors import Unavailable
from muster.storage.json_columns import read_json
from muster.storage.sqlite_connection import SqliteConnection
from muster.storage.sqlite_transaction import SqliteTransaction

T = TypeVar("T")

BUSY_TIMEOUT_MILLISECONDS = 5000
"""How long a writer waits for a writer of another process before it gives up."""
BUSY_ATTEMPTS = 3
"""How often a transaction is begun anew when the database stayed busy; together about a quarter of a minute."""
WAL_CHECKPOINT_PAGES = 4000
"""16 MB of write-ahead log between checkpoints: each stalls the writer, so fewer and larger ones serve better."""
READERS = 4
"""Connections that read beside the writer; pages of the console are short."""

_PRAGMAS = "PRAGMA foreign_keys = ON", f"PRAGMA wal_autocheckpoint = {WAL_CHECKPOINT_PAGES}"


class SqliteEngine(Engine):
    """SQLite in one file. *synchronous* is FULL in service (an answered message survives a power cut).

    *busy_timeout_milliseconds* is how long each attempt waits for a writer of another process.
    """

    name = "sqlite"
    writers = 1

    def __init__(
        self, path: Path, *, synchronous: str = "FULL", busy_timeout_milliseconds: int = BUSY_TIMEOUT_MILLISECONDS
    ) -> None:
        self._write_lock = threading.Lock()
        pragmas = f"PRAGMA busy_timeout = {busy_timeout_milliseconds}", f"PRAGMA synchronous = {synchronous}"
        self.sqlalchemy = _engine(path, "BEGIN IMMEDIATE", pragmas, connections=1)
        self._readers = _engine(path, "BEGIN", (*pragmas, "PRAGMA query_only = ON"), connections=READERS)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run *work* alone; wait for writers of other processes."""
        with self._write_lock, self._translating():
            for attempt in range(1, BUSY_ATTEMPTS + 1):
                try:
                    with SqliteConnection(self.sqlalchemy) as connection, connection.begin():
                        return work(SqliteTransaction(connection))
                except sa.exc.OperationalError as error:
                    if not _is_busy(error) or attempt == BUSY_ATTEMPTS:
                        raise
            raise AssertionError("unreachable")

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run *work* on a reader's connection, on a snapshot."""
        with self._translating(), SqliteConnection(self._readers) as connection, connection.begin():
            return work(SqliteTransaction(connection))

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """Hold the write lock, with foreign keys unchecked until the end: altering a table makes it anew."""
        with self._write_lock, self._translating(), self.sqlalchemy.connect() as connection:
            driver_connection = connection.connection.driver_connection
            assert isinstance(driver_connection, sqlite3.Connection)
            # a transaction can't change it, so it is changed around the transaction
            driver_connection.execute("PRAGMA foreign_keys = OFF")
            try:
                with connection.begin():
                    yield connection
                    broken = driver_connection.execute("PRAGMA foreign_key_check").fetchone()
                    assert broken is None, f"the migration left a row of {broken} that refers to nothing"
            finally:
                driver_connection.execute("PRAGMA foreign_keys = ON")

    def close(self) -> None:
        """Close every connection."""
        self._readers.dispose()
        self.sqlalchemy.dispose()

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise Unavailable("every connection to the database is in use") from error
        except sa.exc.OperationalError as error:
            if _is_our_fault(error.orig):
                raise
            raise Unavailable(f"the database can't be used now: {error.orig}") from error
        except sa.exc.DatabaseError as error:
            if not _is_damaged(error.orig):
                raise
            raise Unavailable(f"the database's file is damaged, or is none: {error.orig}") from error
        except sqlite3.DatabaseError as error:
            # the hot methods speak to the driver directly
            if _is_our_fault(error) or not (isinstance(error, sqlite3.OperationalError) or _is_damaged(error)):
                raise
            raise Unavailable(f"the database can't be used now: {error}") from error


def _is_busy(error: sa.exc.OperationalError) -> bool:
    return isinstance(error.orig, sqlite3.OperationalError) and error.orig.sqlite_errorname.startswith("SQLITE_BUSY")


def _is_our_fault(error: BaseException | None) -> bool:
    """Tell a wrong statement (no such table) from a disk or a lock that is in the way."""
    return isinstance(error, sqlite3.OperationalError) and error.sqlite_errorname == "SQLITE_ERROR"


def _is_damaged(error: BaseException | None) -> bool:
    return isinstance(error, sqlite3.DatabaseError) and error.sqlite_errorname.startswith(
        ("SQLITE_NOTADB", "SQLITE_CORRUPT")
    )


def _engine(path: Path, begin: str, pragmas: Sequence[str], *, connections: int) -> sa.Engine:
    engine = sa.create_engine(
        sa.URL.create("sqlite", database=str(path)),
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        hide_parameters=True,  # errors are logged, parameters are secret
        json_deserializer=read_json,
        # autocommit mode of the driver: we say BEGIN ourselves
        connect_args={"check_same_thread": False, "isolation_level": None, "cached_statements": 256},
    )

    @sa.event.listens_for(engine, "connect")
    def _set_up(connection: sqlite3.Connection, _record: ConnectionPoolEntry) -> None:
        with closing(connection.cursor()) as cursor:
            _switch_to_wal(cursor)
            for pragma in (*pragmas, *_PRAGMAS):
                cursor.execute(pragma)

    @sa.event.listens_for(engine, "begin")
    def _begin(connection: sa.Connection) -> None:
        driver_connection = connection.connection.driver_connection
        assert isinstance(driver_connection, sqlite3.Connection)
        try:
            driver_connection.execute(begin)  # straight: it comes before everything else that is done
        except sqlite3.Error as error:
            raise sa.exc.DBAPIError.instance(begin, None, error, sqlite3.Error, hide_parameters=True) from error

    return engine


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    """Switch the file to WAL; SQLite answers SQLITE_BUSY at once, without its timeout, when two do so together."""
    for _ in range(100):
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not error.sqlite_errorname.startswith("SQLITE_BUSY"):
                raise
            time.sleep(0.05)
        else:
            return
    raise Unavailable("another process holds the database; it can't be switched to WAL mode")

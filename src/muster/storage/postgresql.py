"""Storage for a fleet: many equal processes on one PostgreSQL, through psycopg 3."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import sleep
from typing import Any, TypeVar

import psycopg
import sqlalchemy as sa
from sqlalchemy.pool import ConnectionPoolEntry

from muster.storage.engine import Engine, Transaction
from muster.storage.errors import ServerTooOld, Unavailable
from muster.storage.json_columns import read_json
from muster.storage.postgresql_arrays import adapt
from muster.storage.postgresql_transaction import PostgresqlTransaction

T = TypeVar("T")

MINIMUM_SERVER_VERSION = 150000
"""PostgreSQL 15 is the oldest that is tested."""
RETRIED_SQLSTATES = frozenset({"40001", "40P01"})
"""Serialization failure and deadlock: the transaction is run once more."""
CONFLICT_PAUSE_SECONDS = 0.05
"""How long it lets the others go first. PostgreSQL gives a row that an aborted transaction held to whoever asks next,
and a transaction that comes back at once takes it from the one that was waiting for it: the same deadlock again."""
POOL_TIMEOUT_SECONDS = 10
"""How long a transaction waits for one of this process's connections."""

LOCK_TIMEOUT_MILLISECONDS = 10_000
"""How long a statement waits for a row that somebody else holds: devices give up after a minute."""

# Plans are made for each execution: a plan cached while the queue was empty scans it when it is full (measured:
# seconds instead of milliseconds).
_OPTIONS = (
    f"-c plan_cache_mode=force_custom_plan -c timezone=UTC -c application_name=muster "
    f"-c lock_timeout={LOCK_TIMEOUT_MILLISECONDS}"
)

_KEEPALIVE = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
"""A server that vanished without a word (seconds; the last in milliseconds) is noticed within a minute."""


class PostgresqlEngine(Engine):
    """PostgreSQL at *url* (`postgresql://...`). *connections* bounds those of this process.

    *pause* waits the seconds given, before a transaction that met others is run once more.
    """

    name = "postgresql"

    def __init__(self, url: str, *, connections: int = 5, pause: Callable[[float], None] = sleep) -> None:
        self.writers = connections
        self._pause = pause
        self.sqlalchemy = sa.create_engine(
            _with_options(url),
            connect_args=_KEEPALIVE,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=POOL_TIMEOUT_SECONDS,
            hide_parameters=True,  # errors are logged, parameters are secret
            json_deserializer=read_json,
        )
        sa.event.listen(self.sqlalchemy, "connect", _set_up)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run *work*; run it a second time after a deadlock or a serialization failure."""
        try:
            return self._run(work)
        except _ConflictError:
            self._pause(CONFLICT_PAUSE_SECONDS)
        try:
            return self._run(work)
        except _ConflictError as error:
            raise Unavailable(f"the transaction met others twice: {error}") from error

    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run *work* in a read-only snapshot."""

        def reading(transaction: Transaction) -> T:
            transaction.connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
            return work(transaction)

        return self.write(reading)

    @contextmanager
    def migrating(self) -> Iterator[sa.Connection]:
        """Hold the advisory lock of migrations for the whole transaction: DDL is transactional here."""
        with self._translating(), self.sqlalchemy.connect() as connection, connection.begin():
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")  # another migration may take its time
            PostgresqlTransaction(connection).lock_name("migrations")
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.sqlalchemy.dispose()

    def _run(self, work: Callable[[Transaction], T]) -> T:
        with self._translating(), self.sqlalchemy.connect() as connection:
            try:
                with connection.begin():
                    return work(PostgresqlTransaction(connection))
            except psycopg.Error:
                # The hot methods speak to the driver directly, so SQLAlchemy hasn't noticed when the server went.
                if _driver_connection(connection).closed:
                    connection.invalidate()
                    self.sqlalchemy.dispose()  # the pool's idle connections have gone with it
                raise

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.TimeoutError as error:
            raise Unavailable("every connection to the database is in use") from error
        except sa.exc.DBAPIError as error:
            translated = _translated(error.orig)
            if translated is None:
                raise
            raise translated from error
        except psycopg.Error as error:
            translated = _translated(error)
            if translated is None:
                raise
            raise translated from error


class _ConflictError(Unavailable):
    """Another transaction was in the way; nothing was written, and the same work may be run again."""


def _translated(error: BaseException | None) -> Exception | None:
    """Return what *error* of the driver means to the caller; None for a fault of ours, which stays as it is."""
    if isinstance(error, psycopg.Error) and error.sqlstate in RETRIED_SQLSTATES:
        return _ConflictError(str(error))
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return Unavailable(f"the database can't be used now: {error}")
    return None


def _driver_connection(connection: sa.Connection) -> psycopg.Connection[Any]:
    driver_connection = connection.connection.driver_connection
    assert isinstance(driver_connection, psycopg.Connection)
    return driver_connection


def _with_options(url: str) -> sa.URL:
    parsed = sa.make_url(url).set(drivername="postgresql+psycopg")
    given = parsed.query.get("options", ())
    given = (given,) if isinstance(given, str) else given
    # what the operator says comes last, and so wins
    return parsed.update_query_dict({"options": " ".join([_OPTIONS, *given])})


def _set_up(connection: psycopg.Connection[Any], _record: ConnectionPoolEntry) -> None:
    adapt(connection)
    if connection.info.server_version < MINIMUM_SERVER_VERSION:
        raise ServerTooOld(
            f"PostgreSQL {connection.info.server_version // 10000} is too old; "
            f"Muster needs {MINIMUM_SERVER_VERSION // 10000} or newer"
        )

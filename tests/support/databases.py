"""Fresh databases for tests, made by copying one that was migrated once."""

import shutil
from pathlib import Path

import sqlalchemy as sa

from muster.storage import migrate
from muster.storage.postgresql import PostgresqlEngine
from muster.storage.schema import PARTITIONED, metadata
from muster.storage.sqlite import SqliteEngine

_PARTITIONS = sa.text(
    "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
    "WHERE i.inhparent = ANY(CAST(:tables AS regclass[])) AND c.relname NOT LIKE '%\\_default'"
)


def make_sqlite_template(path: Path) -> None:
    """Make the migrated SQLite database that tests copy."""
    engine = SqliteEngine(path, synchronous="OFF")
    migrate.upgrade(engine)
    engine.close()


def copy_sqlite(template: Path, path: Path) -> SqliteEngine:
    """Open a copy of *template*; it needs no fsync, for it doesn't outlive its test."""
    shutil.copyfile(template, path)
    return SqliteEngine(path, synchronous="OFF")


def make_postgresql_template(url: str) -> None:
    """Migrate the PostgreSQL database that tests clone."""
    engine = PostgresqlEngine(url, connections=1)
    migrate.upgrade(engine)
    engine.close()


def empty_postgresql(engine: PostgresqlEngine) -> None:
    """Bring a used clone back to how it was made."""
    with engine.sqlalchemy.begin() as connection:
        # a test that left a transaction open must not stop all others
        connection.exec_driver_sql("SET LOCAL lock_timeout = '10s'")
        for partition in connection.scalars(_PARTITIONS, {"tables": list(PARTITIONED)}):
            connection.exec_driver_sql(f"DROP TABLE {partition}")
        # a hundred times faster than TRUNCATE, which makes new files for every table and index
        connection.exec_driver_sql("; ".join(f"DELETE FROM {table.name}" for table in reversed(metadata.sorted_tables)))


def empty_sqlite(engine: SqliteEngine) -> None:
    """Bring a used copy back to how it was made; its engine knows all statements already, a new one none."""
    with engine.sqlalchemy.begin() as connection:
        connection.exec_driver_sql("PRAGMA defer_foreign_keys = ON")
        for table in metadata.sorted_tables:
            connection.exec_driver_sql(f"DELETE FROM {table.name}")

"""Upgrading gives exactly the schema that the code works with, on both engines, and knows when there is none to do."""

import logging
import re
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from tests.support.instants import NOON

from muster.storage import installations, migrate
from muster.storage.engine import Engine
from muster.storage.errors import SchemaOutdated
from muster.storage.installations import Installation
from muster.storage.migrations.alembic_run import alembic_config, is_in_metadata
from muster.storage.postgresql import PostgresqlEngine
from muster.storage.schema import PARTITIONED, metadata
from muster.storage.sqlite import SqliteEngine


@pytest.fixture(params=["sqlite", "postgresql"])
def bare(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database that never had a schema."""
    engine: Engine
    if request.param == "sqlite":
        engine = SqliteEngine(tmp_path / "bare.db", synchronous="OFF")
    else:
        engine = PostgresqlEngine(request.getfixturevalue("bare_postgresql_url"), connections=2)
    yield engine
    engine.close()


def test_upgraded_schema_equals_the_metadata(engine: Engine) -> None:
    with engine.sqlalchemy.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": is_in_metadata})
        differences = compare_metadata(context, metadata)

    assert differences == []


def test_head_is_the_one_that_alembic_finds(engine: Engine) -> None:
    with engine.sqlalchemy.connect() as connection:
        scripts = ScriptDirectory.from_config(alembic_config(connection))

        assert migrate.head() == scripts.get_current_head()


CATALOG = {
    "tables": """
        SELECT c.relname, c.relkind::text, c.reloptions::text, pg_get_partkeydef(c.oid) FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1""",
    "columns": """
        SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, l.collname, a.attnum,
               col_description(c.oid, a.attnum), pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
        LEFT JOIN pg_collation l ON l.oid = a.attcollation
        LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 ORDER BY 1, 2""",
    "constraints": """
        SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace ORDER BY 1, 2""",
    "indexes": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
}


def catalog(connection: sa.Connection) -> dict[str, list[tuple[Any, ...]]]:
    """Everything PostgreSQL knows of our tables: types, collations, storage options, keys and indexes."""
    return {what: [tuple(row) for row in connection.exec_driver_sql(query)] for what, query in CATALOG.items()}


def test_upgrade_makes_what_the_metadata_would_make_to_the_last_option(
    postgresql_engine: PostgresqlEngine, bare_postgresql_url: str
) -> None:
    made = PostgresqlEngine(bare_postgresql_url, connections=1)
    with made.sqlalchemy.begin() as connection:
        metadata.create_all(connection)
        for partition in PARTITIONED:
            connection.exec_driver_sql(f"CREATE TABLE {partition}_default PARTITION OF {partition} DEFAULT")
        connection.exec_driver_sql(
            "CREATE TABLE alembic_version (version_num varchar(32) CONSTRAINT alembic_version_pkc PRIMARY KEY)"
        )
        expected = catalog(connection)
    made.close()

    with postgresql_engine.sqlalchemy.connect() as connection:
        assert catalog(connection) == expected


def test_upgraded_sqlite_has_the_very_tables_of_the_metadata(sqlite_engine: SqliteEngine, tmp_path: Path) -> None:
    made = SqliteEngine(tmp_path / "made.db", synchronous="OFF")
    metadata.create_all(made.sqlalchemy)
    listing = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> 'alembic_version' ORDER BY name"
    with made.sqlalchemy.connect() as connection:
        expected = [" ".join(sql.split()) for (sql,) in connection.exec_driver_sql(listing)]
    made.close()

    with sqlite_engine.sqlalchemy.connect() as connection:
        found = [" ".join(sql.split()) for (sql,) in connection.exec_driver_sql(listing)]

    assert found == expected  # but for line breaks: a column that came later stands in the line of the one before


def test_identifiers_are_compared_byte_by_byte_in_every_table(postgresql_engine: PostgresqlEngine) -> None:
    with postgresql_engine.sqlalchemy.connect() as connection:
        collations = connection.exec_driver_sql(
            "SELECT c.relname || '.' || a.attname, l.collname FROM pg_attribute a "
            "JOIN pg_class c ON c.oid = a.attrelid JOIN pg_collation l ON l.oid = a.attcollation "
            "WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') "
            "AND a.attname IN ('channel_id', 'device_id', 'command_uuid', 'claimed_id')"
        ).all()

    assert len(collations) > 15
    assert {collation for _, collation in collations} == {"C"}


def test_empty_database_is_brought_to_the_newest_schema(bare: Engine) -> None:
    assert migrate.is_empty(bare)
    assert migrate.pending(bare)

    applied = migrate.upgrade(bare)

    assert applied[0] == "0001"
    assert not migrate.is_empty(bare)
    assert not migrate.pending(bare)
    migrate.check_schema(bare)


def test_second_upgrade_has_nothing_to_do(engine: Engine) -> None:
    engine.write(lambda tx: installations.add(tx, Installation("id", "profile"), NOON))

    assert migrate.upgrade(engine) == []
    assert engine.read(installations.read) == Installation("id", "profile")


def test_old_schema_is_refused_with_the_remedy(bare: Engine) -> None:
    with pytest.raises(SchemaOutdated, match="muster migrate"):
        migrate.check_schema(bare)


@pytest.mark.parametrize("ask", [migrate.pending, migrate.check_schema, migrate.upgrade])
def test_schema_of_a_newer_version_is_refused(engine: Engine, ask: Callable[[Engine], object]) -> None:
    with engine.sqlalchemy.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    try:
        with pytest.raises(SchemaOutdated, match="newer version"):
            ask(engine)
    finally:
        with engine.sqlalchemy.begin() as connection:
            connection.execute(sa.text("UPDATE alembic_version SET version_num = :head"), {"head": migrate.head()})


def test_upgrade_says_nothing_and_leaves_logging_alone(bare: Engine, capfd: pytest.CaptureFixture[str]) -> None:
    before = [*logging.root.handlers], logging.root.level, logging.getLogger("alembic").handlers
    migrate.upgrade(bare)

    assert capfd.readouterr() == ("", "")
    assert ([*logging.root.handlers], logging.root.level, logging.getLogger("alembic").handlers) == before


def test_failed_upgrade_leaves_nothing_behind(bare: Engine) -> None:
    def fail() -> None:
        with bare.migrating() as connection:
            connection.exec_driver_sql("CREATE TABLE half_done (id INTEGER)")
            raise RuntimeError("the second half went wrong")

    with pytest.raises(RuntimeError, match="second half"):
        fail()

    assert sa.inspect(bare.sqlalchemy).get_table_names() == []


def test_two_processes_that_upgrade_together_take_turns(bare: Engine) -> None:
    with ThreadPoolExecutor(2) as pool:
        applied = sorted(pool.map(migrate.upgrade, [bare, bare]))

    assert applied == [[], ["0001", "0002", "0003"]]


def test_backup_is_a_whole_database_of_the_moment(sqlite_engine: SqliteEngine, tmp_path: Path) -> None:
    sqlite_engine.write(lambda tx: installations.add(tx, Installation("before", "profile"), NOON))

    copy = migrate.backup(tmp_path / "muster.db", tmp_path / "backups", "20261101T120000Z")

    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT id FROM installation").fetchall() == [("before",)]
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert copy == tmp_path / "backups" / "muster-20261101T120000Z.db"
    assert copy.stat().st_mode & 0o077 == 0
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]


def test_every_step_has_a_number_of_its_own() -> None:
    versions = Path(migrate.__file__).parent / "migrations" / "versions"
    numbers = [re.match(r"(\d{4})_", path.name) for path in sorted(versions.glob("[0-9]*.py"))]

    assert [int(number[1]) for number in numbers if number is not None] == list(range(1, len(numbers) + 1))

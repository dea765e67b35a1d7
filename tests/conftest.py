"""Databases for the tests: each test that asks for one gets it migrated and empty, on SQLite and on PostgreSQL."""

import gc
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest
import structlog
from tests.support import databases
from tests.support.postgresql import PostgresqlServer, find_binaries, start_server

from muster.storage.engine import Engine
from muster.storage.postgresql import PostgresqlEngine
from muster.storage.sqlite import SqliteEngine

_TEMPLATE = "muster_template"
_numbers = itertools.count(1)


def pytest_report_header() -> str:
    """Say which PostgreSQL the tests run on."""
    if os.environ.get("MUSTER_TEST_SKIP_PG") == "1":
        return "postgresql: skipped (MUSTER_TEST_SKIP_PG=1)"
    found = find_binaries()
    return f"postgresql: {found.version} in {found.directory}" if found is not None else f"postgresql: {_MISSING}"


def pytest_configure() -> None:
    """Have logged exceptions shown plainly: structlog's own way takes seconds for each.

    And have no property fail for being slow on a machine that has other work.
    """
    hypothesis.settings.register_profile(
        "house", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
    )
    hypothesis.settings.load_profile("house")
    structlog.dev.ConsoleRenderer.get_active().exception_formatter = structlog.dev.plain_traceback


def pytest_collection_finish() -> None:
    """Take all that was imported and collected out of the garbage collector's sight: it stays until the end anyway.

    What tests leave is looked for less often than Python would: that took an eighth of their time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


_MISSING = (
    "none found, so its tests fail; install PostgreSQL 15 or newer, name its bin directory in MUSTER_TEST_PG_BIN, "
    "or leave those tests out with MUSTER_TEST_SKIP_PG=1"
)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite database to copy."""
    path = tmp_path_factory.mktemp("template") / "template.db"
    databases.make_sqlite_template(path)
    return path


@pytest.fixture
def sqlite_engine(sqlite_template: Path, tmp_path: Path) -> Iterator[SqliteEngine]:
    """SQLite in the file muster.db of tmp_path, migrated and empty."""
    engine = databases.copy_sqlite(sqlite_template, tmp_path / "muster.db")
    yield engine
    engine.close()


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[PostgresqlServer]:
    """One server for the whole run, started when the first test asks for it; it knows the migrated template."""
    if os.environ.get("MUSTER_TEST_SKIP_PG") == "1":
        pytest.skip("MUSTER_TEST_SKIP_PG=1")
    found = find_binaries()
    if found is None:
        pytest.fail(f"PostgreSQL: {_MISSING}", pytrace=False)
    server = start_server(found)
    try:
        databases.make_postgresql_template(server.create_database(_TEMPLATE))
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def _postgresql_of_module(postgresql_server: PostgresqlServer) -> Iterator[PostgresqlEngine]:
    name = f"module_{next(_numbers)}"
    engine = PostgresqlEngine(postgresql_server.create_database(name, _TEMPLATE))
    yield engine
    engine.close()
    postgresql_server.drop_database(name)


@pytest.fixture
def postgresql_engine(_postgresql_of_module: PostgresqlEngine) -> PostgresqlEngine:
    """PostgreSQL, migrated and empty."""
    databases.empty_postgresql(_postgresql_of_module)
    return _postgresql_of_module


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Either engine, migrated and empty."""
    chosen: Engine = request.getfixturevalue(f"{request.param}_engine")
    return chosen


@pytest.fixture
def postgresql_url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """A migrated, empty database of the test's own, for tests of the whole server."""
    name = f"whole_{next(_numbers)}"
    yield postgresql_server.create_database(name, _TEMPLATE)
    postgresql_server.drop_database(name)


@pytest.fixture
def bare_postgresql_url(postgresql_server: PostgresqlServer) -> Iterator[str]:
    """A database of the test's own that never had a schema."""
    name = f"bare_{next(_numbers)}"
    yield postgresql_server.create_database(name)
    postgresql_server.drop_database(name)

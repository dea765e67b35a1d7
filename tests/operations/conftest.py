"""A site of its own for each test, on either engine."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support import databases
from tests.support.site import Site

from muster.storage.engine import Engine
from muster.storage.sqlite import SqliteEngine


@pytest.fixture(scope="module")
def _one_sqlite(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqliteEngine]:
    engine = databases.copy_sqlite(sqlite_template, tmp_path_factory.mktemp("sqlite") / "muster.db")
    yield engine
    engine.close()


@pytest.fixture
def reused_sqlite(_one_sqlite: SqliteEngine) -> SqliteEngine:
    """SQLite, migrated and empty; shared by the tests of a module, for there are many and each is short."""
    databases.empty_sqlite(_one_sqlite)
    return _one_sqlite


@pytest.fixture(params=["reused_sqlite", "postgresql_engine"])
def site(request: pytest.FixtureRequest) -> Site:
    """An installation without doors, empty but for its authority."""
    engine: Engine = request.getfixturevalue(request.param)
    return Site(engine)

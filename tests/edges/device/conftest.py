"""Doors over a site of their own for each test: on SQLite, and on either engine where storage matters."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from tests.edges.device.doors import Doors
from tests.support import databases
from tests.support.site import Site

from muster.storage.engine import Engine
from muster.storage.sqlite import SqliteEngine


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[structlog.typing.EventDict]]:
    """What is logged; not rendered, for structlog's own way to show an exception takes seconds."""
    with structlog.testing.capture_logs() as logs:
        yield logs


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


@pytest.fixture
def doors(reused_sqlite: SqliteEngine) -> Iterator[Doors]:
    """Doors over SQLite."""
    doors = Doors(Site(reused_sqlite))
    yield doors
    doors.close()


@pytest.fixture
def site(doors: Doors) -> Site:
    """The site behind `doors`."""
    return doors.site


@pytest.fixture(params=["reused_sqlite", "postgresql_engine"])
def both_doors(request: pytest.FixtureRequest) -> Iterator[Doors]:
    """Doors over either engine."""
    engine: Engine = request.getfixturevalue(request.param)
    doors = Doors(Site(engine))
    yield doors
    doors.close()

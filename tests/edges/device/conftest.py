"""Doors over a site of their own for each test: on SQLite, and on either engine where storage matters."""

from collections.abc import Iterator

import pytest
from tests.edges.device.doors import Doors
from tests.support.site import Site

from muster.storage.engine import Engine
from muster.storage.sqlite import SqliteEngine


@pytest.fixture
def doors(sqlite_engine: SqliteEngine) -> Iterator[Doors]:
    """Doors over SQLite."""
    doors = Doors(Site(sqlite_engine))
    yield doors
    doors.close()


@pytest.fixture
def site(doors: Doors) -> Site:
    """The site behind `doors`."""
    return doors.site


@pytest.fixture
def both_doors(engine: Engine) -> Iterator[Doors]:
    """Doors over either engine."""
    doors = Doors(Site(engine))
    yield doors
    doors.close()

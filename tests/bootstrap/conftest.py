"""A site of its own for each test, on either engine."""

import logging
from collections.abc import Iterator

import pytest
import structlog
from tests.support.site import Site

from muster.storage.engine import Engine


@pytest.fixture
def site(engine: Engine) -> Site:
    """An installation without doors, empty but for its authority."""
    return Site(engine)


@pytest.fixture
def _as_before() -> Iterator[None]:
    """Logging is set up anew by a test, and afterwards as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    structlog.reset_defaults()

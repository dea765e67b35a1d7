"""A site of its own for each test, on either engine."""

import pytest
from tests.support.site import Site

from muster.storage.engine import Engine


@pytest.fixture
def site(engine: Engine) -> Site:
    """An installation without doors, empty but for its authority."""
    return Site(engine)

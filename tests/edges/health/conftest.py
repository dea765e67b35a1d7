"""Whoever asks about the health of a process over an empty database."""

import pytest
from tests.support.runner import InlineRunner

from muster.storage.sqlite import SqliteEngine


@pytest.fixture
def runner(sqlite_engine: SqliteEngine) -> InlineRunner:
    """The runner of the process under test."""
    return InlineRunner(sqlite_engine)

"""A console over an empty database, and visitors of it."""

import pytest
from tests.support.browser import Browser
from tests.support.runner import InlineRunner
from tests.support.site import Site

from muster.edges.console.app import make_console
from muster.operations.sign_in import create_sign_in_links
from muster.storage.sqlite import SqliteEngine


@pytest.fixture
def runner(sqlite_engine: SqliteEngine) -> InlineRunner:
    """The runner of the console under test."""
    return InlineRunner(sqlite_engine)


@pytest.fixture
def site(sqlite_engine: SqliteEngine, runner: InlineRunner) -> Site:
    """A site with an authority, over the database of the console under test."""
    site = Site(sqlite_engine)
    site.runner = runner
    return site


@pytest.fixture
def visitor(runner: InlineRunner) -> Browser:
    """Somebody who is not signed in."""
    return Browser(make_console(runner, secure_cookies=False))


@pytest.fixture
def link(runner: InlineRunner) -> str:
    """The path of a fresh sign-in link."""
    [made] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ana"], runner.context()))
    return f"/sign-in/{made.token}"


@pytest.fixture
def ana(visitor: Browser, link: str) -> Browser:
    """Ana, who is signed in."""
    assert visitor.post(link).status == 303
    return visitor

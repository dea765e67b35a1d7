"""A browser for whole journeys, somebody signed in to a console, and the folder in which pictures are kept."""

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import pytest
from tests.edges.console.test_passkeys_in_a_browser import serving
from tests.support.chromium import Chromium, chromium
from tests.support.runner import InlineRunner

from muster.operations.sign_in import create_sign_in_links

PICTURES = "MUSTER_TEST_PICTURES"
"""Names the folder in which pictures outlive the tests; without it they are kept as the tests' other files are."""


class Console(Protocol):
    """Serves the console and has Ana, an owner, sign in there; yields its address."""

    def __call__(self) -> AbstractContextManager[str]:
        """Begin."""
        ...


@pytest.fixture
def pictures(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Where this journey's pictures go."""
    kept = os.environ.get(PICTURES)
    if kept is None:
        return tmp_path
    folder: Path = Path(kept) / request.node.name.removeprefix("test_")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Chromium]:
    """A browser with a profile of its own, which downloads into `tmp_path / "downloads"`."""
    with chromium(tmp_path / "profile") as browser:
        downloads = tmp_path / "downloads"
        downloads.mkdir()
        browser.tell("Page.setDownloadBehavior", behavior="allow", downloadPath=str(downloads))
        yield browser


@pytest.fixture
def console(runner: InlineRunner, browser: Chromium) -> Console:
    """The console over what the test puts into its database first."""

    @contextmanager
    def begin() -> Iterator[str]:
        [link] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ana"], runner.context()))
        with serving(runner) as url:
            browser.open(f"{url}/sign-in/{link.token}")
            browser.run("document.querySelector('form button').click()")
            browser.wait_for("location.pathname === '/' || location.pathname === '/devices'")
            browser.wait_for("document.readyState === 'complete' && document.querySelector('.who')")
            yield url

    return begin

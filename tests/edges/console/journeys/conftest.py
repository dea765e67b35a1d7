"""A browser for whole journeys, and the folder in which their pictures are kept."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.chromium import Chromium, chromium

PICTURES = "MUSTER_TEST_PICTURES"
"""Names the folder in which pictures outlive the tests; without it they are kept as the tests' other files are."""


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

"""What the console does when something is wrong, and what every answer carries."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest
from tests.support import fleet
from tests.support.browser import Browser
from tests.support.runner import InlineRunner

from muster.edges import console
from muster.edges.console.app import make_console
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable

T = TypeVar("T")

BUDGET_BYTES = 60_000
"""CSS and JavaScript in all."""


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/nowhere", 404),
        ("GET", "/static/nothing.css", 404),
        ("DELETE", "/devices", 405),
        ("GET", "/sign-out", 405),
    ],
)
def test_errors_are_pages(visitor: Browser, method: str, target: str, status: int) -> None:
    reply = visitor.ask(method, target, [("sec-fetch-site", "same-origin")])

    assert reply.status == status
    assert "<h1>" in reply.text


class _Gone(InlineRunner):
    """A runner whose database is gone."""

    async def read(self, view: Callable[[Transaction], T]) -> T:
        del view
        raise Unavailable("the database can't be used now")


class _Broken(InlineRunner):
    """A runner with a mistake of ours in it."""

    async def read(self, view: Callable[[Transaction], T]) -> T:
        del view
        raise AssertionError("a secret of ours")


def _console_over(runner: InlineRunner) -> Browser:
    return Browser(make_console(runner, secure_cookies=False), {"muster_session": "any"})


def test_a_database_that_is_gone_is_said_with_when_to_come_back(runner: InlineRunner) -> None:
    reply = _console_over(_Gone(runner.engine)).get("/devices")

    assert (reply.status, reply.header("retry-after")) == (503, "5")
    assert "database" in reply.text


def test_a_mistake_of_ours_is_said_without_its_inside(runner: InlineRunner) -> None:
    reply = _console_over(_Broken(runner.engine)).get("/devices")

    assert reply.status == 500
    assert "secret" not in reply.text
    assert reply.header("content-security-policy") is not None


@pytest.mark.parametrize(
    "target", ["/sign-in", "/sign-in/x", "/devices", "/devices/A", "/nowhere", "/fragments/devices"]
)
def test_pages_run_nothing_inline_and_fetch_nothing_elsewhere(runner: InlineRunner, ana: Browser, target: str) -> None:
    fleet.add_device(runner.engine, "A", name="Ana’s Mac")

    reply = ana.get(target)

    policy = reply.header("content-security-policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert reply.header("x-content-type-options") == "nosniff"
    assert reply.header("cache-control") == "no-store"
    for forbidden in ("style=", "<style", "javascript:", "onclick", "http://", "https://", "//cdn"):
        assert forbidden not in reply.text


def test_styles_and_scripts_are_served_for_ever_by_their_content(visitor: Browser) -> None:
    page = visitor.get("/sign-in").text
    url = page.partition('rel="stylesheet" href="')[2].partition('"')[0]

    reply = visitor.get(url)

    assert reply.status == 200
    assert reply.header("content-type") == "text/css; charset=utf-8"
    assert "immutable" in (reply.header("cache-control") or "")


def test_styles_and_scripts_are_small() -> None:
    files = (Path(console.__file__).parent / "static").iterdir()

    assert sum(path.stat().st_size for path in files) < BUDGET_BYTES

"""What devices and people call themselves is text on every page, and never a part of it."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest
import sqlalchemy as sa
from starlette.routing import Route
from tests.support.browser import Browser
from tests.support.fleet import add_command, add_device, add_report, add_user
from tests.support.runner import NOW, InlineRunner

from muster.edges.console import rendering
from muster.edges.console.rendering import device_url, inventory_url, mark_of, with_code
from muster.operations.enrollment_links import LinkOrder, create_links
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.views.marks import Mark, Shape, Tone
from muster.storage import schema

HOSTILE = "'\"><script>alert(1)</script><img src=x onerror=alert(2)>{{ 7*7 }}</td></svg>"
IPAD = "HOSTILE-1"
COMMAND = "C-1"
_OTHERS = {"/static/{name}", "/sign-out", "/audit/export"}
"""Which have none of it in a page."""


_KEPT = {"channel_id", "family", "os_version_key", "search_text"}
"""What devices don't say."""


class Parts(HTMLParser):
    """Notes what a page has that runs: scripts in it, handlers in attributes, addresses that are programs."""

    def __init__(self) -> None:
        super().__init__()
        self.running: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Look at one tag."""
        given = dict(attrs)
        if tag == "script" and "src" not in given:
            self.running.append("script")
        if given.get("src") == "x":
            self.running.append("img")
        self.running += [name for name in given if name.startswith("on") or name == "style"]
        self.running += [value for value in given.values() if value and value.lower().startswith("javascript:")]


@pytest.fixture
def hostile(ana: Browser, runner: InlineRunner) -> Browser:
    """Ana, among whose devices is one whose every name is hostile."""
    engine = runner.engine
    add_device(engine, IPAD, name=HOSTILE, serial_number=HOSTILE, os_version=HOSTILE, contacts=[NOW])
    add_user(engine, IPAD, "U", HOSTILE)
    facts = schema.device_facts
    texts = [one.name for one in facts.c if isinstance(one.type, sa.Text) and one.name not in _KEPT]
    engine.write(lambda tx: tx.connection.execute(sa.update(facts).values(dict.fromkeys(texts, HOSTILE))))
    add_command(engine, IPAD, COMMAND)
    add_report(engine, IPAD, "C-2", "Error", queued_at=NOW - timedelta(hours=1), reported_at=NOW)
    context = runner.context()
    engine.write(
        lambda tx: create_groups(tx, [GroupOrder("g", f"name = '{HOSTILE.replace(chr(39), chr(39) * 2)}'")], context)
    )
    engine.write(lambda tx: create_links(tx, [LinkOrder(1, timedelta(days=1), HOSTILE)], context))
    return ana


def pages(browser: Browser) -> Iterator[str]:
    """The addresses of all pages, of the device where they are of one."""
    ids = {"device_id": IPAD, "channel_id": IPAD, "command_uuid": COMMAND, "token": HOSTILE.replace("/", "")}
    for route in browser.app.routes:  # type: ignore[attr-defined]
        if isinstance(route, Route) and "GET" in (route.methods or ()) and route.path not in _OTHERS:
            filled = route.path.replace(":path", "")
            for name, value in ids.items():
                filled = filled.replace(f"{{{name}}}", value)
            yield filled


def running(text: str) -> list[str]:
    parts = Parts()
    parts.feed(text)
    parts.close()
    return parts.running


def test_no_page_runs_what_a_device_calls_itself(hostile: Browser) -> None:
    shown = {}
    for path in pages(hostile):
        reply = hostile.get(path)
        assert reply.status < 500, path
        shown[path] = reply.text
        assert running(reply.text) == [], path
        assert "<script>alert" not in reply.text, path
        assert "49</td>" not in reply.text, path

    assert [
        path for path in (f"/devices/{IPAD}", "/devices", "/fragments/devices") if "&lt;script" not in shown[path]
    ] == []


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("x\u202egpj.exe", "x\ufffdgpj.exe"),
        ("\u2067left open", "\u2067left open\u2069"),
        ("iPhone of \u2068Ada\u2069", "iPhone of \u2068Ada\u2069"),
        ("\u2069\u2067\u2068b", "\u2069\u2067\u2068b\u2069\u2069"),
        ("\u05e2\u05d3\u05d4", "\u05e2\u05d3\u05d4"),
    ],
)
def test_name_turns_nothing_around_that_stands_beside_it(
    ana: Browser, runner: InlineRunner, name: str, shown: str
) -> None:
    add_device(runner.engine, IPAD, name=name, contacts=[NOW])

    for path in ("/devices", f"/devices/{IPAD}", "/fragments/devices"):
        text = ana.get(path).text
        assert shown in text, path
        assert "\u202e" not in text, path


@pytest.mark.parametrize("path", ["/devices?search={}", "/devices?where={}", "/audit?by={}", "/sign-in/{}"])
def test_what_stands_in_an_address_is_text(hostile: Browser, path: str) -> None:
    reply = hostile.get(path.format(HOSTILE.replace("/", "%2F").replace(" ", "%20")))

    assert running(reply.text) == []
    assert "<script>alert" not in reply.text


@pytest.mark.parametrize(
    "drawn",
    [
        with_code(f"{HOSTILE} `{HOSTILE}` {HOSTILE}"),
        mark_of(Mark(HOSTILE, Shape.RING, Tone.OVER)),
        device_url(HOSTILE),
        inventory_url(HOSTILE),
    ],
)
def test_what_is_drawn_of_a_text_is_no_part_of_the_page(drawn: str) -> None:
    assert running(f"<a href='{drawn}'>{drawn}</a>") == []
    assert "<script>alert" not in drawn


def test_no_template_takes_a_text_for_a_part_of_the_page() -> None:
    templates = list((Path(rendering.__file__).parent / "templates").glob("*.html"))

    assert len(templates) > 30
    assert [one.name for one in templates if re.search(r"\|\s*safe\b|autoescape|Markup", one.read_text())] == []


def test_such_a_page_would_be_noticed() -> None:
    assert running(f"<td>{HOSTILE}") == ["script", "img", "onerror"]
    assert running("<a href='JavaScript:alert(1)'>") == ["JavaScript:alert(1)"]

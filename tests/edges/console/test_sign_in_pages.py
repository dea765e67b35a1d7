"""Signing in and out."""

from datetime import timedelta
from typing import Any
from urllib.parse import unquote

import pytest
import sqlalchemy as sa
from tests.support.browser import Browser
from tests.support.runner import NOW, InlineRunner

from muster.domain.access import SERVER, Actor
from muster.domain.sign_in_limits import TRIES_PER_ADDRESS, WINDOW
from muster.edges.console.app import make_console
from muster.edges.console.rendering import device_url
from muster.storage import schema
from muster.storage.sqlite import SqliteEngine


def test_the_front_door_leads_to_signing_in(visitor: Browser) -> None:
    reply = visitor.get("/")

    assert (reply.status, reply.header("location")) == (303, "/sign-in")


def test_the_front_door_leads_to_the_devices_when_signed_in(ana: Browser) -> None:
    reply = ana.get("/")

    assert (reply.status, reply.header("location")) == (303, "/devices")


def test_the_sign_in_page_says_how_to_get_a_link(visitor: Browser) -> None:
    assert "muster admins link" in visitor.get("/sign-in").text


def test_opening_a_link_uses_nothing_up(visitor: Browser, link: str) -> None:
    for _ in range(3):
        visitor.get(link)
        visitor.ask("HEAD", link)

    assert visitor.post(link).header("location") == "/"


def test_a_link_opens_once(visitor: Browser, link: str) -> None:
    visitor.post(link)
    again = visitor.post(link)

    assert again.status == 403
    assert "muster admins link" in again.text
    assert not again.cookies()


def test_an_expired_link_does_not_open(visitor: Browser, link: str, runner: InlineRunner) -> None:
    runner.time = NOW + timedelta(hours=25)

    assert visitor.post(link).status == 403


def test_the_session_cookie_is_kept_from_scripts_and_other_sites(visitor: Browser, link: str) -> None:
    line = visitor.post(link).cookies()["muster_session"].lower()

    assert "httponly" in line
    assert "samesite=lax" in line
    assert "path=/" in line
    assert "max-age=43200" in line
    assert "secure" not in line


def test_over_tls_the_cookie_never_leaves_without_it(runner: InlineRunner, link: str) -> None:
    visitor = Browser(make_console(runner, secure_cookies=True))

    line = visitor.post(link).cookies()["__Host-muster_session"].lower()

    assert "secure" in line
    assert "domain" not in line


def test_the_database_holds_no_token(ana: Browser, runner: InlineRunner) -> None:
    token = ana.cookies["muster_session"].encode()

    stored = runner.engine.read(lambda tx: tx.connection.execute(sa.select(schema.sessions.c.token_hash)).all())

    assert len(stored) == 1
    assert token not in stored[0].token_hash


def test_a_session_ends(ana: Browser, runner: InlineRunner) -> None:
    runner.time = NOW + timedelta(hours=13)

    assert ana.get("/devices").header("location") == "/sign-in"


def test_signing_out_ends_the_session_everywhere(ana: Browser) -> None:
    copied = Browser(ana.app, dict(ana.cookies))

    reply = ana.post("/sign-out")

    assert reply.header("location") == "/sign-in"
    assert "muster_session" not in ana.cookies
    assert copied.get("/devices").header("location") == "/sign-in"


def test_after_signing_in_one_is_where_one_wanted_to_be(visitor: Browser, link: str) -> None:
    visitor.get("/devices?q=mac&state=enrolled")

    assert visitor.post(link).header("location") == "/devices?q=mac&state=enrolled"
    assert "muster_return" not in visitor.cookies


@pytest.mark.parametrize("device_id", ["A:B@c", "?x#y", "100%", "ü"])
def test_the_page_of_any_device_is_found_again(visitor: Browser, link: str, device_id: str) -> None:
    visitor.get(device_url(device_id))

    location = visitor.post(link).header("location") or ""

    assert unquote(location) == f"/devices/{device_id}"
    assert location.isascii()
    assert not {"?", "#", " "} & set(location)


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/devices",
        "/sign-out",
        "/devicesX",
        "/devices/\x01",
        "javascript:alert(1)",
    ],
)
def test_a_planted_cookie_leads_nowhere_else(visitor: Browser, link: str, wanted: str) -> None:
    visitor.cookies["muster_return"] = wanted

    assert visitor.post(link).header("location") == "/"


@pytest.mark.parametrize(
    "headers",
    [
        [("sec-fetch-site", "cross-site")],
        [("sec-fetch-site", "same-site")],
        [("origin", "https://evil.example")],
        [("origin", "null")],
        [("origin", "http://localhost.evil.example")],
        [],
    ],
)
def test_what_comes_from_another_site_changes_nothing(
    visitor: Browser, link: str, headers: list[tuple[str, str]]
) -> None:
    refused = visitor.post(link, headers)

    assert refused.status == 403
    assert visitor.post(link).status == 303


@pytest.mark.parametrize(
    "headers",
    [
        [("sec-fetch-site", "same-origin")],
        [("sec-fetch-site", "none")],
        [("origin", "http://localhost")],
        [("origin", "https://LOCALHOST")],
    ],
)
def test_what_comes_from_our_own_pages_is_done(visitor: Browser, link: str, headers: list[tuple[str, str]]) -> None:
    assert visitor.post(link, headers).status == 303


def test_another_site_can_sign_nobody_out(ana: Browser) -> None:
    ana.post("/sign-out", [("sec-fetch-site", "cross-site")])

    assert ana.get("/devices").status == 200


class Counting(InlineRunner):
    """A runner that counts the transactions that write."""

    writes = 0

    async def write(self, operation: Any, items: Any, actor: Actor = SERVER) -> list[Any]:
        """Run *operation*, and count it."""
        self.writes += 1
        return await super().write(operation, items, actor)


@pytest.mark.parametrize(
    ("target", "fields"),
    [("/sign-in", {"name": "ana", "password": "wrong", "code": "1"}), ("/sign-in/a-link-that-is-guessed", {})],
)
def test_who_tries_too_often_costs_no_transaction_that_writes(
    sqlite_engine: SqliteEngine, target: str, fields: dict[str, str]
) -> None:
    runner = Counting(sqlite_engine)
    stranger = Browser(make_console(runner, secure_cookies=False))
    for number in range(TRIES_PER_ADDRESS):
        stranger.submit(target, {**fields, "name": str(number)} if fields else {})
    before = runner.writes

    replies = [stranger.submit(target, fields) for _ in range(5)]

    assert {reply.status for reply in replies} == {403}
    assert all("too many attempts" in reply.text for reply in replies)
    assert runner.writes == before
    runner.time += WINDOW
    stranger.submit(target, fields)
    assert runner.writes > before

"""One's own account, from the first link to a password and codes; and what no other site or session can do there."""

import base64
import re
from datetime import timedelta
from html import unescape

import pytest
from structlog.testing import capture_logs
from tests.support.browser import Browser, Reply
from tests.support.runner import InlineRunner

from muster.domain.one_time_passwords import as_text, password_of, step_at
from muster.edges.console.app import make_console
from muster.edges.console.forms import MAXIMUM_BYTES
from muster.operations.sign_in import create_sign_in_links

PASSWORD = "correct horse battery"


def hidden(reply: Reply) -> dict[str, str]:
    """Return the hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="(form_token|state)" value="([^"]*)"', reply.text)
    return {name: unescape(value) for name, value in found}


def secret_of(reply: Reply) -> bytes:
    found = re.search(r"type the secret: <code>([A-Z2-7 ]+)</code>", reply.text)
    assert found is not None
    return base64.b32decode(found[1].replace(" ", ""))


def set_up(browser: Browser, runner: InlineRunner) -> tuple[bytes, list[str]]:
    """Set a password and codes up; returns the secret, and the recovery codes."""
    fields = hidden(browser.get("/me"))
    reply = browser.submit("/me/password", {**fields, "password": PASSWORD, "again": PASSWORD})
    assert reply.status == 303, reply.text
    offer = browser.submit("/me/totp", fields)
    secret = secret_of(offer)
    typed = password_of(secret, step_at(runner.time))
    confirmed = browser.submit("/me/totp/confirm", {**hidden(offer), "code": typed})
    codes = re.findall(r"[a-z2-7]{4}(?:-[a-z2-7]{4}){3}", confirmed.text)
    assert (confirmed.status, len(codes)) == (200, 10)
    return secret, codes


@pytest.fixture
def stranger(runner: InlineRunner) -> Browser:
    """Another browser, where nobody is signed in."""
    return Browser(make_console(runner, secure_cookies=False))


def test_password_and_code_sign_in_another_browser(ana: Browser, stranger: Browser, runner: InlineRunner) -> None:
    secret, codes = set_up(ana, runner)
    runner.time += timedelta(minutes=1)
    code = password_of(secret, step_at(runner.time))

    wrong = stranger.submit("/sign-in", {"name": "ana", "password": PASSWORD, "code": "000000"})
    right = stranger.submit("/sign-in", {"name": "ana", "password": PASSWORD, "code": code})
    assert (wrong.status, right.status) == (403, 303)
    assert "wrong" in wrong.text
    assert PASSWORD not in wrong.text
    assert stranger.get("/me").status == 200

    third = Browser(stranger.app)
    assert third.submit("/sign-in", {"name": "ana", "password": PASSWORD, "code": codes[0]}).status == 303


def test_session_of_before_ends_with_the_sign_in(ana: Browser, runner: InlineRunner) -> None:
    before = dict(ana.cookies)
    [again] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ana"], runner.context()))

    ana.post(f"/sign-in/{again.token}")

    assert ana.cookies != before
    assert Browser(ana.app, before).get("/me").status == 303


def test_a_cookie_that_somebody_planted_is_no_session(visitor: Browser, link: str) -> None:
    visitor.cookies["muster_session"] = "planted"

    visitor.post(link)

    assert visitor.cookies["muster_session"] != "planted"
    assert Browser(visitor.app, {"muster_session": "planted"}).get("/me").status == 303


def test_sessions_are_listed_and_ended(ana: Browser, stranger: Browser, runner: InlineRunner) -> None:
    [other] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ana"], runner.context()))
    stranger.post(f"/sign-in/{other.token}")
    page = ana.get("/me")
    [end] = re.findall(r'action="(/me/sessions/[^"]+)"', page.text)

    assert "this one" in page.text
    assert ana.submit(end, hidden(page)).status == 303
    assert stranger.get("/me").status == 303


def test_nobody_ends_the_session_of_somebody_else(ana: Browser, stranger: Browser, runner: InlineRunner) -> None:
    for _ in range(2):
        [bens] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ben"], runner.context()))
        ben = Browser(stranger.app)
        ben.post(f"/sign-in/{bens.token}")
    [end] = re.findall(r'action="(/me/sessions/[^"]+)"', ben.get("/me").text)

    ana.submit(end, hidden(ana.get("/me")))

    assert end in ben.get("/me").text


@pytest.mark.parametrize(
    "path",
    [
        "/me/password",
        "/me/totp",
        "/me/totp/confirm",
        "/me/sessions/x/end",
        "/people/links",
        "/people/access",
        "/people/tokens",
    ],
)
def test_forms_take_the_token_of_the_session(ana: Browser, runner: InlineRunner, path: str) -> None:
    [link] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ana"], runner.context()))
    other = Browser(ana.app)
    other.post(f"/sign-in/{link.token}")
    of_another = hidden(other.get("/me"))
    for fields in ({}, {"form_token": "x" * 64}, {"form_token": "é"}, of_another):
        reply = ana.submit(path, {**fields, "password": PASSWORD, "again": PASSWORD})

        assert reply.status == 400
        assert "another session" in reply.text


@pytest.mark.parametrize("path", ["/me/password", "/me/totp", "/sign-in"])
def test_forms_of_other_sites_change_nothing(ana: Browser, path: str) -> None:
    token = hidden(ana.get("/me"))["form_token"]
    body = f"form_token={token}&password=pass-of-evil&again=pass-of-evil".encode()

    for headers in ([("sec-fetch-site", "cross-site")], [("origin", "https://evil.example")], []):
        assert ana.ask("POST", path, headers, body).status == 403


@pytest.mark.parametrize("body", [b"x" * (MAXIMUM_BYTES + 1), b"\xff\xfe", b"a=%ff", b"&a=1" * 300])
def test_what_is_no_form_is_refused(visitor: Browser, body: bytes) -> None:
    assert visitor.ask("POST", "/sign-in", [("sec-fetch-site", "same-origin")], body).status == 400


def test_who_signed_in_long_ago_changes_no_way_in(ana: Browser, runner: InlineRunner) -> None:
    runner.time += timedelta(minutes=31)
    fields = hidden(ana.get("/me"))

    for path in ("/me/password", "/me/totp"):
        reply = ana.submit(path, {**fields, "password": PASSWORD, "again": PASSWORD})

        assert (reply.status, "sign in again" in reply.text) == (400, True)


@pytest.mark.parametrize(("password", "again"), [("short", "short"), (PASSWORD, "another one"), ("x" * 257, "x" * 257)])
def test_unfit_password_is_refused(ana: Browser, password: str, again: str) -> None:
    fields = {**hidden(ana.get("/me")), "password": password, "again": again}

    reply = ana.submit("/me/password", fields)

    assert reply.status == 400
    assert password not in reply.text


def test_session_ends_when_nobody_asks_for_a_page(ana: Browser, runner: InlineRunner) -> None:
    for _ in range(3):
        runner.time += timedelta(minutes=50)
        assert ana.get("/me").status == 200
    for _ in range(3):
        runner.time += timedelta(minutes=50)
        last = ana.get("/fragments/devices")

    assert last.status == 401


def test_tries_are_bounded(visitor: Browser) -> None:
    fields = {"name": "ana", "password": "wrong", "code": "123456"}
    replies = [visitor.submit("/sign-in", fields) for _ in range(11)]

    assert "too many attempts" not in replies[9].text
    assert "too many attempts" in replies[10].text


def test_no_secret_of_signing_in_is_logged(
    ana: Browser, visitor: Browser, runner: InlineRunner, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logged, caplog.at_level("DEBUG"):
        secret, codes = set_up(ana, runner)
        [link] = runner.engine.write(lambda tx: create_sign_in_links(tx, ["ana"], runner.context()))
        stranger = Browser(visitor.app)
        stranger.post(f"/sign-in/{link.token}")
        stranger.post("/sign-in/guessed-link")
        stranger.submit("/sign-in", {"name": "ana", "password": "a wrong password", "code": codes[0]})
        fields = {**hidden(ana.get("/me")), "act": "create", "name": "t", "role": "viewer", "days": "7"}
        made = ana.submit("/people/tokens", fields)

    token = re.search(r"muster_[\w-]{32}", made.text)
    assert token is not None
    told = caplog.text + str(logged)
    cookies = [browser.cookies["muster_session"] for browser in (ana, stranger)]
    secrets = [PASSWORD, "a wrong password", link.token, "guessed-link", token[0], as_text(secret), *codes, *cookies]
    assert [one for one in secrets if one in told] == []
    assert [(line["event"], line["way"], line["source"]) for line in logged] == [
        ("sign_in_refused", "link", "127.0.0.1"),
        ("sign_in_refused", "password", "127.0.0.1"),
    ]


def test_a_mistyped_first_code_is_typed_again_under_the_same_picture(ana: Browser, runner: InlineRunner) -> None:
    offer = ana.submit("/me/totp", hidden(ana.get("/me")))
    wrong = ana.submit("/me/totp/confirm", {**hidden(offer), "code": "000000"})
    typed = password_of(secret_of(offer), step_at(runner.time))
    right = ana.submit("/me/totp/confirm", {**hidden(wrong), "code": typed})

    assert (wrong.status, secret_of(wrong)) == (400, secret_of(offer))
    assert "This is not the code that the application shows. Type the one that it shows now" in wrong.text
    assert "Keep these recovery codes" in right.text

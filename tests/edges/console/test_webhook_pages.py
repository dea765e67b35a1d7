"""Webhooks are added, tried, held up and removed in the console; their secrets are shown once."""

import re

import pytest
from tests.edges.console.test_people_pages import form_token, signed_in
from tests.support.browser import Browser, Reply
from tests.support.runner import NOW, InlineRunner

from muster.domain.events import EventType
from muster.domain.roles import Role
from muster.operations.views.webhooks import WebhookRow, list_deliveries, list_webhooks

FIELDS = {"name": "bridge", "url": "https://hooks.example.com/muster", "format": "muster"}


def submit(browser: Browser, path: str, **fields: str) -> Reply:
    return browser.submit(path, {"form_token": form_token(browser), **fields})


def webhooks(runner: InlineRunner) -> tuple[WebhookRow, ...]:
    return runner.engine.read(list_webhooks)


@pytest.fixture
def secret(ana: Browser) -> str:
    """The secret of a webhook that was added."""
    page = submit(ana, "/webhooks", **FIELDS)
    found = re.search(r'id="secret">([^<]+)<', page.text)
    assert found is not None, page.text
    return found[1]


def test_a_webhook_is_added_and_its_secret_shown_once(ana: Browser, runner: InlineRunner, secret: str) -> None:
    [row] = webhooks(runner)

    assert (row.name, row.url, row.format, row.state) == ("bridge", FIELDS["url"], "muster", "enabled")
    assert (row.allows_plain, row.allows_private) == (False, False)
    for path in ("/webhooks", "/webhooks/bridge"):
        page = ana.get(path)
        assert (page.status, secret in page.text) == (200, False)


def test_what_is_chosen_is_heeded(ana: Browser, runner: InlineRunner) -> None:
    fields = {**FIELDS, "event": "control.*", "allows_private": "yes", "allows_plain": "yes"}
    fields |= {"url": "http://10.0.0.7/x", "secret": "a secret of ours"}

    page = submit(ana, "/webhooks", **fields)

    [row] = webhooks(runner)
    assert page.status == 200
    assert set(row.event_types) == {one.value for one in EventType if one.value.startswith("control.")}
    assert (row.allows_plain, row.allows_private) == (True, True)


@pytest.mark.parametrize(
    "fields",
    [
        {"url": "http://hooks.example.com/"},
        {"url": "https://127.0.0.1/"},
        {"url": "javascript:alert(1)"},
        {"name": "Big Name"},
        {"name": ""},
        {"format": "xml"},
        {"event": "control.nothing"},
        {"secret": "short"},
    ],
)
def test_what_can_be_no_webhook_is_refused_and_what_was_typed_is_kept(
    ana: Browser, runner: InlineRunner, fields: dict[str, str]
) -> None:
    reply = submit(ana, "/webhooks", **{**FIELDS, **fields})

    assert (reply.status, 'role="alert"' in reply.text) == (400, True)
    assert "muster" in reply.text
    assert webhooks(runner) == ()


def test_a_test_is_sent_and_stands_among_what_waits(ana: Browser, runner: InlineRunner, secret: str) -> None:
    assert submit(ana, "/webhooks/bridge", act="test").status == 303

    rows = runner.engine.read(lambda tx: list_deliveries(tx, "bridge"))
    assert rows is not None
    assert [row.event_type for row in rows] == ["webhook.test"]
    assert "webhook.test" in ana.get("/webhooks/bridge").text


def test_it_is_paused_stopped_gone_on_with_and_removed(ana: Browser, runner: InlineRunner, secret: str) -> None:
    for state in ("paused", "disabled", "enabled"):
        assert submit(ana, "/webhooks/bridge", act="state", state=state).status == 303
        assert [row.state for row in webhooks(runner)] == [state]

    assert submit(ana, "/webhooks/bridge", act="remove").header("location") == "/webhooks"
    assert webhooks(runner) == ()
    assert ana.get("/webhooks/bridge").status == 404


def test_a_new_secret_is_another_one(ana: Browser, secret: str) -> None:
    page = submit(ana, "/webhooks/bridge", act="secret")

    assert page.status == 200
    assert secret not in page.text
    assert "signs, too, until" in ana.get("/webhooks/bridge").text


def test_events_are_sent_again_since_a_time(ana: Browser, secret: str) -> None:
    assert submit(ana, "/webhooks/bridge", act="replay", since=f"{NOW:%Y-%m-%dT%H:%M}").status == 303


@pytest.mark.parametrize(
    "fields",
    [
        {"act": "replay", "since": "yesterday"},
        {"act": "replay", "event_id": "nothing"},
        {"act": "state", "state": "asleep"},
        {"act": "burn"},
        {},
    ],
)
def test_what_no_form_sends_is_refused(ana: Browser, secret: str, fields: dict[str, str]) -> None:
    reply = submit(ana, "/webhooks/bridge", **fields)

    assert reply.status in {303, 400}
    assert reply.status == 400 or fields.get("event_id") is not None


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_only_those_who_tell_others_change_webhooks(
    ana: Browser, runner: InlineRunner, secret: str, role: Role
) -> None:
    eve = signed_in(runner, "eve", role)

    assert [eve.get(path).status for path in ("/webhooks", "/webhooks/bridge")] == [200, 200]
    assert 'name="act"' not in eve.get("/webhooks/bridge").text
    assert submit(eve, "/webhooks", **{**FIELDS, "name": "mine"}).status == 403
    for act in ("test", "secret", "remove", "state", "replay"):
        assert submit(eve, "/webhooks/bridge", act=act).status == 403
    assert ana.submit("/webhooks/bridge", {"act": "remove"}).status == 400
    assert [row.name for row in webhooks(runner)] == ["bridge"]

"""People and the audit log are for those whose roles have them; devices, for those whose scope has them."""

import hashlib
import json
import re

import pytest
import sqlalchemy as sa
from starlette.routing import Route
from tests.support.browser import Browser
from tests.support.fleet import add_command, add_device, add_user
from tests.support.runner import InlineRunner

from muster.domain.access import Actor, ActorKind
from muster.domain.roles import Role
from muster.edges.console.app import make_console
from muster.operations.manage_groups import GroupOrder, MembersOrder, add_members, create_groups
from muster.operations.set_roles import RoleOrder, set_roles
from muster.operations.sign_in import create_sign_in_links
from muster.operations.views.audit import verify_chain
from muster.protocol.identifiers import DeviceId
from muster.storage import schema

INSIDE, OUTSIDE = "INSIDE-1", "OUTSIDE-1"
ANA = Actor(ActorKind.ADMINISTRATOR, "ana", Role.OWNER)


def form_token(browser: Browser) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', browser.get("/me").text)
    assert found is not None
    return found[1]


def signed_in(runner: InlineRunner, name: str, role: Role, *groups: str) -> Browser:
    """Somebody with a role and a scope, signed in."""
    context = runner.context(actor=ANA)
    [link] = runner.engine.write(lambda tx: create_sign_in_links(tx, [name], context))
    runner.engine.write(lambda tx: set_roles(tx, [RoleOrder(name, role, groups)], context))
    browser = Browser(make_console(runner, secure_cookies=False))
    assert browser.post(f"/sign-in/{link.token}").status == 303
    return browser


@pytest.fixture
def ben(ana: Browser, runner: InlineRunner) -> Browser:
    """Ben, who runs the devices of one group alone, and sees as much as anybody does."""
    for one in (INSIDE, OUTSIDE):
        add_device(runner.engine, one, serial_number=f"SERIAL-{one}")
        add_user(runner.engine, one, "USER", "ada")
    context = runner.context(actor=ANA)
    runner.engine.write(lambda tx: create_groups(tx, [GroupOrder("mine")], context))
    runner.engine.write(lambda tx: add_members(tx, [MembersOrder("mine", (DeviceId(INSIDE),))], context))
    return signed_in(runner, "ben", Role.SECURITY, "mine")


def test_every_page_of_a_device_is_walked(ben: Browser) -> None:
    walked = {route.path for route in ben.app.routes if isinstance(route, Route) and "_id" in route.path}  # type: ignore[attr-defined]

    assert walked == {
        "/me/sessions/{session_id}/end",
        "/answer/{command_uuid}/{channel_id:path}",
        "/ask/{channel_id:path}",
        "/bulk/{act_id}",
        "/cancel/{command_uuid}/{channel_id:path}",
        "/command/{channel_id:path}",
        "/devices/{device_id:path}",
        "/fragments/answer/{command_uuid}/{channel_id:path}",
        "/fragments/bulk/{act_id}",
        "/fragments/devices/{device_id:path}",
        "/fragments/sends/{send_id}",
        "/inventory/{channel_id:path}",
        "/reach-links/{device_id:path}",
        "/leaving/{device_id:path}",
        "/push/{channel_id:path}",
        "/recovery/{channel_id:path}",
        "/secrets/{device_id:path}",
        "/sends/{send_id}",
    }


@pytest.mark.parametrize(
    "path",
    [
        "/devices/{}",
        "/fragments/devices/{}",
        "/inventory/{}",
        "/inventory/{}:USER",
        "/command/{}?type=DeviceLock",
        "/command/{}:USER",
        "/recovery/{}",
        "/secrets/{}",
        "/leaving/{}",
    ],
)
def test_a_device_outside_of_the_scope_is_as_one_that_there_is_not(ben: Browser, path: str) -> None:
    inside, outside, nobody = (ben.get(path.format(one)) for one in (INSIDE, OUTSIDE, "NOBODY"))

    assert inside.status == 200
    assert (outside.status, outside.body) == (404, nobody.body)
    assert OUTSIDE not in inside.text


@pytest.mark.parametrize(
    "path",
    [
        "/command/{}",
        "/command/{}:USER",
        "/recovery/{}",
        "/push/{}",
        "/ask/{}",
        "/cancel/UUID/{}",
        "/secrets/{}",
        "/leaving/{}",
    ],
)
def test_nothing_is_done_to_a_device_outside_of_the_scope(ben: Browser, runner: InlineRunner, path: str) -> None:
    everything = {"form_token": form_token(ben), "type": "DeviceLock", "act": "now", "serial": f"SERIAL-{OUTSIDE}"}
    before = runner.engine.read(lambda tx: tx.connection.execute(sa.select(schema.queue)).all())

    outside, nobody = (ben.submit(path.format(one), everything) for one in (OUTSIDE, "NOBODY"))

    assert (outside.status, outside.body) == (404, nobody.body)
    assert runner.engine.read(lambda tx: tx.connection.execute(sa.select(schema.queue)).all()) == before


def test_an_answer_outside_of_the_scope_is_as_one_that_there_is_not(ben: Browser, runner: InlineRunner) -> None:
    for one in (INSIDE, OUTSIDE):
        add_command(runner.engine, one, f"C-{one}")

    assert ben.get(f"/answer/C-{INSIDE}/{INSIDE}").status == 200
    for path in ("/answer/C-{}/{}", "/fragments/answer/C-{}/{}"):
        assert ben.get(path.format(OUTSIDE, OUTSIDE)).status == 404
        assert ben.get(path.format(OUTSIDE, INSIDE)).status == 404  # another's command by way of one's own device


@pytest.mark.parametrize(
    "query",
    ["", "?q=SERIAL", "?q=OUTSIDE-1", "?q=state+is+known", "?order=silent", "?state=enrolled", "?q=group+%3D+'mine'"],
)
def test_no_list_shows_a_device_outside_of_the_scope(ben: Browser, query: str) -> None:
    for path in ("/devices", "/fragments/devices"):
        reply = ben.get(path + query)

        assert reply.status == 200
        assert f"/devices/{OUTSIDE}" not in reply.text
        assert "SERIAL-OUTSIDE" not in reply.text


def test_the_fleet_is_not_for_who_is_limited(ben: Browser) -> None:
    assert ben.get("/").header("location") == "/devices"
    assert [ben.get(path).status for path in ("/people", "/audit", "/audit/export")] == [403, 403, 403]
    assert "/people" not in ben.get("/me").text


@pytest.mark.parametrize(
    ("role", "statuses"), [(Role.OPERATOR, [403, 403, 403]), (Role.SECURITY, [403, 200, 200]), (Role.OWNER, [200] * 3)]
)
def test_pages_take_their_role(ana: Browser, runner: InlineRunner, role: Role, statuses: list[int]) -> None:
    somebody = signed_in(runner, "eve", role)

    assert [somebody.get(path).status for path in ("/people", "/audit", "/audit/export")] == statuses
    assert ana.get("/people").status == 200


@pytest.mark.parametrize("path", ["/people/links", "/people/access", "/people/tokens"])
def test_only_owners_change_people(ana: Browser, runner: InlineRunner, path: str) -> None:
    somebody = signed_in(runner, "eve", Role.SECURITY)
    fields = {"form_token": form_token(somebody), "act": "role", "name": "eve", "role": "owner", "days": "7"}

    assert somebody.submit(path, fields).status == 403
    rows = runner.engine.read(lambda tx: tx.connection.execute(sa.select(schema.administrators.c.role)).all())
    assert sorted(role for (role,) in rows) == ["owner", "security"]
    assert ana.get("/people").status == 200


def test_a_role_holds_at_once(ana: Browser, ben: Browser) -> None:
    fields = {"form_token": form_token(ana), "act": "role", "name": "ben", "role": "owner"}

    assert ana.submit("/people/access", fields).status == 303
    assert ben.get("/people").status == 200
    assert ana.submit("/people/access", {**fields, "act": "disable"}).status == 303

    assert ben.get("/people").status == 303


def test_a_link_is_shown_once_and_opens(ana: Browser) -> None:
    reply = ana.submit("/people/links", {"form_token": form_token(ana), "name": "cleo"})
    found = re.search(r"/sign-in/[\w-]{32}", reply.text)
    assert found is not None
    cleo = Browser(ana.app)

    assert cleo.post(found[0]).status == 303
    assert found[0] not in ana.get("/people").text


def test_a_token_is_shown_once_and_revoked(ana: Browser) -> None:
    fields = {"form_token": form_token(ana), "name": "backup", "role": "operator", "days": "30"}
    made = ana.submit("/people/tokens", {**fields, "act": "create"})
    listed = ana.get("/people").text
    again = ana.submit("/people/tokens", {**fields, "act": "create"})
    revoked = ana.submit("/people/tokens", {**fields, "act": "revoke"})

    found = re.search(r"muster_[\w-]{32}", made.text)
    assert found is not None
    assert ("backup" in listed, found[0] in listed) == (True, False)
    assert (again.status, revoked.status) == (400, 303)
    assert "backup" not in ana.get("/people").text


@pytest.mark.parametrize(
    "fields",
    [
        {"act": "create", "name": "x", "role": "king", "days": "30"},
        {"act": "create", "name": "x", "role": "viewer", "days": "99999999999999999999"},
        {"act": "create", "name": "x", "role": "viewer", "days": "-1"},
        {"act": "revoke", "name": "nobody"},
    ],
)
def test_what_no_form_offers_is_refused(ana: Browser, fields: dict[str, str]) -> None:
    assert ana.submit("/people/tokens", {**fields, "form_token": form_token(ana)}).status == 400


def test_what_people_are_called_is_shown_as_it_is(ana: Browser, runner: InlineRunner) -> None:
    signed_in(runner, "<script>alert(1)</script>", Role.VIEWER)

    for path in ("/people", "/audit"):
        assert "<script>alert" not in ana.get(path).text


def test_the_log_is_filtered_and_paged(ana: Browser, runner: InlineRunner) -> None:
    for number in range(120):
        runner.engine.write(lambda tx, name=f"name {number}": create_sign_in_links(tx, [name], runner.context()))  # type: ignore[misc]
    first = ana.get("/audit?act=administrator.add")
    [earlier] = re.findall(r'href="(/audit\?[^"]+before=\d+)"', first.text)
    second = ana.get(earlier.replace("&amp;", "&"))

    assert ("name 119" in first.text, "name 1<" in first.text) == (True, False)
    assert ("name 1<" in second.text, "name 119" in second.text) == (True, False)
    assert "administrator.sign_in_link" not in first.text
    assert ana.get("/audit?before=x&act=%00&by=nobody").status == 200


def test_the_log_is_taken_away_whole_and_can_be_verified(ana: Browser, runner: InlineRunner) -> None:
    lines = [json.loads(line) for line in ana.get("/audit/export").text.splitlines()]
    former = b""
    for line in lines:
        row = [
            line[name] for name in ("sequence", "at", "actor_kind", "actor_name", "source", "act", "subject", "detail")
        ]
        text = json.dumps(row, sort_keys=True, separators=(",", ":"))
        former = hashlib.sha256(former + text.encode()).digest()

        assert line["hash"] == former.hex()
    assert former == runner.engine.read(verify_chain).last_hash
    assert lines[-1]["source"] == "127.0.0.1"

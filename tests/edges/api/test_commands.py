"""Commands by the interface: sent once however often they are asked for, looked at first, shown, taken back."""

import base64
import plistlib
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.admin_api import Program, make_token, program
from tests.support.pushed_fleet import add_fleet
from tests.support.site import Site

from muster.operations.answer_once import forget_answers
from muster.protocol.plist import read_plist
from muster.storage.schema import audit, commands, kept_answers, queue

KEY = "6f0f6c1e-5d1f-4f4e-9a1d-0d6d8b1f2a3c"


@pytest.fixture
def owner(site: Site) -> Program:
    add_fleet(site, 3)
    return program(site)


def to(*ids: str, **more: Any) -> dict[str, Any]:
    return {"request_type": "ProfileList", "ids": list(ids), **more}


def queued(site: Site) -> list[str]:
    return [row[0] for row in site.rows(sa.select(queue.c.channel_id).order_by(queue.c.channel_id))]


def test_command_waits_for_those_who_are_named(site: Site, owner: Program) -> None:
    sent = owner.post("/commands", to("A000", "A002", "A000"))

    assert sent["queued_on"] == ["A000", "A002"]
    assert queued(site) == ["A000", "A002"]
    assert owner.get("/devices/A000/commands")[0]["command_uuid"] == sent["command_uuid"]


def test_request_that_is_sent_again_is_done_once(site: Site, owner: Program) -> None:
    first = owner.ask("POST", "/commands", to("A000"), idempotency_key=KEY)

    again = owner.ask("POST", "/commands", to("A000"), idempotency_key=KEY)

    assert (again.status, again.body) == (first.status, first.body)
    assert queued(site) == ["A000"]


def test_key_of_another_request_is_refused(site: Site, owner: Program) -> None:
    owner.ask("POST", "/commands", to("A000"), idempotency_key=KEY)

    other = owner.ask("POST", "/commands", to("A001"), idempotency_key=KEY)

    assert (other.status, other.json()["code"]) == (422, "key_reused")
    assert queued(site) == ["A000"]


def test_keys_of_programs_are_their_own(site: Site, owner: Program) -> None:
    other = Program(owner.browser, make_token(site))
    owner.ask("POST", "/commands", to("A000"), idempotency_key=KEY)

    assert other.ask("POST", "/commands", to("A001"), idempotency_key=KEY).status == 200
    assert queued(site) == ["A000", "A001"]


def test_refusal_is_not_kept_under_its_key(site: Site, owner: Program) -> None:
    refused = owner.ask("POST", "/commands", to("A000", request_type="DeviceInformation"), idempotency_key=KEY)

    sent = owner.ask("POST", "/commands", to("A000"), idempotency_key=KEY)

    assert (refused.status, refused.json()["code"]) == (422, "command_malformed")
    assert sent.status == 200


def test_keys_are_kept_for_a_day(site: Site, owner: Program) -> None:
    owner.ask("POST", "/commands", to("A000"), idempotency_key=KEY)
    site.wait(hours=23, minutes=59)

    assert site.do(forget_answers, None) == [False]
    assert len(site.rows(sa.select(kept_answers.c.key))) == 1
    site.wait(minutes=2)
    site.do(forget_answers, None)

    assert site.rows(sa.select(kept_answers.c.key)) == []


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "\xe4"])
def test_what_is_no_key_is_refused(owner: Program, key: str) -> None:
    reply = owner.ask("POST", "/commands", to("A000"), idempotency_key=key)

    assert reply.json()["errors"][0]["path"] == "header.Idempotency-Key"


def test_key_is_refused_where_none_is_taken(owner: Program) -> None:
    assert owner.ask("POST", "/groups", {"name": "lab"}, idempotency_key=KEY).status == 400


def test_data_and_dates_of_a_command_are_told_apart_from_text(site: Site, owner: Program) -> None:
    when = "2027-01-01T00:00:00Z"
    keys = {"Data": {"$data": base64.b64encode(b"\0\1").decode()}}
    body = to(
        "A000", request_type="Unheard", keys={**keys, "At": {"$date": when}, "Inner": [{"Flag": True}]}, anyway=True
    )

    reply = owner.ask("POST", "/commands", body)

    [(stored,)] = site.rows(sa.select(commands.c.body))
    command = read_plist(stored)["Command"]
    assert isinstance(command, dict)
    assert (command["Data"], command["Inner"]) == (b"\0\1", [{"Flag": True}])
    shown = owner.get(f"/commands/{reply.json()['command_uuid']}")["command"]["Command"]
    assert (shown["At"], shown["Data"]) == ({"$date": when}, body["keys"]["Data"])


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"request_type": "ProfileList"}, "body"),
        (to("A000", where="id is known"), "body"),
        (to("A000", dry_run=True), "body"),
        (to("A000", colour="red"), "body.colour"),
        (to("A000", retries=1000), "body.retries"),
        (to("A000", priority="high"), "body.priority"),
        (to(), "body.ids"),
        (to("A000", keys={"A": None}), "body.keys.A"),
        (to("A000", keys={"A": {"$data": "?"}}), "body.keys.A"),
        (to("A000", keys={"A": {"$date": "tomorrow"}}), "body.keys.A"),
        (to("A000", keys={"A": "\x02"}), "body.keys"),
        (to("A000", keys={"RequestType": "EraseDevice"}), "body.keys.RequestType"),
        (to("A000", command_uuid="\x02"), "body.command_uuid"),
        (to("A000", expires_at="2027-01-01T00:00:00"), "body.expires_at"),
        (to("A\x00"), "body.ids[0]"),
        (b'{"request_type": "ProfileList", "request_type": "EraseDevice", "ids": ["A000"]}', "body"),
        (b'{"request_type": "ProfileList", "ids": ["A000"], "priority": NaN}', "body"),
        (b'{"ids": ["\\ud800"], "request_type": "ProfileList"}', "body.ids[0]"),
        (b"[]", "body"),
        (b"\xff", "body"),
        (b"[" * 100_000, "body"),
        (b"", "body"),
    ],
)
def test_wrong_bodies_are_refused_where_they_are_wrong(site: Site, owner: Program, body: Any, path: str) -> None:
    reply = owner.ask("POST", "/commands", body)

    assert (reply.status, reply.json()["code"]) == (400, "request_malformed")
    assert [one["path"] for one in reply.json()["errors"]][:1] == [path]
    assert queued(site) == []


def test_body_of_another_type_or_size_is_refused(owner: Program) -> None:
    form = owner.browser.ask(
        "POST", "/api/v1/commands", [("authorization", f"Bearer {owner.token}"), ("content-type", "text/plain")], b"{}"
    )
    large = owner.ask("POST", "/groups", b" " * (1024 * 1024 + 1))

    assert (form.status, large.status) == (415, 413)


def test_query_is_looked_at_before_it_is_sent(site: Site, owner: Program) -> None:
    body = {"request_type": "ProfileList", "where": "id in ('A000', 'A001')"}

    looked = owner.post("/commands", {**body, "dry_run": True})
    before = queued(site)
    sent = owner.post("/commands", body)

    assert looked["preview"]["fit"] == ["A000", "A001"]
    assert before == []
    assert sent["send"]["matched"] == 2
    assert [one["id"] for one in owner.get("/sends")] == [sent["send"]["id"]]
    assert owner.get(f"/sends/{sent['send']['id']}")["query"] == body["where"]


def test_what_stops_work_goes_to_a_query_with_its_count_alone(owner: Program) -> None:
    body = {"request_type": "RestartDevice", "where": "id is known"}

    codes = [owner.ask("POST", "/commands", {**body, **more}).json()["code"] for more in ({}, {"named_count": 2})]

    assert codes == ["count_wrong", "count_wrong"]


def test_command_is_taken_back(site: Site, owner: Program) -> None:
    uuid = owner.post("/commands", to("A000", "A001"))["command_uuid"]

    one = owner.ask("DELETE", f"/commands/{uuid}?channel_id=A000").json()
    rest = owner.ask("DELETE", "/devices/A001/commands").json()

    assert [[each["channel_id"] for each in part["commands"]] for part in (one, rest)] == [["A000"], ["A001"]]
    assert queued(site) == []
    assert owner.ask("DELETE", f"/commands/{uuid}").json()["code"] == "not_found"


def test_profile_is_installed_once(site: Site, owner: Program) -> None:
    payload = {"PayloadType": "Configuration", "PayloadVersion": 1, "PayloadIdentifier": "com.example.p"}
    profile = plistlib.dumps({**payload, "PayloadUUID": "1", "PayloadContent": []})
    body = {"mobileconfig": base64.b64encode(profile).decode()}

    replies = [owner.ask("POST", "/devices/A000/profiles", body, idempotency_key=KEY) for _ in range(2)]

    assert [reply.status for reply in replies] == [200, 200], replies[0].text
    assert queued(site) == ["A000"]
    assert [one["identifier"] for one in owner.get("/devices/A000/profiles")] == ["com.example.p"]


def test_who_sent_it_stands_in_the_audit_log(site: Site, owner: Program) -> None:
    owner.post("/commands", to("A000"))

    acts = site.rows(sa.select(audit.c.actor_kind, audit.c.source, audit.c.act).where(audit.c.act == "command.queue"))
    assert acts == [("token", "127.0.0.1", "command.queue")]


def test_expiry_is_in_the_future(site: Site, owner: Program) -> None:
    past = (site.now - timedelta(hours=1)).isoformat()

    assert owner.ask("POST", "/commands", to("A000", expires_at=past)).status == 422

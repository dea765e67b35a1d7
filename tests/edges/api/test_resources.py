"""What else there is, each as a program goes about it."""

import base64
import json

import pytest
import sqlalchemy as sa
from tests.support.admin_api import US, Program, program
from tests.support.pushed_fleet import add_fleet
from tests.support.site import IPAD, MAC, Site, id_of

from muster.operations.act_by_query import continue_bulk_acts
from muster.operations.review_channels import review_channels
from muster.operations.sign_in import create_sign_in_links
from muster.storage.schema import audit, bulk_acts, push_wishes


@pytest.fixture
def owner(site: Site) -> Program:
    add_fleet(site, 3)
    return program(site)


def test_who_asks_is_told_what_they_may(owner: Program) -> None:
    me = owner.get("/me")

    assert (me["role"], me["groups"]) == ("owner", None)
    assert "erase" in me["permissions"]


def test_fleet_is_said_in_a_sentence_and_in_numbers(owner: Program) -> None:
    fleet = owner.get("/fleet")

    assert fleet["sentence"] == "No device is judged yet."
    assert fleet["control"]["total"] == 0
    assert owner.get("/fleet/incidents") == []
    assert isinstance(owner.get("/fleet/history?days=3"), list)


def test_verdict_comes_with_what_each_rule_says(owner: Program) -> None:
    why = owner.get("/devices/A000/verdict")

    assert why["held"] is None
    assert [rule["rule"] for rule in why["rules"] if rule["decides"]] != []
    assert why["found"]["state"]


def test_timeline_and_inventory_are_those_of_the_device(owner: Program) -> None:
    assert owner.get("/devices/A000/timeline?days=7")["device_id"] == "A000"
    assert owner.get("/devices/A000/inventory")["channel_id"] == "A000"


def test_device_is_asked_for_its_inventory(owner: Program) -> None:
    asked = owner.post("/devices/A000/inventory", {"kinds": ["SecurityInfo"]})

    assert asked["kinds"] + asked["unfit"] == ["SecurityInfo"]


def test_device_is_pushed(site: Site, owner: Program) -> None:
    owner.post("/devices/A000/push")

    assert site.rows(sa.select(push_wishes.c.channel_id)) == [("A000",)]
    assert [one["channel_id"] for one in owner.get("/devices/A000/push")] == ["A000"]
    assert "topics" in owner.get("/push")


def test_queue_is_paused_and_goes_on(owner: Program) -> None:
    paused = owner.ask("PUT", "/devices/A000/pause", {"reason": "under repair"}).json()
    resumed = owner.ask("DELETE", "/devices/A000/pause").json()

    assert (paused["channel_id"], paused["reason"]) == ("A000", "under repair")
    assert resumed["was_paused"]["reason"] == "under repair"


def test_recovery_is_shown_with_what_comes_next(owner: Program) -> None:
    assert owner.get("/devices/A000/recovery")["channel_id"] == "A000"
    assert owner.get("/recoveries") == []
    assert owner.ask("POST", "/devices/A000/recovery/stop").status in range(200, 500)


def test_recovery_is_put_off_for_a_month_at_most(site: Site) -> None:
    site.enroll()
    site.wait(days=45)
    site.do(review_channels, None)
    path = f"/devices/{id_of(MAC)}/recovery"
    owner = program(site)

    refused = owner.ask("POST", f"{path}/put-off", {"rest_seconds": 30 * 86400 + 1})
    done = owner.post(f"{path}/put-off", {"rest_seconds": 7 * 86400})

    assert (refused.status, refused.json()["errors"][0]["path"]) == (400, "body.rest_seconds")
    assert done["steps"][0].startswith("put off until ")
    assert {one["next"] for one in owner.get(path)["recoveries"]} == {"nothing before then: it was put off"}


def test_what_is_found_is_done_to_once_and_looked_at_first(site: Site, owner: Program) -> None:
    body = {"kind": "push", "where": "id in ('A000', 'A001')"}

    looked = owner.post("/bulk-acts/preview", body)
    before = site.rows(sa.select(bulk_acts.c.id))
    replies = [owner.ask("POST", "/bulk-acts", body, idempotency_key="one") for _ in range(2)]
    act_id = replies[0].json()["id"]
    while site.do(continue_bulk_acts, None) != [None]:
        pass

    assert (looked["matched"], [one["id"] for one in looked["first"]], before) == (2, ["A000", "A001"], [])
    assert replies[0].json() == replies[1].json()
    assert [one["id"] for one in owner.get("/bulk-acts")] == [act_id]
    assert owner.get(f"/bulk-acts/{act_id}")["done"] == 2
    assert sorted(site.rows(sa.select(push_wishes.c.channel_id))) == [("A000",), ("A001",)]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"kind": "group", "where": "id is known"}, 400, "request_malformed"),
        ({"kind": "push", "where": "id is known", "group": "lab"}, 400, "request_malformed"),
        ({"kind": "erase", "where": "id is known"}, 400, "request_malformed"),
        ({"kind": "group", "where": "id is known", "group": "lab"}, 404, "not_found"),
        ({"kind": "push", "where": "id = 'nobody'"}, 404, "not_found"),
        ({"kind": "push", "where": "id is"}, 422, "query_unfit"),
    ],
)
def test_what_can_not_be_done_to_many_is_refused(
    site: Site, owner: Program, body: dict[str, str], status: int, code: str
) -> None:
    replies = [owner.ask("POST", f"/bulk-acts{which}", body) for which in ("", "/preview")]

    assert [(one.status, one.json()["code"]) for one in replies] == [(status, code)] * 2
    assert site.rows(sa.select(bulk_acts.c.id)) == []
    assert owner.ask("GET", "/bulk-acts/nothing").status == 404


def test_group_is_made_renamed_filled_and_deleted(owner: Program) -> None:
    owner.post("/groups", {"name": "lab"})
    changed = owner.post("/groups/lab/members/add", {"ids": ["A000", "A001"]})
    removed = owner.post("/groups/lab/members/remove", {"ids": ["A001"]})
    owner.ask("PUT", "/groups/lab/name", {"name": "lab / 2"})

    listed = {one["name"]: one["devices"] for one in owner.get("/groups")}
    found = owner.get("/devices?where=group%20%3D%20'lab%20/%202'")

    assert (changed["members"], removed["members"]) == (2, 1)
    assert listed["lab / 2"] == 1
    assert [one["id"] for one in found["items"]] == ["A000"]
    assert owner.ask("DELETE", "/groups/lab%20%2F%202").status == 200
    assert owner.ask("DELETE", "/groups/lab%20%2F%202").status == 404


def test_group_of_a_name_that_is_taken_is_refused(owner: Program) -> None:
    owner.post("/groups", {"name": "lab", "where": "id is known"})

    reply = owner.ask("POST", "/groups", {"name": "LAB"})

    assert (reply.status, reply.json()["code"]) == (409, "conflict")


def test_link_is_made_listed_and_withdrawn(owner: Program) -> None:
    made = owner.post("/links", {"uses": 5, "note": "new Macs", "lifetime_seconds": 3600})
    listed = owner.get("/links")
    owner.ask("DELETE", f"/links/{made['id']}")

    assert made["url"] == f"{US}/enroll/{made['token']}"
    assert [(one["link"]["id"], one["state"]) for one in listed] == [(made["id"], "open")]
    assert made["token"] not in json.dumps(listed)
    assert owner.get("/links")[0]["state"] == "revoked"


def test_secret_is_revealed_and_who_saw_it_is_written_down(site: Site, owner: Program) -> None:
    lock = {"request_type": "DeviceLock", "keys": {"PIN": "483920"}, "ids": ["A000"], "anyway": True}
    sent = owner.post("/commands", lock, idempotency_key="lock-1")

    listed = owner.get("/devices/A000/secrets")
    shown = owner.get(f"/commands/{sent['command_uuid']}")
    seen = owner.post("/devices/A000/secrets/reveal", {"kind": "lock_pin", "reason": "she is at the desk"})

    assert [one["kind"] for one in listed] == ["lock_pin"]
    assert "483920" not in json.dumps([sent, listed, shown])
    assert (seen["value"], seen["encoding"]) == ("483920", "text")
    [(source, detail)] = site.rows(sa.select(audit.c.source, audit.c.detail).where(audit.c.act == "secret.reveal"))
    assert (source, detail["reason"]) == ("127.0.0.1", "she is at the desk")


def test_webhook_is_added_tried_paused_and_removed(owner: Program) -> None:
    made = owner.post(
        "/webhooks", {"name": "siem", "url": "https://receiver.example/hook", "event_types": ["control.*"]}
    )
    event = owner.post("/webhooks/siem/test")
    owner.ask("PUT", "/webhooks/siem/state", {"state": "paused"})
    fresh = owner.post("/webhooks/siem/secret")

    [listed] = owner.get("/webhooks")

    assert made["secret"] != fresh["secret"]
    assert (listed["state"], listed["waiting"]) == ("paused", 1)
    assert [one["event_id"] for one in owner.get("/webhooks/siem/deliveries")] == [event["id"]]
    assert owner.ask("DELETE", "/webhooks/siem").status == 204
    assert owner.ask("GET", "/webhooks/siem/deliveries").status == 404


def test_token_is_made_used_and_revoked(owner: Program) -> None:
    made = owner.post("/tokens", {"name": "backup", "role": "viewer", "lifetime_seconds": 3600})
    other = Program(owner.browser, made["secret"])

    role = other.get("/me")["role"]
    listed = owner.get("/tokens")
    owner.ask("DELETE", "/tokens/backup")

    assert role == "viewer"
    assert made["secret"] not in json.dumps(listed)
    assert other.ask("GET", "/me").status == 401


def test_administrator_is_given_a_role_and_shut_out(site: Site, owner: Program) -> None:
    site.do(create_sign_in_links, "ana")
    invited = owner.post("/administrators", {"name": "ben"})

    reply = owner.ask("PUT", "/administrators/ben/access", {"role": "helpdesk", "is_disabled": True})
    [ben] = [one for one in owner.get("/administrators") if one["name"] == "ben"]

    assert invited["url"].startswith(f"{US}/sign-in/")
    assert reply.status == 204, reply.text
    assert owner.ask("DELETE", "/administrators/ben/sessions").status == 204
    assert (ben["role"], ben["disabled_at"] is None) == ("helpdesk", False)


def test_audit_log_is_paged_taken_away_and_verified(owner: Program) -> None:
    for number in range(5):
        owner.post("/groups", {"name": f"group {number}"})
    seen, cursor = [], ""

    while True:
        page = owner.get(f"/audit?act=group&limit=2{cursor}")
        seen += [one["subject"] for one in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    lines = owner.ask("GET", "/audit/export").text.splitlines()
    assert seen == [f"group {number}" for number in (4, 3, 2, 1, 0)]
    assert [json.loads(line)["sequence"] for line in lines] == list(range(1, len(lines) + 1))
    assert owner.get("/audit/verification")["broken_at"] is None


def test_policies_are_set_and_told(owner: Program) -> None:
    former = {one["name"]: one["value"] for one in owner.get("/policies")}
    wanted = {"rotate_on_reveal": ["filevault_key"], "mass_flip_share": 35, "network_users": "accept"}

    replies = {name: owner.ask("PUT", f"/policies/{name}", {"value": value}) for name, value in wanted.items()}
    unfit = owner.ask("PUT", "/policies/on_enroll", {"value": {"a": 1}})
    standing = {one["name"]: one for one in owner.get("/policies")}

    assert {name: reply.status for name, reply in replies.items()} == dict.fromkeys(wanted, 200), replies
    assert {name: reply.json()["former"] for name, reply in replies.items()} == {name: former[name] for name in wanted}
    assert standing["rotate_on_reveal"]["value"] == ["filevault_key"]
    assert standing["rotate_on_reveal"]["changed_by"].startswith("owner")
    assert (unfit.status, unfit.json()["code"]) == (422, "policy_unfit")
    assert owner.ask("PUT", "/policies/colour", {"value": "red"}).status == 404
    assert isinstance(owner.get("/control-policies"), list)


def test_report_counts_the_fleet(owner: Program) -> None:
    report = owner.get("/reports/control")

    assert report["count"] == 3
    assert owner.ask("GET", "/reports/control?at=2999-01-01T00:00:00Z").status == 400


def test_commands_are_described(owner: Program) -> None:
    listed = [one["request_type"] for one in owner.get("/command-types")]
    described = owner.get("/command-types/DeviceLock")

    assert "DeviceLock" in listed
    assert "PIN" in [key["name"] for key in described["request"]]
    assert owner.ask("GET", "/command-types/Nothing").status == 404


def test_push_certificates_are_listed_and_what_is_none_is_refused(owner: Program) -> None:
    body = {"certificate": base64.b64encode(b"no certificate").decode()}

    reply = owner.ask("POST", "/push-certificates", body)

    assert (reply.status, reply.json()["code"]) == (422, "push_certificate_unfit")
    assert "topics" in owner.get("/push-certificates")


def test_app_is_installed_and_listed(owner: Program) -> None:
    body = {"keys": {"iTunesStoreID": 409183694}, "anyway": True}

    queued = [owner.ask("POST", "/devices/A000/apps", body, idempotency_key="app-1").json() for _ in range(2)]

    assert queued[0] == queued[1]
    assert queued[0]["queued_on"] == ["A000"]
    assert len(owner.get("/devices/A000/apps")) == 1


def test_identities_are_listed_page_by_page(site: Site, owner: Program) -> None:
    site.enroll(MAC)
    site.enroll(IPAD)
    seen, cursor = [], ""

    while True:
        page = owner.get(f"/identities?limit=1{cursor}")
        seen += [row["device_id"] for row in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"

    assert sorted(seen) == sorted([id_of(MAC), id_of(IPAD)])


def test_device_is_let_go(owner: Program) -> None:
    done = owner.post("/leaving/reject", {"ids": ["A000", "nobody"]})

    assert done["ids"] == ["A000"]
    assert done["refused"]["nobody"]["code"] == "not_found"
    assert owner.get("/held-commands") == []

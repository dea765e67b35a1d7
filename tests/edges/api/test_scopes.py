"""Every endpoint by those who may not: a role that is too small, and a scope that is too narrow."""

import base64
from dataclasses import fields
from typing import Any

import pytest
import sqlalchemy as sa
from tests.support.admin_api import Program, program
from tests.support.pushed_fleet import add_fleet
from tests.support.site import MAC, Site, id_of

from muster.domain.permissions import LEAST_ROLE, Permission
from muster.domain.roles import Role, has
from muster.edges.api.endpoints import Endpoint
from muster.edges.api.table import TABLE
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.storage import schema

OUTSIDE = "A001"
"""A device that is there, and not in the group that the token is limited to."""
NAMES = {"device_id": OUTSIDE, "channel_id": OUTSIDE, "kind": "recovery_lock"}
"""What stands in paths; all else is called x."""
BODIES: dict[str, Any] = {
    "send_command": {"request_type": "RestartDevice", "ids": [OUTSIDE]},
    "order_bulk_act": {"kind": "push", "where": "id is known"},
    "preview_bulk_act_order": {"kind": "push", "where": "id is known"},
    "cancel_command_on": {"ids": [OUTSIDE]},
    "ask_for_inventory": {},
    "install_profile": {"mobileconfig": base64.b64encode(b"<plist/>").decode()},
    "install_app": {"keys": {"iTunesStoreID": 409183694}},
    "change_secret": {"act": "rotate"},
    "supply_adopted_profile": {"ids": [OUTSIDE], "mobileconfig": base64.b64encode(b"<plist/>").decode()},
    "add_enrollment_user": {"user_name": "eve@example.org", "password": "correct horse battery"},
    "set_enrollment_password": {"password": "correct horse battery"},
    "add_witness": {"name": "new", "kind": "agent"},
    "add_signal_receiver": {"name": "new", "audience": "https://receiver.example/"},
    "turn_signal_stream": {"state": "paused"},
    "set_return_policy": {"is_enabled": True},
    "return_device": {},
    "request_push_certificate": {},
    "upload_vendor_certificate": {"certificate": "eA=="},
    "unenroll": {"ids": [OUTSIDE]},
    "reject": {"ids": [OUTSIDE]},
    "withdraw_rejection": {"ids": [OUTSIDE]},
    "settle_held": {"release": True},
    "upload_push_certificate": {"certificate": "eA=="},
    "pause_channel": {"reason": "a test"},
    "put_off_channel_recovery": {"rest_seconds": 86400},
    "confirm_recovery_step": {"step": "re_enroll"},
    "reveal_secret": {"kind": "filevault_key"},
    "create_group": {"name": "new"},
    "set_group_query": {"where": "id is known"},
    "rename_group": {"name": "new"},
    "add_group_members": {"ids": [OUTSIDE]},
    "remove_group_members": {"ids": [OUTSIDE]},
    "create_link": {},
    "add_webhook": {"name": "new", "url": "https://receiver.example/"},
    "set_webhook_state": {"state": "paused"},
    "replay_webhook": {"event_id": "x"},
    "set_administrator_access": {"role": "viewer"},
    "invite_administrator": {"name": "eve"},
    "create_token": {"name": "new", "role": "owner", "lifetime_seconds": 3600},
    "set_policy": {"value": "true"},
    "set_control_policy": {"settings": {}},
    "preview_control_policy": {"settings": {}},
    "set_control_policy_order": {"groups": ["x"]},
    "end_flip": {"release": True},
    "make_mac_administrator": {"short_name": "admin"},
}
ABOUT_ONE = [one for one in TABLE if {"device_id", "channel_id"} & set(one.parameters)]
ABOUT_NO_DEVICE = {"list_command_types", "describe_command_type", "tell_who_asks"}
THEIR_OWN = {"list_acts_on_many", "get_bulk_act", "list_sends", "get_send"}
"""What shows, of all, what they ordered themselves; tests of their own have them."""
NARROWED = {"find_named", "list_devices", "export_devices", "list_all_identities"}
"""What shows, of all, those in the scope."""
BY_WHAT_IS_NAMED = {
    "send_command",
    "order_bulk_act",
    "preview_bulk_act_order",
    "get_command",
    "cancel_command",
    "cancel_command_on",
    "unenroll",
    "reject",
    "withdraw_rejection",
}
"""What is about the devices that a body or a parameter names; tests of their own have them."""
ABOUT_EVERYBODY = [
    one
    for one in TABLE
    if one not in ABOUT_ONE and one.name not in ABOUT_NO_DEVICE | THEIR_OWN | NARROWED | BY_WHAT_IS_NAMED
]


def ask(who: Program, one: Endpoint) -> Any:
    path = one.path
    for name in one.parameters:
        path = path.replace(f"{{{name}}}", NAMES.get(name, "x"))
    return who.ask(one.method, path, BODIES[one.name] if one.body is not None else None)


@pytest.fixture
def fleet(site: Site) -> Site:
    """Two devices, one of them in a group."""
    inside, _ = add_fleet(site, 2)
    site.do(create_groups, GroupOrder("lab", f"id = '{inside}'"))
    return site


def rows_of(site: Site) -> list[int]:
    """Count what could be written."""
    kept = {"audit", "api_tokens"}
    return [site.rows(sa.select(sa.func.count()).select_from(one))[0][0] for one in _tables() if one.name not in kept]


def _tables() -> list[sa.Table]:
    return sorted(schema.metadata.tables.values(), key=lambda table: table.name)


def test_nobody_sees_or_touches_a_device_outside_of_their_groups(fleet: Site) -> None:
    limited = program(fleet, Role.SECURITY, "lab")
    before = rows_of(fleet)

    replies = {one.name: ask(limited, one) for one in ABOUT_ONE}

    assert {name: (reply.status, reply.json()["code"]) for name, reply in replies.items()} == dict.fromkeys(
        replies, (404, "not_found")
    )
    assert rows_of(fleet) == before


def test_what_is_about_everybody_is_not_for_those_who_are_limited(fleet: Site) -> None:
    limited = program(fleet, Role.SECURITY, "lab")
    before = rows_of(fleet)

    replies = {one.name: ask(limited, one).json()["code"] for one in ABOUT_EVERYBODY}

    assert set(replies.values()) == {"scope_exceeded", "role_missing"}
    assert {name for name, code in replies.items() if code == "role_missing"} == {
        one.name for one in ABOUT_EVERYBODY if LEAST_ROLE[one.needs] is Role.OWNER
    }
    assert rows_of(fleet) == before


@pytest.mark.parametrize("role", [Role.VIEWER, Role.HELPDESK, Role.OPERATOR])
def test_nobody_does_more_than_their_role_has(fleet: Site, role: Role) -> None:
    small = program(fleet, role)
    before = rows_of(fleet)
    beyond = [one for one in TABLE if not has(role, LEAST_ROLE[one.needs])]

    codes = {one.name: ask(small, one).json()["code"] for one in beyond}

    assert beyond
    assert set(codes.values()) == {"role_missing"}
    assert rows_of(fleet) == before


def test_commands_go_to_nobody_outside_of_the_scope(fleet: Site) -> None:
    limited = program(fleet, Role.OPERATOR, "lab")
    by_ids = {"request_type": "ProfileList", "ids": ["A000", OUTSIDE]}
    by_query = {"request_type": "ProfileList", "where": "id is known) or (id is known"}
    to_all = {"request_type": "ProfileList", "where": "id is known"}

    refused = [limited.ask("POST", "/commands", body).json()["code"] for body in (by_ids, by_query)]
    looked = limited.post("/commands", {**to_all, "dry_run": True})
    sent = limited.post("/commands", to_all)

    assert refused == ["not_found", "query_unfit"]
    assert (looked["preview"]["matched"], looked["preview"]["fit"]) == (1, ["A000"])
    assert sent["send"]["matched"] == 1
    assert fleet.rows(sa.select(schema.queue.c.channel_id)) == []


def test_who_sends_to_many_within_a_scope_follows_that_and_nothing_of_others(fleet: Site) -> None:
    limited, everybody = program(fleet, Role.OPERATOR, "lab"), program(fleet)
    to_all = {"request_type": "ProfileList", "where": "id is known"}

    ours, theirs = (who.post("/commands", to_all)["send"] for who in (limited, everybody))

    assert limited.get(f"/sends/{ours['id']}") == ours
    assert [one["id"] for one in limited.get("/sends")] == [ours["id"]]
    assert limited.ask("GET", f"/sends/{theirs['id']}").json()["code"] == "not_found"
    assert {one["id"] for one in everybody.get("/sends")} == {ours["id"], theirs["id"]}


def test_what_is_done_to_many_is_done_within_the_scope_and_seen_by_who_ordered_it(fleet: Site) -> None:
    limited, everybody = program(fleet, Role.OPERATOR, "lab"), program(fleet)
    to_all = {"kind": "push", "where": "id is known"}
    fleet.do(create_groups, GroupOrder("hands"))

    ordered = everybody.post("/bulk-acts", to_all)
    looked = limited.post("/bulk-acts/preview", to_all)
    pushed = limited.post("/bulk-acts", to_all)
    grouped = limited.ask("POST", "/bulk-acts", {"kind": "group", "where": "id is known", "group": "hands"})
    foreign = limited.ask("GET", f"/bulk-acts/{ordered['id']}")

    assert (looked["matched"], [one["id"] for one in looked["first"]]) == (1, ["A000"])
    assert (ordered["matched"], pushed["matched"]) == (2, 1)
    assert grouped.json()["code"] == "scope_exceeded"
    assert foreign.json()["code"] == "not_found"
    assert limited.get(f"/bulk-acts/{pushed['id']}") == pushed
    assert [one["id"] for one in limited.get("/bulk-acts")] == [pushed["id"]]
    assert {one["id"] for one in everybody.get("/bulk-acts")} == {ordered["id"], pushed["id"]}


def test_who_may_wake_devices_puts_none_into_groups(fleet: Site) -> None:
    helper = program(fleet, Role.HELPDESK)
    fleet.do(create_groups, GroupOrder("hands"))
    body = {"where": "id is known", "group": "hands", "kind": "group"}

    codes = [helper.ask("POST", f"/bulk-acts{which}", body).json()["code"] for which in ("", "/preview")]

    assert codes == ["role_missing"] * 2
    assert helper.post("/bulk-acts", {"kind": "push", "where": "id is known"})["matched"] == 2


def test_nobody_is_let_go_outside_of_the_scope(fleet: Site) -> None:
    limited = program(fleet, Role.SECURITY, "lab")

    replies = [
        limited.ask("POST", f"/leaving/{act}", {"ids": ["A000", OUTSIDE], "named_count": 2})
        for act in ("unenroll", "reject", "withdraw")
    ]

    assert [reply.json()["code"] for reply in replies] == ["not_found"] * 3
    assert fleet.rows(sa.select(schema.departures.c.device_id)) == []


def test_identities_are_those_of_the_scope(fleet: Site) -> None:
    fleet.enroll(MAC)
    everybody, limited = program(fleet), program(fleet, Role.VIEWER, "lab")

    listed = [[row["device_id"] for row in who.get("/identities")["items"]] for who in (everybody, limited)]

    assert listed == [[id_of(MAC)], []]


def test_answers_of_others_are_not_shown(fleet: Site) -> None:
    owner, limited = program(fleet), program(fleet, Role.OPERATOR, "lab")
    uuid = owner.post("/commands", {"request_type": "ProfileList", "ids": ["A000", OUTSIDE]})["command_uuid"]

    replies = [limited.ask("GET", f"/commands/{uuid}{which}") for which in ("", f"?channel_id={OUTSIDE}")]
    own = limited.get(f"/commands/{uuid}?channel_id=A000")

    assert [reply.json()["code"] for reply in replies] == ["scope_exceeded", "not_found"]
    assert [row["channel_id"] for row in own["channels"]] == ["A000"]
    assert limited.ask("DELETE", f"/commands/{uuid}").json()["code"] == "not_found"


def test_every_kind_of_secret_takes_its_role(fleet: Site) -> None:
    kinds = [one for one in Permission if one.value.startswith("reveal.")]
    for role in Role:
        who = program(fleet, role)
        for permission in kinds:
            body = {"kind": permission.value.removeprefix("reveal.")}

            code = who.ask("POST", f"/devices/{OUTSIDE}/secrets/reveal", body).json()["code"]

            assert (code == "role_missing") is not has(role, LEAST_ROLE[permission]), (role, permission)


def test_the_walk_has_a_body_for_each_endpoint_that_takes_one() -> None:
    assert {one.name for one in TABLE if one.body is not None} == set(BODIES)
    assert all(fields(one.body) for one in TABLE if one.body is not None)

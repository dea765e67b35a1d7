"""Commands and pushes through the familiar door: the answers byte for byte, and what is queued and pushed."""

from dataclasses import replace
from datetime import timedelta
from urllib.parse import quote

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.familiar_door import FamiliarDoor
from tests.support.push_files import have_push_certificate
from tests.support.pushed_fleet import add_fleet
from tests.support.site import IPAD, MAC, Site, id_of, token_update

from muster.domain.push_policy import PushReason
from muster.protocol.apns import OutcomeClass
from muster.protocol.command import Command, encode_command
from muster.protocol.identifiers import SHARED_IPAD_USER_ID, CommandUUID
from muster.storage import schema

UUID = "b3f1-4c"
PROFILE_LIST = encode_command(Command(CommandUUID(UUID), "ProfileList"))


@pytest.fixture
def door(site: Site) -> FamiliarDoor:
    """The door of a site that can push."""
    have_push_certificate(site)
    return FamiliarDoor(site)


def test_push_is_answered_with_the_id_under_which_apns_has_it(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)

    reply = door.ask("PUT", f"/v1/push/{one}")

    sent = door.runner.sent[one]
    assert reply.status == 200
    assert reply.header("content-type") == "application/json"
    assert (
        reply.body == f'{{\n\t"status": {{\n\t\t"A000": {{\n\t\t\t"push_result": "{sent}"\n\t\t}}\n\t}}\n}}\n'.encode()
    )


def test_command_is_queued_as_it_was_named_and_pushed_at_once(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)

    reply = door.ask("PUT", f"/v1/enqueue/{one}", PROFILE_LIST)

    assert reply.status == 200
    assert reply.text == (
        '{\n\t"status": {\n\t\t"A000": {\n\t\t\t"push_result": "' + door.runner.sent[one] + '"\n\t\t}\n\t},\n'
        '\t"command_uuid": "b3f1-4c",\n\t"request_type": "ProfileList"\n}\n'
    )
    assert door.site.rows(sa.select(schema.queue.c.channel_id, schema.queue.c.command_uuid)) == [("A000", UUID)]


def test_nopush_queues_without_a_push(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)

    reply = door.ask("POST", f"/v1/enqueue/{one}?nopush=1", PROFILE_LIST)

    assert reply.status == 200
    assert reply.text == '{\n\t"no_push": true,\n\t"command_uuid": "b3f1-4c",\n\t"request_type": "ProfileList"\n}\n'
    assert door.runner.sent == {}
    assert door.site.rows(sa.select(schema.push_wishes.c.channel_id)) == []


def test_one_unknown_id_among_others_is_told_apart(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)

    reply = door.ask("PUT", f"/v1/enqueue/{one},0BAD", PROFILE_LIST)

    assert reply.status == 207
    assert reply.text == (
        '{\n\t"status": {\n'
        '\t\t"0BAD": {\n\t\t\t"push_error": "push data missing for id",\n'
        '\t\t\t"command_error": "no enrollment 0BAD is known"\n\t\t},\n'
        '\t\t"A000": {\n\t\t\t"push_result": "' + door.runner.sent[one] + '"\n\t\t}\n\t},\n'
        '\t"command_uuid": "b3f1-4c",\n\t"request_type": "ProfileList"\n}\n'
    )


def test_only_unknown_ids_are_an_error(door: FamiliarDoor) -> None:
    reply = door.ask("PUT", "/v1/enqueue/EVE", PROFILE_LIST)

    assert reply.status == 500
    assert set(reply.json()["status"]["EVE"]) == {"push_error", "command_error"}


def test_the_same_uuid_twice_is_an_error_and_pushes_nobody(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)
    door.ask("PUT", f"/v1/enqueue/{one}?nopush=1", PROFILE_LIST)

    reply = door.ask("PUT", f"/v1/enqueue/{one}", PROFILE_LIST)

    assert reply.status == 500
    assert set(reply.json()) == {"command_error", "command_uuid", "request_type"}
    assert "was sent before" in reply.json()["command_error"]
    assert door.runner.sent == {}


@pytest.mark.parametrize("body", [b"no plist", b"<plist/>", PROFILE_LIST.replace(b"RequestType", b"Request")])
def test_what_is_no_command_is_not_queued(door: FamiliarDoor, body: bytes) -> None:
    [one] = add_fleet(door.site, 1)

    reply = door.ask("PUT", f"/v1/enqueue/{one}", body)

    assert reply.status == 500
    assert list(reply.json()) == ["command_error"]
    assert reply.json()["command_error"].startswith("decoding command: ")


def test_enqueue_without_a_body_is_a_push(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)

    reply = door.ask("POST", f"/v1/enqueue/{one}")

    assert reply.json() == {"status": {one: {"push_result": door.runner.sent[one]}}}


def test_neither_a_command_nor_a_push_is_an_error(door: FamiliarDoor) -> None:
    reply = door.ask("POST", "/v1/enqueue/A000?nopush=1")

    assert (reply.status, reply.json()) == (500, {"no_push": True, "command_error": "must enqueue or push"})


@pytest.mark.parametrize(("path", "member"), [("/v1/push/", "push_error"), ("/v1/enqueue/", "command_error")])
def test_path_without_ids_is_an_error(door: FamiliarDoor, path: str, member: str) -> None:
    reply = door.ask("PUT", path, PROFILE_LIST)

    assert reply.status == 500
    assert reply.body == f'{{\n\t"{member}": "getting enrollment ids: empty path"\n}}\n'.encode()


def test_what_apns_refuses_is_said_in_its_words(door: FamiliarDoor) -> None:
    good, dead = add_fleet(door.site, 2)
    dead_since = door.site.now - timedelta(seconds=1)
    door.runner.answers[dead] = (OutcomeClass.TOKEN_UNREGISTERED, 410, "Unregistered", dead_since)

    first = door.ask("PUT", f"/v1/push/{good},{dead}")
    door.site.wait(minutes=1)
    again = door.ask("PUT", f"/v1/push/{dead}")

    words = f"push HTTP status: 410: APNs push error: Unregistered: timestamp {int(dead_since.timestamp() * 1000)}"
    assert first.status == 207
    assert first.json()["status"][dead] == {"push_error": words, "push_result": door.runner.sent[dead]}
    assert (again.status, again.json()) == (500, {"status": {dead: {"push_error": words}}})


def test_push_that_wakes_for_the_former_command_serves_the_next_one_too(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)
    first = door.ask("PUT", f"/v1/enqueue/{one}", PROFILE_LIST)
    door.site.wait(seconds=2)

    second = door.ask("PUT", f"/v1/enqueue/{one}", PROFILE_LIST.replace(b"b3f1", b"b3f2"))

    assert second.status == 200
    assert second.json()["status"] == first.json()["status"]


def test_push_that_nobody_answers_in_time_goes_on(door: FamiliarDoor) -> None:
    [one] = add_fleet(door.site, 1)
    door.runner.is_answering = False

    reply = door.ask("PUT", f"/v1/push/{one}")

    assert reply.status == 500
    assert "goes on" in reply.json()["status"][one]["push_error"]
    assert door.site.rows(sa.select(schema.push_wishes.c.reason)) == [(PushReason.ASKED_FOR.value,)]


def test_held_push_is_said_to_be_held(site: Site) -> None:
    door = FamiliarDoor(site)
    [one] = add_fleet(site, 1)

    reply = door.ask("PUT", f"/v1/push/{one}")

    assert reply.status == 500
    assert "there is no push certificate" in reply.json()["status"][one]["push_error"]


def test_limit_of_commands_that_disrupt_holds_at_this_door(door: FamiliarDoor) -> None:
    ids = add_fleet(door.site, door.site.runner.policy.disruptions_per_hour + 1)
    erase = encode_command(Command(CommandUUID("E"), "RestartDevice"))

    reply = door.ask("PUT", f"/v1/enqueue/{','.join(ids)}", erase)

    assert reply.status == 500
    assert "the limit is" in reply.json()["command_error"]
    assert "status" not in reply.json()
    assert door.site.rows(sa.select(schema.queue.c.channel_id)) == []
    assert door.runner.sent == {}


def test_id_of_a_user_stands_in_the_path_escaped(door: FamiliarDoor) -> None:
    identity = door.site.enroll(IPAD)
    shared = replace(IPAD, user_id=SHARED_IPAD_USER_ID, user_short_name="ada+ios@example.org")
    door.site.check_in(token_update(shared), identity)

    reply = door.ask("PUT", f"/v1/enqueue/{IPAD.udid}%3Aada%2Bios%40example.org?nopush=1", PROFILE_LIST)

    assert reply.status == 200
    assert door.site.queued(shared) == [UUID]


def test_what_html_would_take_for_its_own_is_escaped_as_go_does(door: FamiliarDoor) -> None:
    reply = door.ask("PUT", "/v1/push/%3Cb%3E%26%E2%80%A8%C3%BC")

    assert b'"\\u003cb\\u003e\\u0026\\u2028\xc3\xbc": {' in reply.body


def test_device_gets_the_command_and_its_answer_ends_it(door: FamiliarDoor) -> None:
    identity = door.site.enroll(MAC)
    door.ask("PUT", f"/v1/enqueue/{id_of(MAC)}", PROFILE_LIST)

    handed = door.site.connect(identity, MAC)

    assert getattr(handed, "command_uuid", None) == UUID
    door.site.connect(identity, MAC, "Acknowledged", UUID)
    assert door.site.queued(MAC) == []


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=st.binary(max_size=300), path=st.text(max_size=40))
def test_whatever_comes_is_answered(door: FamiliarDoor, body: bytes, path: str) -> None:
    reply = door.ask("PUT", f"/v1/enqueue/{quote(path, safe='', errors='replace')}", body)

    assert reply.status in (200, 207, 500) or "\n" in path


def test_ids_are_answered_in_the_order_of_their_characters(door: FamiliarDoor) -> None:
    ids = add_fleet(door.site, 2)

    reply = door.ask("PUT", f"/v1/push/{ids[1]},{ids[0]},{ids[0]}")

    assert reply.status == 200
    assert list(reply.json()["status"]) == sorted(ids)


def test_blank_lines_before_a_command_are_no_part_of_it(door: FamiliarDoor) -> None:
    add_fleet(door.site, 1)

    reply = door.ask("PUT", "/v1/enqueue/A000?nopush=1", b"\n  \r\n" + PROFILE_LIST)

    assert reply.status == 200


def test_push_to_an_id_that_none_can_have_is_an_error_of_the_push(door: FamiliarDoor) -> None:
    reply = door.ask("PUT", "/v1/push/%00")

    assert (reply.status, set(reply.json())) == (500, {"push_error"})

"""What devices say, byte for byte as NanoMDM's webhook sends it."""

import base64
import json
from datetime import UTC, datetime

import pytest

from muster.domain.events import MessageTopic
from muster.domain.message_bodies import RAW_PAYLOAD, message_body, message_detail
from muster.protocol.identifiers import SHARED_IPAD_USER_ID, Identifiers, resolve_channel

AT = datetime(2026, 11, 22, 14, 31, 7, 250_000, tzinfo=UTC)
MAC = Identifiers(udid="MAC")
RAW = base64.b64encode(b"<plist/>").decode()


def body(topic: MessageTopic, identifiers: Identifiers, **more: object) -> bytes:
    detail = message_detail(resolve_channel(identifiers), identifiers, **{"parameters": {}, **more})  # type: ignore[arg-type]  # as each test has them
    content_type, content = message_body(topic.value, "0011", AT, {**detail, RAW_PAYLOAD: RAW})
    assert content_type == "application/json; charset=utf-8"
    return content


def test_check_in_of_a_device() -> None:
    content = body(MessageTopic.TOKEN_UPDATE, MAC, tally=1)

    assert content == (
        b'{"checkin_event":{"ids":{"id":"MAC","type":"Device"},"raw_payload":"PHBsaXN0Lz4=","token_update_tally":1,'
        b'"udid":"MAC"},"created_at":"2026-11-22T14:31:07.25Z","event_id":"0011","topic":"mdm.TokenUpdate"}'
    )


def test_report_of_a_user() -> None:
    user = Identifiers(udid="MAC", user_id="ADA")

    content = body(
        MessageTopic.CONNECT, user, status="Acknowledged", command_uuid="C1", parameters={"b": "2", "a": "<&>"}
    )

    assert content == (
        b'{"acknowledge_event":{"command_uuid":"C1","ids":{"id":"MAC:ADA","parent_id":"MAC","type":"User"},'
        b'"raw_payload":"PHBsaXN0Lz4=","status":"Acknowledged","udid":"MAC",'
        b'"url_params":{"a":"\\u003c\\u0026\\u003e","b":"2"}},'
        b'"created_at":"2026-11-22T14:31:07.25Z","event_id":"0011","topic":"mdm.Connect"}'
    )


def test_idle_names_no_command() -> None:
    said = json.loads(body(MessageTopic.CONNECT, MAC, status="Idle"))["acknowledge_event"]

    assert said == {"ids": {"id": "MAC", "type": "Device"}, "raw_payload": RAW, "status": "Idle", "udid": "MAC"}


@pytest.mark.parametrize(
    ("identifiers", "ids"),
    [
        (
            Identifiers(udid="P", user_id=SHARED_IPAD_USER_ID, user_short_name="a+b@x.org"),
            {"id": "P:a+b@x.org", "parent_id": "P", "type": "Shared iPad"},
        ),
        (Identifiers(enrollment_id="E"), {"id": "E", "type": "User Enrollment (Device)"}),
        (
            Identifiers(enrollment_id="E", enrollment_user_id="U"),
            {"id": "E:U", "parent_id": "E", "type": "User Enrollment"},
        ),
    ],
)
def test_who_speaks_is_told_by_nanomdms_ids(identifiers: Identifiers, ids: dict[str, str]) -> None:
    said = json.loads(body(MessageTopic.AUTHENTICATE, identifiers))["checkin_event"]

    assert said["ids"] == ids
    assert said.get("enrollment_id") == identifiers.enrollment_id


def test_whole_seconds_have_no_fraction() -> None:
    _, content = message_body("webhook.test", "1", AT.replace(microsecond=0), {"webhook": "siem"})

    assert content == b'{"created_at":"2026-11-22T14:31:07Z","event_id":"1","topic":"webhook.test"}'

"""The push certificate through the familiar door, byte for byte."""

import pytest
from tests.simulator.apns_pki import push_certificate
from tests.support.familiar_door import FamiliarDoor
from tests.support.site import TOPIC, Site

TOLD = f'{{\n\t"not_after": "2119-12-08T00:00:00Z",\n\t"topic": "{TOPIC}"\n}}\n'.encode()
MADE = push_certificate(TOPIC)


@pytest.fixture
def door(site: Site) -> FamiliarDoor:
    """The door of an empty site."""
    return FamiliarDoor(site)


@pytest.mark.parametrize(
    "body",
    [
        MADE.certificate_pem + MADE.key_pem,
        MADE.key_pem + MADE.certificate_pem,
        MADE.certificate_pem.rstrip(b"\n") + MADE.key_pem,
    ],
    ids=["certificate and key", "key and certificate", "without a line's end between them"],
)
def test_certificate_is_put_into_use_and_told(door: FamiliarDoor, body: bytes) -> None:
    stored = door.ask("PUT", "/v1/pushcert", body)

    told = door.ask("GET", f"/v1/pushcert?topic={TOPIC}")
    assert (stored.status, stored.body) == (200, TOLD)
    assert (told.status, told.body) == (200, TOLD)


@pytest.mark.parametrize(
    "body",
    [b"", b"no certificate", MADE.certificate_pem, MADE.key_pem, push_certificate("org.example").certificate_pem],
)
def test_what_is_no_certificate_with_its_key_is_refused(door: FamiliarDoor, body: bytes) -> None:
    reply = door.ask("PUT", "/v1/pushcert", body)

    assert reply.status == 400
    assert list(reply.json()) == ["error"]


def test_topic_has_to_be_named(door: FamiliarDoor) -> None:
    reply = door.ask("GET", "/v1/pushcert")

    assert reply.status == 400
    assert reply.body == b'{\n\t"error": "missing required query parameter: topic"\n}\n'


def test_topic_without_a_certificate_is_an_error(door: FamiliarDoor) -> None:
    reply = door.ask("GET", "/v1/pushcert?topic=com.apple.mgmt.External.other")

    assert reply.status == 500
    assert list(reply.json()) == ["error"]


def test_other_methods_are_not_allowed(door: FamiliarDoor) -> None:
    reply = door.ask("POST", "/v1/pushcert")

    assert (reply.status, reply.body) == (405, b"Method Not Allowed\n")

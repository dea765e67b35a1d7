"""What tools that prepare devices are told: where devices enroll, and whom to trust."""

import asyncio
import base64
import json

import pytest
from tests.edges.device.doors import Doors
from tests.edges.device.ways_in_site import add_link, set_policy
from tests.support.authorities import certified, ec_keys
from tests.support.site import Site

from muster.domain.access import LinkKind
from muster.edges.device.http import Scope
from muster.edges.device.ways_in.service_config import ServiceConfigDoor
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.protocol.plist import read_plist
from muster.protocol.profile_payloads import decode_trust_anchor, payloads_of

ANCHOR = certified("Example CA", ec_keys()[0], is_ca=True).certificate_der
TERMS = EnrollmentTerms("https://mdm.example.org", None, "Example", (ANCHOR,))


def ask(site: Site, path: str) -> tuple[int, bytes]:
    """GET *path* of a server that devices have to be told to trust."""
    sent: list[dict[str, object]] = []

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": b""}

    scope: Scope = {"type": "http", "method": "GET", "path": path, "headers": [], "client": ("203.0.113.9", 1)}
    asyncio.run(ServiceConfigDoor(runner=site.runner, terms=TERMS)(scope, receive, send))  # type: ignore[arg-type]  # plain dictionaries
    status, body = sent[0]["status"], sent[1]["body"]
    assert isinstance(status, int)
    assert isinstance(body, bytes)
    return status, body


def test_certificates_of_a_server_that_is_not_publicly_trusted_are_handed_out_both_ways(site: Site) -> None:
    _, config = ask(site, "/MDMServiceConfig")
    _, anchors = ask(site, "/MDMServiceConfig/anchors")
    _, profile = ask(site, "/MDMServiceConfig/trust")

    assert json.loads(config)["trust_profile_url"] == "https://mdm.example.org/MDMServiceConfig/trust"
    assert json.loads(anchors) == [base64.b64encode(ANCHOR).decode()]
    [payload] = payloads_of(read_plist(profile))
    assert decode_trust_anchor(payload).certificate_der == ANCHOR


def test_trust_profile_is_the_same_each_time(site: Site) -> None:
    assert ask(site, "/MDMServiceConfig/trust") == ask(site, "/MDMServiceConfig/trust")


@pytest.mark.parametrize("path", ["/MDMServiceConfig/", "/MDMServiceConfig/x", "/MDMServiceConfig/anchors/"])
def test_other_addresses_hold_nothing(doors: Doors, path: str) -> None:
    assert doors.ask("GET", path).status == 404


def test_tool_learns_where_devices_enroll_once_a_link_is_named(doors: Doors, site: Site) -> None:
    before = json.loads(doors.ask("GET", "/MDMServiceConfig").body)
    set_policy(site, "ade_link", add_link(site, LinkKind.ADE).id)

    config = json.loads(doors.ask("GET", "/MDMServiceConfig").body)

    assert before == {"dep_anchor_certs_url": "https://mdm.example.org/MDMServiceConfig/anchors"}
    assert config == before | {"dep_enrollment_url": "https://mdm.example.org/ade"}
    assert json.loads(doors.ask("GET", "/MDMServiceConfig/anchors").body) == []
    assert doors.ask("GET", "/MDMServiceConfig/trust").status == 404
    assert doors.ask("POST", "/MDMServiceConfig").status == 405

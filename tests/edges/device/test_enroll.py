"""An enrollment link is opened with GET, and everything else about it is refused without harm."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.edges.device.doors import Doors
from tests.simulator.apns_pki import TOPIC, push_certificate
from tests.support.site import Site, authority

from muster.crypto.cms.signed_data import verify_attached
from muster.operations.enrollment_links import LinkOrder, create_links
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.profile import decode_enrollment_profile
from muster.storage import schema


@pytest.fixture
def token(site: Site) -> str:
    pem = push_certificate()
    site.do(upload_push_certificates, UploadedPushCertificate(pem.certificate_pem, pem.key_pem))
    return site.do(create_links, LinkOrder(1, timedelta(days=1)))[0].token


def challenges(site: Site) -> int:
    return len(site.rows(sa.select(schema.challenges.c.secret_hash)))


def test_link_gives_a_signed_profile_to_install(doors: Doors, token: str) -> None:
    reply = doors.ask("GET", f"/enroll/{token}")

    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-apple-aspen-config")
    assert reply.headers["cache-control"] == "no-store"
    verified = verify_attached(reply.body, allow_legacy=False)
    assert verified.signer_certificate_der == authority().certificate_der
    profile = decode_enrollment_profile(verified.content)
    assert (profile.topic, profile.server_url) == (TOPIC, "https://mdm.example.org/mdm")


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS"])
def test_link_is_opened_by_get_only_and_looking_makes_no_challenge(
    doors: Doors, site: Site, token: str, method: str
) -> None:
    reply = doors.ask(method, f"/enroll/{token}")

    assert (reply.status, reply.headers["allow"], challenges(site)) == (405, "GET", 0)


@pytest.mark.parametrize(
    "path",
    ["", "x", "x" * 5000, "%00", "..", "\N{SNOWMAN}", "' OR 1=1", "a/{token}", "{token}/", "{token}/b", "{token}x"],
)
def test_unknown_link_is_404_and_a_rumour(doors: Doors, site: Site, token: str, path: str) -> None:
    reply = doors.ask("GET", "/enroll/" + path.format(token=token))

    assert reply.status == 404
    assert site.rumours() == [("", "link_unknown", 1)]
    assert challenges(site) == 0


def test_expired_link_is_refused_with_what_to_do(doors: Doors, site: Site, token: str) -> None:
    site.wait(days=1)

    reply = doors.ask("GET", f"/enroll/{token}")

    assert reply.status == 403
    assert b"expired" in reply.body
    assert b"administrator" in reply.body
    assert site.rumours() == [("", "link_expired", 1)]


def test_link_without_a_push_certificate_is_put_off(doors: Doors, site: Site) -> None:
    token = site.do(create_links, LinkOrder(1, timedelta(days=1)))[0].token

    reply = doors.ask("GET", f"/enroll/{token}")

    assert reply.status == 503
    assert "retry-after" in reply.headers


def test_body_of_a_get_is_not_read(doors: Doors, token: str) -> None:
    reply = doors.ask("GET", f"/enroll/{token}", pieces=[b"x" * 1000] * 1000)

    assert (reply.status, reply.bytes_taken, reply.headers["connection"]) == (200, 0, "close")

"""An enrollment link is opened with GET, and everything else about it is refused without harm."""

import base64
import hashlib
import re
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.edges.device.doors import Doors
from tests.simulator.apns_pki import TOPIC
from tests.support.site import Site, authority

from muster.crypto.certificates import fingerprint
from muster.crypto.cms.signed_data import verify_attached
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.pkcs12 import read_pkcs12
from muster.domain.access import IdentityKind, LinkKind
from muster.operations.enrollment_links import LinkOrder
from muster.protocol.profile import Pkcs12Payload, decode_enrollment_profile
from muster.storage import schema

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def token(ready: Site) -> str:
    return ready.link(LinkOrder(1, timedelta(days=1))).token


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


def test_button_of_the_page_gives_the_profile(doors: Doors, token: str) -> None:
    page = doors.ask("GET", f"/enroll/{token}", headers=BROWSER)
    [address] = re.findall(r'href="([^"]+)"', page.body.decode())

    profile = doors.ask("GET", address, headers=BROWSER)

    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert (profile.status, profile.headers["content-type"]) == (200, "application/x-apple-aspen-config")


def test_page_makes_nothing_and_says_who_manages_and_what_that_means(doors: Doors, site: Site, token: str) -> None:
    page = doors.ask("GET", f"/enroll/{token}", headers=BROWSER).body.decode()

    assert challenges(site) == 0
    assert "Example asks to manage" in page
    assert "erase it" in page


def test_page_says_only_what_the_rights_allow(doors: Doors, ready: Site) -> None:
    token = ready.link(LinkOrder(1, timedelta(days=1), access_rights=3)).token

    page = doors.ask("GET", f"/enroll/{token}", headers=BROWSER).body.decode()

    assert "install and remove settings" in page
    assert "erase it" not in page


def test_page_runs_nothing_and_loads_nothing_but_its_own_style(doors: Doors, token: str) -> None:
    page = doors.ask("GET", f"/enroll/{token}", headers=BROWSER)

    policy = page.headers["content-security-policy"]
    [style] = re.findall(r"<style>(.*)</style>", page.body.decode(), re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self' ")
    assert b"<script" not in page.body
    assert re.findall(rb"(?:src|@import|url)\s*[=(]", page.body) == []
    assert page.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/enroll/unknown", "/enroll/unknown/profile", "/enroll/{token}/other"])
def test_browser_is_refused_by_a_page_with_the_status_of_programs(
    doors: Doors, site: Site, token: str, path: str
) -> None:
    reply = doors.ask("GET", path.format(token=token), headers=BROWSER)

    assert (reply.status, reply.headers["content-type"]) == (404, "text/html; charset=utf-8")
    assert b"Ask your administrator for a new link." in reply.body
    assert site.rumours() == [("", "link_unknown", 1)]


def test_link_of_another_kind_is_unknown_here(doors: Doors, ready: Site) -> None:
    token = ready.link(LinkOrder(1, timedelta(days=1), kind=LinkKind.OTA)).token

    assert doors.ask("GET", f"/enroll/{token}").status == 404


def test_identity_made_here_is_unique_and_each_download_is_a_use(doors: Doors, ready: Site) -> None:
    ready.runner.policy = replace(ready.runner.policy, allows_pkcs12_identities=True)
    ready.hold_authority_key()
    link = ready.link(LinkOrder(2, timedelta(days=1), identity_kind=IdentityKind.PKCS12))

    replies = [doors.ask("GET", f"/enroll/{link.token}") for _ in range(3)]

    assert [reply.status for reply in replies] == [200, 200, 403]
    identities = [pkcs12_of(reply.body) for reply in replies[:2]]
    assert len({fingerprint(one.certificate_der) for one in identities}) == 2
    stored = ready.rows(sa.select(schema.identities.c.provenance, schema.identities.c.link_id))
    assert stored == [("link", link.link.id)] * 2


def pkcs12_of(signed: bytes) -> SignerIdentity:
    profile = decode_enrollment_profile(verify_attached(signed, allow_legacy=False).content)
    assert isinstance(profile.identity, Pkcs12Payload)
    return read_pkcs12(profile.identity.content, profile.identity.password)


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
    token = site.link(LinkOrder(1, timedelta(days=1))).token

    reply = doors.ask("GET", f"/enroll/{token}")

    assert reply.status == 503
    assert "retry-after" in reply.headers


def test_body_of_a_get_is_not_read(doors: Doors, token: str) -> None:
    reply = doors.ask("GET", f"/enroll/{token}", pieces=[b"x" * 1000] * 1000)

    assert (reply.status, reply.bytes_taken, reply.headers["connection"]) == (200, 0, "close")

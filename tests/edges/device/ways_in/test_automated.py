"""Automated Device Enrollment: genuine devices get a profile of their own, all others a refusal without harm."""

import base64
import html
import re
from dataclasses import replace
from urllib.parse import urlsplit

import pytest
import sqlalchemy as sa
from tests.edges.device.doors import Doors, Reply
from tests.edges.device.ways_in_site import (
    PHONE,
    TOKEN,
    add_link,
    introduction,
    set_policy,
    upload_push,
)
from tests.support.authorities import certified, ec_keys
from tests.support.site import IPAD, Site

from muster.crypto.cms.signed_data import verify_attached
from muster.domain.access import IdentityKind, LinkKind
from muster.domain.enrollment import EnrollmentState
from muster.operations.enroll_automatically import INTRODUCTION_LIFETIME, UNUSED_CHALLENGES_PER_DEVICE
from muster.operations.enrollment_users import UserOrder, add_enrollment_users
from muster.protocol.device_signature import MAX_SIGNED_BYTES
from muster.protocol.enrollment_errors import ErrorReply, decode_error
from muster.protocol.profile import EnrollmentProfile, Pkcs12Payload, decode_enrollment_profile
from muster.storage import schema

HEADER = "x-apple-aspen-deviceinfo"
PAGE = f"/ade/{TOKEN}/web"


@pytest.fixture(autouse=True)
def _push(site: Site) -> None:
    upload_push(site)


def post(doors: Doors, body: bytes | None = None, *, path: str = f"/ade/{TOKEN}", accept: str = "*/*") -> Reply:
    sent = introduction() if body is None else body
    return doors.ask("POST", path, sent, {"content-type": "application/pkcs7-signature", "accept": accept})


def profile_of(reply: Reply) -> EnrollmentProfile:
    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-apple-aspen-config"), reply.body
    return decode_enrollment_profile(verify_attached(reply.body, allow_legacy=False).content)


def error_of(reply: Reply) -> ErrorReply:
    assert reply.status == 403
    error = decode_error(reply.headers["content-type"], reply.body)
    assert error is not None
    return error


def challenges(site: Site) -> list[tuple[str | None, str | None]]:
    table = schema.challenges
    return site.rows(sa.select(table.c.expected_udid, table.c.expected_serial))


def test_genuine_device_gets_a_profile_that_is_good_for_it_alone(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE)

    profile = profile_of(post(doors))

    assert profile.server_url == "https://mdm.example.org/mdm"
    assert challenges(site) == [(IPAD.udid, "DMPXK1234567")]


def test_profile_says_what_its_link_does(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, access_rights=3, is_removal_disallowed=True, capabilities=("com.apple.mdm.token",))

    profile = profile_of(post(doors))

    assert (profile.access_rights, profile.is_removal_disallowed) == (3, True)
    assert profile.server_capabilities == ("com.apple.mdm.token",)


def test_identity_made_here_is_in_the_profile_and_uses_the_link_up(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, identity_kind=IdentityKind.PKCS12, uses_allowed=1)

    profile = profile_of(post(doors))

    expected = site.rows(sa.select(schema.identities.c.expected_udid, schema.identities.c.expected_serial))
    assert isinstance(profile.identity, Pkcs12Payload)
    assert expected == [(IPAD.udid, "DMPXK1234567")]
    assert post(doors).status == 403


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "body_malformed"),
        (b"hello", 400, "body_malformed"),
        (introduction()[:-1] + b"\0", 400, "signature_bad"),
        (introduction(device=certified("forger", ec_keys()[5])), 400, "signature_bad"),
        (
            introduction(
                device=certified("forger", ec_keys()[5], forger := certified("Device CA", ec_keys()[6], is_ca=True)),
                issuer=forger,
            ),
            400,
            "signature_bad",
        ),
        (introduction(replace(PHONE, udid=None)), 400, "body_malformed"),
        (introduction(replace(PHONE, serial=None)), 400, "body_malformed"),
        (b"\x30" * (MAX_SIGNED_BYTES + 1), 413, "body_too_large"),
    ],
    ids=["empty", "text", "altered", "self-signed", "other root", "no UDID", "no serial", "oversized"],
)
def test_forged_machine_info_is_refused_and_recorded_as_a_rumour(
    doors: Doors, site: Site, body: bytes, status: int, code: str
) -> None:
    add_link(site, LinkKind.ADE)

    reply = post(doors, body)

    assert (reply.status, reply.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert site.rumours() == [("", code, 1)]
    assert challenges(site) == []


def test_closed_link_is_refused_in_plain_words(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE)
    site.wait(days=1)

    reply = post(doors)

    assert (reply.status, decode_error(reply.headers["content-type"], reply.body)) == (403, None)
    assert site.rumours() == [("", "link_expired", 1)]


@pytest.mark.parametrize("kind", [kind for kind in LinkKind if kind is not LinkKind.ADE])
def test_link_of_another_kind_does_not_exist_here(doors: Doors, site: Site, kind: LinkKind) -> None:
    add_link(site, kind)

    assert post(doors).status == 404


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
def test_device_posts(doors: Doors, site: Site, method: str) -> None:
    add_link(site, LinkKind.ADE)

    assert doors.ask(method, f"/ade/{TOKEN}").status == 405


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("", "application/json"),
        ("application/json, application/xml", "application/json"),
        ("application/xml", "application/xml"),
        ("text/xml;q=0.9", "application/xml"),
    ],
)
def test_device_that_is_not_listed_is_told_in_apples_words_and_in_its_format(
    doors: Doors, site: Site, accept: str, media_type: str
) -> None:
    add_link(site, LinkKind.ADE, serial_numbers=frozenset({"ANOTHER"}))

    reply = post(doors, accept=accept)

    assert reply.headers["content-type"] == media_type
    assert error_of(reply).code == "com.apple.unrecognized.device"
    assert challenges(site) == []


def test_old_device_that_can_update_itself_is_told_to(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, required_os_version="17.10", required_build_version="21X1")

    error = error_of(post(doors))

    assert error.code == "com.apple.softwareupdate.required"
    assert error.details == {"OSVersion": "17.10", "BuildVersion": "21X1"}


def test_old_device_that_can_not_update_itself_is_let_in(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, required_os_version="17.10")

    reply = post(doors, introduction(replace(PHONE, can_request_software_update=False)))

    profile_of(reply)


def test_profile_fetched_in_the_name_of_a_known_device_is_its_evidence_and_harms_it_not(
    doors: Doors, site: Site
) -> None:
    add_link(site, LinkKind.ADE)
    identity = site.enroll(IPAD)
    before = site.evidence(IPAD)

    for _ in range(3):
        post(doors)

    assert [row for row in site.evidence(IPAD) if row not in before] == [("S12", "automated_enrollment", 3)]
    assert site.enrollment(IPAD).state is EnrollmentState.ENROLLED
    assert doors.connect(identity, IPAD).status == 200


def test_asking_again_for_ever_leaves_few_challenges_of_one_device_and_those_of_others(
    doors: Doors, site: Site
) -> None:
    add_link(site, LinkKind.ADE)
    other = replace(PHONE, udid="OTHER")
    post(doors, introduction(other))
    for _ in range(UNUSED_CHALLENGES_PER_DEVICE + 5):
        site.wait(seconds=1)
        post(doors)

    left = [udid for udid, _ in challenges(site)]

    assert (left.count(IPAD.udid), left.count("OTHER")) == (UNUSED_CHALLENGES_PER_DEVICE, 1)


def test_address_without_a_token_is_the_link_that_policy_names(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE)
    before = post(doors, path="/ade").status
    set_policy(site, "ade_link", "link")

    profile_of(post(doors, path="/ade"))

    assert before == 404


# --- the page that Setup Assistant shows


def open_page(doors: Doors, machine: bytes | None = None) -> Reply:
    header = base64.b64encode(introduction() if machine is None else machine).decode()
    return doors.ask("GET", PAGE, headers={HEADER: header, "accept": "text/html"})


def form_of(reply: Reply) -> str:
    assert reply.headers["content-type"].startswith("text/html")
    action = re.search(r'action="([^"]*)"', reply.body.decode())
    assert action is not None, reply.body
    return html.unescape(action[1])


def sign_in(doors: Doors, action: str, *, password: str = "correct horse") -> Reply:
    parts = urlsplit(action)
    form = f"user_name=ada%40example.org&password={password.replace(' ', '+')}".encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return doors.ask("POST", parts.path, form, headers, query=parts.query.encode())


@pytest.fixture
def ada(site: Site) -> None:
    site.do(add_enrollment_users, UserOrder("ada@example.org", "correct horse"))


def test_page_without_sign_in_gives_the_profile_at_once(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE)

    profile_of(open_page(doors))

    assert challenges(site) == [(IPAD.udid, "DMPXK1234567")]


@pytest.mark.usefixtures("ada")
def test_profile_follows_the_sign_in_and_is_for_the_device_that_opened_the_page(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, requires_sign_in=True)
    page = open_page(doors)
    before = challenges(site)

    profile_of(sign_in(doors, form_of(page)))

    assert before == []
    assert challenges(site) == [(IPAD.udid, "DMPXK1234567")]


@pytest.mark.usefixtures("ada")
def test_wrong_password_shows_the_form_again_and_it_works_then(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, requires_sign_in=True)
    again = sign_in(doors, form_of(open_page(doors)), password="wrong")

    profile_of(sign_in(doors, form_of(again)))

    assert again.status == 403


def test_link_with_sign_in_gives_nothing_to_a_device_that_opens_no_page(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, requires_sign_in=True)

    reply = post(doors)

    assert reply.status == 403
    assert b"configuration_web_url" in reply.body
    assert challenges(site) == []


@pytest.mark.usefixtures("ada")
@pytest.mark.parametrize("query", ["", "device=", "device=%00", "device=AAAA", "device={other}", "a=b&" * 9])
def test_form_that_does_not_say_truly_which_device_it_is_for_is_refused(doors: Doors, site: Site, query: str) -> None:
    add_link(site, LinkKind.ADE, requires_sign_in=True)
    add_link(site, LinkKind.ADE, token="u" * 32, link_id="other", requires_sign_in=True)
    header = base64.b64encode(introduction()).decode()
    other = urlsplit(form_of(doors.ask("GET", f"/ade/{'u' * 32}/web", headers={HEADER: header}))).query

    reply = sign_in(doors, f"{PAGE}?{query.replace('device={other}', other)}")

    assert reply.status == 400
    assert challenges(site) == []


@pytest.mark.usefixtures("ada")
def test_page_that_was_open_for_too_long_is_refused(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, requires_sign_in=True)
    action = form_of(open_page(doors))
    site.runner.time += INTRODUCTION_LIFETIME

    reply = sign_in(doors, action)

    assert reply.status == 403
    assert challenges(site) == []


@pytest.mark.parametrize("header", [None, "", "!", base64.b64encode(b"hello").decode(), "A" * 40_000])
def test_page_that_no_device_opened_is_refused(doors: Doors, site: Site, header: str | None) -> None:
    add_link(site, LinkKind.ADE)

    reply = doors.ask("GET", PAGE, headers={} if header is None else {HEADER: header})

    assert reply.status in {400, 403}
    assert challenges(site) == []


def test_page_refuses_devices_in_apples_words_too(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ADE, serial_numbers=frozenset())

    assert error_of(open_page(doors)).code == "com.apple.unrecognized.device"

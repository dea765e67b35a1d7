"""Account-driven enrollment: somebody signs in on the device, which gets one profile in that account's name."""

import json
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
import sqlalchemy as sa
from tests.edges.device.doors import Doors, Reply
from tests.edges.device.ways_in.test_automated import error_of, form_of, profile_of
from tests.edges.device.ways_in_site import LINK_ID, OTHER_DEVICE, add_link, introduction, set_policy, upload_push
from tests.support.authorities import Certified, certified, ec_keys
from tests.support.site import Site, authenticate, head, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import ALL_ACCESS_RIGHTS, LinkKind
from muster.domain.enrollment import EnrollmentState
from muster.domain.enrollment_tokens import TOKEN_LIFETIME
from muster.domain.standing_policies import PolicyName, PolicyValue
from muster.operations.enroll_by_account import UNUSED_CHALLENGES_PER_ACCOUNT
from muster.operations.enrollment_users import UserOrder, add_enrollment_users, disable_users
from muster.protocol.account_driven import (
    ServiceVersion,
    decode_service_discovery,
    read_authentication_results,
    read_www_authenticate,
)
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import Identifiers
from muster.protocol.machine_info import MachineInfo
from muster.protocol.mdm_signature import make_mdm_signature
from muster.protocol.profile import EnrollmentMode
from muster.storage import policies, schema

WELL_KNOWN = "/.well-known/com.apple.remotemanagement"
ENROLL = f"/account/enroll/{LINK_ID}"
SIGN_IN = f"/account/sign-in/{LINK_ID}"
ADA = "ada@example.org"
NAMELESS = MachineInfo("iPhone16,1", "21E219", language="en")
"""A device that keeps to itself which one it is, as all of them do here."""
OWN_DEVICE = certified("own", ec_keys()[5])
"""Nobody vouches for its certificate."""


@pytest.fixture(autouse=True)
def _people(site: Site) -> None:
    upload_push(site)
    site.do(add_enrollment_users, UserOrder(ADA, "correct horse"), UserOrder("eve@example.org", "battery staple"))


def discover(doors: Doors, family: str = "iPhone", user: str = ADA) -> Reply:
    return doors.ask("GET", WELL_KNOWN, query=f"user-identifier={user}&model-family={family}".encode())


def ask(doors: Doors, token: str | None = None, device: Certified | None = None, path: str = ENROLL) -> Reply:
    body = introduction(NAMELESS) if device is None else introduction(NAMELESS, device)
    return doors.ask("POST", path, body, {} if token is None else {"authorization": f"Bearer {token}"})


def sign_in(doors: Doors, password: str = "correct+horse", user: str = ADA) -> Reply:
    form = f"user_name={user}&password={password}".encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    return doors.ask("POST", SIGN_IN, form, headers, query=f"user-identifier={user}".encode())


def token_of(reply: Reply) -> str:
    assert reply.status == 308, reply.body
    token = read_authentication_results(reply.headers["location"])
    assert token is not None
    return token


def challenges(site: Site) -> list[tuple[str | None, str | None]]:
    table = schema.challenges
    return site.rows(sa.select(table.c.account, table.c.expected_udid))


# --- service discovery


def test_discovery_leads_each_kind_of_device_to_its_link(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    add_link(site, LinkKind.ACCOUNT_DEVICE, token="u" * 32, link_id="macs")
    set_policy(site, "account_driven", json.dumps({"default": LINK_ID, "Mac": "macs"}))

    phone, mac = (decode_service_discovery(discover(doors, family).body) for family in ("iPhone", "Mac"))

    assert (phone.version, phone.base_url) == (ServiceVersion.BYOD, f"https://mdm.example.org{ENROLL}")
    assert (mac.version, mac.base_url) == (ServiceVersion.ADDE, "https://mdm.example.org/account/enroll/macs")


def test_discovery_is_absent_while_no_link_is_named_so_that_devices_ask_apple(doors: Doors) -> None:
    assert discover(doors).status == 404


@pytest.mark.parametrize("policy", [{"Mac": LINK_ID}, {"default": "unknown"}, {"iPhone": "ade"}, {"iPhone": "old"}])
def test_discovery_says_in_apples_words_what_is_not_offered(doors: Doors, site: Site, policy: dict[str, str]) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    add_link(site, LinkKind.ADE, token="u" * 32, link_id="ade")
    add_link(site, LinkKind.ACCOUNT_USER, token="v" * 32, link_id="old", expires_at=site.now)
    stored: PolicyValue = dict(policy)  # as one stands that was fit when it was set, or came from elsewhere
    site.engine.write(lambda tx: policies.write(tx, PolicyName.ACCOUNT_DRIVEN, stored, at=site.now, by="ana"))

    assert error_of(discover(doors)).code == "com.apple.well-known.failed"


def test_discovery_answers_alike_for_people_who_exist_and_who_do_not(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    set_policy(site, "account_driven", json.dumps({"default": LINK_ID}))

    known, unknown = discover(doors), discover(doors, user="nobody@example.org")

    assert (known.status, known.body) == (unknown.status, unknown.body)


@pytest.mark.parametrize("query", [b"", b"model-family=Mac", b"user-identifier=" + b"a" * 255, b"user-identifier=%00"])
def test_discovery_for_nobody_is_a_bad_request(doors: Doors, query: bytes) -> None:
    assert doors.ask("GET", WELL_KNOWN, query=query).status == 400


# --- the challenge, the sign-in, the profile


def test_device_without_a_token_is_sent_to_the_page(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)

    reply = ask(doors)

    assert reply.status == 401
    assert read_www_authenticate(reply.headers["www-authenticate"]) == f"https://mdm.example.org{SIGN_IN}"
    assert challenges(site) == []


@pytest.mark.parametrize(
    ("kind", "mode", "rights"),
    [
        (LinkKind.ACCOUNT_USER, EnrollmentMode.BYOD, None),
        (LinkKind.ACCOUNT_DEVICE, EnrollmentMode.ADDE, ALL_ACCESS_RIGHTS),
    ],
)
def test_whoever_signs_in_gets_a_profile_in_that_account(
    doors: Doors, site: Site, kind: LinkKind, mode: EnrollmentMode, rights: int | None
) -> None:
    add_link(site, kind)
    page = doors.ask("GET", SIGN_IN, query=b"user-identifier=ada%40example.org")

    handed = sign_in(doors)
    profile = profile_of(ask(doors, token_of(handed)))

    assert parse_qs(urlsplit(form_of(page)).query) == {"user-identifier": [ADA]}
    assert handed.headers["cache-control"] == "no-store"
    assert (profile.enrollment_mode, profile.assigned_managed_apple_id, profile.access_rights) == (mode, ADA, rights)
    assert challenges(site) == [(ADA, None)]


def test_form_may_lead_to_the_device(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)

    policy = doors.ask("GET", SIGN_IN).headers["content-security-policy"]

    assert "form-action 'self' apple-remotemanagement-user-login:;" in policy


def test_wrong_password_gives_no_token(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)

    reply = sign_in(doors, "wrong")

    assert (reply.status, reply.headers.get("location")) == (403, None)


def test_page_signs_in_the_account_that_the_device_named_and_no_other(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    form = b"user_name=eve%40example.org&password=battery+staple"

    reply = doors.ask(
        "POST",
        SIGN_IN,
        form,
        {"content-type": "application/x-www-form-urlencoded"},
        query=b"user-identifier=ada%40example.org",
    )

    assert reply.status == 403


def test_token_is_good_for_the_retries_of_one_device_and_for_no_other(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    token = token_of(sign_in(doors))

    profile_of(ask(doors, token))
    profile_of(ask(doors, token))
    replayed = ask(doors, token, OTHER_DEVICE)

    assert (replayed.status, "www-authenticate" in replayed.headers) == (401, True)
    assert site.rumours() == [("", "bearer_used", 1)]
    assert challenges(site) == [(ADA, None)] * 2


@pytest.mark.parametrize("token", ["unknown", "x" * 4096])
def test_token_that_is_not_ours_is_challenged_and_recorded(doors: Doors, site: Site, token: str) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)

    reply = ask(doors, token)

    assert reply.status == 401
    assert site.rumours() == [("", "bearer_unknown", 1)]


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer a b", "Bearer " + "x" * 9000, "\xff"])
def test_header_that_holds_no_token_is_none(doors: Doors, site: Site, header: str) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)

    reply = doors.ask("POST", ENROLL, introduction(NAMELESS), {"authorization": header})

    assert reply.status == 401
    assert site.rumours() == []


def test_expired_token_is_challenged(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    token = token_of(sign_in(doors))
    site.runner.time += TOKEN_LIFETIME

    assert ask(doors, token).status == 401
    assert site.rumours() == [("", "bearer_expired", 1)]


def test_token_of_a_user_who_was_disabled_since_is_challenged(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    token = token_of(sign_in(doors))
    site.do(disable_users, ADA)

    assert ask(doors, token).status == 401


def test_token_of_another_link_is_challenged(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    add_link(site, LinkKind.ACCOUNT_DEVICE, token="u" * 32, link_id="other")

    assert ask(doors, token_of(sign_in(doors)), path="/account/enroll/other").status == 401


@pytest.mark.parametrize("kind", [kind for kind in LinkKind if not kind.value.startswith("account")])
def test_links_of_other_kinds_do_not_exist_here(doors: Doors, site: Site, kind: LinkKind) -> None:
    add_link(site, kind)

    assert (ask(doors).status, doors.ask("GET", SIGN_IN).status) == (404, 404)


def test_closed_link_is_refused_in_plain_words_and_never_by_a_challenge(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    token = token_of(sign_in(doors))
    site.wait(days=1)

    assert [ask(doors, token).status, ask(doors).status, doors.ask("GET", SIGN_IN).status] == [403] * 3


def test_device_that_nobody_vouches_for_enrolls_by_its_account(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_DEVICE)

    profile_of(ask(doors, token_of(sign_in(doors)), OWN_DEVICE))


@pytest.mark.parametrize("body", [b"", b"hello", introduction(NAMELESS)[:-1] + b"\0"], ids=["empty", "text", "altered"])
def test_introduction_that_can_not_be_read_is_no_reason_for_a_challenge(doors: Doors, site: Site, body: bytes) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)

    assert doors.ask("POST", ENROLL, body).status == 400


def test_asking_again_for_ever_leaves_few_challenges(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    token = token_of(sign_in(doors))
    for _ in range(UNUSED_CHALLENGES_PER_ACCOUNT + 5):
        site.wait(seconds=1)
        ask(doors, token)

    assert len(challenges(site)) == UNUSED_CHALLENGES_PER_ACCOUNT


@pytest.mark.parametrize(
    "path", ["/account", "/account/", "/account/x", "/account/enroll", "/account/enroll/" + "x" * 999]
)
def test_other_addresses_hold_nothing(doors: Doors, path: str) -> None:
    assert ask(doors, path=path).status == 404


# --- the enrolled device


def enroll_own(site: Site) -> tuple[Identifiers, SignerIdentity]:
    """Enroll a device that names itself by its EnrollmentID, in Ada's account."""
    own = Identifiers(enrollment_id="ENROLLMENT-1")
    identity = site.identity()
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.identities).values(account=ADA)))
    site.check_in(replace(authenticate(own, serial_number=None), device_name=None), identity)
    site.check_in(token_update(own), identity)
    return own, identity


def connect(doors: Doors, own: Identifiers, identity: SignerIdentity, token: str | None) -> Reply:
    body = encode_report(Report(head(own)))
    headers = {"mdm-signature": make_mdm_signature(body, identity)}
    if token is not None:
        headers["authorization"] = f"Bearer {token}"
    return doors.ask("PUT", "/mdm", body, headers)


def test_enrolled_device_is_known_by_its_enrollment_id_and_account_and_obeys(doors: Doors, site: Site) -> None:
    own, identity = enroll_own(site)
    site.queue("one", own)

    reply = connect(doors, own, identity, None)

    account = site.rows(sa.select(schema.device_facts.c.account))
    assert (site.enrollment(own).state, account) == (EnrollmentState.ENROLLED, [(ADA,)])
    assert (reply.status, b"one" in reply.body) == (200, True)


def test_token_of_the_enrolled_account_is_no_news(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    own, identity = enroll_own(site)
    before = site.evidence(own)

    reply = connect(doors, own, identity, token_of(sign_in(doors)))

    assert (reply.status, site.evidence(own)) == (200, before)


@pytest.mark.parametrize("token", ["unknown", "", "a b"])
def test_token_that_is_not_known_says_nothing_of_an_enrolled_device(doors: Doors, site: Site, token: str) -> None:
    own, identity = enroll_own(site)
    before = site.evidence(own)

    reply = connect(doors, own, identity, token)

    assert (reply.status, site.evidence(own)) == (200, before)


def test_token_of_another_account_is_evidence_once_and_the_device_is_served(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    own, identity = enroll_own(site)
    eves = token_of(sign_in(doors, "battery+staple", "eve@example.org"))

    replies = [connect(doors, own, identity, eves) for _ in range(3)]

    assert [reply.status for reply in replies] == [200] * 3
    assert ("S2", "bearer_of_another_account", 1) in site.evidence(own)


def test_token_beside_a_message_that_is_refused_is_not_looked_at(doors: Doors, site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    own, _ = enroll_own(site)
    eves = token_of(sign_in(doors, "battery+staple", "eve@example.org"))

    reply = connect(doors, own, site.identity(), eves)

    assert reply.status == 403
    assert all(observed != "bearer_of_another_account" for _, observed, _ in site.evidence(own))

"""Over-the-air enrollment: three phases, each gone through once, by the device that says so and no other."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.edges.device.doors import DEVICE_CA, DEVICE_ROOT, Doors, Reply
from tests.simulator.apns_pki import push_certificate
from tests.support.authorities import certified, ec_keys
from tests.support.profiles import scep_of
from tests.support.site import Site, authenticate, authority, identity_of

from muster.crypto.cms.signed_data import verify_attached
from muster.crypto.cms.signing import SignerIdentity, sign_attached
from muster.crypto.keys import generate_ec_key
from muster.crypto.requests import make_request, read_request
from muster.domain.access import LinkKind
from muster.operations.enrollment_links import LinkOrder
from muster.operations.enrollment_users import UserOrder, add_enrollment_users
from muster.operations.issue_certificate import CertificateOrder, IssuedCertificate, issue_certificates
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.device_signature import MAX_SIGNED_BYTES
from muster.protocol.identifiers import Identifiers
from muster.protocol.profile import EnrollmentProfile, decode_enrollment_profile
from muster.protocol.profile_service import (
    DeviceAttributes,
    ProfileService,
    ScepOnlyProfile,
    decode_profile_service,
    decode_scep_only_profile,
    encode_device_attributes,
)
from muster.storage import schema
from muster.storage.engine import Engine
from muster.storage.sqlite import SqliteEngine

KEYS = ec_keys()
LEAF = certified("device", KEYS[2], DEVICE_CA)
DEVICE = SignerIdentity(LEAF.certificate_der, LEAF.key)
OTHER_LEAF = certified("other", KEYS[3], DEVICE_CA)
CHAIN = (DEVICE_CA.certificate_der,)
UDID = "00008140-000A1B2C3D4E5F60"
SERIAL = "C02XK0ZZJGH5"
IPHONE = DeviceAttributes(udid=UDID, version="21A329", product="iPhone16,1", serial=SERIAL)
MAC = replace(IPHONE, product="MacBookPro18,1")
BROWSER = {"accept": "text/html,*/*;q=0.8"}


@pytest.fixture
def doors(reused_sqlite: SqliteEngine) -> Iterator[Doors]:
    doors = Doors(Site(reused_sqlite))
    prepare(doors.site)
    yield doors
    doors.close()


@pytest.fixture(params=["reused_sqlite", "postgresql_engine"])
def both_doors(request: pytest.FixtureRequest) -> Iterator[Doors]:
    engine: Engine = request.getfixturevalue(request.param)
    doors = Doors(Site(engine))
    prepare(doors.site)
    yield doors
    doors.close()


def prepare(site: Site) -> None:
    pem = push_certificate()
    site.do(upload_push_certificates, UploadedPushCertificate(pem.certificate_pem, pem.key_pem))


def make_link(site: Site, uses: int | None = 1, *, serials: frozenset[str] | None = None, sign_in: bool = False) -> str:
    order = LinkOrder(uses, timedelta(days=1), kind=LinkKind.OTA, serial_numbers=serials, requires_sign_in=sign_in)
    return site.link(order).token


def content(reply: Reply) -> bytes:
    assert (reply.status, reply.headers["content-type"]) == (200, "application/x-apple-aspen-config"), reply
    verified = verify_attached(reply.body, allow_legacy=False)
    assert verified.signer_certificate_der == authority().certificate_der
    return verified.content


def begin(doors: Doors, token: str) -> ProfileService:
    return decode_profile_service(content(doors.ask("GET", f"/ota/{token}")))


def post(
    doors: Doors, token: str, said: DeviceAttributes, signer: SignerIdentity = DEVICE, chain: tuple[bytes, ...] = CHAIN
) -> Reply:
    body = encode_device_attributes(said, signer, chain)
    return doors.ask("POST", f"/ota/{token}", body, {"content-type": "application/pkcs7-signature"})


def answer(doors: Doors, token: str, said: DeviceAttributes) -> ScepOnlyProfile:
    return decode_scep_only_profile(content(post(doors, token, said)))


def fetch(site: Site, challenge: str | None) -> SignerIdentity:
    """Do what SCEP does."""
    assert challenge is not None
    key = generate_ec_key()
    request = read_request(make_request(key, common_name="enrolling", challenge=challenge))
    issued = site.do(issue_certificates, CertificateOrder(request, authority(), "Example", "source"))[0]
    assert isinstance(issued, IssuedCertificate), issued
    return SignerIdentity(issued.certificate_der, key)


def until_phase_3(
    doors: Doors, token: str, attributes: DeviceAttributes = IPHONE
) -> tuple[DeviceAttributes, SignerIdentity]:
    said = replace(attributes, challenge=begin(doors, token).challenge)
    return said, fetch(doors.site, answer(doors, token, said).scep.challenge)


def enrolled(doors: Doors, token: str, attributes: DeviceAttributes = IPHONE) -> EnrollmentProfile:
    said, identity = until_phase_3(doors, token, attributes)
    return decode_enrollment_profile(content(post(doors, token, said, identity, ())))


def codes(site: Site) -> set[str]:
    return {code for _, code, _ in site.rumours()}


def test_three_phases_lead_to_a_profile_that_is_good_for_that_device_alone(both_doors: Doors) -> None:
    site = both_doors.site
    token = make_link(site)

    service = begin(both_doors, token)
    profile = enrolled(both_doors, token)

    assert (service.url, service.payload_identifier) == (
        f"https://mdm.example.org/ota/{token}",
        "org.example.enrollment.ota",
    )
    identity = fetch(site, scep_of(profile).challenge)
    other = Identifiers(udid="00008140-FFFFFFFFFFFFFFFF")
    own = Identifiers(udid=UDID)
    refused = site.check_in(authenticate(other, serial_number=SERIAL), identity)
    site.check_in(authenticate(own, serial_number=SERIAL), identity)
    assert "made for another device" in str(refused)
    assert (site.is_known(other), site.is_known(own)) == (False, True)


def test_only_the_enrollment_counts_as_a_use_of_the_link(doors: Doors) -> None:
    token = make_link(doors.site)
    uses = sa.select(schema.enrollment_links.c.uses)

    profile = enrolled(doors, token)
    before = doors.site.rows(uses)
    fetch(doors.site, scep_of(profile).challenge)

    assert (before, doors.site.rows(uses)) == ([(0,)], [(1,)])
    assert doors.ask("GET", f"/ota/{token}").status == 403


def test_identity_of_phase_2_enrolls_nothing(doors: Doors) -> None:
    _, identity = until_phase_3(doors, make_link(doors.site))

    outcome = doors.site.check_in(authenticate(Identifiers(udid=UDID), serial_number=SERIAL), identity)

    assert "fetching a profile only" in str(outcome)


def test_people_get_a_page_and_programs_the_profile(doors: Doors) -> None:
    token = make_link(doors.site)

    page = doors.ask("GET", f"/ota/{token}", headers=BROWSER)

    assert f'href="/ota/{token}/profile"'.encode() in page.body
    service = decode_profile_service(content(doors.ask("GET", f"/ota/{token}/profile", headers=BROWSER)))
    assert service.challenge


def test_who_signed_in_is_remembered_with_the_device(doors: Doors) -> None:
    doors.site.do(add_enrollment_users, UserOrder("ada@example.org", "correct horse"))
    token = make_link(doors.site, sign_in=True)
    form = b"user_name=ada%40example.org&password=correct+horse"
    signed_in = doors.ask("POST", f"/ota/{token}/sign-in", form, {"content-type": "application/x-www-form-urlencoded"})
    cookie = signed_in.headers["set-cookie"].partition(";")[0]
    service = decode_profile_service(content(doors.ask("GET", f"/ota/{token}/profile", headers={"cookie": cookie})))
    said = replace(IPHONE, challenge=service.challenge)
    identity = fetch(doors.site, answer(doors, token, said).scep.challenge)

    content(post(doors, token, said, identity, ()))

    assert doors.ask("GET", f"/ota/{token}").status == 403
    [opened] = doors.site.rows(sa.select(schema.audit.c.detail).where(schema.audit.c.act == "enrollment_link.open"))
    assert opened == ({"user": "ada@example.org", "udid": UDID, "serial_number": SERIAL},)


@pytest.mark.parametrize(
    ("signer", "chain"),
    [(identity_of(1, issuer=1), ()), (SignerIdentity(DEVICE_ROOT.certificate_der, DEVICE_ROOT.key), ()), (DEVICE, ())],
    ids=["stranger", "root itself", "chain left out"],
)
def test_iphone_that_apple_does_not_vouch_for_is_refused(
    doors: Doors, signer: SignerIdentity, chain: tuple[bytes, ...]
) -> None:
    token = make_link(doors.site)
    said = replace(IPHONE, challenge=begin(doors, token).challenge)

    reply = post(doors, token, said, signer, chain)

    assert reply.status == 403
    assert codes(doors.site) == {"device_not_attested"}
    answer(doors, token, said)  # the rightful device is unharmed


@pytest.mark.parametrize(("accepts", "status"), [(True, 200), (False, 403)])
def test_mac_without_a_certificate_of_apples_is_a_matter_of_policy(doors: Doors, accepts: bool, status: int) -> None:
    doors.site.runner.policy = replace(doors.site.runner.policy, accepts_unattested_macs=accepts)
    token = make_link(doors.site)
    said = replace(MAC, challenge=begin(doors, token).challenge)

    reply = post(doors, token, said, identity_of(1, issuer=1), ())

    assert reply.status == status


@pytest.mark.parametrize("challenge", [None, "", "x" * 32, "\N{SNOWMAN}"])
def test_wrong_challenge_is_refused(doors: Doors, challenge: str | None) -> None:
    token = make_link(doors.site)
    begin(doors, token)

    reply = post(doors, token, replace(IPHONE, challenge=challenge))

    assert reply.status == 403
    assert codes(doors.site) == {"challenge_unknown"}


def test_challenge_of_another_link_is_refused(doors: Doors) -> None:
    token, other = make_link(doors.site), make_link(doors.site)

    reply = post(doors, token, replace(IPHONE, challenge=begin(doors, other).challenge))

    assert reply.status == 403
    assert codes(doors.site) == {"challenge_unknown"}


def test_challenge_is_no_challenge_of_scep(doors: Doors) -> None:
    challenge = begin(doors, make_link(doors.site)).challenge
    request = read_request(make_request(generate_ec_key(), common_name="x", challenge=challenge))

    outcome = doors.site.do(issue_certificates, CertificateOrder(request, authority(), "", ""))[0]

    assert "not known" in str(outcome)


def test_expired_challenge_and_expired_link_are_refused(doors: Doors) -> None:
    token = make_link(doors.site)
    said = replace(IPHONE, challenge=begin(doors, token).challenge)
    doors.site.wait(days=1)

    assert post(doors, token, said).status == 403
    assert codes(doors.site) == {"link_expired"}


def test_replay_of_phase_2_is_refused_whoever_says_it(doors: Doors) -> None:
    token = make_link(doors.site)
    said = replace(IPHONE, challenge=begin(doors, token).challenge)
    answer(doors, token, said)

    replies = [
        post(doors, token, said),
        post(doors, token, replace(said, udid="other"), SignerIdentity(OTHER_LEAF.certificate_der, OTHER_LEAF.key)),
    ]

    assert [reply.status for reply in replies] == [403, 403]
    assert codes(doors.site) == {"challenge_used"}


def test_replay_of_phase_3_is_refused(doors: Doors) -> None:
    token = make_link(doors.site)
    said, identity = until_phase_3(doors, token)
    content(post(doors, token, said, identity, ()))

    reply = post(doors, token, said, identity, ())

    assert reply.status == 403
    assert codes(doors.site) == {"challenge_used"}


@pytest.mark.parametrize("change", [{"udid": "another"}, {"serial": "ANOTHER"}, {"serial": None}])
def test_another_device_is_not_named_in_phase_3(doors: Doors, change: dict[str, str]) -> None:
    token = make_link(doors.site)
    said, identity = until_phase_3(doors, token)

    reply = post(doors, token, replace(said, **change), identity, ())

    assert reply.status == 403
    assert codes(doors.site) == {"identity_of_another_device"}


def test_identity_of_one_enrollment_does_not_complete_another(doors: Doors) -> None:
    token = make_link(doors.site, 2)
    _, thief = until_phase_3(doors, token, replace(IPHONE, udid="thief"))
    said, rightful = until_phase_3(doors, token)

    stolen = post(doors, token, said, thief, ())

    assert stolen.status == 403
    assert content(post(doors, token, said, rightful, ()))


def test_phase_3_before_phase_2_is_refused(doors: Doors) -> None:
    token = make_link(doors.site, 2)
    _, identity = until_phase_3(doors, token)
    said = replace(IPHONE, challenge=begin(doors, token).challenge)

    assert post(doors, token, said, identity, ()).status == 403
    assert codes(doors.site) == {"identity_of_another_device"}


def test_identity_of_an_enrolled_device_is_not_for_phase_3(doors: Doors) -> None:
    token = make_link(doors.site)
    identity = doors.site.identity()

    reply = post(doors, token, replace(IPHONE, challenge=begin(doors, token).challenge), identity, ())

    assert reply.status == 403
    assert codes(doors.site) == {"identity_not_for_enrollment"}


def test_link_for_certain_serial_numbers_refuses_others_early(doors: Doors) -> None:
    token = make_link(doors.site, serials=frozenset({SERIAL}))
    stranger = replace(IPHONE, challenge=begin(doors, token).challenge, serial="OTHER")

    assert post(doors, token, stranger).status == 403
    assert codes(doors.site) == {"device_not_expected"}
    assert scep_of(enrolled(doors, token)).challenge


def test_device_that_does_not_tell_its_udid_is_refused(doors: Doors) -> None:
    token = make_link(doors.site)
    said = replace(IPHONE, udid=None, challenge=begin(doors, token).challenge)

    assert post(doors, token, said).status == 400


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "body_malformed"),
        (b"x", 400, "body_malformed"),
        (b"\x30\x80" * 1000, 400, "body_malformed"),
        (sign_attached(b"not a plist", DEVICE), 400, "body_malformed"),
        (b"x" * (MAX_SIGNED_BYTES + 1), 413, "body_too_large"),
    ],
    ids=["empty", "no CMS", "endless", "no plist", "too large"],
)
def test_what_is_no_answer_is_refused_and_recorded(doors: Doors, body: bytes, status: int, code: str) -> None:
    token = make_link(doors.site)

    reply = doors.ask("POST", f"/ota/{token}", body)

    assert reply.status == status
    assert codes(doors.site) == {code}


def test_forged_answer_is_refused(doors: Doors) -> None:
    token = make_link(doors.site)
    body = encode_device_attributes(replace(IPHONE, challenge=begin(doors, token).challenge), DEVICE, CHAIN)

    reply = doors.ask("POST", f"/ota/{token}", body.replace(SERIAL.encode(), b"D02XK0ZZJGH5"))

    assert reply.status == 400
    assert codes(doors.site) == {"signature_bad"}


@pytest.mark.parametrize(
    ("method", "rest", "allowed"),
    [
        ("PUT", "", "GET, POST"),
        ("HEAD", "", "GET, POST"),
        ("DELETE", "/profile", "GET"),
        ("PUT", "/sign-in", "POST"),
        ("POST", "/profile", "GET"),
    ],
)
def test_other_methods_are_told_which_there_are(doors: Doors, method: str, rest: str, allowed: str) -> None:
    reply = doors.ask(method, f"/ota/{make_link(doors.site)}{rest}")

    assert (reply.status, reply.headers["allow"]) == (405, allowed)


@pytest.mark.parametrize("path", ["/ota/", "/ota/unknown", "/ota/{token}/", "/ota/{token}/other"])
def test_unknown_addresses_are_refused(doors: Doors, path: str) -> None:
    assert doors.ask("GET", path.format(token=make_link(doors.site))).status == 404


def test_enrollments_that_came_to_nothing_go(doors: Doors) -> None:
    token = doors.site.link(LinkOrder(1, timedelta(days=9), kind=LinkKind.OTA)).token
    for _ in range(3):
        begin(doors, token)
    doors.site.wait(days=1)
    begin(doors, token)

    assert len(doors.site.rows(sa.select(schema.ota_enrollments))) == 1

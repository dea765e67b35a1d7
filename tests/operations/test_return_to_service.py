"""A device that is erased comes back by itself only where an administrator wanted it, and nobody comes in its place."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.simulator.apns_pki import push_certificate
from tests.support.profiles import scep_of
from tests.support.site import MAC, Site, authenticate, authority, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.keys import generate_ec_key
from muster.crypto.requests import make_request, read_request
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.return_to_service import MAXIMUM_WIFI_PROFILE_BYTES
from muster.operations.answer_connect import ConnectReply
from muster.operations.checkin import CheckinAnswer
from muster.operations.enrollment_links import LinkOpened, LinkOrder, open_links
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.issue_certificate import CertificateOrder, IssuedCertificate, issue_certificates
from muster.operations.queue_command import QueuedCommand
from muster.operations.return_to_service import (
    ReturnOrder,
    ReturnPolicyOrder,
    return_devices,
    set_return_policies,
)
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.checkin import ReturnToService
from muster.protocol.checkin_replies import ReturnToServiceReply, read_return_to_service_reply
from muster.protocol.command import decode_command
from muster.protocol.identifiers import DeviceId, Identifiers, resolve_channel
from muster.protocol.plist import write_plist
from muster.protocol.profile import EnrollmentProfile, decode_enrollment_profile
from muster.storage import schema

UDID = "00008140-000A1B2C3D4E5F60"
IPHONE = Identifiers(udid=UDID)
DEVICE = DeviceId(UDID)
WIFI = write_plist({"PayloadType": "Configuration", "PayloadContent": [], "Password": "the Wi-Fi password"})
TERMS = EnrollmentTerms("https://mdm.example.org", None, "Example")


@pytest.fixture
def site(site: Site) -> Site:
    pem = push_certificate()
    site.do(upload_push_certificates, UploadedPushCertificate(pem.certificate_pem, pem.key_pem))
    return site


def fetch(site: Site, profile: EnrollmentProfile) -> SignerIdentity:
    """Do what SCEP does."""
    key = generate_ec_key()
    challenge = scep_of(profile).challenge
    assert challenge is not None
    request = read_request(make_request(key, common_name="device", challenge=challenge))
    issued = site.do(issue_certificates, CertificateOrder(request, authority(), "Example", "source"))[0]
    assert isinstance(issued, IssuedCertificate), issued
    return SignerIdentity(issued.certificate_der, key)


def enroll(site: Site, identity: SignerIdentity, product: str = "iPhone16,1") -> None:
    site.check_in(replace(authenticate(IPHONE), product_name=product), identity)
    site.check_in(token_update(IPHONE), identity)


def enrolled(site: Site, *, rights: int = 8191, product: str = "iPhone16,1") -> SignerIdentity:
    """Enroll the iPhone by a link."""
    link = site.link(LinkOrder(1, timedelta(days=1), access_rights=rights))
    profile = site.do(open_links, LinkOpened(link.token, TERMS))[0]
    assert isinstance(profile, EnrollmentProfile), profile
    identity = fetch(site, profile)
    enroll(site, identity, product)
    return identity


def allow(site: Site, device_id: DeviceId | None = None, *, wifi: bytes | None = WIFI, enabled: bool = True) -> None:
    outcome = site.do(set_return_policies, ReturnPolicyOrder(device_id, enabled, wifi))[0]
    assert not isinstance(outcome, Refusal), outcome


def ask(site: Site, identity: SignerIdentity) -> ReturnToServiceReply:
    outcome = site.check_in(ReturnToService(IPHONE, resolve_channel(IPHONE)), identity)
    assert isinstance(outcome, CheckinAnswer), outcome
    return read_return_to_service_reply(outcome.body)


def test_nothing_returns_unless_an_administrator_allows_it(site: Site) -> None:
    assert ask(site, enrolled(site)) == ReturnToServiceReply(enabled=False)


@pytest.mark.parametrize("scope", [None, DEVICE])
def test_allowed_device_gets_wifi_and_a_profile_of_what_it_is_enrolled_with(site: Site, scope: DeviceId | None) -> None:
    identity = enrolled(site, rights=8191 & ~4)
    allow(site, scope)

    reply = ask(site, identity)

    assert (reply.enabled, reply.wifi_profile_data) == (True, WIFI)
    profile = decode_enrollment_profile(reply.mdm_profile_data or b"")
    assert (profile.access_rights, profile.payload_identifier) == (8191 & ~4, "org.example.enrollment")
    assert ("S12", "return_to_service", 1) in site.evidence(IPHONE)


def test_what_stands_for_a_device_outweighs_what_stands_for_all(site: Site) -> None:
    identity = enrolled(site)
    allow(site)
    allow(site, DEVICE, enabled=False, wifi=None)
    refused = ask(site, identity)
    allow(site, enabled=False, wifi=None)
    allow(site, DEVICE, wifi=None)

    assert not refused.enabled
    assert (ask(site, identity).enabled, ask(site, identity).wifi_profile_data) == (True, None)


def test_device_comes_back_by_its_profile_and_no_other_comes_by_it(site: Site) -> None:
    identity = enrolled(site)
    allow(site)
    returned = fetch(site, decode_enrollment_profile(ask(site, identity).mdm_profile_data or b""))

    refused = site.check_in(authenticate(MAC), returned)
    enroll(site, returned)

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE
    assert site.enrollment(IPHONE).epoch == 2


def test_device_comes_back_though_newcomers_are_refused(site: Site) -> None:
    identity = enrolled(site)
    allow(site)
    site.do(set_policies, PolicyOrder("on_enroll", "refuse"))

    enroll(site, fetch(site, decode_enrollment_profile(ask(site, identity).mdm_profile_data or b"")))

    assert site.enrollment(IPHONE).epoch == 2


@pytest.mark.parametrize(
    ("rights", "product", "reason"),
    [
        (8191, "Mac14,2", "does not know"),
        (8191, "Watch7,1", "does not know"),
        (8191 & ~8, "iPhone16,1", "right to erase"),
    ],
)
def test_device_that_can_not_return_is_told_no_and_is_not_erased(
    site: Site, rights: int, product: str, reason: str
) -> None:
    identity = enrolled(site, rights=rights, product=product)
    allow(site)

    refused = site.do(return_devices, ReturnOrder(DEVICE, WIFI))[0]

    assert not ask(site, identity).enabled
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.CANNOT_RETURN
    assert reason in refused.message
    assert site.queued(IPHONE) == []


def test_device_whose_profile_is_not_known_is_not_sent_away(site: Site) -> None:
    identity = site.enroll(IPHONE)
    allow(site)

    assert not ask(site, identity).enabled
    assert isinstance(site.do(return_devices, ReturnOrder(DEVICE, WIFI))[0], Refusal)


def test_command_erases_once_and_brings_the_device_back(site: Site) -> None:
    identity = enrolled(site)
    queued = site.do(return_devices, ReturnOrder(DEVICE, WIFI))[0]
    assert isinstance(queued, QueuedCommand)

    handed_out = site.connect(identity, IPHONE)
    again = site.connect(identity, IPHONE)

    assert isinstance(handed_out, ConnectReply)
    assert isinstance(again, ConnectReply)
    assert again.body == b""
    returning = decode_command(handed_out.body).keys["ReturnToService"]
    assert isinstance(returning, dict)
    assert (returning["Enabled"], returning["WiFiProfileData"]) == (True, WIFI)
    profile = returning["MDMProfileData"]
    assert isinstance(profile, bytes)
    site.wait(days=300)  # it lay in a drawer
    enroll(site, fetch(site, decode_enrollment_profile(profile)))
    assert site.enrollment(IPHONE).epoch == 2


def test_no_secret_is_stored_in_the_clear_and_both_acts_are_audited(site: Site) -> None:
    enrolled(site)
    allow(site, DEVICE)
    site.do(return_devices, ReturnOrder(DEVICE, WIFI))

    everything = str([site.rows(sa.select(table)) for table in schema.metadata.sorted_tables])
    assert "the Wi-Fi password" not in everything + repr(ReturnOrder(DEVICE, WIFI)) + repr(
        ReturnPolicyOrder(None, True, WIFI)
    )
    acts = {act for (act,) in site.rows(sa.select(schema.audit.c.act))}
    assert {"return_to_service.set", "device.return_to_service", "command.queue"} <= acts


@pytest.mark.parametrize(
    ("profile", "is_fit"),
    [
        (WIFI, True),
        (b"\x30\x80signed", True),
        (b"", False),
        (b"text", False),
        (write_plist({"PayloadType": "com.apple.wifi.managed"}), False),
        (write_plist({}), False),
        (b"\x30" + b"x" * MAXIMUM_WIFI_PROFILE_BYTES, False),
    ],
)
def test_wifi_profile_is_a_profile_within_bounds(site: Site, profile: bytes, is_fit: bool) -> None:
    outcome = site.do(set_return_policies, ReturnPolicyOrder(None, is_enabled=True, wifi_profile=profile))[0]

    assert isinstance(outcome, Refusal) is not is_fit
    assert not isinstance(outcome, Refusal) or outcome.code is RefusalCode.PROFILE_UNFIT


def test_unknown_devices_are_refused(site: Site) -> None:
    outcomes = [
        site.do(set_return_policies, ReturnPolicyOrder(DEVICE, is_enabled=True))[0],
        site.do(return_devices, ReturnOrder(DEVICE))[0],
    ]

    assert [one.code for one in outcomes if isinstance(one, Refusal)] == [RefusalCode.NOT_FOUND] * 2

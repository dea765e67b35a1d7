"""A push certificate is put into use only when it can push."""

import base64
from dataclasses import replace
from datetime import timedelta
from functools import cache

import pytest
import sqlalchemy as sa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from tests.simulator.apns_pki import TOPIC, ClientPem, authority_pem, push_certificate
from tests.support import fleet
from tests.support.push_portal import application_integration, name_of, push_certificate_of
from tests.support.runner import NOW
from tests.support.site import Site, authority

from muster.crypto.certificate_files import MAX_FILE_OCTETS
from muster.crypto.certificates import fingerprint, pem_from_der
from muster.crypto.issuance import make_push_certificate, make_server_certificate
from muster.crypto.keys import (
    ECPrivateKey,
    generate_ec_key,
    generate_rsa_key,
    private_key_der,
    private_key_pem,
    public_key_der,
)
from muster.crypto.pkcs12 import make_pkcs12
from muster.crypto.requests import make_request
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.push_certificates import Change, Deliberately
from muster.operations.upload_push_certificate import (
    AcceptedPushCertificate,
    UploadedPushCertificate,
    UploadOutcome,
    upload_push_certificates,
)
from muster.storage import push_certificates, schema
from muster.storage.push_certificates import StoredPushCertificate

OTHER = "com.apple.mgmt.External.other"


@cache
def key() -> ECPrivateKey:
    return generate_ec_key()


def encrypted_key() -> bytes:
    form, protection = serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"secret")
    return key().private_bytes(serialization.Encoding.PEM, form, protection)


def pkcs12_file() -> bytes:
    certificate = push_certificate_of(TOPIC, public_key_der(key()))
    return make_pkcs12(certificate, key(), "secret", friendly_name="push", legacy=False)


def request_pem() -> bytes:
    encoded = base64.encodebytes(make_request(key(), common_name="x"))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + encoded + b"-----END CERTIFICATE REQUEST-----\n"


def upload(site: Site, certificate_pem: bytes, private_key: bytes) -> UploadOutcome:
    return site.do(upload_push_certificates, UploadedPushCertificate(certificate_pem, private_key))[0]


def upload_pem(site: Site, pem: ClientPem) -> UploadOutcome:
    return upload(site, pem.certificate_pem, pem.key_pem)


def in_use(site: Site) -> tuple[StoredPushCertificate, ...]:
    return site.engine.read(push_certificates.current_certificates)


def test_uploaded_certificate_is_in_use_with_its_key_sealed(site: Site) -> None:
    pem = push_certificate()

    outcome = upload_pem(site, pem)

    assert isinstance(outcome, AcceptedPushCertificate)
    assert outcome.topic == TOPIC
    (stored,) = in_use(site)
    assert stored.fingerprint == fingerprint(pem.certificate_der)
    assert b"PRIVATE KEY" not in stored.key_sealed
    assert site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject)) == [("push_certificate.upload", TOPIC)]


def test_renewed_certificate_replaces_the_one_of_its_topic_and_the_former_is_kept(site: Site) -> None:
    former, renewed = push_certificate(serial_number=20), push_certificate(serial_number=21)
    upload_pem(site, former)

    upload_pem(site, renewed)

    assert [stored.fingerprint for stored in in_use(site)] == [fingerprint(renewed.certificate_der)]
    assert site.rows(sa.select(sa.func.count()).select_from(schema.push_certificates)) == [(2,)]


def test_same_certificate_uploaded_again_changes_nothing(site: Site) -> None:
    for _ in range(2):
        upload_pem(site, push_certificate())

    assert len(in_use(site)) == 1


def test_certificates_of_two_topics_are_in_use_side_by_side(site: Site) -> None:
    upload_pem(site, push_certificate())

    upload_pem(site, push_certificate("com.apple.mgmt.External.other"))

    assert len(in_use(site)) == 2


def test_key_may_be_der(site: Site) -> None:
    certificate = make_push_certificate(
        TOPIC, key(), now=NOW, lifetime=timedelta(days=1), serial_number=1, authority=authority()
    )

    assert isinstance(upload(site, pem_from_der([certificate]), private_key_der(key())), AcceptedPushCertificate)


def _pem(lifetime: timedelta = timedelta(days=1)) -> bytes:
    issued = NOW - timedelta(days=2)
    return pem_from_der(
        [make_push_certificate(TOPIC, key(), now=issued, lifetime=lifetime, serial_number=1, authority=authority())]
    )


def _server_pem() -> bytes:
    lifetime = timedelta(days=1)
    return pem_from_der([make_server_certificate(["a.example"], key(), now=NOW, lifetime=lifetime, serial_number=1)])


@pytest.mark.parametrize(
    ("certificate_pem", "private_key", "why"),
    [
        (b"", b"", "can't be read"),
        (b"-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", b"", "can't be read"),
        (_pem(timedelta(days=9)), b"no key", "can't be read"),
        (_pem(timedelta(days=9)), _pem(timedelta(days=9)), "can't be read"),
        (_pem(timedelta(days=9)), private_key_pem(generate_ec_key()), "does not belong"),
        (_pem(), private_key_pem(key()), "expired"),
        (_server_pem(), private_key_pem(key()), "no UID"),
    ],
    ids=["nothing", "nonsense", "no-key", "certificate-as-key", "another-key", "expired", "another-kind"],
)
def test_certificate_that_could_not_push_is_refused_with_a_remedy(
    site: Site, certificate_pem: bytes, private_key: bytes, why: str
) -> None:
    outcome = upload(site, certificate_pem, private_key)

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.PUSH_CERTIFICATE_UNFIT
    assert why in outcome.message
    assert outcome.remedy
    assert in_use(site) == ()


# --- what files may hold ----------------------------------------------------------------------------------------------


def test_certificate_may_be_der_and_its_key_beside_it_in_one_file(site: Site) -> None:
    pem = push_certificate()

    der = upload(site, pem.certificate_der, pem.key_pem)
    together = site.do(upload_push_certificates, UploadedPushCertificate(pem.key_pem + pem.certificate_pem))[0]

    assert isinstance(der, AcceptedPushCertificate)
    assert isinstance(together, AcceptedPushCertificate)
    assert (der.change, together.change) == (Change.FIRST, Change.SAME)


def test_chain_is_kept_behind_the_certificate_wherever_that_stands_in_the_file(site: Site) -> None:
    pem = push_certificate()
    stranger = authority().certificate_der

    upload(site, authority_pem() + pem.certificate_pem + pem_from_der([stranger]), pem.key_pem)

    assert in_use(site)[0].certificate_pem == pem.certificate_pem + authority_pem()


def test_file_in_which_either_of_two_could_be_meant_is_refused(site: Site) -> None:
    former, renewed = push_certificate(serial_number=20), push_certificate(serial_number=21)

    outcome = upload(site, former.certificate_pem + renewed.certificate_pem, former.key_pem)

    assert isinstance(outcome, Refusal)
    assert "2 certificates in it may be the one that is meant" in outcome.message
    assert in_use(site) == ()


def weak_certificate() -> UploadedPushCertificate:
    """A certificate with everything that a push certificate needs, but a key too small for TLS."""
    private_key, issuer = generate_rsa_key(1024), application_integration()
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name_of("APSP:weak", "", user_id=fleet.TOPIC))
        .issuer_name(issuer.name)
        .public_key(private_key.public_key())
        .not_valid_before((NOW - timedelta(days=1)).replace(microsecond=0))
        .not_valid_after((NOW + timedelta(days=365)).replace(microsecond=0))
        .serial_number(7)
        .sign(issuer.key, hashes.SHA256())
    )
    encoded = certificate.public_bytes(serialization.Encoding.PEM)
    return UploadedPushCertificate(encoded, private_key_pem(private_key))


def test_certificate_that_tls_does_not_show_takes_no_place_of_one_that_pushes(site: Site) -> None:
    fleet_of_three(site)
    before = in_use(site)

    outcome = site.do(upload_push_certificates, weak_certificate())[0]

    assert isinstance(outcome, Refusal)
    assert "TLS can't show it: ee key too small" in outcome.message
    assert f"listen to {fleet.TOPIC}, whose certificate stays in use" in outcome.message
    assert in_use(site) == before


@pytest.mark.parametrize("topic", [f"{fleet.TOPIC} ", f"{fleet.TOPIC}\n", "com.apple.mgmt.External.\u00e9"])
def test_topic_that_no_header_could_carry_is_none(site: Site, topic: str) -> None:
    outcome = site.do(upload_push_certificates, apples(topic))[0]

    assert isinstance(outcome, Refusal)
    assert "no topic has such characters" in outcome.message
    assert in_use(site) == ()


def test_former_certificate_returns_without_its_key(site: Site) -> None:
    former, renewed = push_certificate(serial_number=20), push_certificate(serial_number=21)
    upload_pem(site, former)
    upload_pem(site, renewed)

    outcome = site.do(upload_push_certificates, UploadedPushCertificate(former.certificate_pem))[0]

    assert isinstance(outcome, AcceptedPushCertificate)
    assert [stored.fingerprint for stored in in_use(site)] == [fingerprint(former.certificate_der)]


def test_request_made_elsewhere_is_renewed_without_giving_its_key_again(site: Site) -> None:
    fleet_of_three(site)

    outcome = site.do(upload_push_certificates, replace(apples(fleet.TOPIC), key=None))[0]

    assert isinstance(outcome, AcceptedPushCertificate)
    assert outcome.change is Change.RENEWED


def test_key_of_another_topics_certificate_is_not_taken_for_it(site: Site) -> None:
    site.do(upload_push_certificates, apples(OTHER))

    outcome = site.do(upload_push_certificates, replace(apples(fleet.TOPIC), key=None))[0]

    assert isinstance(outcome, Refusal)
    assert "answers no request that was made here" in outcome.message


def test_upload_tells_who_gets_nothing_of_it(site: Site) -> None:
    fleet_of_three(site)
    fleet.add_device(site.engine, "STRAY")
    fleet.add_push_target(site.engine, "STRAY", topic=OTHER)

    outcome = site.do(upload_push_certificates, apples(OTHER))[0]

    assert isinstance(outcome, AcceptedPushCertificate)
    assert (outcome.change, outcome.enrollments, outcome.elsewhere, outcome.is_of_new) == (Change.FIRST, 1, 4, False)
    assert in_use(site)[0].topic == fleet.TOPIC


@pytest.mark.parametrize(
    ("certificate", "private_key", "why", "remedy"),
    [
        (_pem(), encrypted_key(), "the private key is encrypted", "openssl pkey -in"),
        (pkcs12_file(), private_key_pem(key()), "it is a PKCS #12 file", "openssl pkcs12 -in"),
        (_pem(), pkcs12_file(), "it is a PKCS #12 file", "openssl pkcs12 -in"),
        (request_pem(), private_key_pem(key()), "it holds a request", "came back for the request"),
        (private_key_pem(key()), private_key_pem(key()), "it holds a private key", "--cert"),
        (b"x" * (MAX_FILE_OCTETS + 1), private_key_pem(key()), "more than", "alone"),
        (
            pem_from_der([authority().certificate_der]),
            private_key_pem(authority().key),
            "of an authority",
            "your entry",
        ),
        (_server_pem(), None, "no UID", "Download"),
    ],
    ids=["encrypted", "pkcs12", "pkcs12-key", "request", "key", "huge", "authority", "server"],
)
def test_wrong_file_is_recognized_for_what_it_is(
    site: Site, certificate: bytes, private_key: bytes | None, why: str, remedy: str
) -> None:
    outcome = site.do(upload_push_certificates, UploadedPushCertificate(certificate, private_key))[0]

    assert isinstance(outcome, Refusal)
    assert why in outcome.message
    assert remedy in outcome.remedy
    assert in_use(site) == ()


def test_certificate_for_apps_is_told_by_what_it_is_for(site: Site) -> None:
    certificate = make_push_certificate(
        "com.example.app", key(), now=NOW, lifetime=timedelta(days=1), serial_number=1, authority=authority()
    )

    outcome = upload(site, pem_from_der([certificate]), private_key_pem(key()))

    assert isinstance(outcome, Refusal)
    assert "it is for com.example.app" in outcome.message


def test_certificate_that_is_not_valid_yet_is_refused_with_the_time_here(site: Site) -> None:
    certificate = push_certificate_of(
        TOPIC, public_key_der(key()), not_before=NOW + timedelta(hours=2), not_after=NOW + timedelta(days=365)
    )

    outcome = upload(site, pem_from_der([certificate]), private_key_pem(key()))

    assert isinstance(outcome, Refusal)
    assert "valid from 2026-11-22 16:31 UTC on, and it is 2026-11-22 14:31 UTC here" in outcome.message
    assert "clock" in outcome.remedy


# --- a fleet ----------------------------------------------------------------------------------------------------------


def apples(topic: str, days: int = 365, *, private_key: ECPrivateKey | None = None) -> UploadedPushCertificate:
    """A certificate as Apple issues them, with its key."""
    private_key = private_key or key()
    certificate = push_certificate_of(topic, public_key_der(private_key), not_after=NOW + timedelta(days=days))
    return UploadedPushCertificate(pem_from_der([certificate]), private_key_pem(private_key))


def fleet_of_three(site: Site) -> None:
    """Three devices enrolled with the topic of a certificate that ends in a month; one of them has a user, too."""
    site.do(upload_push_certificates, apples(fleet.TOPIC, days=30))
    for number in range(3):
        device = f"DEVICE-{number}"
        fleet.add_device(site.engine, device, serial_number=None if number == 2 else f"C02XK{number}")
        fleet.add_push_target(site.engine, device)
    fleet.add_user(site.engine, "DEVICE-0", "USER", "ada")
    fleet.add_push_target(site.engine, "DEVICE-0:USER")


def test_wrong_certificate_for_a_fleet_is_refused_with_everybody_it_would_cut_off(site: Site) -> None:
    fleet_of_three(site)
    before = in_use(site)

    outcome = site.do(upload_push_certificates, apples(OTHER))[0]

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.PUSH_TOPIC_CHANGES
    assert outcome.message.splitlines() == [
        f"the push certificate was not accepted: it is for {OTHER}, to which nobody listens who is enrolled",
        f"4 enrollments on 3 devices listen to {fleet.TOPIC}, whose certificate stays in use and ends on 2026-12-22.",
        f"To {fleet.TOPIC}: C02XK0, C02XK1, DEVICE-2.",
    ]
    assert f"renew the entry of {fleet.TOPIC}" in outcome.remedy
    assert "--replace-topic" in outcome.remedy
    assert in_use(site) == before
    assert site.rows(sa.select(sa.func.count()).select_from(schema.audit)) == [(1,)]


def test_other_topic_is_taken_when_that_is_meant_and_the_fleet_keeps_its_own(site: Site) -> None:
    fleet_of_three(site)
    meant = replace(apples(OTHER), meant=frozenset({Deliberately.REPLACE_TOPIC}))

    outcome = site.do(upload_push_certificates, meant)[0]
    renewed = site.do(upload_push_certificates, apples(fleet.TOPIC))[0]

    assert isinstance(outcome, AcceptedPushCertificate)
    assert (outcome.change, outcome.enrollments, outcome.elsewhere) == (Change.ANOTHER_TOPIC, 0, 4)
    assert isinstance(renewed, AcceptedPushCertificate)
    assert renewed.change is Change.RENEWED
    assert [stored.topic for stored in in_use(site)] == [OTHER, fleet.TOPIC]


def test_renewal_tells_what_it_renews_and_for_how_many(site: Site) -> None:
    fleet_of_three(site)

    outcome = site.do(upload_push_certificates, apples(fleet.TOPIC, private_key=generate_ec_key()))[0]

    assert isinstance(outcome, AcceptedPushCertificate)
    assert outcome.change is Change.RENEWED
    assert outcome.former_not_after == NOW + timedelta(days=30)
    assert (outcome.enrollments, outcome.elsewhere, outcome.is_of_apple) == (4, 0, True)


def test_certificate_that_ends_earlier_is_taken_only_when_that_is_meant(site: Site) -> None:
    fleet_of_three(site)
    earlier = apples(fleet.TOPIC, days=20)

    refused = site.do(upload_push_certificates, earlier)[0]
    meant = replace(earlier, meant=frozenset({Deliberately.ALLOW_OLDER}))
    accepted = site.do(upload_push_certificates, meant)[0]

    assert isinstance(refused, Refusal)
    assert "ends on 2026-12-12, before the one in use" in refused.message
    assert isinstance(accepted, AcceptedPushCertificate)
    assert in_use(site)[0].not_after == NOW + timedelta(days=20)


def test_certificate_that_is_not_apples_takes_no_place_of_one_that_is(site: Site) -> None:
    fleet_of_three(site)

    outcome = upload_pem(site, push_certificate(fleet.TOPIC))

    assert isinstance(outcome, Refusal)
    assert "not issued by Apple" in outcome.message


def test_refusal_of_a_bad_file_tells_who_can_not_be_woken_already(site: Site) -> None:
    fleet_of_three(site)
    site.wait(days=31)

    outcome = upload(site, b"nonsense", b"")

    assert isinstance(outcome, Refusal)
    assert f"listen to {fleet.TOPIC}, whose certificate ended on 2026-12-22: they can't be woken" in outcome.message


def test_new_enrollments_keep_their_topic_while_the_other_one_is_renewed(site: Site) -> None:
    site.do(upload_push_certificates, apples(OTHER, days=30))
    site.wait(days=1)
    site.do(upload_push_certificates, apples(fleet.TOPIC, days=30))
    for device, topic in (("A", OTHER), ("B", fleet.TOPIC)):
        fleet.add_device(site.engine, device)
        fleet.add_push_target(site.engine, device, topic=topic)
    site.wait(days=1)

    site.do(upload_push_certificates, apples(OTHER))

    assert [stored.topic for stored in in_use(site)] == [fleet.TOPIC, OTHER]

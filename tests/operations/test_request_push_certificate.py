"""A request for a push certificate: its key stays here, a vendor signs it, and Apple's answer is taken by it alone."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.crypto.openssl import OpenSSL
from tests.support import fleet
from tests.support.push_portal import (
    PushPortal,
    developer_relations,
    push_certificate_of,
    root,
    vendor_certificate,
)
from tests.support.runner import NOW
from tests.support.site import Site

from muster.crypto.certificates import certified_key, der_from_pem, fingerprint, pem_from_der
from muster.crypto.keys import (
    generate_ec_key,
    load_private_key,
    private_key_der,
    private_key_pem,
    public_key_der,
)
from muster.crypto.names import COMMON_NAME, COUNTRY, EMAIL_ADDRESS, first_value
from muster.crypto.requests import read_request
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.push_certificates import Change
from muster.operations.load_push_credentials import load_push_credentials
from muster.operations.request_push_certificate import (
    MadeRequest,
    RequestOrder,
    request_push_certificates,
    write_requests_again,
)
from muster.operations.upload_push_certificate import (
    AcceptedPushCertificate,
    UploadedPushCertificate,
    upload_push_certificates,
)
from muster.operations.upload_vendor_certificate import (
    AcceptedVendorCertificate,
    UploadedVendorCertificate,
    upload_vendor_certificates,
)
from muster.protocol.push_certificate_request import decode_signed_request
from muster.simulator.keys.published import published_keys
from muster.storage import push_certificates, schema
from muster.storage.push_certificates import RequestPurpose

TOPIC = fleet.TOPIC
PUSH = RequestOrder(RequestPurpose.PUSH, "Example")
VENDOR = RequestOrder(RequestPurpose.VENDOR, "Example")
CHAIN = pem_from_der([developer_relations().certificate_der, root().certificate_der])
VENDOR_KEY = published_keys()[7]


def request(site: Site, order: RequestOrder = PUSH) -> MadeRequest:
    made = site.do(request_push_certificates, order)[0]
    assert isinstance(made, MadeRequest), made
    return made


def csr_of(made: MadeRequest) -> bytes:
    """The request in DER."""
    return b"".join(der_from_pem(made.request_pem.replace("CERTIFICATE REQUEST", "CERTIFICATE").encode()))


def hold_vendor_certificate(site: Site, days: int = 365) -> None:
    certificate = vendor_certificate(public_key_der(VENDOR_KEY), not_after=NOW + timedelta(days=days))
    uploaded = UploadedVendorCertificate(certificate, private_key_pem(VENDOR_KEY), CHAIN)
    accepted = site.do(upload_vendor_certificates, uploaded)[0]
    assert isinstance(accepted, AcceptedVendorCertificate), accepted


def upload(site: Site, certificate: bytes) -> AcceptedPushCertificate:
    accepted = site.do(upload_push_certificates, UploadedPushCertificate(certificate))[0]
    assert isinstance(accepted, AcceptedPushCertificate), accepted
    return accepted


def test_plain_request_says_what_was_asked_for_and_its_key_is_sealed(site: Site) -> None:
    made = request(site, replace(PUSH, common_name="Büro", email="mdm@example.com", country="DE"))

    subject = read_request(csr_of(made), allow_legacy=False).subject
    stored = site.engine.read(lambda tx: push_certificates.find_request(tx, key_hash_of(made)))
    assert (made.signed_request, made.vendor_not_after, made.renew) == (None, None, ())
    assert [first_value(subject, oid) for oid in (COMMON_NAME, COUNTRY, EMAIL_ADDRESS)] == [
        "Büro",
        "DE",
        "mdm@example.com",
    ]
    assert stored is not None
    opened = site.runner.context().open(
        stored.key_sealed, table="push_certificate_requests", column="key_sealed", row=made.id
    )
    assert public_key_der(load_private_key(opened)) == read_request(csr_of(made)).public_key_der
    assert opened not in stored.key_sealed
    assert site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject)) == [("push_certificate.request", made.id)]


def key_hash_of(made: MadeRequest) -> bytes:
    return fingerprint(read_request(csr_of(made)).public_key_der)  # SHA-256, of anything


def test_certificate_made_for_a_request_needs_no_key_and_answers_it(site: Site) -> None:
    first, second = request(site), request(site)
    answer = push_certificate_of(TOPIC, read_request(csr_of(first)).public_key_der)

    accepted = upload(site, pem_from_der([answer]))

    table = schema.push_certificate_requests
    pending = site.rows(sa.select(table.c.id).where(table.c.answered_at.is_(None)))
    credentials = site.do(load_push_credentials, fingerprint(answer))[0]
    assert credentials is not None
    assert accepted.change is Change.FIRST
    assert pending == [(second.id,)]
    assert public_key_der(load_private_key(credentials.key_pem)) == certified_key(answer)


def test_certificate_of_nobodys_request_is_refused_until_its_key_is_given(site: Site) -> None:
    request(site)
    key = generate_ec_key()
    uploaded = UploadedPushCertificate(push_certificate_of(TOPIC, public_key_der(key)))

    refused = site.do(upload_push_certificates, uploaded)[0]
    accepted = site.do(upload_push_certificates, replace(uploaded, key=private_key_der(key)))[0]

    assert isinstance(refused, Refusal)
    assert "answers no request that was made here" in refused.message
    assert "--key" in refused.remedy
    assert isinstance(accepted, AcceptedPushCertificate)


def test_topics_to_renew_are_told_with_what_hangs_on_them(site: Site) -> None:
    answer = push_certificate_of(TOPIC, read_request(csr_of(request(site))).public_key_der)
    upload(site, answer)
    fleet.add_device(site.engine, "A")
    fleet.add_push_target(site.engine, "A")

    made = request(site, replace(PUSH, renews=TOPIC))
    refused = site.do(request_push_certificates, replace(PUSH, renews="com.apple.mgmt.External.unknown"))[0]

    assert [(one.topic, one.not_after, one.enrollments) for one in made.renew] == [
        (TOPIC, NOW + timedelta(days=365), 1)
    ]
    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.NOT_FOUND


@pytest.mark.parametrize(
    ("order", "remedy"),
    [
        (replace(PUSH, common_name=""), "--common-name"),
        (replace(PUSH, common_name="ü" * 33), "--common-name"),
        (replace(PUSH, common_name="a\x00"), "--common-name"),
        (replace(PUSH, country="de"), "--country"),
        (replace(PUSH, country="DEU"), "--country"),
        (replace(PUSH, email="nobody"), "--email"),
        (replace(PUSH, email="@example.com"), "--email"),
        (replace(PUSH, email="ü@example.com"), "--email"),
        (replace(PUSH, email="a@" + "b" * 254), "--email"),
    ],
)
def test_subject_that_no_request_can_hold_is_refused(site: Site, order: RequestOrder, remedy: str) -> None:
    outcome = site.do(request_push_certificates, order)[0]

    assert isinstance(outcome, Refusal)
    assert outcome.code is RefusalCode.PUSH_REQUEST_UNFIT
    assert remedy in outcome.remedy
    assert site.rows(sa.select(schema.push_certificate_requests)) == []


def test_renewal_goes_from_request_by_the_portal_to_upload(site: Site) -> None:
    portal = PushPortal()
    hold_vendor_certificate(site)
    for day in (0, 300):
        site.runner.time = NOW + timedelta(days=day)
        made = request(site)
        assert made.signed_request is not None

        accepted = upload(site, portal.renew(TOPIC, made.signed_request.encode(), now=site.now))

    assert accepted.change is Change.RENEWED
    assert accepted.former_not_after == NOW + timedelta(days=365)
    assert accepted.not_after == NOW + timedelta(days=665)


def test_vendor_certificate_that_has_ended_signs_nothing(site: Site) -> None:
    hold_vendor_certificate(site, days=30)
    site.wait(days=30)

    made = request(site)

    assert (made.signed_request, made.vendor_not_after) == (None, site.now)


def test_vendor_certificate_comes_by_a_request_of_its_own_and_is_not_taken_for_push(site: Site) -> None:
    made = request(site, VENDOR)
    certificate = vendor_certificate(read_request(csr_of(made)).public_key_der)

    as_push = site.do(upload_push_certificates, UploadedPushCertificate(certificate))[0]
    as_vendor = site.do(upload_vendor_certificates, UploadedVendorCertificate(certificate, chain=CHAIN))[0]

    assert isinstance(as_push, Refusal)
    assert "muster push-cert vendor upload" in as_push.remedy
    assert isinstance(as_vendor, AcceptedVendorCertificate)
    assert as_vendor.is_of_apple is False
    assert len(as_vendor.chain) == 3


@pytest.mark.witness("openssl")
def test_openssl_verifies_the_request_the_signature_and_the_chain(site: Site, tmp_path: Path) -> None:
    openssl = OpenSSL(tmp_path)
    hold_vendor_certificate(site)
    made = request(site, replace(PUSH, email="mdm@example.com", country="DE"))
    assert made.signed_request is not None
    openssl.write("signed", made.signed_request.encode())
    openssl.write("plist", openssl.run("base64", "-d", "-A", "-in", "signed"))
    signed = decode_signed_request(made.signed_request.encode())

    openssl.write("csr", signed.request_der)
    openssl.write("csr.pem", made.request_pem.encode())
    openssl.write("signature", signed.signature)
    vendor, intermediate, top = signed.chain_der
    for name, certificate in (("vendor", vendor), ("intermediate", intermediate), ("root", top)):
        openssl.write(f"{name}.pem", pem_from_der([certificate]))
    openssl.write("vendor.pub", openssl.run("x509", "-in", "vendor.pem", "-pubkey", "-noout"))

    text = openssl.run("req", "-inform", "DER", "-in", "csr", "-noout", "-verify", "-text").decode()
    same = openssl.run("req", "-in", "csr.pem", "-outform", "DER")
    at = str(int(NOW.timestamp()))
    assert b"<key>PushCertRequestCSR</key>" in openssl.read("plist")
    assert "Subject: C = DE, CN = Example, emailAddress = mdm@example.com" in text
    assert "Public-Key: (2048 bit)" in text
    assert same == signed.request_der
    assert openssl.accepts("dgst", "-sha256", "-verify", "vendor.pub", "-signature", "signature", "csr")
    assert openssl.accepts(
        "verify", "-attime", at, "-CAfile", "root.pem", "-untrusted", "intermediate.pem", "vendor.pem"
    )


def test_a_request_is_written_again_and_signed_once_there_is_what_to_sign_it_by(site: Site) -> None:
    made = request(site)
    [plain] = site.do(write_requests_again, made.id)
    hold_vendor_certificate(site)

    [signed, nothing] = site.do(write_requests_again, made.id, "NONE")

    assert isinstance(plain, MadeRequest)
    assert isinstance(signed, MadeRequest)
    assert isinstance(nothing, Refusal)
    assert (plain.request_pem, plain.signed_request) == (made.request_pem, None)
    assert signed.signed_request is not None
    assert decode_signed_request(signed.signed_request.encode()).request_der == csr_of(made)
    acts = [act for act, _ in site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject))]
    assert acts.count("push_certificate.write_request_again") == 2


def test_a_vendor_request_written_again_stays_plain(site: Site) -> None:
    hold_vendor_certificate(site)
    made = request(site, VENDOR)

    [again] = site.do(write_requests_again, made.id)

    assert isinstance(again, MadeRequest)
    assert (again.request_pem, again.signed_request, again.renew) == (made.request_pem, None, ())

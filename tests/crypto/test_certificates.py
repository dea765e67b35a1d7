"""Certificates read: OpenSSL's, Apple's odd ones, and none that are not."""

import hashlib
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import (
    NOW,
    YEAR,
    authority,
    bare_certificate,
    ec_identity,
    ec_key,
    other_rsa_key,
    rsa_identity,
    rsa_key,
)
from tests.crypto.openssl import OpenSSL

from muster.crypto import der
from muster.crypto.certificates import (
    certified_key,
    der_from_pem,
    fingerprint,
    inspect_certificate,
    is_issued_by,
    key_matches,
    known_certificate,
    pem_from_der,
    push_topic,
)
from muster.crypto.errors import MalformedMessage
from muster.crypto.issuance import make_push_certificate
from muster.crypto.keys import private_key_pem, public_key_der

TOPIC = "com.apple.mgmt.External.0b1c2d3e-4f50-6172-8394-a5b6c7d8e9f0"


def openssl_certificate(openssl: OpenSSL, *options: str) -> bytes:
    openssl.write("key.pem", private_key_pem(rsa_key()))
    openssl.run("req", "-x509", "-new", "-key", "key.pem", "-outform", "DER", "-out", "certificate", *options)
    return openssl.read("certificate")


def test_known_certificate_says_how_long_it_is_good() -> None:
    certificate = rsa_identity().certificate_der

    assert known_certificate(certificate).not_after == inspect_certificate(certificate).not_after


@pytest.mark.witness("openssl")
def test_a_certificate_of_openssl_is_read(openssl: OpenSSL) -> None:
    certificate = openssl_certificate(
        openssl, "-utf8", "-subj", "/C=DE/O=Acme, Inc/CN=Gerät", "-set_serial", "0x1234", "-days", "10"
    )
    text = openssl.run(
        *("x509", "-inform", "DER", "-in", "certificate", "-noout", "-nameopt", "RFC2253,utf8,-esc_msb"),
        *("-subject", "-dates", "-dateopt", "iso_8601", "-fingerprint", "-sha256"),
    ).decode()
    shown = dict(line.split("=", 1) for line in text.splitlines())

    facts = inspect_certificate(certificate)

    assert (facts.subject, facts.issuer) == (shown["subject"], shown["subject"])
    assert (facts.common_name, facts.serial_number, facts.is_ca) == ("Gerät", 0x1234, True)
    assert f"{facts.not_before:%Y-%m-%d %H:%M:%SZ}" == shown["notBefore"]
    assert f"{facts.not_after:%Y-%m-%d %H:%M:%SZ}" == shown["notAfter"]
    assert facts.fingerprint.hex(":").upper() == shown["sha256 Fingerprint"]
    assert facts.public_key_der == public_key_der(rsa_key())


def test_an_empty_subject_is_read() -> None:
    facts = inspect_certificate(bare_certificate(rsa_key()))

    assert (facts.subject, facts.common_name, facts.issuer, facts.is_ca) == ("", None, "", False)
    assert (facts.not_before, facts.not_after) == (NOW, NOW + YEAR)


def test_the_fingerprint_is_the_sha256_of_all_bytes() -> None:
    certificate = rsa_identity().certificate_der

    assert fingerprint(certificate) == hashlib.sha256(certificate).digest()
    assert inspect_certificate(certificate).fingerprint == fingerprint(certificate)


def test_who_issued_a_certificate_is_told_by_the_signature() -> None:
    ours = authority().certificate_der

    assert is_issued_by(rsa_identity().certificate_der, ours)
    assert is_issued_by(ec_identity().certificate_der, ours)
    assert is_issued_by(ours, ours)
    assert not is_issued_by(bare_certificate(rsa_key()), ours)
    assert not is_issued_by(ours, rsa_identity().certificate_der)
    assert not is_issued_by(ours, ec_identity().certificate_der)


def test_a_changed_certificate_is_not_issued() -> None:
    certificate = rsa_identity().certificate_der

    assert not is_issued_by(certificate.replace(b"device", b"devicf"), authority().certificate_der)


@pytest.mark.witness("openssl")
def test_a_sha1_signature_counts_only_with_legacy_and_pss_never(openssl: OpenSSL) -> None:
    sha1 = openssl_certificate(openssl, "-subj", "/CN=x", "-sha1")
    pss = openssl_certificate(openssl, "-subj", "/CN=x", "-sigopt", "rsa_padding_mode:pss")

    assert not is_issued_by(sha1, sha1)
    assert is_issued_by(sha1, sha1, allow_legacy=True)
    assert not is_issued_by(pss, pss, allow_legacy=True)


def test_a_push_topic_is_the_uid_of_apples_kind() -> None:
    def certificate(topic: str) -> bytes:
        return make_push_certificate(topic, rsa_key(), now=NOW, lifetime=YEAR, serial_number=1)

    assert push_topic(certificate(TOPIC)) == TOPIC
    assert push_topic(certificate("com.example.app")) is None
    assert push_topic(certificate(f"{TOPIC} x")) is None
    assert push_topic(certificate(f"{TOPIC}\u00e9")) is None
    assert push_topic(rsa_identity().certificate_der) is None


def test_a_key_matches_its_certificate_only() -> None:
    assert key_matches(rsa_identity().certificate_der, rsa_key())
    assert key_matches(ec_identity().certificate_der, ec_key())
    assert not key_matches(rsa_identity().certificate_der, other_rsa_key())
    assert not key_matches(rsa_identity().certificate_der, ec_key())


@pytest.mark.witness("openssl")
def test_pem_is_written_as_openssl_writes_it(openssl: OpenSSL) -> None:
    certificate = rsa_identity().certificate_der
    openssl.write("certificate", certificate)

    assert pem_from_der([certificate]) == openssl.run("x509", "-inform", "DER", "-in", "certificate")


def test_every_certificate_block_is_read_in_order() -> None:
    certificates = (rsa_identity().certificate_der, authority().certificate_der)
    pem = b"subject=x\r\n" + private_key_pem(rsa_key()) + pem_from_der(certificates).replace(b"\n", b"\r\n") + b"end"

    assert der_from_pem(pem) == certificates


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN CERTIFICATE-----\nMIIB\n",
        b"-----BEGIN CERTIFICATE-----\nMAA\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\nMAAA\n-----END CERTIFICATE-----",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----",
    ],
    ids=["empty", "unfinished", "padding", "trailing byte", "nothing inside"],
)
def test_malformed_pem_is_refused(pem: bytes) -> None:
    with pytest.raises(MalformedMessage):
        der_from_pem(pem)


def test_two_different_signature_algorithms_are_refused() -> None:
    certificate = bare_certificate(rsa_key())
    sha256, sha512 = der.oid("1.2.840.113549.1.1.11"), der.oid("1.2.840.113549.1.1.13")
    head, _, tail = certificate.rpartition(sha256)

    with pytest.raises(MalformedMessage, match="two different"):
        inspect_certificate(head + sha512 + tail)


def test_a_repeated_extension_is_refused() -> None:
    one = der.sequence(der.oid("2.5.29.14"), der.octet_string(der.octet_string(b"x")))
    extensions = der.element(der.CONTEXT_3_CONSTRUCTED, der.sequence(one, one))

    with pytest.raises(MalformedMessage, match="twice"):
        inspect_certificate(bare_certificate(rsa_key(), extensions=extensions))


def test_a_certificate_beyond_64_kib_is_refused() -> None:
    extension = der.sequence(der.oid("1.2.3"), der.octet_string(bytes(66000)))
    extensions = der.element(der.CONTEXT_3_CONSTRUCTED, der.sequence(extension))

    with pytest.raises(MalformedMessage, match="65536"):
        inspect_certificate(bare_certificate(rsa_key(), extensions=extensions))


def test_dates_beyond_2049_are_read() -> None:
    certificate = make_push_certificate(TOPIC, ec_key(), now=NOW, lifetime=timedelta(days=365 * 60), serial_number=1)

    assert inspect_certificate(certificate).not_after > datetime(2086, 1, 1, tzinfo=UTC)


def read_by_all_means(certificate: bytes) -> None:
    """Only the documented error may escape."""
    for read in (inspect_certificate, known_certificate, push_topic, certified_key):
        with suppress(MalformedMessage):
            read(certificate)
    with suppress(MalformedMessage):
        is_issued_by(certificate, authority().certificate_der)


@settings(max_examples=300, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), kind=st.sampled_from(["rsa", "ec"]))
def test_a_certificate_with_one_byte_changed_gives_documented_errors_only(place: float, value: int, kind: str) -> None:
    certificate = bytearray((rsa_identity() if kind == "rsa" else ec_identity()).certificate_der)
    certificate[int(place * len(certificate))] ^= value

    read_by_all_means(bytes(certificate))


def test_every_truncation_of_a_certificate_is_refused() -> None:
    certificate = ec_identity().certificate_der

    for length in range(len(certificate)):
        with pytest.raises(MalformedMessage):
            inspect_certificate(certificate[:length])


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_give_documented_errors_only(octets: bytes) -> None:
    read_by_all_means(octets)

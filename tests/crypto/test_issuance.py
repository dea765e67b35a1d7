"""Certificates made: OpenSSL accepts them for their purpose and for no other."""

from datetime import timedelta

import pytest
from tests.crypto.material import NOW, YEAR, authority, ec_key, rsa_key
from tests.crypto.openssl import OpenSSL

from muster.crypto import der
from muster.crypto.certificates import inspect_certificate, is_issued_by, key_matches, pem_from_der, push_topic
from muster.crypto.issuance import (
    Authority,
    issue_identity,
    make_authority,
    make_push_certificate,
    make_self_signed,
    make_server_certificate,
)
from muster.crypto.keys import PrivateKey
from muster.crypto.requests import make_request, read_request

ALT_NAME = der.sequence(der.element(0x82, b"device-1.example.com"))


def issue(key: PrivateKey, by: Authority | None = None, *, subject_alt_name: bytes | None = None) -> bytes:
    return issue_identity(
        read_request(make_request(key, common_name="what the device wishes")),
        by or authority(),
        subject_common_name="C02XYZ",
        subject_organization="Acme",
        not_before=NOW - timedelta(hours=1),
        not_after=NOW + YEAR,
        serial_number=0x1234567890,
        subject_alt_name=subject_alt_name,
    )


def openssl_verifies(openssl: OpenSSL, certificate: bytes, by: bytes, purpose: str, *options: str) -> bool:
    openssl.write("certificate.pem", pem_from_der([certificate]))
    openssl.write("ca.pem", pem_from_der([by]))
    return openssl.accepts(
        *("verify", "-x509_strict", "-CAfile", "ca.pem", "-purpose", purpose),
        *("-attime", str(int(NOW.timestamp())), *options, "certificate.pem"),
    )


def openssl_shows(openssl: OpenSSL, certificate: bytes) -> str:
    openssl.write("certificate", certificate)
    return openssl.run("x509", "-inform", "DER", "-in", "certificate", "-noout", "-text").decode()


@pytest.mark.witness("openssl")
def test_openssl_accepts_identities_for_tls_clients_only(openssl: OpenSSL) -> None:
    for key in (rsa_key(), ec_key()):
        certificate = issue(key)

        assert openssl_verifies(openssl, certificate, authority().certificate_der, "sslclient")
        assert not openssl_verifies(openssl, certificate, authority().certificate_der, "sslserver")


@pytest.mark.witness("openssl")
def test_an_ec_authority_issues_too(openssl: OpenSSL) -> None:
    by = Authority(make_authority("EC CA", ec_key(), now=NOW, lifetime=YEAR, serial_number=9), ec_key())

    assert openssl_verifies(openssl, issue(rsa_key(), by), by.certificate_der, "sslclient")


@pytest.mark.witness("openssl")
def test_an_identity_says_what_it_is_for(openssl: OpenSSL) -> None:
    rsa = openssl_shows(openssl, issue(rsa_key(), subject_alt_name=ALT_NAME))
    ec = openssl_shows(openssl, issue(ec_key()))

    assert "Subject: O = Acme, CN = C02XYZ" in rsa
    assert "Digital Signature, Key Encipherment\n" in rsa
    assert "DNS:device-1.example.com" in rsa
    assert "Digital Signature\n" in ec
    assert "Subject Alternative Name" not in ec
    for text in (rsa, ec):
        assert "TLS Web Client Authentication" in text
        assert "CA:FALSE" in text
        assert "Subject Key Identifier" in text
        assert "Authority Key Identifier" in text


@pytest.mark.witness("openssl")
def test_an_authority_may_sign_decrypt_and_issue_end_entities(openssl: OpenSSL) -> None:
    text = openssl_shows(openssl, authority().certificate_der)

    assert "CA:TRUE, pathlen:0" in text
    assert "Digital Signature, Key Encipherment, Certificate Sign, CRL Sign" in text


@pytest.mark.witness("openssl")
def test_openssl_accepts_server_certificates_for_their_names(openssl: OpenSSL) -> None:
    certificate = make_server_certificate(
        ["mdm.example.com", "192.0.2.7", "2001:db8::7"],
        rsa_key(),
        now=NOW,
        lifetime=YEAR,
        serial_number=5,
        authority=authority(),
    )
    ours = authority().certificate_der

    assert openssl_verifies(openssl, certificate, ours, "sslserver", "-verify_hostname", "mdm.example.com")
    assert openssl_verifies(openssl, certificate, ours, "sslserver", "-verify_ip", "192.0.2.7")
    assert openssl_verifies(openssl, certificate, ours, "sslserver", "-verify_ip", "2001:db8::7")
    assert not openssl_verifies(openssl, certificate, ours, "sslserver", "-verify_hostname", "other.example.com")


@pytest.mark.witness("openssl")
def test_a_server_certificate_can_stand_alone(openssl: OpenSSL) -> None:
    certificate = make_server_certificate(["localhost"], ec_key(), now=NOW, lifetime=YEAR, serial_number=5)

    assert openssl_verifies(openssl, certificate, certificate, "sslserver", "-verify_hostname", "localhost")


def test_a_server_certificate_needs_a_name() -> None:
    with pytest.raises(ValueError, match="name"):
        make_server_certificate([], ec_key(), now=NOW, lifetime=YEAR, serial_number=5)


@pytest.mark.witness("openssl")
def test_a_push_certificate_is_a_tls_client_with_its_topic(openssl: OpenSSL) -> None:
    certificate = make_push_certificate(
        "com.apple.mgmt.External.x", rsa_key(), now=NOW, lifetime=YEAR, serial_number=5, authority=authority()
    )

    assert openssl_verifies(openssl, certificate, authority().certificate_der, "sslclient")
    assert push_topic(certificate) == "com.apple.mgmt.External.x"


def test_the_arguments_decide_not_the_request() -> None:
    facts = inspect_certificate(issue(ec_key()))

    assert (facts.subject, facts.serial_number) == ("CN=C02XYZ,O=Acme", 0x1234567890)
    assert (facts.not_before, facts.not_after) == (NOW - timedelta(hours=1), NOW + YEAR)
    assert not facts.is_ca


def test_a_temporary_certificate_is_signed_by_itself() -> None:
    certificate = make_self_signed("SCEP", rsa_key(), now=NOW, lifetime=timedelta(days=1), serial_number=3)

    assert is_issued_by(certificate, certificate)
    assert key_matches(certificate, rsa_key())
    assert inspect_certificate(certificate).subject == inspect_certificate(certificate).issuer == "CN=SCEP"


def test_equal_arguments_give_equal_certificates() -> None:
    by = Authority(make_authority("EC CA", ec_key(), now=NOW, lifetime=YEAR, serial_number=9), ec_key())

    assert issue(rsa_key()) == issue(rsa_key())
    assert issue(ec_key(), by) == issue(ec_key(), by)


def test_an_authoritys_key_stays_out_of_its_representation() -> None:
    assert "key" not in repr(Authority(b"", rsa_key()))

"""Certification requests: read as sent by OpenSSL and by careless clients, and only with a signature that holds."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import ec_key, name_of, rsa_key, small_rsa_key
from tests.crypto.openssl import OpenSSL

from muster.crypto import der
from muster.crypto.algorithms import Digest
from muster.crypto.errors import BadSignature, MalformedMessage, RefusedAlgorithm, WeakKey
from muster.crypto.keys import (
    PrivateKey,
    private_key_pem,
    public_key_der,
    sign,
)
from muster.crypto.names import COMMON_NAME, ORGANIZATION, encode_name
from muster.crypto.requests import CertificateRequest, make_request, read_request

SHA256_RSA = "1.2.840.113549.1.1.11"
CONFIG = """
[req]
prompt = no
distinguished_name = dn
attributes = attrs
req_extensions = ext
string_mask = utf8only
[dn]
C = DE
O = Acme
CN = Gerät 1
[attrs]
challengePassword = se cret
[ext]
subjectAltName = DNS:device-1.example.com
keyUsage = digitalSignature
"""


def request_of(
    key: PrivateKey, *attributes: bytes, version: int = 0, oid: str = SHA256_RSA, digest: Digest = Digest.SHA256
) -> bytes:
    """A request whose signature holds, whatever else is wrong with it."""
    information = der.sequence(
        der.integer(version),
        encode_name([(COMMON_NAME, "device")]),
        public_key_der(key),
        der.element(der.CONTEXT_0_CONSTRUCTED, *attributes),
    )
    return der.sequence(
        information, der.sequence(der.oid(oid), der.null()), der.bit_string(sign(key, information, digest))
    )


def attribute(oid: str, *values: bytes) -> bytes:
    return der.sequence(der.oid(oid), der.element(der.SET, *values))


def challenge(text: bytes) -> bytes:
    return attribute("1.2.840.113549.1.9.7", text)


ALT_NAME = der.sequence(der.element(0x82, b"device-1.example.com"))
EXTENSIONS = attribute(
    "1.2.840.113549.1.9.14",
    der.sequence(der.sequence(der.oid("2.5.29.17"), der.element(der.BOOLEAN, b"\xff"), der.octet_string(ALT_NAME))),
)


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha384", "sha512"])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_a_request_of_openssl_is_read(openssl: OpenSSL, kind: str, digest: str) -> None:
    key = rsa_key() if kind == "rsa" else ec_key()
    openssl.write("key.pem", private_key_pem(key))
    openssl.write("req.conf", CONFIG.encode())
    openssl.run(
        *("req", "-new", "-utf8", "-config", "req.conf", "-key", "key.pem", f"-{digest}"),
        *("-outform", "DER", "-out", "csr"),
    )

    request = read_request(openssl.read("csr"))

    assert request == CertificateRequest(
        raw=openssl.read("csr"),
        subject=name_of(("2.5.4.6", "DE"), (ORGANIZATION, "Acme"), (COMMON_NAME, "Gerät 1")),
        public_key_der=public_key_der(key),
        challenge="se cret",
        subject_alt_name=ALT_NAME,
        is_legacy=digest == "sha1",
    )


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_openssl_verifies_the_request_we_make(openssl: OpenSSL, kind: str) -> None:
    key = rsa_key() if kind == "rsa" else ec_key()
    openssl.write("csr", make_request(key, common_name="device 1", organization="Acme", challenge="once_only"))

    text = openssl.run("req", "-inform", "DER", "-in", "csr", "-noout", "-verify", "-text").decode()

    assert "Subject: O = Acme, CN = device 1" in text
    assert "once_only" in text


@pytest.mark.witness("openssl")
def test_a_pss_signature_is_refused(openssl: OpenSSL) -> None:
    openssl.write("key.pem", private_key_pem(rsa_key()))
    openssl.run(
        *("req", "-new", "-subj", "/CN=x", "-key", "key.pem", "-sigopt", "rsa_padding_mode:pss"),
        *("-outform", "DER", "-out", "csr"),
    )

    with pytest.raises(RefusedAlgorithm):
        read_request(openssl.read("csr"))


def test_the_request_we_make_is_read() -> None:
    request = read_request(make_request(ec_key(), common_name="device", organization="Büro", challenge="geheim ß"))

    assert request.subject == name_of((ORGANIZATION, "Büro"), (COMMON_NAME, "device"))
    assert (request.challenge, request.subject_alt_name) == ("geheim ß", None)


@pytest.mark.witness("openssl")
def test_openssl_reads_country_and_e_mail_address_of_the_request_we_make(openssl: OpenSSL) -> None:
    openssl.write("csr", make_request(rsa_key(), common_name="Büro", country="DE", email="mdm@example.com"))

    shown = openssl.run("req", "-inform", "DER", "-in", "csr", "-noout", "-subject", "-nameopt", "RFC2253,show_type")

    assert shown.decode().strip() == (
        "subject=emailAddress=IA5STRING:mdm@example.com,CN=UTF8STRING:B\\C3\\BCro,C=PRINTABLESTRING:DE"
    )


def test_version_2_of_apples_devices_is_read() -> None:
    assert read_request(request_of(rsa_key(), version=2)).subject == name_of((COMMON_NAME, "device"))


def test_unsorted_attributes_are_read() -> None:
    for attributes in ((challenge(der.text("x")), EXTENSIONS), (EXTENSIONS, challenge(der.text("x")))):
        request = read_request(request_of(rsa_key(), *attributes))

        assert (request.challenge, request.subject_alt_name) == ("x", ALT_NAME)


@pytest.mark.parametrize("tag", [0x0C, 0x13, 0x14, 0x16])
def test_a_challenge_of_any_string_type_is_read(tag: int) -> None:
    assert read_request(request_of(rsa_key(), challenge(der.element(tag, b"abc")))).challenge == "abc"


def test_a_challenge_does_not_show_in_the_representation() -> None:
    request = read_request(make_request(ec_key(), common_name="x", challenge="opensesame"))

    assert "opensesame" not in repr(request)


def test_a_changed_request_is_refused() -> None:
    csr = make_request(rsa_key(), common_name="device")

    with pytest.raises(BadSignature):
        read_request(csr.replace(b"device", b"devicf"))


def test_small_keys_are_refused_unless_allowed() -> None:
    csr = make_request(small_rsa_key(), common_name="device")

    assert read_request(csr, minimum_rsa_bits=1024).raw == csr
    with pytest.raises(WeakKey, match="1024"):
        read_request(csr)


def test_keys_of_other_kinds_are_refused() -> None:
    ed25519 = der.sequence(der.sequence(der.oid("1.3.101.112")), der.bit_string(b"\1" * 32))
    information = der.sequence(der.integer(0), der.sequence(), ed25519)
    csr = der.sequence(information, der.sequence(der.oid("1.3.101.112")), der.bit_string(b"\1" * 64))

    with pytest.raises(WeakKey):
        read_request(csr)


def test_sha1_is_refused_where_legacy_is() -> None:
    csr = request_of(rsa_key(), oid="1.2.840.113549.1.1.5", digest=Digest.SHA1)

    assert read_request(csr).is_legacy
    with pytest.raises(RefusedAlgorithm):
        read_request(csr, allow_legacy=False)


def test_md5_is_refused_always() -> None:
    with pytest.raises(RefusedAlgorithm):
        read_request(request_of(rsa_key(), oid="1.2.840.113549.1.1.4"))


@pytest.mark.parametrize(
    "attributes",
    [
        (challenge(der.text("x")), challenge(der.text("x"))),
        (attribute("1.2.840.113549.1.9.7"),),
        (attribute("1.2.840.113549.1.9.7", der.text("a"), der.text("b")),),
        (challenge(der.octet_string(b"x")),),
        (challenge(der.element(der.UTF8_STRING, b"\xff")),),
        (challenge(der.element(der.UTF8_STRING, b"a\0b")),),
        (challenge(der.text("x" * 1025)),),
        tuple(attribute(f"1.2.{n}") for n in range(33)),
        (attribute("1.2.840.113549.1.9.14", der.null()),),
        (der.null(),),
    ],
    ids=["twice", "none", "two", "octets", "not utf-8", "nul", "long", "many", "no extensions", "no attribute"],
)
def test_malformed_attributes_are_refused(attributes: tuple[bytes, ...]) -> None:
    with pytest.raises(MalformedMessage):
        read_request(request_of(ec_key(), *attributes, oid="1.2.840.10045.4.3.2"))


def test_a_request_beyond_64_kib_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="65536"):
        read_request(make_request(ec_key(), common_name="x" * 66000))


def read_or_none(octets: bytes) -> CertificateRequest | None:
    try:
        return read_request(octets)
    except (MalformedMessage, BadSignature, WeakKey, RefusedAlgorithm):
        return None


@settings(max_examples=250, deadline=None)
@given(place=st.floats(0, 1, exclude_max=True), value=st.integers(1, 255), kind=st.sampled_from(["rsa", "ec"]))
def test_a_request_with_one_byte_changed_is_refused(place: float, value: int, kind: str) -> None:
    csr = bytearray(make_request(rsa_key() if kind == "rsa" else ec_key(), common_name="device", challenge="x"))
    csr[int(place * len(csr))] ^= value

    request = read_or_none(bytes(csr))

    # What the signature does not cover: its own label, where another label means the same.
    assert request is None or request.raw[: len(csr) // 2] == csr[: len(csr) // 2]


def test_every_truncation_of_a_request_is_refused() -> None:
    csr = make_request(rsa_key(), common_name="device", challenge="x")

    assert [length for length in range(len(csr)) if read_or_none(csr[:length])] == []


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_random_bytes_give_documented_errors_only(octets: bytes) -> None:
    assert read_or_none(octets) is None

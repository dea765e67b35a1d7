"""PKCS #12 files made and read, with OpenSSL as witness."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import authority, ec_identity, ec_key, identity, other_rsa_key, rsa_identity, rsa_key
from tests.crypto.openssl import OpenSSL

from muster.crypto.certificates import der_from_pem
from muster.crypto.errors import CannotDecrypt, CryptoError, MalformedMessage
from muster.crypto.keys import PrivateKey, load_private_key, private_key_der
from muster.crypto.pkcs12 import MAX_PKCS12_OCTETS, make_pkcs12, read_pkcs12


def made(key: PrivateKey, *, legacy: bool = False) -> bytes:
    signer = identity(key)
    chain = [authority().certificate_der]
    return make_pkcs12(
        signer.certificate_der, key, "correct horse", friendly_name="Device", chain_der=chain, legacy=legacy
    )


@pytest.mark.parametrize("legacy", [True, False])
@pytest.mark.parametrize("kind", ["rsa", "ec"])
def test_identity_is_read_as_it_was_written(kind: str, legacy: bool) -> None:
    expected = rsa_identity() if kind == "rsa" else ec_identity()

    found = read_pkcs12(made(expected.key, legacy=legacy), "correct horse")

    assert found.certificate_der == expected.certificate_der
    assert private_key_der(found.key) == private_key_der(expected.key)


@pytest.mark.witness("openssl")
@pytest.mark.parametrize("legacy", [True, False])
def test_openssl_reads_the_identity_and_its_chain(openssl: OpenSSL, legacy: bool) -> None:
    file = openssl.write("identity.p12", made(rsa_key(), legacy=legacy))
    read = ["pkcs12", "-in", file, "-passin", "pass:correct horse", "-nodes"]

    certificates = der_from_pem(openssl.run(*read, "-nokeys"))
    _, begin, key_pem = openssl.run(*read, "-nocerts").partition(b"-----BEGIN")
    key = load_private_key(begin + key_pem)

    assert set(certificates) == {rsa_identity().certificate_der, authority().certificate_der}
    assert private_key_der(key) == private_key_der(rsa_key())


@pytest.mark.witness("openssl")
@pytest.mark.parametrize(
    ("legacy", "expected"),
    [
        (True, ["MAC: sha1", "pbeWithSHA1And3-KeyTripleDES-CBC"]),
        (False, ["MAC: sha256", "PBES2, PBKDF2, AES-256-CBC"]),
    ],
)
def test_protection_is_what_the_devices_read(openssl: OpenSSL, legacy: bool, expected: list[str]) -> None:
    file = openssl.write("identity.p12", made(rsa_key(), legacy=legacy))

    said = openssl.said("pkcs12", "-in", file, "-passin", "pass:correct horse", "-info", "-noout")

    assert all(word.encode() in said for word in expected)


def test_wrong_password_opens_nothing() -> None:
    with pytest.raises(CannotDecrypt):
        read_pkcs12(made(rsa_key()), "wrong horse")


def test_key_of_another_certificate_is_refused() -> None:
    with pytest.raises(MalformedMessage):
        make_pkcs12(rsa_identity().certificate_der, other_rsa_key(), "x", friendly_name="Device", legacy=True)


def test_a_password_is_required() -> None:
    with pytest.raises(ValueError, match="password"):
        make_pkcs12(ec_identity().certificate_der, ec_key(), "", friendly_name="Device", legacy=True)


def test_file_beyond_the_bound_is_refused() -> None:
    with pytest.raises(MalformedMessage, match="octets"):
        read_pkcs12(bytes(MAX_PKCS12_OCTETS + 1), "x")


@settings(max_examples=50)
@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(CryptoError):
        read_pkcs12(data, "x")

"""Files with certificates and keys, and the wrong ones that people take for them."""

import base64
import itertools
from contextlib import suppress
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.crypto.material import ec_key, rsa_key
from tests.support.instants import NOON

from muster.crypto.certificate_files import (
    MAX_FILE_OCTETS,
    certified_key_hash,
    end_entity,
    has_key,
    read_certificate_file,
    read_key_file,
)
from muster.crypto.certificates import pem_from_der
from muster.crypto.errors import UnreadableFile
from muster.crypto.issuance import Authority, make_authority, make_push_certificate, make_self_signed
from muster.crypto.keys import (
    PrivateKey,
    generate_ec_key,
    private_key_der,
    private_key_pem,
    public_key_der,
    spki_fingerprint,
)
from muster.crypto.pkcs12 import make_pkcs12

YEAR = timedelta(days=365)


def certificate_of(key: PrivateKey, number: int = 1) -> bytes:
    return make_self_signed("test", key, now=NOON, lifetime=NOON.resolution * 10**12, serial_number=number)


CERTIFICATE, OTHER = certificate_of(ec_key()), certificate_of(ec_key(), 2)
PKCS12 = make_pkcs12(CERTIFICATE, ec_key(), "secret", friendly_name="x", legacy=False)


def encrypted(form: serialization.PrivateFormat) -> bytes:
    return rsa_key().private_bytes(serialization.Encoding.PEM, form, serialization.BestAvailableEncryption(b"secret"))


@pytest.mark.parametrize(
    ("data", "certificates"),
    [
        (CERTIFICATE, (CERTIFICATE,)),
        (pem_from_der([CERTIFICATE, OTHER]), (CERTIFICATE, OTHER)),
        (b"Bag Attributes\n" + private_key_pem(ec_key()) + pem_from_der([OTHER]), (OTHER,)),
    ],
)
def test_certificates_are_read_in_order(data: bytes, certificates: tuple[bytes, ...]) -> None:
    assert read_certificate_file(data) == certificates


def test_certificate_that_is_meant_is_found_with_those_above_it_in_any_order() -> None:
    root_key, below_key = generate_ec_key(), generate_ec_key()
    root = make_authority("Root", root_key, now=NOON, lifetime=YEAR, serial_number=1)
    leaf = make_push_certificate(
        "com.apple.mgmt.x", below_key, now=NOON, lifetime=YEAR, serial_number=2, authority=Authority(root, root_key)
    )
    stranger = make_authority("Root", below_key, now=NOON, lifetime=YEAR, serial_number=3)

    for order in itertools.permutations([root, leaf, stranger, leaf]):
        assert end_entity(order) == (leaf, (root,))
    assert end_entity([root]) == (root, ())


def test_file_with_two_certificates_that_could_be_meant_is_refused() -> None:
    with pytest.raises(UnreadableFile, match="2 certificates in it may be the one that is meant"):
        end_entity([CERTIFICATE, OTHER])


@pytest.mark.parametrize("key", [ec_key(), rsa_key()], ids=["ec", "rsa"])
def test_key_is_read_alone_and_beside_certificates(key: PrivateKey) -> None:
    files = [private_key_der(key), private_key_pem(key), pem_from_der([OTHER]) + private_key_pem(key)]
    older = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
    )

    read = [read_key_file(file) for file in [*files, older, pem_from_der([OTHER]) + older]]

    assert {public_key_der(one) for one in read} == {public_key_der(key)}


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "no certificate in it"),
        (b"nonsense", "no certificate in it"),
        (PKCS12, "PKCS #12"),
        (b"-----BEGIN NEW CERTIFICATE REQUEST-----\n", "holds a request"),
        (private_key_pem(ec_key()), "holds a private key"),
        (b"-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n", "no CERTIFICATE block"),
        (b" " * (MAX_FILE_OCTETS + 1), "more than"),
    ],
)
def test_file_without_a_certificate_is_told_for_what_it_is(data: bytes, why: str) -> None:
    with pytest.raises(UnreadableFile, match=why) as refused:
        read_certificate_file(data)

    assert refused.value.remedy


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "not an unencrypted private key"),
        (pem_from_der([CERTIFICATE]), "not an unencrypted private key"),
        (PKCS12, "PKCS #12"),
        (encrypted(serialization.PrivateFormat.PKCS8), "encrypted"),
        (encrypted(serialization.PrivateFormat.TraditionalOpenSSL), "encrypted"),
        (b" " * (MAX_FILE_OCTETS + 1), "more than"),
    ],
)
def test_file_without_a_key_is_told_for_what_it_is(data: bytes, why: str) -> None:
    with pytest.raises(UnreadableFile, match=why) as refused:
        read_key_file(data)

    assert refused.value.remedy


def test_key_in_a_file_is_noticed_encrypted_or_not() -> None:
    files = [private_key_pem(ec_key()), encrypted(serialization.PrivateFormat.PKCS8), pem_from_der([CERTIFICATE])]

    assert [has_key(file) for file in files] == [True, True, False]


@pytest.mark.parametrize("key", [ec_key(), rsa_key()], ids=["ec", "rsa"])
def test_hash_of_a_certified_key_is_that_of_its_private_key(key: PrivateKey) -> None:
    assert certified_key_hash(certificate_of(key)) == spki_fingerprint(public_key_der(key))


@settings(max_examples=150)
@given(st.binary(max_size=300), st.integers(0, 400), st.binary(max_size=8))
def test_whatever_a_file_holds_is_read_or_refused(garbage: bytes, place: int, change: bytes) -> None:
    labelled = b"-----BEGIN CERTIFICATE-----\n" + base64.b64encode(garbage) + b"\n-----END CERTIFICATE-----\n"
    for data in (garbage, labelled, CERTIFICATE[:place] + change + CERTIFICATE[place:], PKCS12[:place] + change):
        with suppress(UnreadableFile):
            read_certificate_file(data)
        with suppress(UnreadableFile):
            read_key_file(data)

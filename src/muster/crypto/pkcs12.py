"""Identities in one file: certificate, chain and private key under a password (PKCS #12, RFC 7292)."""

from collections.abc import Sequence
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    KeySerializationEncryption,
    PrivateFormat,
    pkcs12,
)
from cryptography.hazmat.primitives.serialization.pkcs12 import PBES

from muster.crypto.certificates import key_matches
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.errors import CannotDecrypt, MalformedMessage, RefusedAlgorithm
from muster.crypto.keys import PrivateKey

MAX_PKCS12_OCTETS: Final = 64 * 1024  # a certificate, its chain and an RSA key of 8192 bits stay below 32 KiB

_ROUNDS: Final = 20_000  # some milliseconds; the password travels beside the file and must be random anyway


def make_pkcs12(
    certificate_der: bytes,
    key: PrivateKey,
    password: str,
    *,
    friendly_name: str,
    chain_der: Sequence[bytes] = (),
    legacy: bool,
) -> bytes:
    """Put the identity of *certificate_der* and *key* into one file. Returns DER, never twice the same.

    *legacy*: 3DES with a SHA-1 MAC, which every iOS and macOS reads; otherwise AES-256 (PBES2) with a SHA-256 MAC, for
    the recent ones only. *friendly_name* is what keychains call the identity. Raises MalformedMessage when
    *certificate_der* is none or is not for *key*; ValueError when *password* is empty.
    """
    if not password:
        raise ValueError("a PKCS #12 file needs a password")
    if not key_matches(certificate_der, key):
        raise MalformedMessage("the certificate is not for this key")
    return pkcs12.serialize_key_and_certificates(
        friendly_name.encode(),
        key,
        _load_certificate(certificate_der),
        [_load_certificate(certificate) for certificate in chain_der] or None,
        _encryption(password, legacy=legacy),
    )


def read_pkcs12(data: bytes, password: str) -> SignerIdentity:
    """Return the identity in *data*; its chain is passed over.

    For files of our own making, by simulated devices and tests: the file says how many rounds its password costs.
    Raises MalformedMessage when *data* is longer than 64 KiB or holds no certificate with its key, CannotDecrypt when
    it is no PKCS #12 file or *password* does not open it, RefusedAlgorithm for other keys than RSA and ECDSA.
    """
    if len(data) > MAX_PKCS12_OCTETS:
        raise MalformedMessage(f"a PKCS #12 file has more than {MAX_PKCS12_OCTETS} octets")
    try:
        key, certificate, _ = pkcs12.load_key_and_certificates(data, password.encode())
    except UnsupportedAlgorithm:
        raise RefusedAlgorithm("the PKCS #12 file is protected by an algorithm that is not accepted") from None
    except ValueError:
        raise CannotDecrypt from None
    if key is None or certificate is None:
        raise MalformedMessage("the PKCS #12 file holds no certificate with its key")
    if not isinstance(key, PrivateKey):
        raise RefusedAlgorithm("the private key is of a kind that is not accepted")
    return SignerIdentity(certificate.public_bytes(Encoding.DER), key)


def _load_certificate(certificate_der: bytes) -> x509.Certificate:
    try:
        return x509.load_der_x509_certificate(certificate_der)
    except ValueError:
        raise MalformedMessage("not a certificate") from None


def _encryption(password: str, *, legacy: bool) -> KeySerializationEncryption:
    builder = PrivateFormat.PKCS12.encryption_builder().kdf_rounds(_ROUNDS)
    if legacy:
        builder = builder.key_cert_algorithm(PBES.PBESv1SHA1And3KeyTripleDESCBC)
        return builder.hmac_hash(hashes.SHA1()).build(password.encode())  # noqa: S303 - what old devices read
    builder = builder.key_cert_algorithm(PBES.PBESv2SHA256AndAES256CBC)
    return builder.hmac_hash(hashes.SHA256()).build(password.encode())

"""Keys, certificates and hand-made messages that the tests of this layer share; made once a session."""

import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache

from muster.crypto import der
from muster.crypto.algorithms import OID_OF_DIGEST, RSA_ENCRYPTION, Digest
from muster.crypto.certificates import known_certificate
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.issuance import Authority, issue_identity, make_authority
from muster.crypto.keys import (
    ECPrivateKey,
    PrivateKey,
    RSAPrivateKey,
    generate_ec_key,
    generate_rsa_key,
    public_key_der,
    sign,
)
from muster.crypto.names import DistinguishedName
from muster.crypto.requests import make_request, read_request

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
BODY = b'<?xml version="1.0"?><plist version="1.0"><dict><key>Status</key><string>Idle</string></dict></plist>'

DATA = "1.2.840.113549.1.7.1"
SIGNED_DATA = "1.2.840.113549.1.7.2"


class CountingBytes:
    """Stands in for randomness: every call gives other bytes, every run the same."""

    def __init__(self) -> None:
        self._calls = 0

    def __call__(self, count: int) -> bytes:
        self._calls += 1
        return hashlib.shake_256(self._calls.to_bytes(8, "big")).digest(count)


@cache
def rsa_key() -> RSAPrivateKey:
    return generate_rsa_key()


@cache
def other_rsa_key() -> RSAPrivateKey:
    return generate_rsa_key()


@cache
def small_rsa_key() -> RSAPrivateKey:
    return generate_rsa_key(1024)


@cache
def ec_key() -> ECPrivateKey:
    return generate_ec_key()


@cache
def authority() -> Authority:
    key = generate_rsa_key()
    return Authority(make_authority("Muster CA", key, now=NOW, lifetime=10 * YEAR, serial_number=1), key)


@cache
def identity(key: PrivateKey) -> SignerIdentity:
    """A device's identity: *key* certified by the authority."""
    request = read_request(make_request(key, common_name="device"), minimum_rsa_bits=1024)
    certificate = issue_identity(
        request,
        authority(),
        subject_common_name="device",
        not_before=NOW - timedelta(hours=1),
        not_after=NOW + YEAR,
        serial_number=4711,
    )
    return SignerIdentity(certificate, key)


def rsa_identity() -> SignerIdentity:
    return identity(rsa_key())


def ec_identity() -> SignerIdentity:
    return identity(ec_key())


def bare_certificate(key: PrivateKey, *, extensions: bytes = b"", subject: bytes = der.sequence()) -> bytes:
    """A certificate with an empty subject, as the devices of Apple's old enrollments have it. Self-signed."""
    algorithm = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null())
    validity = der.sequence(der.time(NOW), der.time(NOW + YEAR))
    to_be_signed = der.sequence(
        der.element(der.CONTEXT_0_CONSTRUCTED, der.integer(2)),
        der.integer(7),
        algorithm,
        der.sequence(),
        validity,
        subject,
        public_key_der(key),
        extensions,
    )
    return der.sequence(to_be_signed, algorithm, der.bit_string(sign(key, to_be_signed, Digest.SHA256)))


def indefinite(tag: int, *members: bytes) -> bytes:
    """A BER element of indefinite length."""
    return bytes((tag, 0x80)) + b"".join(members) + b"\0\0"


def algorithm(oid: str) -> bytes:
    return der.sequence(der.oid(oid), der.null())


def signer_info(
    certificate: bytes,
    signature: bytes,
    *,
    digest_oid: str = OID_OF_DIGEST[Digest.SHA256],
    signature_oid: str = RSA_ENCRYPTION,
    attributes: bytes = b"",
    rest: bytes = b"",
) -> bytes:
    known = known_certificate(certificate)
    return der.sequence(
        der.integer(1),
        known.issuer_and_serial,
        algorithm(digest_oid),
        attributes,
        algorithm(signature_oid),
        der.octet_string(signature),
        rest,
    )


def signed_data(certificates: bytes, *signer_infos: bytes, content: bytes = b"", content_type: str = DATA) -> bytes:
    return der.sequence(
        der.oid(SIGNED_DATA),
        der.element(
            der.CONTEXT_0_CONSTRUCTED,
            der.sequence(
                der.integer(1),
                der.set_of([]),
                der.sequence(der.oid(content_type), content),
                der.element(der.CONTEXT_0_CONSTRUCTED, certificates),
                der.element(der.SET, *signer_infos),
            ),
        ),
    )


def apple_signature(body: bytes, key: RSAPrivateKey) -> bytes:
    """What a Mac puts into Mdm-Signature: BER with indefinite lengths, SHA-1, no attributes, an empty subject."""
    certificate = bare_certificate(key)
    info = signer_info(
        certificate,
        sign(key, body, Digest.SHA1),
        digest_oid=OID_OF_DIGEST[Digest.SHA1],
        signature_oid="1.2.840.113549.1.1.5",
    )
    return indefinite(
        der.SEQUENCE,
        der.oid(SIGNED_DATA),
        indefinite(
            der.CONTEXT_0_CONSTRUCTED,
            indefinite(
                der.SEQUENCE,
                der.integer(1),
                der.element(der.SET, algorithm(OID_OF_DIGEST[Digest.SHA1])),
                indefinite(der.SEQUENCE, der.oid(DATA)),
                der.element(der.CONTEXT_0_CONSTRUCTED, certificate),
                der.element(der.SET, info),
            ),
        ),
    )


def name_of(*attributes: tuple[str, str]) -> DistinguishedName:
    return tuple((attribute,) for attribute in attributes)

"""Certificates read: what they say, whose key they hold, who signed them (X.509, RFC 5280).

The reading is our own and tolerant, since Apple's devices present certificates with an empty subject and certificate
libraries keep growing stricter. Nothing here decides on trust: dates, chains and pins are the caller's.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Final

from muster.crypto import der
from muster.crypto.algorithms import signature_digest
from muster.crypto.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.crypto.keys import (
    PrivateKey,
    PublicKey,
    RSAPublicKey,
    is_legacy_key,
    load_public_key,
    public_key_der,
    verify,
)
from muster.crypto.names import COMMON_NAME, USER_ID, DistinguishedName, first_value, read_name, rfc4514

DOCUMENT_SIGNING: Final = "1.3.6.1.5.5.7.3.36"  # RFC 9336

MAX_CERTIFICATE_OCTETS: Final = 64 * 1024  # attested and server certificates stay below 8 KiB
_KNOWN_CERTIFICATES: Final = 8192  # 2 to 4 KiB each with the parsed key

_BASIC_CONSTRAINTS: Final = "2.5.29.19"
_SUBJECT_KEY_IDENTIFIER: Final = "2.5.29.14"
_EXTENDED_KEY_USAGE: Final = "2.5.29.37"
_PUSH_TOPIC: Final = re.compile(r"com\.apple\.mgmt[!-~]*")  # a header of HTTP carries it: ASCII, and no spaces
_PEM_BLOCK: Final = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]*)-----END CERTIFICATE-----")


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """What a certificate says. None of it is verified."""

    fingerprint: bytes
    subject: str
    common_name: str | None
    issuer: str
    serial_number: int
    not_before: datetime
    not_after: datetime
    public_key_der: bytes
    is_ca: bool


@dataclass(frozen=True, slots=True)
class KnownCertificate:
    """The parts of a certificate that verifying needs, kept parsed.

    `issuer_name` and `serial_number` are as encoded (whole element, and content octets); `issuer_and_serial` is the
    IssuerAndSerialNumber in DER by which CMS names the certificate. `public_key` is None when the key is of a kind or
    size that is not accepted. `is_legacy`: RSA below 2048 bits. `not_after` is aware UTC; nobody compared it with a
    clock.
    """

    certificate_der: bytes
    issuer_name: bytes
    serial_number: bytes
    issuer_and_serial: bytes
    subject_key_identifier: bytes | None
    public_key: PublicKey | None
    is_rsa: bool
    is_legacy: bool
    not_after: datetime


@dataclass(frozen=True, slots=True)
class CertificateParts:
    """A certificate taken apart, each part as encoded. `extensions`: the value of each by its OID."""

    to_be_signed: bytes
    serial_number: bytes
    issuer: bytes
    validity: bytes
    subject: bytes
    public_key: bytes
    extensions: dict[str, bytes]
    signature_algorithm: str
    signature: bytes


def fingerprint(certificate_der: bytes) -> bytes:
    """Return the SHA-256 of the whole certificate, 32 octets."""
    return hashlib.sha256(certificate_der).digest()


def inspect_certificate(certificate_der: bytes) -> CertificateFacts:
    """Read what a certificate says. Raises MalformedMessage when it is none. No signature or date is checked."""
    parts = parse_certificate(certificate_der)
    not_before, not_after = _validity(parts)
    subject = _name(parts.subject)
    serial_number = int.from_bytes(parts.serial_number, "big", signed=True)
    return CertificateFacts(
        fingerprint=fingerprint(certificate_der),
        subject=rfc4514(subject),
        common_name=first_value(subject, COMMON_NAME),
        issuer=rfc4514(_name(parts.issuer)),
        serial_number=serial_number,
        not_before=not_before,
        not_after=not_after,
        public_key_der=parts.public_key,
        is_ca=_is_ca(parts.extensions.get(_BASIC_CONSTRAINTS)),
    )


@lru_cache(maxsize=_KNOWN_CERTIFICATES)
def known_certificate(certificate_der: bytes) -> KnownCertificate:
    """Return the parsed parts of a certificate, remembered for the most recent 8192. Raises MalformedMessage."""
    parts = parse_certificate(certificate_der)
    identifier = parts.extensions.get(_SUBJECT_KEY_IDENTIFIER)
    public_key: PublicKey | None
    try:
        public_key = load_public_key(parts.public_key)
    except RefusedAlgorithm:
        public_key = None
    return KnownCertificate(
        certificate_der=certificate_der,
        issuer_name=parts.issuer,
        serial_number=parts.serial_number,
        issuer_and_serial=der.sequence(parts.issuer, der.element(der.INTEGER, parts.serial_number)),
        subject_key_identifier=None if identifier is None else _subject_key_identifier(identifier),
        public_key=public_key,
        is_rsa=isinstance(public_key, RSAPublicKey),
        is_legacy=public_key is not None and is_legacy_key(public_key),
        not_after=_validity(parts)[1],
    )


def _validity(parts: CertificateParts) -> tuple[datetime, datetime]:
    validity = der.Reader.of_single(parts.validity, der.SEQUENCE)
    not_before, not_after = validity.time(), validity.time()
    validity.finish()
    return not_before, not_after


@lru_cache(maxsize=_KNOWN_CERTIFICATES)
def is_issued_by(certificate_der: bytes, authority_certificate_der: bytes, *, allow_legacy: bool = False) -> bool:
    """True when the key of *authority_certificate_der* signed *certificate_der*.

    Only the signature is looked at: not names, dates, constraints or revocation. SHA-1 counts only with
    *allow_legacy*; other signature algorithms than RSASSA-PKCS1-v1_5 and ECDSA never do. Raises MalformedMessage when
    either is no certificate.
    """
    parts = parse_certificate(certificate_der)
    authority = known_certificate(authority_certificate_der)
    if authority.public_key is None:
        return False
    try:
        digest = signature_digest(parts.signature_algorithm, is_rsa=authority.is_rsa, stated=None)
        verify(authority.public_key, parts.signature, parts.to_be_signed, digest)
    except (BadSignature, RefusedAlgorithm, MalformedMessage):  # the last: an algorithm for another kind of key
        return False
    return allow_legacy or not digest.is_legacy


def subject_name(certificate_der: bytes) -> DistinguishedName:
    """Return the subject, part by part. Raises MalformedMessage when *certificate_der* is no certificate."""
    return _name(parse_certificate(certificate_der).subject)


def issuer_name(certificate_der: bytes) -> DistinguishedName:
    """Return the issuer, part by part. Raises MalformedMessage as above."""
    return _name(parse_certificate(certificate_der).issuer)


def certified_key(certificate_der: bytes) -> bytes:
    """Return the public key as SubjectPublicKeyInfo in DER, as encoded. Raises MalformedMessage as above."""
    return parse_certificate(certificate_der).public_key


def purposes(certificate_der: bytes) -> frozenset[str]:
    """Return the extended key usages by their OIDs (RFC 5280 section 4.2.1.12); empty where there are none.

    Raises MalformedMessage as above.
    """
    extension = parse_certificate(certificate_der).extensions.get(_EXTENDED_KEY_USAGE)
    if extension is None:
        return frozenset()
    reader, found = der.Reader.of_single(extension, der.SEQUENCE), set()
    while reader.next_tag():
        found.add(reader.oid())
    return frozenset(found)


def push_topic(certificate_der: bytes) -> str | None:
    """Return the push topic of an MDM push certificate: the UID in its subject, if it starts with com.apple.mgmt
    and is ASCII that can be printed, without spaces.

    None for any other certificate. Raises MalformedMessage when it is no certificate at all.
    """
    topic = first_value(subject_name(certificate_der), USER_ID)
    return topic if topic is not None and _PUSH_TOPIC.fullmatch(topic) else None


def key_matches(certificate_der: bytes, key: PrivateKey) -> bool:
    """True when the certificate is for *key*. Raises MalformedMessage when it is no certificate."""
    # Compared as keys, not as bytes: an encoder may leave out the NULL parameters, say.
    return known_certificate(certificate_der).public_key == key.public_key() or (
        parse_certificate(certificate_der).public_key == public_key_der(key)
    )


def pem_from_der(certificates_der: Iterable[bytes]) -> bytes:
    """Write certificates as PEM, one block after the other."""
    return b"".join(
        b"-----BEGIN CERTIFICATE-----\n"
        + b"\n".join(encoded[i : i + 64] for i in range(0, len(encoded), 64))
        + b"\n-----END CERTIFICATE-----\n"
        for encoded in map(base64.b64encode, certificates_der)
    )


def der_from_pem(pem: bytes) -> tuple[bytes, ...]:
    """Return the DER of every CERTIFICATE block in *pem*, in order; other blocks and text between are passed over.

    Raises MalformedMessage when there is no such block, or one holds no single DER element. Whether that is a
    certificate shows when it is read.
    """
    certificates = []
    for block in _PEM_BLOCK.findall(pem):
        try:
            certificate = base64.b64decode(b"".join(block.split()), validate=True)
        except binascii.Error:
            raise MalformedMessage("a CERTIFICATE block is not base64") from None
        der.Reader.of_single(certificate, der.SEQUENCE)
        certificates.append(certificate)
    if not certificates:
        raise MalformedMessage("no CERTIFICATE block in the PEM text")
    return tuple(certificates)


def parse_certificate(certificate_der: bytes) -> CertificateParts:
    """Take a certificate apart (RFC 5280 section 4.1). Raises MalformedMessage when it is none."""
    if len(certificate_der) > MAX_CERTIFICATE_OCTETS:
        raise MalformedMessage(f"a certificate has more than {MAX_CERTIFICATE_OCTETS} octets")
    certificate = der.Reader.of_single(certificate_der, der.SEQUENCE)
    to_be_signed = certificate.raw(der.SEQUENCE)
    algorithm = certificate.raw(der.SEQUENCE)
    signature = certificate.bit_string()
    certificate.finish()

    body = der.Reader.of_single(to_be_signed, der.SEQUENCE)
    body.enter_optional(der.CONTEXT_0_CONSTRUCTED)  # the version
    serial_number = body.content(der.INTEGER)
    if not 0 < len(serial_number) <= 64:  # RFC 5280 has 20; some authorities exceed that
        raise MalformedMessage("a serial number of no or too many octets")
    if body.raw(der.SEQUENCE) != algorithm:
        raise MalformedMessage("a certificate names two different signature algorithms")
    issuer = body.raw(der.SEQUENCE)
    validity = body.raw(der.SEQUENCE)
    subject = body.raw(der.SEQUENCE)
    public_key = body.raw(der.SEQUENCE)
    for unique_identifier in (0x81, 0x82):
        if body.next_tag() == unique_identifier:
            body.skip()
    extensions = body.enter_optional(der.CONTEXT_3_CONSTRUCTED)
    body.finish()
    return CertificateParts(
        to_be_signed=to_be_signed,
        serial_number=serial_number,
        issuer=issuer,
        validity=validity,
        subject=subject,
        public_key=public_key,
        extensions={} if extensions is None else read_extensions(extensions),
        signature_algorithm=der.Reader.of_single(algorithm, der.SEQUENCE).oid(),
        signature=signature,
    )


def read_extensions(reader: der.Reader) -> dict[str, bytes]:
    """Read Extensions (RFC 5280 section 4.1): the value of each by its OID. A repeated one is MalformedMessage."""
    values: dict[str, bytes] = {}
    extensions = reader.enter(der.SEQUENCE)
    reader.finish()
    while extensions.next_tag():
        extension = extensions.enter(der.SEQUENCE)
        oid = extension.oid()
        if extension.next_tag() == der.BOOLEAN:
            extension.skip()
        if oid in values:
            raise MalformedMessage(f"extension {oid} occurs twice")
        values[oid] = extension.octet_string()
        extension.finish()
    return values


def _name(encoded: bytes) -> DistinguishedName:
    return read_name(der.Reader(encoded))


def _is_ca(basic_constraints: bytes | None) -> bool:
    if basic_constraints is None:
        return False
    constraints = der.Reader.of_single(basic_constraints, der.SEQUENCE)
    return constraints.next_tag() == der.BOOLEAN and constraints.content(der.BOOLEAN) not in (b"", b"\0")


def _subject_key_identifier(extension: bytes) -> bytes:
    reader = der.Reader(extension)
    identifier = reader.octet_string()
    reader.finish()
    return identifier

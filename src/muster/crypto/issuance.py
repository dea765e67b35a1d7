"""Certificates made: our authority, identities of devices, and what servers and simulated peers need (RFC 5280)."""

import ipaddress
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from muster.crypto.certificates import DOCUMENT_SIGNING
from muster.crypto.keys import PrivateKey, PublicKey, RSAPublicKey, load_public_key
from muster.crypto.requests import CertificateRequest

_CLOCK_TOLERANCE: Final = timedelta(minutes=5)  # valid a little early, for peers whose clock is behind


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that may issue others, and its key."""

    certificate_der: bytes
    key: PrivateKey = field(repr=False)


def make_authority(
    common_name: str, key: PrivateKey, *, now: datetime, lifetime: timedelta, serial_number: int
) -> bytes:
    """Make the self-signed certificate of an authority that issues end entities only. Returns DER.

    It may also sign and decrypt, since it answers SCEP itself; SCEP needs *key* to be RSA.
    """
    name = _name(common_name)
    builder = _builder(
        name,
        name,
        key.public_key(),
        not_before=now - _CLOCK_TOLERANCE,
        not_after=now + lifetime,
        serial_number=serial_number,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(
        _key_usage(key_encipherment=isinstance(key.public_key(), RSAPublicKey), is_authority=True), critical=True
    )
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    return _sign(builder, key)


def make_intermediate_authority(
    common_name: str,
    key: PrivateKey,
    issuer: Authority,
    *,
    not_before: datetime,
    not_after: datetime,
    serial_number: int,
) -> bytes:
    """Make the certificate of an authority between a root and end entities, for simulated chains. Returns DER.

    Times are aware, cut to the second. How many authorities may stand below it is not limited.
    """
    builder = _builder(
        _name(common_name),
        x509.load_der_x509_certificate(issuer.certificate_der).subject,
        key.public_key(),
        not_before=not_before,
        not_after=not_after,
        serial_number=serial_number,
    )
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(key_encipherment=False, is_authority=True), critical=True)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(_authority_key_identifier(issuer, issuer.key.public_key()), critical=False)
    return _sign(builder, issuer.key)


def issue_identity(
    request: CertificateRequest,
    authority: Authority,
    *,
    subject_common_name: str,
    subject_organization: str | None = None,
    not_before: datetime,
    not_after: datetime,
    serial_number: int,
    subject_alt_name: bytes | None = None,
) -> bytes:
    """Issue a device's identity for the key of *request*. Returns DER.

    Of the request only the key is taken: the subject is what the arguments say, and so is *subject_alt_name*
    (GeneralNames in DER). Times are aware, cut to the second. *serial_number* is positive and below 2^159; its
    uniqueness is the caller's.
    """
    key = load_public_key(request.public_key_der)
    subject = _name(subject_common_name, subject_organization)
    issuer = x509.load_der_x509_certificate(authority.certificate_der)
    builder = _builder(
        subject, issuer.subject, key, not_before=not_before, not_after=not_after, serial_number=serial_number
    )
    builder = _end_entity(builder, key, authority, [ExtendedKeyUsageOID.CLIENT_AUTH])
    if subject_alt_name is not None:
        # Critical when the subject says nothing (RFC 5280 section 4.2.1.6); ours always does.
        unrecognized = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, subject_alt_name)
        builder = builder.add_extension(unrecognized, critical=False)
    return _sign(builder, authority.key)


def make_self_signed(
    common_name: str, key: PrivateKey, *, now: datetime, lifetime: timedelta, serial_number: int
) -> bytes:
    """Make the temporary certificate with which a SCEP client signs its first request (RFC 8894 section 2.3)."""
    name = _name(common_name)
    builder = _builder(
        name,
        name,
        key.public_key(),
        not_before=now - _CLOCK_TOLERANCE,
        not_after=now + lifetime,
        serial_number=serial_number,
    )
    key_usage = _key_usage(key_encipherment=isinstance(key.public_key(), RSAPublicKey))
    return _sign(builder.add_extension(key_usage, critical=True), key)


def make_document_certificate(
    common_name: str,
    key: PrivateKey,
    authority: Authority,
    *,
    not_before: datetime,
    not_after: datetime,
    serial_number: int,
) -> bytes:
    """Make the certificate of a key that signs documents, and nothing else (RFC 9336). Returns DER.

    It has the purpose of signed mail, too, without which common programs verify no CMS. Times are aware, cut to the
    second.
    """
    issuer = x509.load_der_x509_certificate(authority.certificate_der)
    builder = _builder(
        _name(common_name),
        issuer.subject,
        key.public_key(),
        not_before=not_before,
        not_after=not_after,
        serial_number=serial_number,
    )
    purposes = [x509.ObjectIdentifier(DOCUMENT_SIGNING), ExtendedKeyUsageOID.EMAIL_PROTECTION]
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(key_encipherment=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    builder = builder.add_extension(_authority_key_identifier(authority, authority.key.public_key()), critical=False)
    return _sign(builder, authority.key)


def make_server_certificate(
    names: Sequence[str],
    key: PrivateKey,
    *,
    now: datetime,
    lifetime: timedelta,
    serial_number: int,
    authority: Authority | None = None,
) -> bytes:
    """Make a certificate for a TLS server. Returns DER.

    *names* are host names and IP addresses, the first of which becomes the common name as well. Self-signed without
    *authority*. Apple's devices refuse a server certificate that is valid for more than 398 days, unless its root was
    added by an administrator (825 days then).
    """
    if not names:
        raise ValueError("a server certificate needs a name")
    subject = _name(names[0])
    validity = (now - _CLOCK_TOLERANCE, now + lifetime)
    builder, signing_key = _peer(subject, key, authority, validity, serial_number, ExtendedKeyUsageOID.SERVER_AUTH)
    general_names = x509.SubjectAlternativeName([_general_name(name) for name in names])
    return _sign(builder.add_extension(general_names, critical=False), signing_key)


def make_push_certificate(
    topic: str,
    key: PrivateKey,
    *,
    now: datetime,
    lifetime: timedelta,
    serial_number: int,
    authority: Authority | None = None,
) -> bytes:
    """Make what resembles Apple's MDM push certificate for *topic*, for simulated APNs. Returns DER.

    Self-signed without *authority*. It lacks Apple's own extensions.
    """
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.USER_ID, topic),
            x509.NameAttribute(NameOID.COMMON_NAME, f"APSP:{topic.rpartition('.')[2]}"[:64]),
        ]
    )
    validity = (now - _CLOCK_TOLERANCE, now + lifetime)
    builder, signing_key = _peer(subject, key, authority, validity, serial_number, ExtendedKeyUsageOID.CLIENT_AUTH)
    return _sign(builder, signing_key)


def _peer(
    subject: x509.Name,
    key: PrivateKey,
    authority: Authority | None,
    validity: tuple[datetime, datetime],
    serial_number: int,
    usage: x509.ObjectIdentifier,
) -> tuple[x509.CertificateBuilder, PrivateKey]:
    """Begin the certificate of an end of TLS with one *usage*; returns it with the key that is to sign it."""
    issuer_name, signing_key = _issuer(subject, key, authority)
    not_before, not_after = validity
    builder = _builder(
        subject, issuer_name, key.public_key(), not_before=not_before, not_after=not_after, serial_number=serial_number
    )
    return _end_entity(builder, key.public_key(), authority, [usage]), signing_key


def _name(common_name: str, organization: str | None = None) -> x509.Name:
    attributes = [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    if organization is not None:
        attributes.insert(0, x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization))
    return x509.Name(attributes)


def _issuer(subject: x509.Name, key: PrivateKey, authority: Authority | None) -> tuple[x509.Name, PrivateKey]:
    if authority is None:
        return subject, key
    return x509.load_der_x509_certificate(authority.certificate_der).subject, authority.key


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: PublicKey,
    *,
    not_before: datetime,
    not_after: datetime,
    serial_number: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .not_valid_before(not_before.astimezone(UTC).replace(microsecond=0))
        .not_valid_after(not_after.astimezone(UTC).replace(microsecond=0))
        .serial_number(serial_number)
    )


def _end_entity(
    builder: x509.CertificateBuilder,
    key: PublicKey,
    authority: Authority | None,
    purposes: Sequence[x509.ObjectIdentifier],
) -> x509.CertificateBuilder:
    authority_key = key if authority is None else authority.key.public_key()
    key_usage = _key_usage(key_encipherment=isinstance(key, RSAPublicKey))
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(key_usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_authority_key_identifier(authority, authority_key), critical=False)
    )


def _authority_key_identifier(authority: Authority | None, key: PublicKey) -> x509.AuthorityKeyIdentifier:
    """Point to the issuer's own key identifier, which an authority made elsewhere may have chosen otherwise."""
    if authority is not None:
        extensions = x509.load_der_x509_certificate(authority.certificate_der).extensions
        try:
            identifier = extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        except x509.ExtensionNotFound:
            pass
        else:
            return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier)
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key)


def _key_usage(*, key_encipherment: bool, is_authority: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=key_encipherment,  # key transport is RSA's only
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _sign(builder: x509.CertificateBuilder, key: PrivateKey) -> bytes:
    """Sign with SHA-256; deterministically for ECDSA too, so that equal arguments give equal certificates."""
    deterministic = None if isinstance(key.public_key(), RSAPublicKey) else True
    certificate = builder.sign(key, hashes.SHA256(), ecdsa_deterministic=deterministic)
    return certificate.public_bytes(Encoding.DER)

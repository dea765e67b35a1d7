"""Files with certificates and keys as people bring them: PEM or DER, together or apart, and often the wrong one.

What else such a file may be is recognized by its outside, so that a refusal can say what to do about it.
"""

import re
from collections.abc import Sequence
from typing import Final

from muster.crypto import der
from muster.crypto.certificates import (
    certified_key,
    der_from_pem,
    inspect_certificate,
    is_issued_by,
    issuer_name,
    known_certificate,
    subject_name,
)
from muster.crypto.chains import MAX_CHAIN_CERTIFICATES
from muster.crypto.errors import CryptoError, MalformedMessage, UnreadableFile
from muster.crypto.keys import PrivateKey, load_private_key, spki_fingerprint, spki_of

MAX_FILE_OCTETS: Final = 1024 * 1024  # a chain with its key has some 16 KiB; whole trust stores stay below that
_LABEL: Final = re.compile(rb"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_KEY_BLOCK: Final = re.compile(
    rb"-----BEGIN ((?:RSA |EC )?PRIVATE KEY)-----[A-Za-z0-9+/=\s]*-----END \1-----"  # not encrypted: no headers
)
_ENCRYPTED: Final = (b"-----BEGIN ENCRYPTED PRIVATE KEY-----", b"Proc-Type: 4,ENCRYPTED")
_PKCS12_REMEDY: Final = (
    "Take certificate and key out of it: `openssl pkcs12 -in FILE -nodes -out push.pem`, then give push.pem."
)


def read_certificate_file(data: bytes) -> tuple[bytes, ...]:
    """Return the certificates (DER) in a file, in its order: PEM with other blocks between, or one in DER.

    Raises UnreadableFile, which says what the file is instead and what to do, when there is none. Nothing is checked
    beyond the outermost form: whether it is a certificate shows when it is read.
    """
    _check_size(data)
    if b"-----BEGIN CERTIFICATE-----" in data:
        try:
            return der_from_pem(data)
        except MalformedMessage as error:
            raise UnreadableFile(str(error), "Download it again.") from None
    if _is_pkcs12(data):
        raise UnreadableFile("it is a PKCS #12 file", _PKCS12_REMEDY)
    try:
        known_certificate(data)
    except CryptoError:
        raise _no_certificate(data) from None
    return (data,)


def end_entity(certificates_der: Sequence[bytes]) -> tuple[bytes, tuple[bytes, ...]]:
    """Tell the certificate that a file was given for from those above it, which come in the order of their issuing.

    The one that is no authority's and issued no other; the first one, where all are authorities. Others that are not
    above it are left out. Raises UnreadableFile when it could be either of several, for what happens to stand first is
    not what was meant, and MalformedMessage when one of them is no certificate.
    """
    certificates = tuple(dict.fromkeys(certificates_der))
    issuers = {issuer_name(one) for one in certificates if issuer_name(one) != subject_name(one)}
    ends = [one for one in certificates if not inspect_certificate(one).is_ca and subject_name(one) not in issuers]
    if len(ends) > 1:
        raise UnreadableFile(
            f"{len(ends)} certificates in it may be the one that is meant",
            "Give a file with that one alone, and the authorities above it at most.",
        )
    chain = [ends[0] if ends else certificates[0]]
    while len(chain) < MAX_CHAIN_CERTIFICATES:
        above = next((one for one in certificates if one not in chain and _is_above(one, chain[-1])), None)
        if above is None:
            break
        chain.append(above)
    return chain[0], tuple(chain[1:])


def _is_above(authority_der: bytes, certificate_der: bytes) -> bool:
    is_named = subject_name(authority_der) == issuer_name(certificate_der)
    return is_named and is_issued_by(certificate_der, authority_der, allow_legacy=True)


def read_key_file(data: bytes) -> PrivateKey:
    """Return the private key in a file: PEM, beside certificates or alone, or DER.

    Raises UnreadableFile when there is none that is not encrypted, and of a kind that is accepted.
    """
    _check_size(data)
    if any(sign in data for sign in _ENCRYPTED):
        remedy = "Take the passphrase off a copy: `openssl pkey -in FILE -out plain.key`; delete the copy afterwards."
        raise UnreadableFile("the private key is encrypted", remedy)
    if _is_pkcs12(data):
        raise UnreadableFile("it is a PKCS #12 file", _PKCS12_REMEDY)
    block = _KEY_BLOCK.search(data)
    try:
        return load_private_key(data if block is None else block.group())
    except CryptoError as error:
        raise UnreadableFile(str(error), "Give the file with the private key, PEM or DER, not encrypted.") from None


def has_key(data: bytes) -> bool:
    """Tell whether a PEM file holds a private key, encrypted or not."""
    return any(label.endswith(b"PRIVATE KEY") for label in _LABEL.findall(data))


def certified_key_hash(certificate_der: bytes) -> bytes:
    """Return the SHA-256 of the certificate's public key as this program encodes one.

    Equal for the certificate and for the private key's own `spki_fingerprint(public_key_der(key))`, however the
    authority encoded it. Raises MalformedMessage when it is no certificate.
    """
    key = known_certificate(certificate_der).public_key
    return spki_fingerprint(certified_key(certificate_der) if key is None else spki_of(key))


def _check_size(data: bytes) -> None:
    if len(data) > MAX_FILE_OCTETS:
        raise UnreadableFile(f"it has more than {MAX_FILE_OCTETS} octets", "Give the file with the certificate alone.")


def _no_certificate(data: bytes) -> UnreadableFile:
    labels = _LABEL.findall(data)
    if any(label.endswith(b"CERTIFICATE REQUEST") for label in labels):
        return UnreadableFile("it holds a request, and no certificate", "Give the file that came back for the request.")
    if any(label.endswith(b"PRIVATE KEY") for label in labels):
        return UnreadableFile("it holds a private key, and no certificate", "Give the certificate with --cert.")
    return UnreadableFile("there is no certificate in it", "Give the certificate's file, PEM or DER.")


def _is_pkcs12(data: bytes) -> bool:
    """Tell whether *data* is a PFX of version 3 (RFC 7292 section 4)."""
    try:
        pfx = der.Reader(data).enter(der.SEQUENCE)
        if pfx.next_tag() != der.INTEGER or pfx.content(der.INTEGER) != b"\x03":
            return False
        return pfx.enter(der.SEQUENCE).oid().startswith("1.2.840.113549.1.7.")
    except MalformedMessage:
        return False

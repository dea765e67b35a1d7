"""SignedData verified (RFC 5652 section 5): the form of Mdm-Signature headers, SCEP messages and signed profiles.

Reads DER and BER as devices send it. A verified message proves that the holder of the signer certificate's key signed
the content; it says nothing about who issued that certificate, and the certificate's own bytes outside its key are
not covered: pin its fingerprint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from muster.crypto import der
from muster.crypto.algorithms import Digest, digest_of_oid, signature_digest
from muster.crypto.certificates import KnownCertificate, known_certificate
from muster.crypto.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.crypto.keys import PublicKey, RSAPublicKey, is_legacy_key, verify

DATA: Final = "1.2.840.113549.1.7.1"
SIGNED_DATA: Final = "1.2.840.113549.1.7.2"
CONTENT_TYPE: Final = "1.2.840.113549.1.9.3"
MESSAGE_DIGEST: Final = "1.2.840.113549.1.9.4"
SIGNING_TIME: Final = "1.2.840.113549.1.9.5"

MAX_CERTIFICATES: Final = 16  # chains have up to four
MAX_ATTRIBUTES: Final = 32  # SCEP uses eight

_NO_ATTRIBUTES: Final[Mapping[str, tuple[bytes, ...]]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Verified:
    """A message whose signature holds.

    `signed_attributes` maps the dotted OID of each signed attribute to its values, each a whole DER element; it is
    empty when the message has none. `is_legacy`: signed with SHA-1 or an RSA key below 2048 bits.
    """

    signer_certificate_der: bytes
    certificates_der: tuple[bytes, ...]
    content: bytes
    digest: Digest
    is_legacy: bool
    signed_attributes: Mapping[str, tuple[bytes, ...]]
    signing_time: datetime | None


def verify_detached(cms: bytes, content: bytes, *, allow_legacy: bool) -> Verified:
    """Check that *cms* is a signature over exactly *content*.

    A message that embeds content as well is accepted only when that equals *content*. Raises MalformedMessage when
    *cms* is not one SignedData with one signer whose certificate is inside, BadSignature when digest, content or
    signature differ, and RefusedAlgorithm when an algorithm is unknown, or legacy without *allow_legacy*. Not checked:
    certificate chains, dates, key usage, the signing time, unsigned attributes.
    """
    message = _parse(cms)
    if message.content is not None and message.content != content:
        raise BadSignature("the embedded content differs from the body")
    return _verify(message, content, allow_legacy)


def verify_attached(cms: bytes, *, allow_legacy: bool) -> Verified:
    """Check a message that carries its content. Same promises and errors as verify_detached.

    Raises MalformedMessage also when no content is embedded.
    """
    message = _parse(cms)
    if message.content is None:
        raise MalformedMessage("the message carries no content")
    return _verify(message, message.content, allow_legacy)


@dataclass(frozen=True, slots=True)
class SignedMessage:
    """The parts of a SignedData. `content` is None when detached; `signer_info` is None when nobody signed."""

    content_type: str
    content: bytes | None
    certificates_der: tuple[bytes, ...]
    signer_info: der.Reader | None


def parse_signed_data(cms: bytes) -> SignedMessage:
    """Take a ContentInfo with SignedData apart, without verifying it. At most one signer; raises MalformedMessage."""
    content_info = der.Reader.of_single(cms, der.SEQUENCE)
    if content_info.oid() != SIGNED_DATA:
        raise MalformedMessage("not a SignedData")
    wrapper = content_info.enter(der.CONTEXT_0_CONSTRUCTED)
    content_info.finish()
    signed_data = wrapper.enter(der.SEQUENCE)
    wrapper.finish()

    signed_data.skip(der.INTEGER)
    signed_data.skip(der.SET)  # digestAlgorithms: a hint for one-pass readers; the signer's own is what counts
    encapsulated = signed_data.enter(der.SEQUENCE)
    content_type = encapsulated.oid()
    content: bytes | None = None
    wrapper_of_content = encapsulated.enter_optional(der.CONTEXT_0_CONSTRUCTED)
    if wrapper_of_content is not None:
        content = wrapper_of_content.octet_string()
        wrapper_of_content.finish()
    encapsulated.finish()

    certificates = _certificates(signed_data.enter_optional(der.CONTEXT_0_CONSTRUCTED))
    if signed_data.next_tag() == der.CONTEXT_1_CONSTRUCTED:  # revocation lists
        signed_data.skip()
    signer_infos = signed_data.enter(der.SET)
    signed_data.finish()
    signer_info = signer_infos.enter_optional(der.SEQUENCE)
    if signer_infos.next_tag():
        raise MalformedMessage("more than one signer")
    return SignedMessage(content_type, content, certificates, signer_info)


@dataclass(frozen=True, slots=True)
class _Message:
    content_type: str
    content: bytes | None
    certificates_der: tuple[bytes, ...]
    signer: KnownCertificate
    digest: Digest
    attributes_der: bytes | None  # content octets of the SET, as sent
    signature_algorithm: str
    signature: bytes


def _parse(cms: bytes) -> _Message:
    message = parse_signed_data(cms)
    signer_info = message.signer_info
    if signer_info is None:
        raise MalformedMessage("nobody signed the message")
    signer_info.skip(der.INTEGER)
    signer = _signer(signer_info, message.certificates_der)
    digest = digest_of_oid(_algorithm(signer_info))
    attributes_der: bytes | None = None
    if signer_info.next_tag() == der.CONTEXT_0_CONSTRUCTED:
        attributes_der = signer_info.content(der.CONTEXT_0_CONSTRUCTED)
    signature_algorithm = _algorithm(signer_info)
    signature = signer_info.octet_string()
    if signer_info.next_tag() == der.CONTEXT_1_CONSTRUCTED:  # unsigned attributes
        signer_info.skip()
    signer_info.finish()
    return _Message(
        content_type=message.content_type,
        content=message.content,
        certificates_der=message.certificates_der,
        signer=signer,
        digest=digest,
        attributes_der=attributes_der,
        signature_algorithm=signature_algorithm,
        signature=signature,
    )


def _certificates(reader: der.Reader | None) -> tuple[bytes, ...]:
    certificates: list[bytes] = []
    while reader is not None and (tag := reader.next_tag()):
        if tag == der.SEQUENCE:
            certificates.append(reader.raw(tag))
        else:  # attribute certificates and the like
            reader.skip()
        if len(certificates) > MAX_CERTIFICATES:
            raise MalformedMessage(f"more than {MAX_CERTIFICATES} certificates")
    return tuple(certificates)


def _signer(signer_info: der.Reader, certificates_der: tuple[bytes, ...]) -> KnownCertificate:
    """Find the certificate which the SignerIdentifier names (RFC 5652 section 5.3)."""
    if signer_info.next_tag() == der.SEQUENCE:
        identifier = signer_info.enter(der.SEQUENCE)
        issuer_name, serial_number = identifier.raw(der.SEQUENCE), identifier.content(der.INTEGER)
        identifier.finish()
        for certificate in map(known_certificate, certificates_der):
            if certificate.serial_number == serial_number and certificate.issuer_name == issuer_name:
                return certificate
    else:
        key_identifier = signer_info.octet_string(der.CONTEXT_0)
        for certificate in map(known_certificate, certificates_der):
            if certificate.subject_key_identifier == key_identifier:
                return certificate
    raise MalformedMessage("the signer's certificate is not in the message")


def _algorithm(reader: der.Reader) -> str:
    """Read an AlgorithmIdentifier. Parameters are of no consequence for what is accepted here, and passed over."""
    return reader.enter(der.SEQUENCE).oid()


def _verify(message: _Message, content: bytes, allow_legacy: bool) -> Verified:
    key = message.signer.public_key
    if key is None:
        raise RefusedAlgorithm("the signer's key is of a kind or size that is not accepted")
    digest = signature_digest(message.signature_algorithm, is_rsa=isinstance(key, RSAPublicKey), stated=message.digest)
    is_legacy = digest.is_legacy or is_legacy_key(key)
    if is_legacy and not allow_legacy:
        raise RefusedAlgorithm(f"a signature with {digest} and this key is legacy, which the policy refuses")
    attributes = _NO_ATTRIBUTES
    signing_time: datetime | None = None
    if message.attributes_der is None:
        _verify_content(message, content, key)
    else:
        attributes = _read_attributes(message.attributes_der)
        _verify_attributes(message, message.attributes_der, attributes, content, key)
        if SIGNING_TIME in attributes:
            signing_time = der.Reader(_single_value(attributes, SIGNING_TIME)).time()
    return Verified(
        signer_certificate_der=message.signer.certificate_der,
        certificates_der=message.certificates_der,
        content=content,
        digest=digest,
        is_legacy=is_legacy,
        signed_attributes=attributes,
        signing_time=signing_time,
    )


def _verify_content(message: _Message, content: bytes, key: PublicKey) -> None:
    """Check a signature without attributes, which is over the content itself (RFC 5652 section 5.4)."""
    if message.content_type != DATA:
        raise MalformedMessage("signed attributes are missing, which content of this type requires")
    # A signature over attributes is also one over "content" consisting of those attributes; no message that anyone
    # signs here begins like a SET, so that reading is refused.
    if content[:1] == b"\x31":
        raise BadSignature("the content looks like signed attributes")
    verify(key, message.signature, content, message.digest)


def _verify_attributes(
    message: _Message,
    attributes_der: bytes,
    attributes: Mapping[str, tuple[bytes, ...]],
    content: bytes,
    key: PublicKey,
) -> None:
    """Check that the attributes are signed and speak of *content* (RFC 5652 sections 5.4 and 11.1 to 11.2)."""
    content_type = der.Reader(_single_value(attributes, CONTENT_TYPE))
    if content_type.oid() != message.content_type:
        raise BadSignature("the signed content type is another")
    message_digest = der.Reader(_single_value(attributes, MESSAGE_DIGEST))
    if message_digest.octet_string() != message.digest.of(content):
        raise BadSignature("the signed digest is not that of the content")
    # Signed is a SET OF, not the [0] that was sent; its members as sent, since every known sender sorts them.
    verify(key, message.signature, der.element(der.SET, attributes_der), message.digest)


def _read_attributes(attributes_der: bytes) -> Mapping[str, tuple[bytes, ...]]:
    attributes: dict[str, tuple[bytes, ...]] = {}
    reader = der.Reader(attributes_der)
    while reader.next_tag():
        attribute = reader.enter(der.SEQUENCE)
        oid = attribute.oid()
        values = attribute.enter(der.SET)
        attribute.finish()
        if oid in attributes:
            raise MalformedMessage(f"signed attribute {oid} occurs twice")
        if len(attributes) == MAX_ATTRIBUTES:
            raise MalformedMessage(f"more than {MAX_ATTRIBUTES} signed attributes")
        attributes[oid] = _values(values)
    return MappingProxyType(attributes)


def _values(reader: der.Reader) -> tuple[bytes, ...]:
    values = []
    while reader.next_tag():
        values.append(reader.raw())
    return tuple(values)


def _single_value(attributes: Mapping[str, tuple[bytes, ...]], oid: str) -> bytes:
    values = attributes.get(oid, ())
    if len(values) != 1:
        raise MalformedMessage(f"signed attribute {oid} is missing or has not exactly one value")
    return values[0]

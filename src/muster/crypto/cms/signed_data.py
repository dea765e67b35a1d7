"""SignedData verified (RFC 5652 section 5): the form of Mdm-Signature headers, SCEP messages and signed profiles.

Reads DER and BER as devices send it. A verified message proves that the holder of the signer certificate's key signed
the content; it says nothing about who issued that certificate, and the certificate's own bytes outside its key are
not covered: pin its fingerprint.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from muster.crypto import der
from muster.crypto.algorithms import Digest, digest_of_oid, signature_digest
from muster.crypto.certificates import KnownCertificate, known_certificate
from muster.crypto.errors import BadSignature, MalformedMessage, RefusedAlgorithm
from muster.crypto.keys import verify

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
    message = parse_signed_data(cms)
    if message.content is not None and message.content != content:
        raise BadSignature("the embedded content differs from the body")
    return _verify(message, content, allow_legacy)


def verify_attached(cms: bytes, *, allow_legacy: bool) -> Verified:
    """Check a message that carries its content. Same promises and errors as verify_detached.

    Raises MalformedMessage also when no content is embedded.
    """
    message = parse_signed_data(cms)
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
    content_type, content = _encapsulated(signed_data)
    certificates = _certificates(signed_data.enter_optional(der.CONTEXT_0_CONSTRUCTED))
    if signed_data.next_tag() == der.CONTEXT_1_CONSTRUCTED:  # revocation lists
        signed_data.skip()
    signer_infos = signed_data.enter(der.SET)
    signed_data.finish()
    signer_info = signer_infos.enter_optional(der.SEQUENCE)
    if signer_infos.next_tag():
        raise MalformedMessage("more than one signer")
    return SignedMessage(content_type, content, certificates, signer_info)


def _encapsulated(signed_data: der.Reader) -> tuple[str, bytes | None]:
    """Read EncapsulatedContentInfo: the content's type, and the content unless the message is detached."""
    encapsulated = signed_data.enter(der.SEQUENCE)
    content_type = encapsulated.oid()
    wrapper = encapsulated.enter_optional(der.CONTEXT_0_CONSTRUCTED)
    if wrapper is None:
        content = None
    else:
        content = wrapper.octet_string()
        wrapper.finish()
    encapsulated.finish()
    return content_type, content


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


def _verify(message: SignedMessage, content: bytes, allow_legacy: bool) -> Verified:
    signer_info = message.signer_info
    if signer_info is None:
        raise MalformedMessage("nobody signed the message")
    signer_info.skip(der.INTEGER)
    signer = _signer(signer_info, message.certificates_der)
    digest = digest_of_oid(_algorithm(signer_info.raw(der.SEQUENCE)))
    attributes_der: bytes | None = None
    if signer_info.next_tag() == der.CONTEXT_0_CONSTRUCTED:
        attributes_der = signer_info.content(der.CONTEXT_0_CONSTRUCTED)
    signature_algorithm = _algorithm(signer_info.raw(der.SEQUENCE))
    signature = signer_info.octet_string()
    if signer_info.next_tag() == der.CONTEXT_1_CONSTRUCTED:  # unsigned attributes
        signer_info.skip()
    signer_info.finish()

    key = signer.public_key
    if key is None:
        raise RefusedAlgorithm("the signer's key is of a kind or size that is not accepted")
    signature_digest(signature_algorithm, is_rsa=signer.is_rsa, stated=digest)
    is_legacy = digest.is_legacy or signer.is_legacy
    if is_legacy and not allow_legacy:
        raise RefusedAlgorithm(f"a signature with {digest} and this key is legacy, which the policy refuses")
    if attributes_der is None:
        attributes, signing_time = _NO_ATTRIBUTES, None
        signed = _signed_content(message.content_type, content)
    else:
        attributes = _read_attributes(attributes_der)
        signing_time = _signing_time(attributes)
        _match_content(attributes, message.content_type, digest, content)
        # Signed is a SET OF, not the [0] that was sent; its members as sent, since every known sender sorts them.
        signed = der.element(der.SET, attributes_der)
    verify(key, signature, signed, digest)
    return Verified(
        signer_certificate_der=signer.certificate_der,
        certificates_der=message.certificates_der,
        content=content,
        digest=digest,
        is_legacy=is_legacy,
        signed_attributes=attributes,
        signing_time=signing_time,
    )


def _signer(signer_info: der.Reader, certificates_der: tuple[bytes, ...]) -> KnownCertificate:
    """Find the certificate which the SignerIdentifier names (RFC 5652 section 5.3)."""
    certificates = map(known_certificate, certificates_der)
    if signer_info.next_tag() == der.SEQUENCE:
        issuer_and_serial = signer_info.raw(der.SEQUENCE)
        for certificate in certificates:
            if certificate.issuer_and_serial == issuer_and_serial:
                return certificate
    else:
        key_identifier = signer_info.octet_string(der.CONTEXT_0)
        for certificate in certificates:
            if certificate.subject_key_identifier == key_identifier:
                return certificate
    raise MalformedMessage("the signer's certificate is not in the message")


@lru_cache(maxsize=256)  # a dozen make up all the traffic
def _algorithm(encoded: bytes) -> str:
    """Read an AlgorithmIdentifier. Parameters are of no consequence for what is accepted here, and passed over."""
    return der.Reader.of_single(encoded, der.SEQUENCE).oid()


def _signed_content(content_type: str, content: bytes) -> bytes:
    """Return what a signature without attributes is over: the content itself (RFC 5652 section 5.4)."""
    if content_type != DATA:
        raise MalformedMessage("signed attributes are missing, which content of this type requires")
    # A signature over attributes is also one over "content" consisting of those attributes; no message that anyone
    # signs here begins like a SET, so that reading is refused.
    if content[:1] == b"\x31":
        raise BadSignature("the content looks like signed attributes")
    return content


def _match_content(
    attributes: Mapping[str, tuple[bytes, ...]], content_type: str, digest: Digest, content: bytes
) -> None:
    """Check that the attributes speak of *content* (RFC 5652 sections 5.4, 11.1 and 11.2). Attributes are DER."""
    if _single_value(attributes, CONTENT_TYPE) != der.oid(content_type):
        raise BadSignature("the signed content type is another")
    if _single_value(attributes, MESSAGE_DIGEST) != der.octet_string(digest.of(content)):
        raise BadSignature("the signed digest is not that of the content")


def _signing_time(attributes: Mapping[str, tuple[bytes, ...]]) -> datetime | None:
    return der.Reader(_single_value(attributes, SIGNING_TIME)).time() if SIGNING_TIME in attributes else None


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

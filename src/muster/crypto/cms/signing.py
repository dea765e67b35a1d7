"""SignedData made (RFC 5652 section 5): detached signatures, signed profiles, SCEP messages, certificate bundles."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Final

from muster.crypto import der
from muster.crypto.algorithms import OID_OF_DIGEST, OID_OF_ECDSA, RSA_ENCRYPTION, Digest
from muster.crypto.certificates import known_certificate
from muster.crypto.cms.signed_data import (
    CONTENT_TYPE,
    DATA,
    MESSAGE_DIGEST,
    SIGNED_DATA,
    SIGNING_TIME,
    parse_signed_data,
)
from muster.crypto.errors import MalformedMessage
from muster.crypto.keys import PrivateKey, sign

_NO_ATTRIBUTES: Final[Mapping[str, bytes]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class SignerIdentity:
    """A certificate and the private key to it."""

    certificate_der: bytes
    key: PrivateKey = field(repr=False)


def sign_attached(
    content: bytes,
    signer: SignerIdentity,
    *,
    digest: Digest = Digest.SHA256,
    chain: Sequence[bytes] = (),
    signing_time: datetime | None = None,
) -> bytes:
    """Sign *content* and carry it along, with signed attributes: the form of signed profiles. Returns DER.

    *chain* holds further certificates (DER) to include behind the signer's own. *signing_time* None leaves it out.
    """
    return sign_with_attributes(
        content, signer, _NO_ATTRIBUTES, digest=digest, chain=chain, signing_time=signing_time, embed_content=True
    )


def sign_detached(
    content: bytes,
    signer: SignerIdentity,
    *,
    digest: Digest = Digest.SHA256,
    chain: Sequence[bytes] = (),
    with_attributes: bool = True,
    signing_time: datetime | None = None,
) -> bytes:
    """Sign *content* without carrying it: the form of the Mdm-Signature header. Returns DER.

    *chain* as in `sign_attached`. Without attributes the signature is over the content itself, as Apple's devices have
    it, and the message has no room for *signing_time*.
    """
    if with_attributes:
        return sign_with_attributes(
            content,
            signer,
            _NO_ATTRIBUTES,
            digest=digest,
            chain=chain,
            signing_time=signing_time,
            embed_content=False,
        )
    signer_info = _signer_info(signer.certificate_der, digest, b"", sign(signer.key, content, digest))
    return _signed_data(None, digest, (signer.certificate_der, *chain), signer_info)


def written_anew(cms: bytes) -> bytes:
    """Write a detached SHA-256 signature with attributes again from its parts, as `sign_detached` would have.

    What a signature does not cover (versions, lists of algorithms, lengths, what hangs on unsigned) is written in the
    one way: a message that equals the result has no octet that could be another. Raises MalformedMessage when *cms* is
    no such message. The first certificate is taken for the signer's; nothing is verified.
    """
    message = parse_signed_data(cms)
    signer_info = message.signer_info
    if signer_info is None or not message.certificates_der or message.content is not None:
        raise MalformedMessage("not a detached signature")
    signer_info.skip(der.INTEGER)
    signer_info.skip()  # who signed, which the certificate says
    signer_info.skip(der.SEQUENCE)
    attributes_der = der.element(der.CONTEXT_0_CONSTRUCTED, signer_info.content(der.CONTEXT_0_CONSTRUCTED))
    signer_info.skip(der.SEQUENCE)
    signature = signer_info.octet_string()
    written = _signer_info(message.certificates_der[0], Digest.SHA256, attributes_der, signature)
    return _signed_data(None, Digest.SHA256, message.certificates_der, written)


def sign_with_attributes(
    content: bytes,
    signer: SignerIdentity,
    attributes: Mapping[str, bytes],
    *,
    digest: Digest = Digest.SHA256,
    chain: Sequence[bytes] = (),
    signing_time: datetime | None = None,
    embed_content: bool = True,
) -> bytes:
    """Sign *content* together with *attributes*: dotted OID to its one value, a whole DER element. Returns DER.

    Content type, message digest and signing time are added here. An RSA signature is labelled rsaEncryption, which
    RFC 3370 section 3.2 has and the only label that strongSwan accepts in a CertRep.
    """
    values = {
        **attributes,
        CONTENT_TYPE: der.oid(DATA),
        MESSAGE_DIGEST: der.octet_string(digest.of(content)),
    }
    if signing_time is not None:
        values[SIGNING_TIME] = der.time(signing_time)
    encoded = [der.sequence(der.oid(oid), der.element(der.SET, value)) for oid, value in values.items()]
    signature = sign(signer.key, der.set_of(encoded), digest)
    attributes_der = der.set_of(encoded, der.CONTEXT_0_CONSTRUCTED)
    signer_info = _signer_info(signer.certificate_der, digest, attributes_der, signature)
    return _signed_data(content if embed_content else None, digest, (signer.certificate_der, *chain), signer_info)


def certificates_only(certificates_der: Sequence[bytes]) -> bytes:
    """Bundle certificates in a SignedData that nobody signed (RFC 8894 section 3.4), in the order given."""
    return _signed_data(None, None, certificates_der, b"")


def read_certificates_only(cms: bytes) -> tuple[bytes, ...]:
    """Return the certificates of a SignedData, in order; a signature, if there is one, is not looked at.

    Raises MalformedMessage when it is no SignedData or holds more than 16 certificates or none. That each is a
    certificate is not checked.
    """
    certificates = parse_signed_data(cms).certificates_der
    if not certificates:
        raise MalformedMessage("the message holds no certificate")
    return certificates


def _signer_info(certificate_der: bytes, digest: Digest, attributes_der: bytes, signature: bytes) -> bytes:
    certificate = known_certificate(certificate_der)
    digest_algorithm = der.sequence(der.oid(OID_OF_DIGEST[digest]), der.null())
    if certificate.is_rsa:
        signature_algorithm = der.sequence(der.oid(RSA_ENCRYPTION), der.null())
    else:
        signature_algorithm = der.sequence(der.oid(OID_OF_ECDSA[digest]))
    return der.sequence(
        der.integer(1),
        certificate.issuer_and_serial,
        digest_algorithm,
        attributes_der,
        signature_algorithm,
        der.octet_string(signature),
    )


def _signed_data(
    content: bytes | None, digest: Digest | None, certificates_der: Sequence[bytes], signer_info: bytes
) -> bytes:
    digest_algorithms = () if digest is None else (der.sequence(der.oid(OID_OF_DIGEST[digest]), der.null()),)
    embedded = b"" if content is None else der.element(der.CONTEXT_0_CONSTRUCTED, der.octet_string(content))
    signed_data = der.sequence(
        der.integer(1),
        der.element(der.SET, *digest_algorithms),
        der.sequence(der.oid(DATA), embedded),
        # In the order given, not in DER's: readers take the first certificate for the subject's.
        der.element(der.CONTEXT_0_CONSTRUCTED, *certificates_der),
        der.element(der.SET, signer_info),
    )
    return der.sequence(der.oid(SIGNED_DATA), der.element(der.CONTEXT_0_CONSTRUCTED, signed_data))

"""Certification requests (PKCS #10, RFC 2986), read without strictness and made for clients.

Our own reader, because what devices send is refused by strict ones: Apple's requests say version 2, which does not
exist, and others leave their attributes unsorted. The signature is checked over the bytes as sent.
"""

from dataclasses import dataclass, field
from typing import Final

from muster.crypto import der
from muster.crypto.algorithms import OID_OF_ECDSA, Digest, signature_digest
from muster.crypto.certificates import read_extensions
from muster.crypto.errors import MalformedMessage, RefusedAlgorithm, WeakKey
from muster.crypto.keys import (
    PrivateKey,
    PublicKey,
    RSAPrivateKey,
    RSAPublicKey,
    load_public_key,
    public_key_der,
    sign,
    verify,
)
from muster.crypto.names import (
    COMMON_NAME,
    COUNTRY,
    EMAIL_ADDRESS,
    ORGANIZATION,
    DistinguishedName,
    encode_name,
    read_name,
)

CHALLENGE: Final = "1.2.840.113549.1.9.7"  # challengePassword
EXTENSION_REQUESTS: Final = (
    "1.2.840.113549.1.9.14",
    "1.3.6.1.4.1.311.2.1.14",  # Microsoft's name for the same
)
SUBJECT_ALT_NAME: Final = "2.5.29.17"

MAX_REQUEST_OCTETS: Final = 64 * 1024  # a request with an RSA-8192 key and many names has 4 KiB
MAX_ATTRIBUTES: Final = 32  # requests in use have two or three
MAX_CHALLENGE_CHARACTERS: Final = 1024  # ours have 43; RFC 2985 section 5.4.1 suggests at most 255


@dataclass(frozen=True, slots=True)
class CertificateRequest:
    """A request whose signature holds: the sender has the private key. Everything else is only wished for.

    `subject_alt_name` is the wished-for GeneralNames in DER, or None. `challenge` is a secret, and `raw` holds it.
    """

    raw: bytes = field(repr=False)
    subject: DistinguishedName
    public_key_der: bytes
    challenge: str | None = field(repr=False)
    subject_alt_name: bytes | None
    is_legacy: bool


def read_request(request_der: bytes, *, minimum_rsa_bits: int = 2048, allow_legacy: bool = True) -> CertificateRequest:
    """Read a request and check that it is signed by the key it holds.

    A SHA-1 signature is accepted with *allow_legacy*: it proves possession only, and Apple's older devices send it.
    Raises MalformedMessage when the bytes are no request, BadSignature when the signature does not hold, WeakKey for
    an RSA key below *minimum_rsa_bits* or a kind of key that is not accepted, and RefusedAlgorithm for a signature
    algorithm that is not.
    """
    if len(request_der) > MAX_REQUEST_OCTETS:
        raise MalformedMessage(f"a request has more than {MAX_REQUEST_OCTETS} octets")
    request = der.Reader.of_single(request_der, der.SEQUENCE)
    signed = request.raw(der.SEQUENCE)
    signature_algorithm = request.enter(der.SEQUENCE).oid()
    signature = request.bit_string()
    request.finish()

    information = der.Reader.of_single(signed, der.SEQUENCE)
    information.skip(der.INTEGER)  # the version, of which only 0 exists and any is sent
    subject = read_name(information)
    spki = information.raw(der.SEQUENCE)
    attributes = information.enter_optional(der.CONTEXT_0_CONSTRUCTED)
    information.finish()

    key = _load_key(spki, minimum_rsa_bits)
    digest = signature_digest(signature_algorithm, is_rsa=isinstance(key, RSAPublicKey), stated=None)
    if digest.is_legacy and not allow_legacy:
        raise RefusedAlgorithm("a request signed with SHA-1 is legacy, which the policy refuses")
    verify(key, signature, signed, digest)
    challenge, subject_alt_name = _read_attributes(attributes)
    return CertificateRequest(
        raw=request_der,
        subject=subject,
        public_key_der=spki,
        challenge=challenge,
        subject_alt_name=subject_alt_name,
        is_legacy=digest.is_legacy,
    )


def make_request(
    key: PrivateKey,
    *,
    common_name: str,
    organization: str | None = None,
    country: str | None = None,
    email: str | None = None,
    challenge: str | None = None,
) -> bytes:
    """Make a request for *key*, signed with SHA-256. Returns DER; equal arguments give equal bytes.

    *email* is ASCII, *country* two letters (ISO 3166-1).
    """
    wished = ((COUNTRY, country), (ORGANIZATION, organization), (COMMON_NAME, common_name), (EMAIL_ADDRESS, email))
    subject = [(oid, value) for oid, value in wished if value is not None]
    attributes = []
    if challenge is not None:
        attributes.append(der.sequence(der.oid(CHALLENGE), der.element(der.SET, der.text(challenge))))
    information = der.sequence(
        der.integer(0),
        encode_name(subject),
        public_key_der(key),
        der.set_of(attributes, der.CONTEXT_0_CONSTRUCTED),
    )
    if isinstance(key, RSAPrivateKey):
        algorithm = der.sequence(der.oid("1.2.840.113549.1.1.11"), der.null())  # sha256WithRSAEncryption
    else:
        algorithm = der.sequence(der.oid(OID_OF_ECDSA[Digest.SHA256]))
    return der.sequence(information, algorithm, der.bit_string(sign(key, information, Digest.SHA256)))


def _load_key(spki: bytes, minimum_rsa_bits: int) -> PublicKey:
    try:
        key = load_public_key(spki)
    except RefusedAlgorithm as error:
        raise WeakKey(str(error)) from None
    if isinstance(key, RSAPublicKey) and key.key_size < minimum_rsa_bits:
        raise WeakKey(f"the request's RSA key has {key.key_size} bits; {minimum_rsa_bits} are asked for")
    return key


def _read_attributes(reader: der.Reader | None) -> tuple[str | None, bytes | None]:
    """Return (challenge, subject alternative name) of the attributes (RFC 2985 section 5.4)."""
    challenge: str | None = None
    subject_alt_name: bytes | None = None
    seen: set[str] = set()
    while reader is not None and reader.next_tag():
        attribute = reader.enter(der.SEQUENCE)
        oid = attribute.oid()
        values = attribute.enter(der.SET)
        attribute.finish()
        if oid in seen or len(seen) == MAX_ATTRIBUTES:
            raise MalformedMessage(f"attribute {oid} occurs twice, or there are more than {MAX_ATTRIBUTES}")
        seen.add(oid)
        if oid == CHALLENGE:
            challenge = values.text()
            values.finish()
            if len(challenge) > MAX_CHALLENGE_CHARACTERS:
                raise MalformedMessage(f"the challenge has more than {MAX_CHALLENGE_CHARACTERS} characters")
        elif oid in EXTENSION_REQUESTS:
            subject_alt_name = read_extensions(values).get(SUBJECT_ALT_NAME, subject_alt_name)
    return challenge, subject_alt_name

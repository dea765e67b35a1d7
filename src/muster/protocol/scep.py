"""SCEP messages, server side and client side (RFC 8894): bytes to typed messages and back.

A request is a SignedData by the client around an EnvelopedData to the authority; the reply, CertRep, the same the
other way round. Whether a certificate is issued is decided elsewhere.
"""

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NoReturn

from muster.crypto import der
from muster.crypto import errors as crypto_errors
from muster.crypto.algorithms import Cipher, Digest
from muster.crypto.certificates import certified_key, known_certificate
from muster.crypto.cms.enveloped_data import envelope, is_addressed_to, open_envelope
from muster.crypto.cms.signed_data import Verified, parse_signed_data, verify_attached, verify_detached
from muster.crypto.cms.signing import (
    SignerIdentity,
    certificates_only,
    read_certificates_only,
    sign_with_attributes,
)
from muster.crypto.issuance import Authority
from muster.crypto.keys import spki_fingerprint
from muster.crypto.names import DistinguishedName, read_name
from muster.crypto.requests import CertificateRequest, read_request
from muster.protocol.errors import BadSignature, MalformedMessage, ProtocolError, RefusedAlgorithm

MAX_MESSAGE_BYTES: Final = 128 * 1024  # requests have 3 to 6 KiB
MAX_TRANSACTION_ID_CHARACTERS: Final = 255  # hashes of a key in hexadecimal, mostly: 32 to 128
MAX_NONCE_BYTES: Final = 64  # RFC 8894 section 3.2.1.5 has 16

# strongSwan's pki believes AES only when SHA-384 is listed too, SHA-256 only with DES3.
CAPABILITIES: Final = (
    "AES",
    "DES3",
    "POSTPKIOperation",
    "Renewal",
    "SCEPStandard",
    "SHA-1",
    "SHA-256",
    "SHA-384",
    "SHA-512",
)

PKI_MESSAGE_MEDIA_TYPE: Final = "application/x-pki-message"
CA_CERTIFICATE_MEDIA_TYPE: Final = "application/x-x509-ca-cert"
CA_CHAIN_MEDIA_TYPE: Final = "application/x-x509-ca-ra-cert"

_MESSAGE_TYPE: Final = "2.16.840.1.113733.1.9.2"
_PKI_STATUS: Final = "2.16.840.1.113733.1.9.3"
_FAIL_INFO: Final = "2.16.840.1.113733.1.9.4"
_SENDER_NONCE: Final = "2.16.840.1.113733.1.9.5"
_RECIPIENT_NONCE: Final = "2.16.840.1.113733.1.9.6"
_TRANSACTION_ID: Final = "2.16.840.1.113733.1.9.7"


class MessageType(IntEnum):
    """RFC 8894 section 3.2.1.2."""

    CERT_REP = 3
    RENEWAL_REQ = 17
    PKCS_REQ = 19
    CERT_POLL = 20
    GET_CERT = 21
    GET_CRL = 22


class PKIStatus(IntEnum):
    """RFC 8894 section 3.2.1.3."""

    SUCCESS = 0
    FAILURE = 2
    PENDING = 3


class FailInfo(IntEnum):
    """RFC 8894 section 3.2.1.4."""

    BAD_ALG = 0
    BAD_MESSAGE_CHECK = 1
    BAD_REQUEST = 2
    BAD_TIME = 3
    BAD_CERT_ID = 4


class ScepRefusal(ProtocolError):
    """A request that deserves a CertRep of FAILURE: it is signed, and says where the reply belongs."""

    def __init__(self, fail_info: FailInfo, reason: str, *, transaction_id: str, sender_nonce: bytes) -> None:
        super().__init__(f"SCEP: {reason}")
        self.fail_info = fail_info
        self.transaction_id = transaction_id
        self.sender_nonce = sender_nonce


@dataclass(frozen=True, slots=True)
class PKIMessage:
    """A client's request, its signature verified and its content decrypted.

    `request` belongs to PKCSReq and RenewalReq, `polled_subject` to CertPoll; None otherwise. `cipher` is the one the
    client used. `is_legacy`: SHA-1, DES, 3DES or a small RSA key somewhere. `is_signed_by_requested_key`: the signer
    certificate holds the key that a certificate is asked for, as RFC 8894 section 2.3 wants of a PKCSReq.
    """

    message_type: MessageType
    transaction_id: str
    sender_nonce: bytes
    signer_certificate_der: bytes
    request: CertificateRequest | None
    polled_subject: DistinguishedName | None
    digest: Digest
    cipher: Cipher
    is_legacy: bool
    is_signed_by_requested_key: bool


@dataclass(frozen=True, slots=True)
class CertRep:
    """The authority's reply. `fail_info` is None but for FAILURE; certificates come with SUCCESS, the issued first."""

    status: PKIStatus
    fail_info: FailInfo | None
    certificates_der: tuple[bytes, ...]


def decode_pki_message(
    message: bytes, authority: Authority, *, allow_legacy: bool, minimum_rsa_bits: int = 2048
) -> PKIMessage:
    """Verify and decrypt a client's request.

    Raises MalformedMessage, BadSignature or RefusedAlgorithm when it cannot even be answered, and ScepRefusal, with
    the FailInfo that the reply needs, when it can: content that does not open or is no proper request
    (badMessageCheck: one for all, so as to tell nothing about decryption), algorithms or keys that are refused
    (badAlg), a message type that is not served (badRequest). Not checked: who issued the signer's certificate, the
    challenge, replays.
    """
    verified = _verify(message)
    transaction_id, sender_nonce = _transaction_id(verified), _nonce(verified, _SENDER_NONCE)

    def refuse(fail_info: FailInfo, reason: str) -> NoReturn:
        raise ScepRefusal(fail_info, reason, transaction_id=transaction_id, sender_nonce=sender_nonce)

    message_type = _number(verified, _MESSAGE_TYPE)
    if message_type not in (MessageType.PKCS_REQ, MessageType.RENEWAL_REQ, MessageType.CERT_POLL):
        refuse(FailInfo.BAD_REQUEST, f"message type {message_type} is not served")
    if verified.is_legacy and not allow_legacy:
        refuse(FailInfo.BAD_ALG, "a signature with SHA-1 or a small RSA key is refused by policy")
    if not known_certificate(verified.signer_certificate_der).is_rsa:
        refuse(FailInfo.BAD_ALG, "only an RSA key can receive the reply, and the signer's is none")
    try:
        opened = open_envelope(
            verified.content,
            authority.key,
            allow_legacy=allow_legacy,
            recipient_certificate_der=authority.certificate_der,
        )
        request = polled_subject = None
        if message_type == MessageType.CERT_POLL:
            polled_subject = _read_issuer_and_subject(opened.content)
        else:
            request = read_request(opened.content, minimum_rsa_bits=minimum_rsa_bits, allow_legacy=allow_legacy)
    except (crypto_errors.RefusedAlgorithm, crypto_errors.WeakKey) as error:
        refuse(FailInfo.BAD_ALG, str(error))
    except crypto_errors.CryptoError:
        refuse(FailInfo.BAD_MESSAGE_CHECK, "the content cannot be decrypted, or is no request")
    signer = verified.signer_certificate_der
    return PKIMessage(
        message_type=MessageType(message_type),
        transaction_id=transaction_id,
        sender_nonce=sender_nonce,
        signer_certificate_der=signer,
        request=request,
        polled_subject=polled_subject,
        digest=verified.digest,
        cipher=opened.cipher,
        is_legacy=verified.is_legacy or opened.is_legacy or (request is not None and request.is_legacy),
        is_signed_by_requested_key=request is not None and certified_key(signer) == request.public_key_der,
    )


def addressed_authority(message: bytes, authorities: Sequence[Authority]) -> Authority | None:
    """Tell to which of *authorities* a client's request is enveloped, so that it is opened and answered by that one.

    None when it is none of them, and when *message* can't be read so far. Nothing is verified.
    """
    try:
        content = parse_signed_data(message).content
        if content is None:
            return None
        return next((one for one in authorities if is_addressed_to(content, one.certificate_der)), None)
    except crypto_errors.CryptoError:
        return None


def encode_cert_rep_success(
    message: PKIMessage,
    certificate_der: bytes,
    authority: Authority,
    *,
    sender_nonce: bytes,
    random_bytes: Callable[[int], bytes],
    chain: Sequence[bytes] = (),
) -> bytes:
    """Answer *message* with the issued certificate, and *chain* behind it, enveloped to the message's signer.

    The cipher is the AES the client used, else AES-128, which RFC 8894 section 2.9 has every client read. The
    signature is SHA-256 whatever the client used: the authority's key never signs SHA-1. Raises RefusedAlgorithm when
    the signer's key is not RSA.
    """
    is_aes = message.cipher not in (Cipher.DES_CBC, Cipher.DES_EDE3_CBC)
    cipher = message.cipher if is_aes else Cipher.AES_128_CBC
    bundle = certificates_only([certificate_der, *chain])
    try:
        content = envelope(bundle, message.signer_certificate_der, cipher=cipher, random_bytes=random_bytes)
    except crypto_errors.RefusedAlgorithm as error:
        raise RefusedAlgorithm(f"SCEP: {error}") from error
    attributes = _reply_attributes(PKIStatus.SUCCESS, message.transaction_id, message.sender_nonce, sender_nonce)
    return sign_with_attributes(content, _identity(authority), attributes)


def encode_cert_rep_failure(
    transaction_id: str, recipient_nonce: bytes, fail_info: FailInfo, authority: Authority, *, sender_nonce: bytes
) -> bytes:
    """Answer a request with FAILURE. *recipient_nonce* is the sender nonce of the request; *sender_nonce* is fresh."""
    attributes = _reply_attributes(PKIStatus.FAILURE, transaction_id, recipient_nonce, sender_nonce)
    attributes[_FAIL_INFO] = _printable(str(int(fail_info)))
    return sign_with_attributes(b"", _identity(authority), attributes, embed_content=False)


def encode_cert_rep_pending(
    transaction_id: str, recipient_nonce: bytes, authority: Authority, *, sender_nonce: bytes
) -> bytes:
    """Answer a request with PENDING: the client is to poll."""
    attributes = _reply_attributes(PKIStatus.PENDING, transaction_id, recipient_nonce, sender_nonce)
    return sign_with_attributes(b"", _identity(authority), attributes, embed_content=False)


def encode_capabilities() -> bytes:
    """The reply to GetCACaps, text/plain (RFC 8894 section 3.5.2)."""
    return "".join(f"{capability}\n" for capability in CAPABILITIES).encode("ascii")


def encode_ca_certificates(certificates_der: Sequence[bytes]) -> tuple[str, bytes]:
    """The reply to GetCACert as (media type, body): one certificate bare, several as a bundle (section 4.2.1)."""
    if len(certificates_der) == 1:
        return CA_CERTIFICATE_MEDIA_TYPE, certificates_der[0]
    return CA_CHAIN_MEDIA_TYPE, certificates_only(certificates_der)


def decode_get_message(message: str) -> bytes:
    """Decode the `message` parameter of a PKIOperation by GET, already URL-decoded (RFC 8894 section 4.1).

    Clients that forget to escape "+" make it a blank. Raises MalformedMessage when it is not base64, or too long.
    """
    if len(message) > MAX_MESSAGE_BYTES * 4 // 3:
        raise MalformedMessage(f"SCEP: more than {MAX_MESSAGE_BYTES} bytes")
    try:
        return base64.b64decode("".join(message.replace(" ", "+").split()), validate=True)
    except ValueError:
        raise MalformedMessage("SCEP: the message parameter is not base64") from None


# The client's side, for simulated devices.


def transaction_id_of(public_key_der: bytes) -> str:
    """Derive a transaction id from the requested key (RFC 8894 section 3.2.1.1)."""
    return spki_fingerprint(public_key_der).hex()


def encode_pkcs_req(
    request_der: bytes,
    signer: SignerIdentity,
    authority_certificate_der: bytes,
    *,
    transaction_id: str,
    sender_nonce: bytes,
    random_bytes: Callable[[int], bytes],
    message_type: MessageType = MessageType.PKCS_REQ,
    cipher: Cipher = Cipher.AES_256_CBC,
    digest: Digest = Digest.SHA256,
) -> bytes:
    """Ask for a certificate: PKCSReq signed by a temporary certificate, or RenewalReq signed by the present one."""
    content = envelope(request_der, authority_certificate_der, cipher=cipher, random_bytes=random_bytes)
    attributes = _attributes(message_type, transaction_id, sender_nonce)
    return sign_with_attributes(content, signer, attributes, digest=digest)


def encode_cert_poll(
    issuer_name_der: bytes,
    subject_name_der: bytes,
    signer: SignerIdentity,
    authority_certificate_der: bytes,
    *,
    transaction_id: str,
    sender_nonce: bytes,
    random_bytes: Callable[[int], bytes],
) -> bytes:
    """Ask again for a certificate that was PENDING. Names are in DER (RFC 8894 section 3.3.3)."""
    content = envelope(
        der.sequence(issuer_name_der, subject_name_der), authority_certificate_der, random_bytes=random_bytes
    )
    return sign_with_attributes(content, signer, _attributes(MessageType.CERT_POLL, transaction_id, sender_nonce))


def decode_cert_rep(
    message: bytes,
    signer: SignerIdentity,
    authority_certificate_der: bytes,
    *,
    transaction_id: str,
    sender_nonce: bytes,
    allow_legacy: bool = False,
) -> CertRep:
    """Verify the reply to a request that *signer* signed, and take the certificates out.

    Raises BadSignature when the reply is not signed by *authority_certificate_der* or answers another request,
    MalformedMessage when it is no CertRep or its content does not open, and RefusedAlgorithm.
    """
    verified = _verify(message)
    if verified.signer_certificate_der != authority_certificate_der:
        raise BadSignature("SCEP: the reply is signed by somebody else than the authority")
    if _transaction_id(verified) != transaction_id or _nonce(verified, _RECIPIENT_NONCE) != sender_nonce:
        raise BadSignature("SCEP: the reply answers another request")
    if verified.is_legacy and not allow_legacy:
        raise RefusedAlgorithm("SCEP: the reply is signed with a legacy algorithm")
    if _number(verified, _MESSAGE_TYPE) != MessageType.CERT_REP:
        raise MalformedMessage("SCEP: the reply is no CertRep")
    try:
        status = PKIStatus(_number(verified, _PKI_STATUS))
        if status is PKIStatus.FAILURE:
            return CertRep(status, FailInfo(_number(verified, _FAIL_INFO)), ())
    except ValueError:
        raise MalformedMessage("SCEP: a status or failInfo that does not exist") from None
    if status is PKIStatus.PENDING:
        return CertRep(status, None, ())
    try:
        # 3DES always opens here: the reply comes in the cipher of the request, which was this client's choice.
        opened = open_envelope(
            verified.content, signer.key, allow_legacy=True, recipient_certificate_der=signer.certificate_der
        )
        return CertRep(status, None, read_certificates_only(opened.content))
    except crypto_errors.RefusedAlgorithm as error:
        raise RefusedAlgorithm(f"SCEP: {error}") from error
    except crypto_errors.CryptoError:
        raise MalformedMessage("SCEP: the reply's content does not open, or holds no certificate") from None


def decode_capabilities(body: bytes) -> frozenset[str]:
    """Read a reply to GetCACaps: one capability a line, unknown ones included."""
    return frozenset(line.strip() for line in body.decode("latin-1").splitlines() if line.strip())


def decode_ca_certificates(media_type: str, body: bytes) -> tuple[bytes, ...]:
    """Read a reply to GetCACert. Raises MalformedMessage when a bundle is none."""
    if media_type != CA_CHAIN_MEDIA_TYPE:
        return (body,)
    try:
        return read_certificates_only(body)
    except crypto_errors.MalformedMessage as error:
        raise MalformedMessage(f"SCEP: {error}") from error


def _verify(message: bytes) -> Verified:
    """Check the outer signature. Legacy is let through: what is refused for it can still be answered."""
    if len(message) > MAX_MESSAGE_BYTES:
        raise MalformedMessage(f"SCEP: more than {MAX_MESSAGE_BYTES} bytes")
    try:
        if parse_signed_data(message).content is None:
            return verify_detached(message, b"", allow_legacy=True)
        return verify_attached(message, allow_legacy=True)
    except crypto_errors.BadSignature as error:
        raise BadSignature(f"SCEP: {error}") from error
    except crypto_errors.RefusedAlgorithm as error:
        raise RefusedAlgorithm(f"SCEP: {error}") from error
    except crypto_errors.MalformedMessage as error:
        raise MalformedMessage(f"SCEP: {error}") from error


def _attribute(verified: Verified, oid: str) -> der.Reader:
    values = verified.signed_attributes.get(oid, ())
    if len(values) != 1:
        raise MalformedMessage(f"SCEP: attribute {oid} is missing or has not exactly one value")
    return der.Reader(values[0])


def _text(verified: Verified, oid: str) -> str:
    try:
        return _attribute(verified, oid).text()
    except crypto_errors.MalformedMessage as error:
        raise MalformedMessage(f"SCEP: attribute {oid}: {error}") from error


def _number(verified: Verified, oid: str) -> int:
    """Read one of SCEP's numbers, which it writes as decimal text."""
    text = _text(verified, oid)
    if not (text.isascii() and text.isdigit()) or len(text) > 3:  # the highest in use is 22
        raise MalformedMessage(f"SCEP: attribute {oid} is no number")
    return int(text)


def _transaction_id(verified: Verified) -> str:
    transaction_id = _text(verified, _TRANSACTION_ID)
    if not 0 < len(transaction_id) <= MAX_TRANSACTION_ID_CHARACTERS:
        raise MalformedMessage(f"SCEP: a transactionID has 1 to {MAX_TRANSACTION_ID_CHARACTERS} characters")
    if not (transaction_id.isascii() and transaction_id.isprintable()):
        raise MalformedMessage("SCEP: a transactionID is printable")
    return transaction_id


def _nonce(verified: Verified, oid: str) -> bytes:
    try:
        nonce = _attribute(verified, oid).octet_string()
    except crypto_errors.MalformedMessage as error:
        raise MalformedMessage(f"SCEP: attribute {oid}: {error}") from error
    if not 0 < len(nonce) <= MAX_NONCE_BYTES:
        raise MalformedMessage(f"SCEP: a nonce has 1 to {MAX_NONCE_BYTES} bytes")
    return nonce


def _read_issuer_and_subject(content: bytes) -> DistinguishedName:
    """Read the IssuerAndSubject of a CertPoll (RFC 8894 section 3.3.3): the subject."""
    issuer_and_subject = der.Reader.of_single(content, der.SEQUENCE)
    read_name(issuer_and_subject)
    subject = read_name(issuer_and_subject)
    issuer_and_subject.finish()
    return subject


def _identity(authority: Authority) -> SignerIdentity:
    return SignerIdentity(authority.certificate_der, authority.key)


def _printable(text: str) -> bytes:
    """Encode as PrintableString whatever the alphabet: clients compare the bytes of what they sent."""
    return der.element(der.PRINTABLE_STRING, text.encode("ascii"))


def _attributes(message_type: MessageType, transaction_id: str, sender_nonce: bytes) -> dict[str, bytes]:
    return {
        _MESSAGE_TYPE: _printable(str(int(message_type))),
        _TRANSACTION_ID: _printable(transaction_id),
        _SENDER_NONCE: der.octet_string(sender_nonce),
    }


def _reply_attributes(
    status: PKIStatus, transaction_id: str, recipient_nonce: bytes, sender_nonce: bytes
) -> dict[str, bytes]:
    return {
        **_attributes(MessageType.CERT_REP, transaction_id, sender_nonce),
        _PKI_STATUS: _printable(str(int(status))),
        _RECIPIENT_NONCE: der.octet_string(recipient_nonce),
    }

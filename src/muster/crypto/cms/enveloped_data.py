"""EnvelopedData made and opened (RFC 5652 section 6): SCEP's content, and server tokens of Apple Business Manager.

Only RSA key transport, PKCS #1 v1.5 (what SCEP clients send) or OAEP, and CBC ciphers. CBC is not authenticated:
whatever fails after the outer structure was read is the one error CannotDecrypt, in about the same time.
"""

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import padding as block_padding
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers import Cipher as BlockCipher
from cryptography.hazmat.primitives.ciphers import modes
from cryptography.hazmat.primitives.ciphers.algorithms import AES

from muster.crypto import der
from muster.crypto.algorithms import (
    CIPHER_OIDS,
    HASHES,
    MGF1,
    OID_OF_CIPHER,
    RSA_ENCRYPTION,
    RSAES_OAEP,
    Cipher,
    Digest,
    digest_of_oid,
)
from muster.crypto.certificates import known_certificate
from muster.crypto.cms.signed_data import DATA
from muster.crypto.errors import CannotDecrypt, MalformedMessage, RefusedAlgorithm
from muster.crypto.keys import PrivateKey, RSAPrivateKey, RSAPublicKey, private_key_der

ENVELOPED_DATA: Final = "1.2.840.113549.1.7.3"
MAX_RECIPIENTS: Final = 16  # SCEP and Apple's tokens have one

_P_SPECIFIED: Final = "1.2.840.113549.1.1.9"
_PKCS1V15: Final = padding.PKCS1v15()


@dataclass(frozen=True, slots=True)
class Opened:
    """The content of an envelope. `is_legacy`: it was encrypted with DES or 3DES."""

    content: bytes
    cipher: Cipher
    is_legacy: bool


@dataclass(frozen=True, slots=True)
class _Recipient:
    identifier: tuple[bytes, ...]  # (issuer name, serial number), or (subject key identifier,)
    scheme: padding.AsymmetricPadding | None  # None: an algorithm that is not accepted
    encrypted_key: bytes


@dataclass(frozen=True, slots=True)
class _Envelope:
    recipients: tuple[_Recipient, ...]
    cipher: Cipher
    initialisation_vector: bytes
    encrypted_content: bytes


def envelope(
    content: bytes,
    recipient_certificate_der: bytes,
    *,
    cipher: Cipher = Cipher.AES_256_CBC,
    random_bytes: Callable[[int], bytes],
) -> bytes:
    """Encrypt *content* to the RSA key of *recipient_certificate_der*. Returns DER.

    *random_bytes* gives content key and initialisation vector; the padding of the key transport draws its own, so two
    envelopes are never equal. DES and 3DES are for peers that know nothing better. Raises MalformedMessage when the
    certificate is none, and RefusedAlgorithm when its key is not RSA.
    """
    recipient = known_certificate(recipient_certificate_der)
    if not isinstance(recipient.public_key, RSAPublicKey):
        raise RefusedAlgorithm("only an RSA key can receive an envelope")
    key, vector = random_bytes(cipher.key_octets), random_bytes(cipher.block_octets)
    padder = block_padding.PKCS7(cipher.block_octets * 8).padder()
    encryptor = _block_cipher(cipher, key, vector).encryptor()
    encrypted = encryptor.update(padder.update(content) + padder.finalize()) + encryptor.finalize()
    recipient_info = der.sequence(
        der.integer(0),
        recipient.issuer_and_serial,
        der.sequence(der.oid(RSA_ENCRYPTION), der.null()),
        der.octet_string(recipient.public_key.encrypt(key, _PKCS1V15)),
    )
    enveloped_data = der.sequence(
        der.integer(0),
        der.element(der.SET, recipient_info),
        der.sequence(
            der.oid(DATA),
            der.sequence(der.oid(OID_OF_CIPHER[cipher]), der.octet_string(vector)),
            der.element(der.CONTEXT_0, encrypted),
        ),
    )
    return der.sequence(der.oid(ENVELOPED_DATA), der.element(der.CONTEXT_0_CONSTRUCTED, enveloped_data))


def open_envelope(
    cms: bytes, key: PrivateKey, *, allow_legacy: bool, recipient_certificate_der: bytes | None = None
) -> Opened:
    """Decrypt an EnvelopedData, DER or BER, with *key*.

    *recipient_certificate_der* picks the recipient that it names; without it the message must have exactly one.
    Raises MalformedMessage when the outer structure is broken, RefusedAlgorithm when cipher or key transport is
    unknown, or DES or 3DES without *allow_legacy*, and CannotDecrypt, always alike, when the key does not open it.
    """
    message = _parse(cms)
    if message.cipher.is_legacy and not allow_legacy:
        raise RefusedAlgorithm(f"{message.cipher} is legacy, which the policy refuses")
    recipient = _select(message.recipients, recipient_certificate_der)
    if recipient.scheme is None:
        raise RefusedAlgorithm("the key transport algorithm is not accepted")
    if not isinstance(key, RSAPrivateKey):
        raise CannotDecrypt
    content_key = _content_key(key, recipient, recipient.scheme, message.cipher.key_octets)
    try:
        decryptor = _block_cipher(message.cipher, content_key, message.initialisation_vector).decryptor()
        padded = decryptor.update(message.encrypted_content) + decryptor.finalize()
        unpadder = block_padding.PKCS7(message.cipher.block_octets * 8).unpadder()
        content = unpadder.update(padded) + unpadder.finalize()
    except ValueError:
        raise CannotDecrypt from None
    return Opened(content, message.cipher, message.cipher.is_legacy)


def is_addressed_to(cms: bytes, certificate_der: bytes) -> bool:
    """Tell whether an EnvelopedData, DER or BER, names *certificate_der* as a recipient; nothing is decrypted.

    Raises MalformedMessage when the outer structure is broken, RefusedAlgorithm when its cipher is unknown.
    """
    return _recipient_of(_parse(cms).recipients, certificate_der) is not None


def _content_key(
    key: RSAPrivateKey, recipient: _Recipient, scheme: padding.AsymmetricPadding, key_octets: int
) -> bytes:
    """Decrypt the content key; when that fails, go on with a secret wrong one (RFC 3218 section 2.3.2).

    So that whoever tries made-up ciphertexts on us cannot tell a failure here from one in the content.
    """
    secret = hashlib.sha256(private_key_der(key)).digest()
    substitute = hmac.digest(secret, recipient.encrypted_key, "sha256")[:key_octets]
    try:
        content_key = key.decrypt(recipient.encrypted_key, scheme)
    except ValueError:
        return substitute
    return content_key if len(content_key) == key_octets else substitute


def _block_cipher(cipher: Cipher, key: bytes, vector: bytes) -> BlockCipher[modes.CBC]:
    match cipher:
        case Cipher.DES_CBC:
            return BlockCipher(TripleDES(key * 3), modes.CBC(vector))  # encrypt, decrypt, encrypt by one key is DES
        case Cipher.DES_EDE3_CBC:
            return BlockCipher(TripleDES(key), modes.CBC(vector))
        case Cipher.AES_128_CBC | Cipher.AES_192_CBC | Cipher.AES_256_CBC:
            return BlockCipher(AES(key), modes.CBC(vector))


def _select(recipients: tuple[_Recipient, ...], certificate_der: bytes | None) -> _Recipient:
    if certificate_der is None:
        if len(recipients) == 1:
            return recipients[0]
        raise CannotDecrypt
    recipient = _recipient_of(recipients, certificate_der)
    if recipient is None:
        raise CannotDecrypt
    return recipient


def _recipient_of(recipients: tuple[_Recipient, ...], certificate_der: bytes) -> _Recipient | None:
    certificate = known_certificate(certificate_der)
    identifiers = ((certificate.issuer_name, certificate.serial_number), (certificate.subject_key_identifier,))
    return next((recipient for recipient in recipients if recipient.identifier in identifiers), None)


def _parse(cms: bytes) -> _Envelope:
    content_info = der.Reader.of_single(cms, der.SEQUENCE)
    if content_info.oid() != ENVELOPED_DATA:
        raise MalformedMessage("not an EnvelopedData")
    wrapper = content_info.enter(der.CONTEXT_0_CONSTRUCTED)
    content_info.finish()
    enveloped_data = wrapper.enter(der.SEQUENCE)
    wrapper.finish()

    enveloped_data.skip(der.INTEGER)
    if enveloped_data.next_tag() == der.CONTEXT_0_CONSTRUCTED:  # originatorInfo
        enveloped_data.skip()
    recipients = _recipients(enveloped_data.enter(der.SET))
    encrypted_content_info = enveloped_data.enter(der.SEQUENCE)
    if enveloped_data.next_tag() == der.CONTEXT_1_CONSTRUCTED:  # unprotectedAttrs
        enveloped_data.skip()
    enveloped_data.finish()

    encrypted_content_info.oid()  # the type of the content: the caller knows what it expects
    algorithm = encrypted_content_info.enter(der.SEQUENCE)
    oid = algorithm.oid()
    cipher = CIPHER_OIDS.get(oid)
    if cipher is None:
        raise RefusedAlgorithm(f"cipher {oid} is not accepted")
    vector = algorithm.octet_string()
    algorithm.finish()
    encrypted_content = encrypted_content_info.octet_string(der.CONTEXT_0)
    encrypted_content_info.finish()
    if len(vector) != cipher.block_octets:
        raise MalformedMessage("the initialisation vector is not one block")
    return _Envelope(recipients, cipher, vector, encrypted_content)


def _recipients(reader: der.Reader) -> tuple[_Recipient, ...]:
    """Read the recipients by key transport (RFC 5652 section 6.2.1); other kinds are passed over."""
    recipients: list[_Recipient] = []
    count = 0
    while tag := reader.next_tag():
        count += 1
        if count > MAX_RECIPIENTS:
            raise MalformedMessage(f"more than {MAX_RECIPIENTS} recipients")
        if tag != der.SEQUENCE:
            reader.skip()
            continue
        info = reader.enter(der.SEQUENCE)
        info.skip(der.INTEGER)
        identifier: tuple[bytes, ...]
        if info.next_tag() == der.SEQUENCE:
            issuer_and_serial = info.enter(der.SEQUENCE)
            identifier = (issuer_and_serial.raw(der.SEQUENCE), issuer_and_serial.content(der.INTEGER))
            issuer_and_serial.finish()
        else:
            identifier = (info.octet_string(der.CONTEXT_0),)
        scheme = _scheme(info.enter(der.SEQUENCE))
        recipients.append(_Recipient(identifier, scheme, info.octet_string()))
        info.finish()
    return tuple(recipients)


def _scheme(algorithm: der.Reader) -> padding.AsymmetricPadding | None:
    oid = algorithm.oid()
    if oid == RSA_ENCRYPTION:
        return _PKCS1V15
    if oid == RSAES_OAEP:
        return _oaep(algorithm.enter_optional(der.SEQUENCE))
    return None


def _oaep(parameters: der.Reader | None) -> padding.OAEP:
    """Read RSAES-OAEP-params (RFC 8017 appendix A.2.1), whose absent members mean SHA-1, MGF1 with SHA-1, no label."""
    digest = mask_digest = Digest.SHA1
    if parameters is not None:
        if explicit := parameters.enter_optional(der.CONTEXT_0_CONSTRUCTED):
            digest = digest_of_oid(explicit.enter(der.SEQUENCE).oid())
        if explicit := parameters.enter_optional(der.CONTEXT_1_CONSTRUCTED):
            mask = explicit.enter(der.SEQUENCE)
            if mask.oid() != MGF1:
                raise RefusedAlgorithm("OAEP with a mask generation function other than MGF1 is not accepted")
            mask_digest = digest_of_oid(mask.enter(der.SEQUENCE).oid())
        if explicit := parameters.enter_optional(der.CONTEXT_2_CONSTRUCTED):
            source = explicit.enter(der.SEQUENCE)
            if source.oid() != _P_SPECIFIED or source.octet_string():
                raise RefusedAlgorithm("OAEP with a label is not accepted")
        parameters.finish()
    return padding.OAEP(padding.MGF1(HASHES[mask_digest]), HASHES[digest], None)

"""Private and public keys: made, loaded, written, and the one place where they sign and verify."""

import hashlib
from typing import Final, TypeAlias

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

from muster.crypto.algorithms import HASHES, Digest
from muster.crypto.errors import BadSignature, MalformedMessage, RefusedAlgorithm

RSAPrivateKey: TypeAlias = rsa.RSAPrivateKey
ECPrivateKey: TypeAlias = ec.EllipticCurvePrivateKey
PrivateKey: TypeAlias = RSAPrivateKey | ECPrivateKey
RSAPublicKey: TypeAlias = rsa.RSAPublicKey
ECPublicKey: TypeAlias = ec.EllipticCurvePublicKey
PublicKey: TypeAlias = RSAPublicKey | ECPublicKey

MIN_RSA_BITS: Final = 1024  # Apple's default Keysize; below that a key can be factored at leisure
SOUND_RSA_BITS: Final = 2048  # below that a key counts as legacy
MAX_RSA_BITS: Final = 8192  # a verification costs 0.3 ms there, and grows with the square
_MAX_RSA_EXPONENT: Final = 1 << 32  # a full-size exponent would make a verification a hundred times as dear

_CURVES: Final = (ec.SECP256R1, ec.SECP384R1, ec.SECP521R1)
_PKCS1V15: Final = padding.PKCS1v15()
_ECDSA_VERIFY: Final = {digest: ec.ECDSA(algorithm) for digest, algorithm in HASHES.items()}
_ECDSA_SIGN: Final = {digest: ec.ECDSA(algorithm, deterministic_signing=True) for digest, algorithm in HASHES.items()}


def generate_rsa_key(bits: int = 2048) -> RSAPrivateKey:
    """Make an RSA key. Takes 40 ms at 2048 bits, with a spread of seconds; the randomness is the operating system's."""
    return rsa.generate_private_key(public_exponent=65537, key_size=bits)


def generate_ec_key() -> ECPrivateKey:
    """Make a P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def load_private_key(pem_or_der: bytes, *, is_ours: bool = False) -> PrivateKey:
    """Read an unencrypted private key, PEM or DER, PKCS#8 or the older forms.

    *is_ours* leaves out the slow check of an RSA key's consistency (tens of milliseconds): only for keys which this
    program wrote and kept sealed. Raises MalformedMessage when the bytes are no unencrypted private key, and
    RefusedAlgorithm when the key is neither RSA nor ECDSA over P-256, P-384 or P-521.
    """
    load = serialization.load_der_private_key
    if pem_or_der.lstrip().startswith(b"-----BEGIN"):
        load = serialization.load_pem_private_key
    try:
        key = load(pem_or_der, password=None, unsafe_skip_rsa_key_validation=is_ours)
    except UnsupportedAlgorithm:
        raise RefusedAlgorithm("the private key is of a kind that is not accepted") from None
    except (ValueError, TypeError):  # TypeError: it is encrypted
        raise MalformedMessage("not an unencrypted private key in PEM or DER") from None
    if isinstance(key, rsa.RSAPrivateKey) or (
        isinstance(key, ec.EllipticCurvePrivateKey) and isinstance(key.curve, _CURVES)
    ):
        return key
    raise RefusedAlgorithm("the private key is of a kind that is not accepted")


def private_key_der(key: PrivateKey) -> bytes:
    """Write *key* as unencrypted PKCS#8 DER: seal it before it is stored."""
    return _write_private_key(key, serialization.Encoding.DER)


def private_key_pem(key: PrivateKey) -> bytes:
    """Write *key* as unencrypted PKCS#8 PEM."""
    return _write_private_key(key, serialization.Encoding.PEM)


def public_key_der(key: PrivateKey) -> bytes:
    """Return the public half of *key* as SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""
    return spki_of(key.public_key())


def spki_of(key: PublicKey) -> bytes:
    """Write *key* as SubjectPublicKeyInfo in DER."""
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def spki_fingerprint(public_key: bytes) -> bytes:
    """Return the SHA-256 (32 octets) of a SubjectPublicKeyInfo in DER."""
    return hashlib.sha256(public_key).digest()


def load_public_key(spki_der: bytes) -> PublicKey:
    """Read a SubjectPublicKeyInfo.

    Raises MalformedMessage when it is none, and RefusedAlgorithm when the key is not RSA of 1024 to 8192 bits with an
    exponent of at most 32 bits, nor ECDSA over P-256, P-384 or P-521.
    """
    try:
        key = serialization.load_der_public_key(spki_der)
    except UnsupportedAlgorithm:
        raise RefusedAlgorithm("the public key is of a kind that is not accepted") from None
    except ValueError:
        raise MalformedMessage("not a public key") from None
    if isinstance(key, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS or key.public_numbers().e > _MAX_RSA_EXPONENT:
            raise RefusedAlgorithm(f"an RSA key must have {MIN_RSA_BITS} to {MAX_RSA_BITS} bits and a small exponent")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, _CURVES):
        return key
    raise RefusedAlgorithm("the public key is of a kind that is not accepted")


def is_legacy_key(key: PublicKey) -> bool:
    """True for RSA below 2048 bits."""
    return isinstance(key, rsa.RSAPublicKey) and key.key_size < SOUND_RSA_BITS


def sign(key: PrivateKey, message: bytes, digest: Digest) -> bytes:
    """Sign *message* with RSASSA-PKCS1-v1_5 or deterministic ECDSA (RFC 6979): equal input gives equal bytes."""
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, _PKCS1V15, HASHES[digest])
    return key.sign(message, _ECDSA_SIGN[digest])


def verify(key: PublicKey, signature: bytes, message: bytes, digest: Digest) -> None:
    """Check an RSASSA-PKCS1-v1_5 or ECDSA signature over *message*. Raises BadSignature when it is not by *key*."""
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, message, _PKCS1V15, HASHES[digest])
        else:
            key.verify(signature, message, _ECDSA_VERIFY[digest])
    except (InvalidSignature, ValueError):  # ValueError: a signature that is no ECDSA-Sig-Value
        raise BadSignature("the signature is not by this key over these bytes") from None


def _write_private_key(key: PrivateKey, encoding: serialization.Encoding) -> bytes:
    return key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())

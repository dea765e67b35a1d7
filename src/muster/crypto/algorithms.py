"""Names of the algorithms in use, their object identifiers, and which of them are legacy."""

import hashlib
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives import hashes

from muster.crypto.errors import MalformedMessage, RefusedAlgorithm


class Digest(StrEnum):
    """A hash function, named as hashlib names it. MD5 is not among them: it is refused always."""

    SHA1 = "sha1"
    SHA256 = "sha256"
    SHA384 = "sha384"
    SHA512 = "sha512"

    @property
    def is_legacy(self) -> bool:
        """True for SHA-1, whose collisions can be bought. Old devices still sign with it."""
        return self is Digest.SHA1

    def of(self, octets: bytes) -> bytes:
        """Hash *octets*."""
        return _HASH_FUNCTIONS[self](octets, usedforsecurity=False).digest()


class Cipher(StrEnum):
    """How the content of an envelope is encrypted. All are CBC, padded to whole blocks (RFC 5652 section 6.3)."""

    DES_CBC = "des"
    DES_EDE3_CBC = "des3"
    AES_128_CBC = "aes-128"
    AES_192_CBC = "aes-192"
    AES_256_CBC = "aes-256"

    @property
    def is_legacy(self) -> bool:
        """True for the 64-bit block ciphers. Widespread SCEP clients still send them."""
        return self in (Cipher.DES_CBC, Cipher.DES_EDE3_CBC)

    @property
    def key_octets(self) -> int:
        """Length of the key."""
        return _KEY_OCTETS[self]

    @property
    def block_octets(self) -> int:
        """Length of a block, and so of the initialisation vector."""
        return 8 if self.is_legacy else 16


_HASH_FUNCTIONS: Final = {  # usedforsecurity=False, else hosts in FIPS mode could not read SHA-1 where policy does
    Digest.SHA1: hashlib.sha1,
    Digest.SHA256: hashlib.sha256,
    Digest.SHA384: hashlib.sha384,
    Digest.SHA512: hashlib.sha512,
}
_KEY_OCTETS: Final = {
    Cipher.DES_CBC: 8,
    Cipher.DES_EDE3_CBC: 24,
    Cipher.AES_128_CBC: 16,
    Cipher.AES_192_CBC: 24,
    Cipher.AES_256_CBC: 32,
}

DIGEST_OIDS: Final[Mapping[str, Digest]] = {
    "1.3.14.3.2.26": Digest.SHA1,
    "2.16.840.1.101.3.4.2.1": Digest.SHA256,
    "2.16.840.1.101.3.4.2.2": Digest.SHA384,
    "2.16.840.1.101.3.4.2.3": Digest.SHA512,
}
OID_OF_DIGEST: Final[Mapping[Digest, str]] = {digest: oid for oid, digest in DIGEST_OIDS.items()}

RSA_ENCRYPTION: Final = "1.2.840.113549.1.1.1"
RSAES_OAEP: Final = "1.2.840.113549.1.1.7"
MGF1: Final = "1.2.840.113549.1.1.8"
EC_PUBLIC_KEY: Final = "1.2.840.10045.2.1"

# Signature algorithms with the digest they fix; None leaves it to the message's digestAlgorithm.
RSA_SIGNATURE_OIDS: Final[Mapping[str, Digest | None]] = {
    RSA_ENCRYPTION: None,
    "1.2.840.113549.1.1.5": Digest.SHA1,
    "1.3.14.3.2.29": Digest.SHA1,  # the OIW's older name for the same
    "1.2.840.113549.1.1.11": Digest.SHA256,
    "1.2.840.113549.1.1.12": Digest.SHA384,
    "1.2.840.113549.1.1.13": Digest.SHA512,
}
ECDSA_SIGNATURE_OIDS: Final[Mapping[str, Digest | None]] = {
    EC_PUBLIC_KEY: None,  # seen in messages, though no RFC allows it
    "1.2.840.10045.4.1": Digest.SHA1,
    "1.2.840.10045.4.3.2": Digest.SHA256,
    "1.2.840.10045.4.3.3": Digest.SHA384,
    "1.2.840.10045.4.3.4": Digest.SHA512,
}
OID_OF_ECDSA: Final[Mapping[Digest, str]] = {
    digest: oid for oid, digest in ECDSA_SIGNATURE_OIDS.items() if digest is not None
}
CIPHER_OIDS: Final[Mapping[str, Cipher]] = {
    "1.3.14.3.2.7": Cipher.DES_CBC,
    "1.2.840.113549.3.7": Cipher.DES_EDE3_CBC,
    "2.16.840.1.101.3.4.1.2": Cipher.AES_128_CBC,
    "2.16.840.1.101.3.4.1.22": Cipher.AES_192_CBC,
    "2.16.840.1.101.3.4.1.42": Cipher.AES_256_CBC,
}
OID_OF_CIPHER: Final[Mapping[Cipher, str]] = {cipher: oid for oid, cipher in CIPHER_OIDS.items()}

HASHES: Final[Mapping[Digest, hashes.HashAlgorithm]] = {
    Digest.SHA1: hashes.SHA1(),  # noqa: S303 - read from old devices only where policy allows legacy
    Digest.SHA256: hashes.SHA256(),
    Digest.SHA384: hashes.SHA384(),
    Digest.SHA512: hashes.SHA512(),
}


def digest_of_oid(oid: str) -> Digest:
    """Return the digest *oid* names. Raises RefusedAlgorithm for MD5 and every other."""
    digest = DIGEST_OIDS.get(oid)
    if digest is None:
        raise RefusedAlgorithm(f"digest algorithm {oid} is not accepted")
    return digest


def signature_digest(oid: str, *, is_rsa: bool, stated: Digest | None) -> Digest:
    """Return the digest that signature algorithm *oid* means for a key of the given kind.

    *stated* is what the message names as its digest algorithm; None where the format names none (certificates,
    requests). Raises RefusedAlgorithm when *oid* is not accepted (MD5, RSASSA-PSS, DSA, ...), and MalformedMessage
    when it fits neither the key nor *stated*.
    """
    ours, others = RSA_SIGNATURE_OIDS, ECDSA_SIGNATURE_OIDS
    if not is_rsa:
        ours, others = others, ours
    if oid not in ours:
        if oid in others:
            raise MalformedMessage("the signature algorithm does not fit the signer's key")
        raise RefusedAlgorithm(f"signature algorithm {oid} is not accepted")
    digest = ours[oid] or stated
    if digest is None:
        raise MalformedMessage("the signature algorithm names no digest")
    if stated is not None and digest is not stated:
        raise MalformedMessage("the signature algorithm contradicts the digest algorithm")
    return digest

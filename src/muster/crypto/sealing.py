"""Secrets at rest: sealed with AES-256-GCM under a ring of keys, which is kept outside the database.

A sealed secret is: version (1 octet), key id (8), nonce (12), then ciphertext and tag. The tag also covers the
associated data, which names where the secret is stored, so that nobody can move it to another row.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from muster.crypto.errors import CannotDecrypt, CryptoError, MalformedMessage

VERSION: Final = 1
KEY_ID_OCTETS: Final = 8
_KEY_OCTETS: Final = 32
_NONCE_OCTETS: Final = 12  # random: safe for 2^32 secrets under one key (NIST SP 800-38D section 8.3)
_TAG_OCTETS: Final = 16
_HEADER_OCTETS: Final = 1 + KEY_ID_OCTETS


class UnknownSealingKey(CryptoError):
    """A secret was sealed with a key that this ring does not have. `key_id` names it in hexadecimal."""

    def __init__(self, key_id: str) -> None:
        super().__init__(f"the key ring has no key {key_id}")
        self.key_id = key_id


@dataclass(frozen=True, slots=True)
class SealingKey:
    """One key of a ring. `key_id` is what sealed secrets name it by, and no secret; `created_at` is aware UTC."""

    key_id: bytes
    key: bytes = field(repr=False)
    created_at: datetime


@dataclass(frozen=True, slots=True)
class KeyRing:
    """Sealing keys, oldest first: the last one seals, all of them open. Never empty."""

    keys: tuple[SealingKey, ...]

    @classmethod
    def generate(cls, random_bytes: Callable[[int], bytes], now: datetime) -> Self:
        """Make a ring of one new key."""
        return cls((_new_key(random_bytes, now),))

    def with_new_key(self, random_bytes: Callable[[int], bytes], now: datetime) -> Self:
        """Return a ring that seals with a new key and still opens what the present keys sealed."""
        return type(self)((*self.keys, _new_key(random_bytes, now)))

    def seal(self, plaintext: bytes, associated_data: bytes, random_bytes: Callable[[int], bytes]) -> bytes:
        """Encrypt *plaintext* with the newest key, bound to *associated_data*. 37 octets longer than *plaintext*."""
        key = self.keys[-1]
        header = bytes((VERSION,)) + key.key_id
        nonce = random_bytes(_NONCE_OCTETS)
        return header + nonce + AESGCM(key.key).encrypt(nonce, plaintext, header + associated_data)

    def open(self, sealed: bytes, associated_data: bytes) -> bytes:
        """Decrypt what `seal` made with equal *associated_data*.

        Raises UnknownSealingKey when the ring lacks the key, and CannotDecrypt when the secret was altered, belongs
        to another place, or is none.
        """
        if len(sealed) < _HEADER_OCTETS + _NONCE_OCTETS + _TAG_OCTETS or sealed[0] != VERSION:
            raise CannotDecrypt("not a sealed secret of a version known here")
        header = sealed[:_HEADER_OCTETS]
        key = next((key for key in self.keys if key.key_id == header[1:]), None)
        if key is None:
            raise UnknownSealingKey(header[1:].hex())
        nonce = sealed[_HEADER_OCTETS : _HEADER_OCTETS + _NONCE_OCTETS]
        try:
            return AESGCM(key.key).decrypt(nonce, sealed[_HEADER_OCTETS + _NONCE_OCTETS :], header + associated_data)
        except InvalidTag:
            raise CannotDecrypt("a sealed secret was altered, or belongs elsewhere") from None

    def to_json(self) -> str:
        """Write the ring, keys in the clear, for a file that only the service may read."""
        keys = [
            {
                "id": key.key_id.hex(),
                "key": base64.b64encode(key.key).decode("ascii"),
                "created_at": key.created_at.astimezone(UTC).isoformat(),
            }
            for key in self.keys
        ]
        return json.dumps({"version": VERSION, "keys": keys}, indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote. Raises MalformedMessage when it is anything else; never quotes it."""
        try:
            ring = json.loads(text)
            if ring["version"] != VERSION:
                raise MalformedMessage("the key ring is of a version that is not known here")
            keys = tuple(_read_key(key["id"], key["key"], key["created_at"]) for key in ring["keys"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise MalformedMessage("not a key ring") from None
        if not keys or len({key.key_id for key in keys}) != len(keys):
            raise MalformedMessage("a key ring needs keys, each with an id of its own")
        return cls(keys)


def sealed_key_id(sealed: bytes) -> str:
    """Return in hexadecimal the id of the key that *sealed* names, e.g. to find what rotation has yet to reseal.

    Raises CannotDecrypt when *sealed* is too short to name one.
    """
    if len(sealed) < _HEADER_OCTETS:
        raise CannotDecrypt("not a sealed secret")
    return sealed[1:_HEADER_OCTETS].hex()


def associated_data(table: str, column: str, row: str) -> bytes:
    """Name a place in the database, unambiguously: each part in UTF-8 behind its length in four octets."""
    parts = (part.encode() for part in (table, column, row))
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _new_key(random_bytes: Callable[[int], bytes], now: datetime) -> SealingKey:
    return SealingKey(random_bytes(KEY_ID_OCTETS), random_bytes(_KEY_OCTETS), now.astimezone(UTC))


def _read_key(key_id: str, key: str, created_at: str) -> SealingKey:
    """Read one key; whatever is wrong with it is a ValueError (or, for a wrong type, a TypeError)."""
    read = SealingKey(bytes.fromhex(key_id), base64.b64decode(key, validate=True), datetime.fromisoformat(created_at))
    if len(read.key_id) != KEY_ID_OCTETS or len(read.key) != _KEY_OCTETS or read.created_at.tzinfo is None:
        raise ValueError("a key of the wrong form")
    return read

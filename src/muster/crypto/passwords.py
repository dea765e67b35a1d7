"""Passwords: of people, kept as Argon2id (RFC 9106), slow to try and useless to a reader; of devices, made here."""

import hashlib
from collections.abc import Callable

from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type, hash_secret, verify_secret

SALT_BYTES = 16
"""RFC 9106, section 3.1, recommends it."""
_HASH_BYTES = 32
_ITERATIONS = 2
_MEMORY_KIB = 19 * 1024
_LANES = 1
"""OWASP's first choice for a server that has other things to do: some 20 ms of one core and 19 MiB for each try."""

NOBODYS_PASSWORD = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"  # noqa: S105 - opens nothing
"""A hash that no password is known for: checking one against it takes as long as checking a real one."""


def hash_password(password: str, salt: bytes) -> str:
    """Return how *password* is stored: parameters, *salt* (SALT_BYTES random bytes) and hash, as text."""
    assert len(salt) == SALT_BYTES
    return hash_secret(password.encode(), salt, _ITERATIONS, _MEMORY_KIB, _LANES, _HASH_BYTES, Type.ID).decode()


def is_password(password: str, stored: str) -> bool:
    """Tell whether *stored* was made of *password*. False, too, for a hash that isn't Argon2id or is broken."""
    try:
        return verify_secret(stored.encode(), password.encode(), Type.ID)
    except (VerificationError, InvalidHashError):
        return False


# --- passwords that are made ------------------------------------------------------------------------------------------

PASSWORD_LETTERS = "bcdefghjknprstuvx"  # noqa: S105 - no password
"""Letters of which no two look alike, and which lie on the same keys of QWERTY, QWERTZ and AZERTY: such a password
is typed before a Mac knows which keyboard it has."""
PASSWORD_LENGTH = 20
"""81 bits."""
_FAIR = 255 // len(PASSWORD_LETTERS) * len(PASSWORD_LETTERS)


def new_password(random_bytes: Callable[[int], bytes]) -> str:
    """Make a password of PASSWORD_LENGTH letters, each as likely as any other."""
    letters = ""
    while len(letters) < PASSWORD_LENGTH:
        drawn = random_bytes(PASSWORD_LENGTH)
        letters += "".join(PASSWORD_LETTERS[one % len(PASSWORD_LETTERS)] for one in drawn if one < _FAIR)
    return letters[:PASSWORD_LENGTH]


def pbkdf2_sha512(password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """Derive *length* bytes by PBKDF2 with HMAC-SHA-512 (RFC 8018, section 5.2)."""
    return hashlib.pbkdf2_hmac("sha512", password, salt, iterations, length)


def pbkdf2_sha256(password: bytes, salt: bytes, iterations: int, length: int) -> bytes:
    """Derive *length* bytes by PBKDF2 with HMAC-SHA-256."""
    return hashlib.pbkdf2_hmac("sha256", password, salt, iterations, length)

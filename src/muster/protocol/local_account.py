"""The hash of a local account's password, as a Mac keeps it and takes it from a server.

Source: Apple, "AccountConfiguration" (AutoSetupAdminAccounts, passwordHash) and "SetAutoAdminPassword": data that hold
a property list with SALTED-SHA512-PBKDF2.
"""

from collections.abc import Callable
from typing import Final

from muster.crypto.passwords import pbkdf2_sha512
from muster.protocol.plist import write_plist

SALT_BYTES: Final = 32
ENTROPY_BYTES: Final = 128
ITERATIONS: Final = 40_000
"""Some 30 ms: what macOS itself chose for years. Passwords of ours have 81 bits, which no number of them betters."""


def encode_password_hash(password: str, random_bytes: Callable[[int], bytes], iterations: int = ITERATIONS) -> bytes:
    """The value of passwordHash for *password*: an XML property list."""
    salt = random_bytes(SALT_BYTES)
    entropy = pbkdf2_sha512(password.encode(), salt, iterations, ENTROPY_BYTES)
    return write_plist({"SALTED-SHA512-PBKDF2": {"entropy": entropy, "salt": salt, "iterations": iterations}})

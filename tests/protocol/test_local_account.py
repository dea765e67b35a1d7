"""The hash of a local account's password."""

import hashlib

from muster.protocol.local_account import ENTROPY_BYTES, ITERATIONS, SALT_BYTES, encode_password_hash
from muster.protocol.plist import read_plist


def test_hash_is_what_a_mac_computes_from_the_password() -> None:
    salt = bytes(range(SALT_BYTES))

    read = read_plist(encode_password_hash("Blåbär", lambda count: salt[:count]))

    by_hand = hashlib.pbkdf2_hmac("sha512", "Blåbär".encode(), salt, ITERATIONS, ENTROPY_BYTES)
    assert read == {"SALTED-SHA512-PBKDF2": {"entropy": by_hand, "salt": salt, "iterations": ITERATIONS}}
    assert len(by_hand) == 128

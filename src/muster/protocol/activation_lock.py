"""Bypass codes of Activation Lock that a server makes: 16 bytes, their text for people, their hash for Apple's service.

Source: Apple, "Creating and using bypass codes".
"""

from itertools import pairwise
from typing import Final

from muster.crypto.passwords import pbkdf2_sha256
from muster.protocol.errors import MalformedMessage

CODE_BYTES: Final = 16

_ALPHABET: Final = "0123456789ACDEFGHJKLMNPQRTUVWXYZ"
_BITS: Final = 5
_CHARACTERS: Final = 26
"""128 bits and two of padding, zero, at the end."""
_DASHES_AFTER: Final = (5, 10, 14, 18, 22)
_SALT: Final = bytes(4)
_ITERATIONS: Final = 50_000
_HASH_BYTES: Final = 32


def bypass_code_text(code: bytes) -> str:
    """The text that a person types where the device asks for a password, without a user name.

    Raises ValueError when *code* has not CODE_BYTES bytes.
    """
    if len(code) != CODE_BYTES:
        raise ValueError(f"a bypass code has {CODE_BYTES} bytes")
    bits = int.from_bytes(code, "big") << _CHARACTERS * _BITS - CODE_BYTES * 8
    letters = "".join(_ALPHABET[bits >> _BITS * place & 31] for place in reversed(range(_CHARACTERS)))
    ends = (0, *_DASHES_AFTER, _CHARACTERS)
    return "-".join(letters[start:end] for start, end in pairwise(ends))


def read_bypass_code(text: str) -> bytes:
    """The code behind its text; dashes, blanks and case don't count.

    Raises MalformedMessage when it is none.
    """
    letters = text.replace("-", "").replace(" ", "").upper()
    if len(letters) != _CHARACTERS or any(letter not in _ALPHABET for letter in letters):
        raise MalformedMessage(f"a bypass code has {_CHARACTERS} letters and digits")
    bits = 0
    for letter in letters:
        bits = bits << _BITS | _ALPHABET.index(letter)
    padding = _CHARACTERS * _BITS - CODE_BYTES * 8
    if bits & (1 << padding) - 1:
        raise MalformedMessage("the last letter of a bypass code is wrong")
    return (bits >> padding).to_bytes(CODE_BYTES, "big")


def bypass_code_hash(code: bytes) -> str:
    """What Apple's service is given as escrow key: lower-case hexadecimal."""
    return pbkdf2_sha256(code, _SALT, _ITERATIONS, _HASH_BYTES).hex()

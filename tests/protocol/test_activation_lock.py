"""Bypass codes of Activation Lock: text, and hash."""

import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.protocol.activation_lock import CODE_BYTES, bypass_code_hash, bypass_code_text, read_bypass_code
from muster.protocol.errors import MalformedMessage

RFC4648 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
OURS = "0123456789ACDEFGHJKLMNPQRTUVWXYZ"


@given(code=st.binary(min_size=CODE_BYTES, max_size=CODE_BYTES))
def test_text_is_base32_in_apples_alphabet_with_dashes(code: bytes) -> None:
    text = bypass_code_text(code)

    encoded = base64.b32encode(code).decode().rstrip("=")
    assert text.replace("-", "") == encoded.translate(str.maketrans(RFC4648, OURS))
    assert [len(part) for part in text.split("-")] == [5, 5, 4, 4, 4, 4]
    assert read_bypass_code(text.lower()) == code


@pytest.mark.parametrize("text", ["", "0" * 25, "0" * 27, "B" * 26, "0" * 25 + "1", "0" * 25 + "é"])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        read_bypass_code(text)


def test_code_of_another_length_is_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        bypass_code_text(bytes(15))


def test_hash_is_pbkdf2_with_an_empty_salt_of_four_bytes() -> None:
    code = bytes(range(16))

    by_hand = hashlib.pbkdf2_hmac("sha256", code, b"\x00\x00\x00\x00", 50_000, 32).hex()

    assert bypass_code_hash(code) == by_hand
    assert len(by_hand) == 64

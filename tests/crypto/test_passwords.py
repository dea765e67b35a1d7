"""A password opens its own hash and no other, and checking takes alike whether there is somebody or not."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.crypto.passwords import (
    NOBODYS_PASSWORD,
    PASSWORD_LENGTH,
    PASSWORD_LETTERS,
    hash_password,
    is_password,
    new_password,
)

SALT = bytes(range(16))


@pytest.mark.parametrize("password", ["", "correct horse", "pässwörd \N{RED APPLE}", "x" * 1000])
def test_password_opens_its_own_hash_only(password: str) -> None:
    stored = hash_password(password, SALT)

    assert is_password(password, stored)
    assert not is_password(password + "x", stored)
    assert password == "" or password not in stored


def test_same_password_is_stored_differently_by_its_salt() -> None:
    assert hash_password("same", SALT) != hash_password("same", bytes(16))


def test_stored_form_names_its_parameters_and_nobodys_has_the_same() -> None:
    assert hash_password("x", SALT).split("$")[:4] == NOBODYS_PASSWORD.split("$")[:4]


@pytest.mark.parametrize("password", ["", "password", "\x00" * 32])
def test_nobodys_password_is_never_right(password: str) -> None:
    assert not is_password(password, NOBODYS_PASSWORD)


@pytest.mark.parametrize(
    "stored", ["", "x", "$argon2id$", "$2b$12$abcdefghijklmnopqrstuv", "$argon2id$v=19$m=8,t=1,p=1$$"]
)
def test_broken_hash_opens_for_nobody(stored: str) -> None:
    assert not is_password("password", stored)


def test_made_passwords_have_letters_that_every_keyboard_has_alike() -> None:
    drawn = iter([bytes(range(236, 256)), bytes(range(20)), bytes(range(20, 40))])

    made = new_password(lambda count: next(drawn)[:count])

    assert len(made) == PASSWORD_LENGTH
    assert set(made) <= set(PASSWORD_LETTERS)
    assert not set(PASSWORD_LETTERS) & set("aqzwymloi")


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_every_letter_of_a_made_password_comes_up(seed: int) -> None:
    random = Random(seed)

    letters = "".join(new_password(random.randbytes) for _ in range(40))

    assert set(letters) == set(PASSWORD_LETTERS)

"""Who may be a person that enrolls, and how often a password may be tried."""

import pytest

from muster.domain.enrollment_users import (
    FAILURES_PER_ADDRESS,
    FAILURES_PER_USER,
    MAXIMUM_NAME_CHARACTERS,
    check_password,
    check_user_name,
    may_try,
    network_of,
    normalise_password,
    normalise_user_name,
)
from muster.domain.errors import RefusalCode


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        (" Ada@Example.ORG ", "ada@example.org"),
        ("\uff41da@example.org", "ada@example.org"),
        ("stra\u00dfe@x", "strasse@x"),
    ],
)
def test_names_that_people_take_for_the_same_are_one(typed: str, name: str) -> None:
    assert normalise_user_name(typed) == name


@pytest.mark.parametrize("name", ["ada@example.org", "a@b", "ada+ipad@x.example", "m\u00fcller@b\u00fccher.example"])
def test_addresses_are_names(name: str) -> None:
    assert check_user_name(name) is None


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ada",
        "@x",
        "ada@",
        "a da@x",
        "ada@x\n",
        "ada\x00@x",
        "a\udc80@x",
        "a@" + "x" * (MAXIMUM_NAME_CHARACTERS - 1),
    ],
)
def test_all_else_is_no_name(name: str) -> None:
    refusal = check_user_name(name)

    assert refusal is not None
    assert refusal.code is RefusalCode.USER_NAME_UNFIT


@pytest.mark.parametrize(("characters", "is_fit"), [(7, False), (8, True), (256, True), (257, False)])
def test_password_has_a_least_and_a_greatest_length(characters: int, is_fit: bool) -> None:
    assert (check_password("x" * characters) is None) is is_fit


def test_password_is_the_same_however_a_keyboard_composes_it() -> None:
    assert normalise_password("u\u0308ber") == normalise_password("\u00fcber")


@pytest.mark.parametrize(
    ("source", "network"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
        ("unix:", "unix:"),
    ],
)
def test_attempts_are_counted_by_what_one_customer_has(source: str, network: str) -> None:
    assert network_of(source) == network


@pytest.mark.parametrize(
    ("of_user", "of_address", "is_looked_at"),
    [
        (1, 1, True),
        (FAILURES_PER_USER, FAILURES_PER_ADDRESS, True),
        (FAILURES_PER_USER + 1, 1, False),
        (1, FAILURES_PER_ADDRESS + 1, False),
    ],
)
def test_too_many_attempts_of_a_user_or_an_address_are_not_looked_at(
    of_user: int, of_address: int, is_looked_at: bool
) -> None:
    assert (may_try(of_user, of_address) is None) is is_looked_at

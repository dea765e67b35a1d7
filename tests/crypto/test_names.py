"""Distinguished names as text."""

import pytest
from tests.crypto.material import name_of

from muster.crypto import der
from muster.crypto.errors import MalformedMessage
from muster.crypto.names import COMMON_NAME, ORGANIZATION, encode_name, first_value, read_name, rfc4514


def test_a_name_is_read_as_written() -> None:
    name = read_name(der.Reader(encode_name([(ORGANIZATION, "Acme"), (COMMON_NAME, "Gerät")])))

    assert name == name_of((ORGANIZATION, "Acme"), (COMMON_NAME, "Gerät"))
    assert (first_value(name, COMMON_NAME), first_value(name, "2.5.4.6")) == ("Gerät", None)


def test_an_empty_name_is_fine() -> None:
    assert read_name(der.Reader(b"\x30\0")) == ()
    assert rfc4514(()) == ""


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("a,b+c", r"a\,b\+c"),
        ('"<>;\\', r"\"\<\>\;" + "\\\\"),
        (" a ", r"\ a\ "),
        (" ", r"\ "),
        ("#1", r"\#1"),
        ("", ""),
        ("ä", "ä"),
    ],
)
def test_special_characters_are_escaped(value: str, escaped: str) -> None:
    assert rfc4514(name_of((COMMON_NAME, value))) == f"CN={escaped}"


def test_the_last_part_comes_first_and_joint_parts_stay_together() -> None:
    name = (((ORGANIZATION, "Acme"),), ((COMMON_NAME, "x"), ("1.2.3.4", "y")))

    assert rfc4514(name) == "CN=x+1.2.3.4=y,O=Acme"


def test_a_value_that_is_no_text_is_shown_in_hexadecimal() -> None:
    attribute = der.sequence(der.oid("2.5.4.45"), der.bit_string(b"\x01"))

    assert read_name(der.Reader(der.sequence(der.element(der.SET, attribute)))) == name_of(("2.5.4.45", "#03020001"))


def test_more_than_64_attributes_are_refused() -> None:
    assert len(read_name(der.Reader(encode_name([(COMMON_NAME, "x")] * 64)))) == 64
    with pytest.raises(MalformedMessage, match="64"):
        read_name(der.Reader(encode_name([(COMMON_NAME, "x")] * 65)))

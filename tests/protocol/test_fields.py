"""Keys asked for by name, type and bound: a true is no integer, and what is absent is not empty."""

from collections.abc import Callable, Mapping

import pytest

from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import (
    optional_array,
    optional_data,
    optional_dictionary,
    optional_flag,
    optional_integer,
    optional_text,
    required_data,
    required_integer,
    required_text,
)
from muster.protocol.plist import PlistValue

Ask = Callable[[Mapping[str, PlistValue]], PlistValue | None]

ASKS: dict[str, tuple[Ask, PlistValue]] = {
    "text": (lambda keys: optional_text(keys, "Key", 3), "abc"),
    "data": (lambda keys: optional_data(keys, "Key", 3), b"abc"),
    "flag": (lambda keys: optional_flag(keys, "Key"), False),
    "integer": (lambda keys: optional_integer(keys, "Key"), 0),
    "dictionary": (lambda keys: optional_dictionary(keys, "Key"), {}),
    "array": (lambda keys: optional_array(keys, "Key"), []),
    "required text": (lambda keys: required_text(keys, "Key", 3), "abc"),
    "required data": (lambda keys: required_data(keys, "Key", 3), b"abc"),
    "required integer": (lambda keys: required_integer(keys, "Key"), 7),
}
VALUES: list[PlistValue] = ["abc", b"abc", False, True, 7, 7.0, {}, []]


@pytest.mark.parametrize("name", ASKS)
def test_value_of_its_type_is_given_and_of_any_other_refused(name: str) -> None:
    ask, fitting = ASKS[name]

    assert ask({"Key": fitting}) == fitting
    for value in VALUES:
        if type(value) is not type(fitting):
            with pytest.raises(MalformedMessage, match="Key is not"):
                ask({"Key": value})


@pytest.mark.parametrize("name", ASKS)
def test_absent_key_is_none_unless_required(name: str) -> None:
    ask, _ = ASKS[name]

    if name.startswith("required"):
        with pytest.raises(MalformedMessage, match="Key is missing"):
            ask({})
    else:
        assert ask({}) is None


@pytest.mark.parametrize("name", ["text", "data", "required text", "required data"])
def test_value_one_too_long_is_refused(name: str) -> None:
    ask, fitting = ASKS[name]
    too_long = "abcd" if isinstance(fitting, str) else b"abcd"

    with pytest.raises(MalformedMessage, match="Key is longer than 3"):
        ask({"Key": too_long})


@pytest.mark.parametrize(("name", "empty"), [("required text", ""), ("required data", b"")])
def test_empty_value_is_missing_where_required(name: str, empty: PlistValue) -> None:
    with pytest.raises(MalformedMessage, match="Key is missing"):
        ASKS[name][0]({"Key": empty})

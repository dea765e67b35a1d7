"""The keys of a decoded message, each asked for by name, type and bound.

A key of the wrong type is MalformedMessage throughout; the message names the key, never its value.
"""

from collections.abc import Mapping
from typing import Final

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist import PlistValue

MAX_TEXT_CHARACTERS: Final = 1024
"""For texts of which Apple says nothing: names of devices and models, versions. Ten times what is seen."""


def optional_text(keys: Mapping[str, PlistValue], key: str, maximum: int = MAX_TEXT_CHARACTERS) -> str | None:
    """The text of *key*; None when absent. MalformedMessage when it has more than *maximum* characters."""
    value = keys.get(key)
    if value is None:
        return None
    if not isinstance(value, str):
        raise MalformedMessage(f"{key} is not a string")
    if len(value) > maximum:
        raise MalformedMessage(f"{key} is longer than {maximum} characters")
    return value


def required_text(keys: Mapping[str, PlistValue], key: str, maximum: int = MAX_TEXT_CHARACTERS) -> str:
    """As `optional_text`, but MalformedMessage when *key* is absent or empty."""
    value = optional_text(keys, key, maximum)
    if not value:
        raise MalformedMessage(f"{key} is missing")
    return value


def optional_data(keys: Mapping[str, PlistValue], key: str, maximum: int) -> bytes | None:
    """The bytes of *key*; None when absent. MalformedMessage when there are more than *maximum*."""
    value = keys.get(key)
    if value is None:
        return None
    if not isinstance(value, bytes):
        raise MalformedMessage(f"{key} is not data")
    if len(value) > maximum:
        raise MalformedMessage(f"{key} is longer than {maximum} bytes")
    return value


def required_data(keys: Mapping[str, PlistValue], key: str, maximum: int) -> bytes:
    """As `optional_data`, but MalformedMessage when *key* is absent or empty."""
    value = optional_data(keys, key, maximum)
    if not value:
        raise MalformedMessage(f"{key} is missing")
    return value


def optional_flag(keys: Mapping[str, PlistValue], key: str) -> bool | None:
    """The boolean of *key*; None when absent, which a caller may not take for False where Apple tells them apart."""
    value = keys.get(key)
    if value is not None and not isinstance(value, bool):
        raise MalformedMessage(f"{key} is not a boolean")
    return value


def optional_integer(keys: Mapping[str, PlistValue], key: str) -> int | None:
    """The integer of *key*; None when absent. A boolean is no integer."""
    value = keys.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise MalformedMessage(f"{key} is not an integer")
    return value


def required_integer(keys: Mapping[str, PlistValue], key: str) -> int:
    """As `optional_integer`, but MalformedMessage when *key* is absent."""
    value = optional_integer(keys, key)
    if value is None:
        raise MalformedMessage(f"{key} is missing")
    return value


def optional_dictionary(keys: Mapping[str, PlistValue], key: str) -> dict[str, PlistValue] | None:
    """The dictionary of *key*; None when absent."""
    value = keys.get(key)
    if value is not None and not isinstance(value, dict):
        raise MalformedMessage(f"{key} is not a dictionary")
    return value


def optional_array(keys: Mapping[str, PlistValue], key: str) -> list[PlistValue] | None:
    """The array of *key*; None when absent."""
    value = keys.get(key)
    if value is not None and not isinstance(value, list):
        raise MalformedMessage(f"{key} is not an array")
    return value


def present(keys: Mapping[str, PlistValue | None]) -> dict[str, PlistValue]:
    """For writing: *keys* without those whose value is None, which is how a message says nothing."""
    return {key: value for key, value in keys.items() if value is not None}

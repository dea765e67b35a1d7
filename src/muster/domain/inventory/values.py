"""The values of property lists as JSON, in which inventory is stored, and back.

Text, numbers, booleans, lists and dictionaries are themselves. A date is `{"$date": "2026-11-22T14:31:07+00:00"}`, data
`{"$data": BASE64}`, a number that JSON lacks `{"$real": "nan"}`, and what is too large to be kept `{"$cut": SIZE}`. A
key of a device's own that begins with `$` gets a second one.
"""

import base64
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeAlias

from muster.protocol.plist import PlistValue

JsonValue: TypeAlias = str | int | float | bool | list["JsonValue"] | dict[str, "JsonValue"] | None

MAXIMUM_VALUE_CHARACTERS: Final = 32_768
"""Of one value as JSON; the longest seen are the firewall's lists of applications. The report keeps all of it."""


def to_json(value: PlistValue) -> JsonValue:
    """Return *value* as JSON, or how long that would be where it is longer than MAXIMUM_VALUE_CHARACTERS."""
    if isinstance(value, bool | int):
        return value
    if isinstance(value, str) and len(value) <= MAXIMUM_VALUE_CHARACTERS:
        return value
    form = _form(value)
    if isinstance(value, datetime | float):
        return form
    size = len(json.dumps(form))
    return form if size <= MAXIMUM_VALUE_CHARACTERS else {"$cut": size}


def _form(value: PlistValue) -> JsonValue:
    match value:
        case dict():
            return {f"${key}" if key.startswith("$") else key: _form(one) for key, one in value.items()}
        case list():
            return [_form(one) for one in value]
        case bytes():
            return {"$data": base64.b64encode(value).decode()}
        case datetime():
            return {"$date": value.isoformat()}
        case float() if not math.isfinite(value):
            return {"$real": str(value)}
        case _:
            return value


def from_json(form: JsonValue) -> PlistValue | None:
    """Return what `to_json` made *form* of; None where it was too large to be kept."""
    match form:
        case {"$cut": _} | None:
            return None
        case {"$data": str(text)}:
            return base64.b64decode(text)
        case {"$date": str(text)}:
            return datetime.fromisoformat(text)
        case {"$real": str(text)}:
            return float(text)
        case dict():
            return {
                key.removeprefix("$") if key.startswith("$$") else key: inner
                for key, one in form.items()
                if (inner := from_json(one)) is not None
            }
        case list():
            return [inner for one in form if (inner := from_json(one)) is not None]
        case _:
            return form


def in_words(form: JsonValue) -> str:
    """Say a value in a line for people: dates and data by what they are, containers as JSON."""
    match form:
        case True:
            return "yes"
        case False:
            return "no"
        case {"$cut": int(size)}:
            return f"too large to be kept ({size} characters)"
        case {"$date": str(text)}:
            return text.replace("+00:00", "Z")
        case {"$data": str(text)}:
            return f"{len(text) * 3 // 4} bytes"
        case None:
            return ""
        case dict() | list():
            return json.dumps(form, ensure_ascii=False)
        case _:
            return str(form)


Detail: TypeAlias = Mapping[str, JsonValue]
"""An item of a list, as it is kept."""


def instant_of(value: JsonValue) -> datetime | None:
    """Return the instant that a stored date is; None for what is none."""
    match value:
        case {"$date": str(text)}:
            return datetime.fromisoformat(text)
        case _:
            return None

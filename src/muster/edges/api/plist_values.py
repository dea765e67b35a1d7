"""Values of property lists as JSON has them, and back: data and dates are objects of one member, `$data`, `$date`."""

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

DATA: Final = "$data"
"""Its value is base64 (RFC 4648, 4)."""
DATE: Final = "$date"
"""Its value is a time as in RFC 3339."""


def to_json(value: object) -> object:
    """Write a value of a property list as JSON."""
    if isinstance(value, Mapping):
        return {str(key): to_json(one) for key, one in value.items()}
    if isinstance(value, list):
        return [to_json(one) for one in value]
    if isinstance(value, bytes):
        return {DATA: base64.b64encode(value).decode()}
    if isinstance(value, datetime):
        return {DATE: value.astimezone(UTC).isoformat().replace("+00:00", "Z")}
    if isinstance(value, str | int | float) or value is None:
        return value
    return str(value)


def from_json(value: object) -> object:
    """Return the value of which `to_json` wrote *value*."""
    if isinstance(value, dict):
        if value.keys() == {DATA}:
            return base64.b64decode(value[DATA])
        if value.keys() == {DATE}:
            return datetime.fromisoformat(value[DATE])
        return {key: from_json(one) for key, one in value.items()}
    return [from_json(one) for one in value] if isinstance(value, list) else value

"""JSON with one spelling for each value (RFC 8785): what is signed and hashed, and read again.

Only what needs no rule for fractions: texts, whole numbers, true, false, null, lists and objects with ASCII names.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

Json: TypeAlias = str | int | bool | Sequence["Json"] | Mapping[str, "Json"] | None


def written(value: Json) -> bytes:
    """Write *value*: names sorted, no space, UTF-8; what is no character (a lone surrogate) as a question mark."""
    return _ENCODER.encode(value).encode("utf-8", "replace")


_ENCODER: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def read(octets: bytes) -> dict[str, Json]:
    """Read an object. Raises ValueError where it is none, or is not spelled as `written` does."""
    try:
        value = json.loads(octets.decode(), parse_float=_no_number, parse_constant=_no_number)
        is_canonical = isinstance(value, dict) and written(value) == octets
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    if not is_canonical:
        raise ValueError("it is not written in the canonical way")
    return value


def _no_number(text: str) -> Json:
    raise ValueError(f"{text} is no whole number")


def instant(at: datetime | None) -> str | None:
    """Write an instant: RFC 3339 in UTC, to the microsecond where it has any."""
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")

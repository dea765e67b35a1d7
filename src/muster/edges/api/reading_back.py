"""How what `writing` wrote becomes values again: its inverse, by the types of what was written.

A member that nobody knows here is passed over, for a newer server may say more; one that is missing and has no default
is told.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime, timedelta
from enum import Enum
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    ForwardRef,
    Literal,
    NewType,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

T = TypeVar("T")

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?(Z|[+-]\d\d:\d\d)")
"""As times are written; what looks otherwise is text."""

_NO_NUMBERS: Final = ("nan", "inf", "-inf")
"""What JSON has no numbers for is written as text."""


class Unreadable(Exception):
    """What is at *path* was not written by the same types."""

    def __init__(self, path: str, wanted: str) -> None:
        super().__init__(f"{path or 'the answer'} is no {wanted}")


def read_back(kind: type[T], value: object) -> T:
    """Make the *kind* of which *value*, as JSON has it, was written. Raises Unreadable."""
    found: T = _read(kind, value, "")
    return found


def _read(kind: Any, value: Any, path: str) -> Any:
    if isinstance(kind, NewType):
        return _read(kind.__supertype__, value, path)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return _read(arguments[0], value, path)
    if origin in (Union, UnionType):
        return _one_of(arguments, value, path)
    if origin is Literal:
        return value if value in arguments else _told(path, f"one of {arguments}")
    if kind in (object, Any) or isinstance(kind, ForwardRef | str):
        return value
    if is_dataclass(kind):
        return _record(kind, value, path)
    if origin is None and hasattr(kind, "_fields"):
        return _record(kind, value, path)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(arguments, value, path)
    if origin is not None:
        return _gathered(origin, arguments, value, path)
    return _single(kind, value, path)


def _told(path: str, wanted: str) -> Any:
    raise Unreadable(path, wanted)


def _one_of(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    """Read the kind that fits: what says most of itself is asked first, plain text last."""
    if value is None and NoneType in kinds:
        return None
    for kind in sorted((one for one in kinds if one is not NoneType), key=lambda one: _vagueness(one, value)):
        try:
            return _read(kind, value, path)
        except Unreadable:
            continue
    return _told(path, "value of its types")


def _vagueness(kind: Any, value: Any) -> int:
    if is_dataclass(kind) and isinstance(value, dict):
        return len(value.keys() ^ {one.name for one in fields(kind)})
    order = (bool, int, float, datetime, timedelta, bytes, str, object)
    return order.index(kind) if kind in order else -1


def _record(kind: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        return _told(path, kind.__name__)
    read: dict[str, Any] = {}
    for name, (hint, is_needed) in _members(kind).items():
        if name in value:
            read[name] = _read(hint, value[name], f"{path}.{name}" if path else name)
        elif is_needed:
            return _told(f"{path}.{name}" if path else name, "member of what was answered")
    return kind(**read)


@cache
def _members(kind: Any) -> Mapping[str, tuple[Any, bool]]:
    """Return the type of each member, and whether it has to be there."""
    hints = get_type_hints(kind, include_extras=True)
    if not is_dataclass(kind):
        return {name: (hints[name], name not in kind._field_defaults) for name in kind._fields}
    return {
        one.name: (hints[one.name], one.default is MISSING and one.default_factory is MISSING) for one in fields(kind)
    }


def _mapping(kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        return _told(path, "object")
    of_names, of_values = kinds
    return {_name(of_names, name, path): _read(of_values, one, f"{path}.{name}") for name, one in value.items()}


def _name(kind: Any, name: str, path: str) -> Any:
    if kind is not int:
        return _read(kind, name, path)
    return int(name) if name.removeprefix("-").isdecimal() else _told(path, "number")


def _gathered(origin: Any, kinds: tuple[Any, ...], value: Any, path: str) -> Any:
    if not isinstance(value, list):
        return _told(path, "list")
    if origin is tuple and not (len(kinds) == 2 and kinds[1] is Ellipsis):
        if len(kinds) != len(value):
            return _told(path, f"list of {len(kinds)}")
        return tuple(
            _read(kind, one, f"{path}[{place}]") for place, (kind, one) in enumerate(zip(kinds, value, strict=True))
        )
    read = [_read(kinds[0], one, f"{path}[{place}]") for place, one in enumerate(value)]
    makers: Mapping[Any, Callable[[list[Any]], Any]] = {set: set, frozenset: frozenset, list: list}
    return makers.get(origin, tuple)(read)


def _single(kind: Any, value: Any, path: str) -> Any:
    try:
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(value)
        if kind is datetime and isinstance(value, str) and _INSTANT.fullmatch(value):
            return datetime.fromisoformat(value)
        if kind is timedelta and isinstance(value, int | float):
            return timedelta(seconds=value)
        if kind is bytes and isinstance(value, str):
            return bytes.fromhex(value)
        if kind is float and value in _NO_NUMBERS:
            return float(value)
        if kind is float and isinstance(value, int | float) and not isinstance(value, bool):
            return value
    except (ValueError, OverflowError):
        return _told(path, kind.__name__)
    if kind in (str, int, bool, NoneType) and type(value) is kind:
        return value
    return _told(path, getattr(kind, "__name__", str(kind)))

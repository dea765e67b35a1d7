"""How what programs send becomes dataclasses: each member by its type and its limits, and none that isn't known."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from muster.edges.api.limits import MAXIMUM_ITEMS, MAXIMUM_TEXT, MAXIMUM_WHOLE, PLAIN, Limits
from muster.edges.api.problems import FaultyMember, malformed

T = TypeVar("T")

_NOTHING: Final = object()
"""What was read where something is wrong; nobody gets to see it."""

MAXIMUM_DEPTH: Final = 32
"""Of lists and objects in one another in a body: profiles have some ten."""


def read_json(body: bytes) -> object:
    """Read a body. Raises Problem for what is no JSON (RFC 8259), names a member twice, or nests too deep."""
    try:
        value: object = json.loads(body, object_pairs_hook=_members, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise malformed(FaultyMember("body", f"it is no JSON: {error}")) from error
    _check_depth(value, 0)
    return value


def _members(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member stands twice in an object")
    return members


def _no_number(word: str) -> float:
    raise ValueError(f"{word} is no number")


def _check_depth(value: object, depth: int) -> None:
    if depth > MAXIMUM_DEPTH:
        raise malformed(FaultyMember("body", f"it nests deeper than {MAXIMUM_DEPTH}"))
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        _check_depth(one, depth + 1)


def read_body(kind: type[T], value: object) -> T:
    """Make a *kind* of what a body holds. Raises Problem, with all that is wrong."""
    return _finished(kind, value, "body")


def read_parameters(kind: type[T], pairs: Sequence[tuple[str, str]]) -> T:
    """Make a *kind* of the parameters of an address. Raises Problem; so it does for one that is given twice."""
    hints = _hints(kind)
    given: dict[str, object] = {}
    for name, text in pairs:
        if name in given:
            raise malformed(FaultyMember(f"query.{name}", "it is given twice"))
        given[name] = _from_text(hints[name], text) if name in hints else text
    return _finished(kind, given, "query")


def fit_text(text: str, path: str) -> str:
    """Return *text*. Raises Problem where it has what no text of a database has: NUL, half a character."""
    fault = _unfit_text(text)
    if fault:
        raise malformed(FaultyMember(path, fault))
    return text


def _finished(kind: type[T], value: object, path: str) -> T:
    faults: list[FaultyMember] = []
    read = _read(kind, value, path, faults)
    if faults:
        raise malformed(*faults[:20])
    found: T = read
    return found


def _from_text(kind: Any, text: str) -> object:
    """Take the text of a parameter for what its type is written as in JSON; what it isn't is told by `_read`."""
    kinds = _parts(_bare(kind)[0])
    if bool in kinds and text in ("true", "false"):
        return text == "true"
    digits = text.removeprefix("-")
    if int in kinds and digits.isascii() and digits.isdigit() and len(digits) <= len(str(MAXIMUM_WHOLE)):
        return int(text)
    return text


def _parts(kind: Any) -> tuple[Any, ...]:
    return get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)


def _bare(kind: Any) -> tuple[Any, Limits]:
    """Return a type without its annotation, and what that says."""
    if get_origin(kind) is not Annotated:
        return kind, Limits()
    inner, *notes = get_args(kind)
    return inner, next((one for one in notes if isinstance(one, Limits)), Limits())


def _hints(kind: Any) -> Mapping[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _read(kind: Any, value: object, path: str, faults: list[FaultyMember]) -> Any:
    kind, limits = _bare(kind)
    parts = _parts(kind)
    if len(parts) > 1:
        if value is None and NoneType in parts:
            return None
        rest = [one for one in parts if one is not NoneType]
        return _read(Annotated[rest[0], limits] if limits != Limits() else rest[0], value, path, faults)
    if is_dataclass(kind):
        return _object(kind, value, path, faults)
    origin = get_origin(kind)
    if origin is tuple:
        return _list(get_args(kind)[0], value, path, faults, limits)
    if origin is not None and issubclass(origin, Mapping):
        return _mapping(get_args(kind)[1], value, path, faults)
    if kind is object:
        return _anything(value, path, faults)
    return _single(kind, value, path, faults, limits)


def _object(kind: Any, value: object, path: str, faults: list[FaultyMember]) -> object:
    if not isinstance(value, dict):
        return _wrong(faults, path, "an object is wanted")
    hints, known = _hints(kind), {one.name: one for one in fields(kind)}
    before = len(faults)
    for name in value.keys() - known.keys():
        _wrong(faults, f"{path}.{name[:100]}", "nothing of this name is known here")
    read = {}
    for name, one in known.items():
        if name in value:
            read[name] = _read(hints[name], value[name], f"{path}.{name}", faults)
        elif one.default is MISSING and one.default_factory is MISSING:
            _wrong(faults, f"{path}.{name}", "it is missing")
    return None if len(faults) > before else kind(**read)


def _list(kind: Any, value: object, path: str, faults: list[FaultyMember], limits: Limits) -> object:
    if not isinstance(value, list):
        return _wrong(faults, path, "a list is wanted")
    least, most = limits.least or 0, limits.most or MAXIMUM_ITEMS
    if not least <= len(value) <= most:
        return _wrong(faults, path, f"it has {least:,} to {most:,} items")
    return tuple(_read(kind, one, f"{path}[{index}]", faults) for index, one in enumerate(value))


def _mapping(kind: Any, value: object, path: str, faults: list[FaultyMember]) -> object:
    if not isinstance(value, dict):
        return _wrong(faults, path, "an object is wanted")
    for name in value:
        if _unfit_text(name):
            _wrong(faults, path, f"a name {_unfit_text(name)}")
    return {name: _read(kind, one, f"{path}.{name[:100]}", faults) for name, one in value.items()}


def _anything(value: object, path: str, faults: list[FaultyMember]) -> object:
    """Take any JSON whose texts and numbers can be kept."""
    if isinstance(value, dict):
        return _mapping(object, value, path, faults)
    if isinstance(value, list):
        return [_anything(one, f"{path}[{index}]", faults) for index, one in enumerate(value)]
    if isinstance(value, str) and _unfit_text(value):
        return _wrong(faults, path, _unfit_text(value))
    if isinstance(value, float) and not math.isfinite(value):
        return _wrong(faults, path, "a number that can be kept is wanted")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return _wrong(faults, path, "a whole number of 64 bits is wanted")
    return value


def _single(kind: Any, value: object, path: str, faults: list[FaultyMember], limits: Limits) -> object:
    if get_origin(kind) is Literal:
        words = get_args(kind)
        return value if value in words else _wrong(faults, path, f"one of {', '.join(words)} is wanted")
    if issubclass(kind, Enum):
        known = {one.value: one for one in kind}
        found = known.get(value) if isinstance(value, str | int) else None
        return found if found is not None else _wrong(faults, path, f"one of {', '.join(map(str, known))} is wanted")
    if kind is bool:
        return value if isinstance(value, bool) else _wrong(faults, path, "true or false is wanted")
    if kind is int:
        return _whole(value, path, faults, limits)
    if not isinstance(value, str):
        return _wrong(faults, path, "a text is wanted")
    return _instant(value, path, faults) if kind is datetime else _text(value, path, faults, limits)


def _whole(value: object, path: str, faults: list[FaultyMember], limits: Limits) -> object:
    least = -MAXIMUM_WHOLE if limits.least is None else limits.least
    most = MAXIMUM_WHOLE if limits.most is None else limits.most
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        return _wrong(faults, path, f"a whole number from {least:,} to {most:,} is wanted")
    return value


def _instant(value: str, path: str, faults: list[FaultyMember]) -> object:
    try:
        at = datetime.fromisoformat(value)
        return at.astimezone(UTC) if at.tzinfo is not None else _wrong(faults, path, "it has no offset, such as Z")
    except (ValueError, OverflowError):
        return _wrong(faults, path, "a time as in RFC 3339 is wanted, such as 2026-11-23T12:00:00Z")


def _text(value: str, path: str, faults: list[FaultyMember], limits: Limits) -> object:
    least, most = limits.least or 0, MAXIMUM_TEXT if limits.most is None else limits.most
    if not least <= len(value) <= most:
        return _wrong(faults, path, f"it has {least:,} to {most:,} characters")
    if limits.is_plain and PLAIN.fullmatch(value) is None:
        return _wrong(faults, path, "it has control characters")
    return _wrong(faults, path, _unfit_text(value)) if _unfit_text(value) else value


def _unfit_text(text: str) -> str:
    if "\0" in text:
        return "it has a NUL, which stands in no text"
    return "it has half a character" if any("\ud800" <= one <= "\udfff" for one in text) else ""


def _wrong(faults: list[FaultyMember], path: str, message: str) -> object:
    faults.append(FaultyMember(path, message))
    return _NOTHING

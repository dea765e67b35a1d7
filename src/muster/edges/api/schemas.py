"""Types as JSON Schema (draft 2020-12, as OpenAPI 3.1 has it), with what their docstrings say."""

import inspect
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass, replace
from datetime import datetime, timedelta
from enum import Enum, IntEnum
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

from muster.domain.inventory.values import JsonValue
from muster.edges.api.limits import MAXIMUM_ITEMS, MAXIMUM_TEXT, MAXIMUM_WHOLE, PLAIN_PATTERN, Limits
from muster.edges.api.writing import plain

Schema = dict[str, Any]
_SIMPLE: Final[Mapping[Any, Schema]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bytes: {"type": "string", "pattern": "^([0-9a-f]{2})*$", "description": "Bytes, as hexadecimal."},
    datetime: {"type": "string", "format": "date-time"},
    timedelta: {"type": "number", "description": "Seconds."},
    NoneType: {"type": "null"},
    object: {},
}


_WITHIN_JSON: Final = ForwardRef("JsonValue")
"""What a value of JSON may hold is any other."""


class Schemas:
    """Makes schemas; those of dataclasses and enums are kept by name in `named`."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}

    def of(self, kind: Any, *, is_read: bool = False) -> Schema:
        """Return the schema of *kind*. *is_read*: of what we are sent, with all bounds; else of what we send.

        Raises TypeError for a type that has no form in JSON.
        """
        if kind in (JsonValue, _WITHIN_JSON):
            return {}
        origin = get_origin(kind)
        if origin is Annotated:
            inner, *notes = get_args(kind)
            limits = next((one for one in notes if isinstance(one, Limits)), Limits())
            return _limited(self.of(inner, is_read=is_read), limits, is_read=is_read)
        if isinstance(kind, NewType):
            return self.of(kind.__supertype__, is_read=is_read)
        if origin in (Union, UnionType):
            return {"anyOf": [self.of(one, is_read=is_read) for one in get_args(kind)]}
        if origin is Literal:
            return {"enum": list(get_args(kind))}
        if kind in _SIMPLE:
            return _limited(dict(_SIMPLE[kind]), Limits(), is_read=is_read)
        if is_dataclass(kind) or is_dataclass(origin) or (isinstance(kind, type) and issubclass(kind, Enum)):
            return self._named(kind, is_read=is_read)
        return self._gathered(kind, origin, is_read=is_read)

    def _gathered(self, kind: Any, origin: Any, *, is_read: bool) -> Schema:
        arguments = get_args(kind)
        if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
            items = [self.of(one, is_read=is_read) for one in arguments]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        if isinstance(origin, type) and issubclass(origin, Mapping):
            return {"type": "object", "additionalProperties": self.of(arguments[1], is_read=is_read)}
        if origin in (tuple, list, frozenset, set):
            listed: Schema = {"type": "array", "items": self.of(arguments[0], is_read=is_read)}
            return _limited(listed, Limits(), is_read=is_read)
        if isinstance(kind, type) and hasattr(kind, "_fields"):
            return self._named(kind, is_read=is_read)
        raise TypeError(f"{kind!r} has no form in JSON")

    def _named(self, kind: Any, *, is_read: bool) -> Schema:
        if kind not in self._names:
            name = self._free_name(kind)
            self._names[kind] = name
            self.named[name] = {}  # there, for those that hold one another
            is_enum = isinstance(kind, type) and issubclass(kind, Enum)
            self.named[name] = _of_enum(kind) if is_enum else self._of_record(kind, is_read=is_read)
        return {"$ref": f"#/components/schemas/{self._names[kind]}"}

    def _free_name(self, kind: Any) -> str:
        origin = get_origin(kind)
        if origin is not None:
            return "".join(one.__name__ for one in get_args(kind)) + str(origin.__name__)
        name: str = kind.__name__
        if name not in self.named:
            return name
        return "".join(part.capitalize() for part in kind.__module__.split(".")[-1].split("_")) + name

    def _of_record(self, kind: Any, *, is_read: bool) -> Schema:
        origin = get_origin(kind) or kind
        bound = dict(zip(getattr(origin, "__parameters__", ()), get_args(kind), strict=False))
        hints = get_type_hints(origin, include_extras=True)
        names = [one.name for one in fields(origin)] if is_dataclass(origin) else list(origin._fields)
        members, required = {}, []
        defaults = {one.name: one for one in fields(origin)} if is_dataclass(origin) else {}
        for name in names:
            members[name] = self.of(_filled(hints[name], bound), is_read=is_read)
            known = defaults.get(name)
            is_optional = known is not None and (known.default, known.default_factory) != (MISSING, MISSING)
            if not is_read or not is_optional:
                required.append(name)
            elif known is not None and known.default is not MISSING and known.default is not None:
                members[name] = {**members[name], "default": plain(known.default)}
        schema: Schema = {"type": "object", "properties": members}
        if required:
            schema["required"] = required
        if is_read:
            schema["additionalProperties"] = False
        return _described(schema, origin)


def _filled(kind: Any, bound: Mapping[Any, Any]) -> Any:
    """Put what a generic type was given in the place of its parameters."""
    if isinstance(kind, TypeVar):
        return bound[kind]
    inner = getattr(kind, "__parameters__", ())
    return kind[tuple(bound[one] for one in inner)] if inner and bound else kind


def _of_enum(kind: Any) -> Schema:
    is_whole = issubclass(kind, IntEnum)
    return _described({"type": "integer" if is_whole else "string", "enum": [one.value for one in kind]}, kind)


def _described(schema: Schema, kind: Any) -> Schema:
    doc = inspect.cleandoc(kind.__doc__ or "")
    is_made = doc.startswith(f"{kind.__name__}(")  # by `dataclass`, where nobody wrote any
    return schema if not doc or is_made else {**schema, "description": doc}


def _limited(schema: Schema, limits: Limits, *, is_read: bool) -> Schema:
    if limits.said:
        schema = {**schema, "description": limits.said}
    if not is_read or "format" in schema or "pattern" in schema:
        return schema
    if "anyOf" in schema:
        first, *rest = schema["anyOf"]
        bounded = _limited(first, replace(limits, said=""), is_read=True)
        return {**schema, "anyOf": [bounded, *rest]}
    match schema.get("type"):
        case "string" if "enum" not in schema:
            return {
                **schema,
                "minLength": limits.least or 0,
                "maxLength": limits.most or schema.get("maxLength", MAXIMUM_TEXT),
                **({"pattern": PLAIN_PATTERN} if limits.is_plain else {}),
            }
        case "array":
            return {
                **schema,
                "minItems": limits.least or 0,
                "maxItems": limits.most or schema.get("maxItems", MAXIMUM_ITEMS),
            }
        case "integer" if "enum" not in schema:
            least = schema.get("minimum", -MAXIMUM_WHOLE) if limits.least is None else limits.least
            most = schema.get("maximum", MAXIMUM_WHOLE) if limits.most is None else limits.most
            return {**schema, "minimum": least, "maximum": most}
        case _:
            return schema

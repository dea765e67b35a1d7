"""Arrays for PostgreSQL's set statements, in the binary form of its array_recv, and the rows they make up.

psycopg's own arrays look up how to write each element: 1 to 4 us for one, and a connect has a dozen. Written here,
where the type of all is known, an element costs a tenth of that. Most rows of a batch are alike in most of their
columns: of such a column one value is sent.
"""

import json
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, TypeVar, cast

import sqlalchemy as sa
from psycopg import pq
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper

from muster.storage.types import Instant

T = TypeVar("T")


_TEXT_OID = 25
_LONGEST_ASCII = 127
"""Lengths up to it are written by one byte that is ASCII."""


class BinaryArray(bytes):
    """An array as it is sent. The statement must say its type: `%s::text[]`."""


class BinaryArrayDumper(Dumper):
    """Sends a BinaryArray as it is, its type left to the statement."""

    format = pq.Format.BINARY

    def dump(self, obj: BinaryArray) -> bytes:
        """Return the bytes to send."""
        return obj


@dataclass(frozen=True, slots=True)
class Element(Generic[T]):
    """A type of elements: its name and OID in pg_type, and how a value of it is written."""

    name: str
    oid: int
    write: Callable[[T], bytes]

    def array(self, values: Iterable[T | None]) -> BinaryArray:
        """Write *values* as an array of one dimension; None is NULL."""
        listed = values if isinstance(values, list | tuple) else list(values)
        elements = _as_one(listed) if self.oid == _TEXT_OID else None
        if elements is None:
            write = self.write
            elements = _with_lengths([None if value is None else write(value) for value in listed])
        dimensions = (len(listed), 1) if listed else ()
        # that there may be NULLs is all that the second number says
        head = struct.pack(f">iiI{len(dimensions)}i", len(dimensions) // 2, 1, self.oid, *dimensions)
        return BinaryArray(head + elements)


def _as_one(texts: Sequence[Any]) -> bytes | None:
    """Join ASCII texts of one length, their lengths between them, as one; None where they are not so. Most ids are."""
    if not texts or None in texts:
        return None
    length = len(texts[0])
    if length > _LONGEST_ASCII or set(map(len, texts)) != {length}:
        return None
    before = f"\0\0\0{chr(length)}"
    joined = before + before.join(texts)
    return joined.encode() if joined.isascii() else None


def _with_lengths(written: list[bytes | None]) -> bytes:
    """Join elements, the length of each before it; mostly all are equally long, and it is the same one."""
    lengths = {-1 if one is None else len(one) for one in written}
    if len(lengths) == 1 and None not in written:
        length = lengths.pop().to_bytes(4, "big")
        return length + length.join(cast("list[bytes]", written))
    return b"".join(_NULL if one is None else len(one).to_bytes(4, "big") + one for one in written)


_NULL = b"\xff\xff\xff\xff"  # a length of -1
_POSTGRESQL_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_INT8 = struct.Struct(">q").pack


def _timestamp(value: datetime) -> bytes:
    return _INT8((value - _POSTGRESQL_EPOCH) // _MICROSECOND)


def _jsonb(value: object) -> bytes:
    return b"\1" + json.dumps(value).encode()  # the version of the form


TEXT: Element[str] = Element("text", _TEXT_OID, str.encode)
BYTEA: Element[bytes] = Element("bytea", 17, bytes)
INT4: Element[int] = Element("int4", 23, struct.Struct(">i").pack)
INT8: Element[int] = Element("int8", 20, _INT8)
BOOL: Element[bool] = Element("bool", 16, {False: b"\0", True: b"\1"}.__getitem__)
TIMESTAMPTZ: Element[datetime] = Element("timestamptz", 1184, _timestamp)
JSONB: Element[object] = Element("jsonb", 3802, _jsonb)


def element_of(column: sa.Column[Any]) -> Element[Any]:
    """Return the type of elements for the values of a column of the schema. Raises KeyError for one that isn't here."""
    return _ELEMENTS[type(column.type)]


_ELEMENTS: dict[type[Any], Element[Any]] = {
    sa.Text: TEXT,
    sa.LargeBinary: BYTEA,
    sa.Integer: INT4,
    sa.BigInteger: INT8,
    sa.Boolean: BOOL,
    Instant: TIMESTAMPTZ,
    sa.JSON: JSONB,
}


@dataclass(frozen=True, slots=True)
class Column(Generic[T]):
    """A column of rows: its type, and its value in each of them."""

    element: Element[T]
    values: Sequence[T | None]


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows as an item of a FROM list, in their order, with the parameters of its text."""

    sql: str
    parameters: tuple[BinaryArray, ...]


def rows_of(compared: Mapping[str, Column[Any]], others: Mapping[str, Column[Any]]) -> Rows:
    """Make rows of columns that are named by us, are equally long, and have a value at least; one is *compared*.

    Those that the statement joins by are *compared*, and sent as arrays in any case: of a value that is alike in all
    the planner makes a filter, from which it expects few rows, and then reads them all for each of ours.
    """
    alike = {name: one for name, one in others.items() if one.values.count(one.values[0]) == len(one.values)}
    arrays = {**compared, **{name: column for name, column in others.items() if name not in alike}}
    constants = "".join(f", (%s::{column.element.name}[])[1] AS {name}" for name, column in alike.items())
    unnested = ", ".join(f"%s::{column.element.name}[]" for column in arrays.values())
    return Rows(
        f"(SELECT u.*{constants} FROM unnest({unnested}) AS u({', '.join(arrays)})) AS v",  # noqa: S608 - the names are ours
        (
            *(column.element.array(column.values[:1]) for column in alike.values()),
            *(column.element.array(column.values) for column in arrays.values()),
        ),
    )


def adapt(connection: AdaptContext) -> None:
    """Let statements on *connection* take a BinaryArray."""
    adapters = connection.adapters
    assert adapters is not None
    adapters.register_dumper(BinaryArray, BinaryArrayDumper)

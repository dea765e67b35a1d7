"""Arrays for PostgreSQL's set statements, in the binary form of its array_recv.

psycopg's own arrays look up how to write each element: 1 to 4 us for one, and a connect has a dozen. Written here,
where the type of all is known, an element costs a tenth of that.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Generic, TypeVar

from psycopg import pq
from psycopg.abc import AdaptContext
from psycopg.adapt import Dumper

T = TypeVar("T")


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
    """A type of elements: its OID in pg_type, and how a value of it is written, its length before it."""

    oid: int
    write: Callable[[T], bytes]

    def array(self, values: Iterable[T | None]) -> BinaryArray:
        """Write *values* as an array of one dimension; None is NULL."""
        write = self.write
        parts = [_NULL if value is None else write(value) for value in values]
        dimensions = (len(parts), 1) if parts else ()
        # that there may be NULLs is all that the second number says
        head = struct.pack(f">iiI{len(dimensions)}i", len(dimensions) // 2, 1, self.oid, *dimensions)
        return BinaryArray(head + b"".join(parts))


_NULL = b"\xff\xff\xff\xff"  # a length of -1
_POSTGRESQL_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BOOLEANS = {False: b"\0\0\0\1\0", True: b"\0\0\0\1\1"}
_WITH_INT4 = struct.Struct(">ii").pack
_WITH_INT8 = struct.Struct(">iq").pack


def _bytes(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def _text(value: str) -> bytes:
    encoded = value.encode()
    return len(encoded).to_bytes(4, "big") + encoded


def _timestamp(value: datetime) -> bytes:
    return _WITH_INT8(8, (value - _POSTGRESQL_EPOCH) // _MICROSECOND)


TEXT: Element[str] = Element(25, _text)
BYTEA: Element[bytes] = Element(17, _bytes)
INT4: Element[int] = Element(23, partial(_WITH_INT4, 4))
INT8: Element[int] = Element(20, partial(_WITH_INT8, 8))
BOOL: Element[bool] = Element(16, _BOOLEANS.__getitem__)
TIMESTAMPTZ: Element[datetime] = Element(1184, _timestamp)


def adapt(connection: AdaptContext) -> None:
    """Let statements on *connection* take a BinaryArray."""
    adapters = connection.adapters
    assert adapters is not None
    adapters.register_dumper(BinaryArray, BinaryArrayDumper)

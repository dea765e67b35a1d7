"""Arrays for PostgreSQL's set statements, in the binary form of its array_recv.

psycopg's own arrays look up how to write each element: 1 to 4 us for one, and a connect has a dozen. Written here,
where the type of all is known, an element costs a tenth of that.
"""

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
    """A type of elements: its OID in pg_type, and how a value of it is written."""

    oid: int
    write: Callable[[T], bytes]

    def array(self, values: Iterable[T | None]) -> BinaryArray:
        """Write *values* as an array of one dimension; None is NULL."""
        parts: list[bytes] = []
        count = 0
        has_null = False
        for value in values:
            count += 1
            if value is None:
                has_null = True
                parts.append(_NULL)
                continue
            written = self.write(value)
            parts.append(len(written).to_bytes(4, "big"))
            parts.append(written)
        dimensions = (count, 1) if count else ()
        head = struct.pack(f">iiI{len(dimensions)}i", len(dimensions) // 2, has_null, self.oid, *dimensions)
        return BinaryArray(head + b"".join(parts))


_NULL = b"\xff\xff\xff\xff"  # a length of -1
_POSTGRESQL_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_BOOLEANS = {False: b"\0", True: b"\1"}


def _timestamp(value: datetime) -> bytes:
    return ((value - _POSTGRESQL_EPOCH) // _MICROSECOND).to_bytes(8, "big", signed=True)


TEXT: Element[str] = Element(25, str.encode)
BYTEA: Element[bytes] = Element(17, bytes)
INT4: Element[int] = Element(23, struct.Struct(">i").pack)
BOOL: Element[bool] = Element(16, _BOOLEANS.__getitem__)
TIMESTAMPTZ: Element[datetime] = Element(1184, _timestamp)


def adapt(connection: AdaptContext) -> None:
    """Let statements on *connection* take a BinaryArray."""
    adapters = connection.adapters
    assert adapters is not None
    adapters.register_dumper(BinaryArray, BinaryArrayDumper)

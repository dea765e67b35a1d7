"""Binary property lists ("bplist00"), which Apple's programs may write wherever they read one.

Sources: Apple, CFBinaryPList.c in the open-source Core Foundation (the comment on the format); for dates,
CFAbsoluteTime: seconds since 2001-01-01 00:00:00 UTC.
"""

import math
import struct
from datetime import UTC, datetime, timedelta
from typing import Final

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist_values import EARLIEST_DATE, MAX_DEPTH, PlistValue, bounded_integer, xml_characters

BINARY_MAGIC: Final = b"bplist00"

MAXIMUM_UNFOLDED: Final = 64 * 1024 * 1024
"""Characters and bytes of all scalars, each counted as often as it is referred to: four times what an XML property list
may have, for a list of applications repeats its keys in every item."""
_SCALAR_COST: Final = 17
"""What a reference to a scalar counts besides, about what its element would have in XML."""

_TRAILER: Final = struct.Struct(">6xBBQQQ")
_EPOCH: Final = datetime(2001, 1, 1, tzinfo=UTC)
_DISTANT_PAST: Final = -63_114_076_800.0
"""Seconds, of Core Foundation's distantPast: 0000-12-30, by the calendar that Python's dates are counted in."""


def read_binary_plist(data: bytes, *, maximum_unfolded: int = MAXIMUM_UNFOLDED) -> PlistValue:
    """The value of a whole binary property list, whatever its root.

    A container may be referred to once. Core Foundation writes them so; and with that rule no cycle can be written.
    Scalars may be shared, and Core Foundation does: what each reference to one unfolds into is counted, for whoever
    writes the value down again writes it as often. So time and memory are linear in *data*, whose size the caller
    bounds.

    Raises MalformedMessage when a number points outside *data*, when containers are shared or nested deeper than
    MAX_DEPTH, when it unfolds into more than *maximum_unfolded* bytes, and when *data* holds anything that an XML
    property list cannot (null, sets, UIDs, NaN). Control characters come out as U+FFFD.
    """
    if len(data) < len(BINARY_MAGIC) + _TRAILER.size or not data.startswith(BINARY_MAGIC):
        raise MalformedMessage("the document does not begin and end as a binary property list")
    offset_size, reference_size, count, top, table = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    end = len(data) - _TRAILER.size
    if not (1 <= offset_size <= 8 and 1 <= reference_size <= 8):
        raise MalformedMessage("a size in the trailer of the binary property list is not 1 to 8")
    if count == 0 or table < len(BINARY_MAGIC) or table + count * offset_size != end:
        raise MalformedMessage("the offset table of the binary property list does not fit")
    return _BinaryReader(data, table, offset_size, reference_size, count, maximum_unfolded).value(top, 1)


class _BinaryReader:
    """One reading of one document; remembers which objects were met."""

    __slots__ = (
        "_count",
        "_data",
        "_limit",
        "_offset_size",
        "_reference_size",
        "_scalars",
        "_seen",
        "_table",
        "_unfolded",
    )

    def __init__(
        self, data: bytes, table: int, offset_size: int, reference_size: int, count: int, maximum_unfolded: int
    ) -> None:
        self._data = data
        self._limit = maximum_unfolded
        self._table = table
        self._offset_size = offset_size
        self._reference_size = reference_size
        self._count = count
        self._scalars: dict[int, PlistValue] = {}
        self._seen: set[int] = set()
        self._unfolded = 0

    def value(self, reference: int, depth: int) -> PlistValue:
        if reference in self._scalars:
            return self._counted(self._scalars[reference])
        if reference >= self._count:
            raise MalformedMessage("the binary property list refers to an object it does not have")
        entry = self._table + reference * self._offset_size
        offset = int.from_bytes(self._data[entry : entry + self._offset_size])
        if not len(BINARY_MAGIC) <= offset < self._table:
            raise MalformedMessage("an object of the binary property list lies outside it")
        kind, low = divmod(self._data[offset], 16)
        if kind not in {0xA, 0xD}:
            scalar = self._scalars[reference] = self._scalar(kind, low, offset + 1)
            return self._counted(scalar)
        if offset in self._seen:
            raise MalformedMessage("a container of the binary property list is referred to twice")
        if depth > MAX_DEPTH:
            raise MalformedMessage(f"the property list is nested deeper than {MAX_DEPTH}")
        self._seen.add(offset)
        length, position = self._length(low, offset + 1)
        return self._array(length, position, depth) if kind == 0xA else self._dictionary(length, position, depth)

    def _counted(self, scalar: PlistValue) -> PlistValue:
        self._unfolded += _SCALAR_COST + (len(scalar) if isinstance(scalar, str | bytes) else 0)
        if self._unfolded > self._limit:
            raise MalformedMessage(f"the binary property list unfolds into more than {self._limit} bytes")
        return scalar

    def _scalar(self, kind: int, low: int, position: int) -> PlistValue:
        match kind, low:
            case 0x0, 0x8:
                return False
            case 0x0, 0x9:
                return True
            case 0x1, size if size <= 4:
                # Eight bytes are signed, fewer are not; sixteen hold what is above the signed ones.
                return bounded_integer(int.from_bytes(self._bytes(position, 1 << size), signed=size >= 3))
            case 0x2, 0x2:
                return _finite(struct.unpack(">f", self._bytes(position, 4))[0])
            case 0x2, 0x3:
                return _finite(struct.unpack(">d", self._bytes(position, 8))[0])
            case 0x3, 0x3:
                return _date(_finite(struct.unpack(">d", self._bytes(position, 8))[0]))
            case 0x4, _:
                length, position = self._length(low, position)
                return self._bytes(position, length)
            case 0x5, _:
                length, position = self._length(low, position)
                return _text(self._bytes(position, length), "ascii")
            case 0x6, _:
                length, position = self._length(low, position)
                return _text(self._bytes(position, 2 * length), "utf-16-be")
        raise MalformedMessage("the binary property list holds an object which XML property lists have not")

    def _array(self, length: int, position: int, depth: int) -> list[PlistValue]:
        return [self.value(reference, depth + 1) for reference in self._references(position, length)]

    def _dictionary(self, length: int, position: int, depth: int) -> dict[str, PlistValue]:
        references = self._references(position, 2 * length)
        dictionary: dict[str, PlistValue] = {}
        for key_reference, value_reference in zip(references[:length], references[length:], strict=True):
            key = self.value(key_reference, depth + 1)
            if not isinstance(key, str):
                raise MalformedMessage("a key of the property list is not a string")
            if key in dictionary:
                raise MalformedMessage("a key of the property list is there twice")
            dictionary[key] = self.value(value_reference, depth + 1)
        return dictionary

    def _length(self, low: int, position: int) -> tuple[int, int]:
        """The length that the low half of a marker tells, or the integer behind it if the half is full; where it
        ends."""
        if low != 0xF:
            return low, position
        kind, size = divmod(self._bytes(position, 1)[0], 16)
        if kind != 0x1 or size > 3:
            raise MalformedMessage("a length in the binary property list is not an integer")
        return int.from_bytes(self._bytes(position + 1, 1 << size)), position + 1 + (1 << size)

    def _references(self, position: int, count: int) -> list[int]:
        size = self._reference_size
        table = self._bytes(position, count * size)
        return [int.from_bytes(table[start : start + size]) for start in range(0, len(table), size)]

    def _bytes(self, position: int, count: int) -> bytes:
        if position + count > self._table:
            raise MalformedMessage("an object of the binary property list lies outside it")
        return self._data[position : position + count]


def _finite(number: float) -> float:
    if not math.isfinite(number):
        raise MalformedMessage("a real of the property list is not a finite number")
    return number


def _date(seconds: float) -> datetime:
    if _DISTANT_PAST <= seconds < (EARLIEST_DATE - _EPOCH).total_seconds():
        return EARLIEST_DATE
    try:
        return _EPOCH + timedelta(seconds=seconds)
    except OverflowError:
        raise MalformedMessage("a date of the property list is in no calendar") from None


def _text(encoded: bytes, encoding: str) -> str:
    try:
        return xml_characters(encoded.decode(encoding))
    except UnicodeDecodeError:
        raise MalformedMessage("a string of the binary property list is not of its encoding") from None

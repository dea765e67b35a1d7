"""Messages of Protocol Buffers, as far as fields of text, octets and whole numbers go.

Source: Protocol Buffers, "Encoding".
"""

from typing import Final

from muster.storage.other_servers.errors import Unreadable

_LENGTH_OF: Final = {1: 8, 5: 4}
_LONGEST_NUMBER: Final = 10


def read_message(data: bytes) -> dict[int, int | bytes]:
    """Return the fields of a message by their numbers, the last of each. Raises Unreadable when it is none."""
    fields: dict[int, int | bytes] = {}
    at = 0
    while at < len(data):
        tag, at = _number(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            fields[number], at = _number(data, at)
            continue
        if kind == 2:
            length, at = _number(data, at)
        elif kind in _LENGTH_OF:
            length = _LENGTH_OF[kind]
        else:
            raise Unreadable("a record is no message of Protocol Buffers")
        if at + length > len(data):
            raise Unreadable("a record is cut off")
        fields[number] = data[at : at + length]
        at += length
    return fields


def _number(data: bytes, at: int) -> tuple[int, int]:
    """Read a whole number of variable length; returns it, and the place behind it."""
    value = 0
    for place in range(_LONGEST_NUMBER):
        if at + place >= len(data):
            raise Unreadable("a record is cut off")
        value |= (data[at + place] & 0x7F) << 7 * place
        if data[at + place] < 0x80:
            return value, at + place + 1
    raise Unreadable("a record is no message of Protocol Buffers")

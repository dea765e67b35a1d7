"""Property lists: the form of every message of the MDM protocol but the declarative ones.

Reading is strict, for what arrives comes from strangers (`plist_xml`, `plist_binary`); writing is `plist_xml_writing`.

Sources: Apple, "Property List Programming Guide"; the DTD PropertyList-1.0.
"""

from collections.abc import Mapping

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist_binary import BINARY_MAGIC, read_binary_plist
from muster.protocol.plist_values import MAX_DEPTH, MAX_PLIST_BYTES, PlistValue
from muster.protocol.plist_xml import read_xml_plist, read_xml_top_level
from muster.protocol.plist_xml_writing import write_xml_plist

__all__ = ["MAX_DEPTH", "MAX_PLIST_BYTES", "PlistValue", "read_plist", "read_top_level", "write_plist"]


def read_plist(data: bytes, *, maximum_bytes: int = MAX_PLIST_BYTES) -> dict[str, PlistValue]:
    """The dictionary at the root of an XML or binary property list, in its order.

    Dates come out aware, in UTC; what comes out can always be given to `write_plist`. Raises MalformedMessage, and
    nothing else, whatever *data* is: too large, of another root, a bomb of any kind, or an integer, real or date out
    of bounds.
    """
    _require_size(data, maximum_bytes)
    value = read_binary_plist(data) if data.startswith(BINARY_MAGIC) else read_xml_plist(data)
    if not isinstance(value, dict):
        raise MalformedMessage("the root of the property list is not a dictionary")
    return value


def read_top_level(data: bytes, keys: frozenset[str], lenient: frozenset[str] = frozenset()) -> dict[str, PlistValue]:
    """Only the scalar values of *keys* in the root dictionary; keys which are absent are absent from the answer.

    Made for the hot path: the rest is stepped over without being decoded, so what is wrong inside it may pass here and
    be refused by `read_plist`; and so it is with *lenient* ones of *keys*, which are left out if they can't be read.
    Raises MalformedMessage as `read_plist` does, and when one of the other *keys* holds a container.
    """
    _require_size(data, MAX_PLIST_BYTES)
    if not data.startswith(BINARY_MAGIC):
        return read_xml_top_level(data, keys, lenient)
    found = {key: value for key, value in read_plist(data).items() if key in keys}
    for key in [key for key, value in found.items() if isinstance(value, dict | list)]:
        if key not in lenient:
            raise MalformedMessage(f"{key} is not a scalar")
        del found[key]
    return found


def write_plist(value: Mapping[str, PlistValue]) -> bytes:
    """*value* as an XML property list, in its order. Dates lose their fraction of a second.

    What no property list can hold is a mistake of the caller: a date that is not aware and a real that is not finite
    are ValueErrors, as are control characters; an integer beyond 64 bits is an OverflowError.
    """
    return write_xml_plist(value)


def _require_size(data: bytes, maximum_bytes: int) -> None:
    if len(data) > maximum_bytes:
        raise MalformedMessage(f"the property list is longer than {maximum_bytes} bytes")

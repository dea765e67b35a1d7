"""The values a property list can hold, and the bounds every reader of one keeps.

Source: Apple, "Property List Programming Guide", and the DTD PropertyList-1.0.
"""

import re
from datetime import UTC, datetime
from typing import Final, TypeAlias

from muster.protocol.errors import MalformedMessage

PlistValue: TypeAlias = str | int | float | bool | bytes | datetime | list["PlistValue"] | dict[str, "PlistValue"]
"""What a property list holds. Dates are aware, in UTC."""

MAX_PLIST_BYTES: Final = 16 * 1024 * 1024
"""The largest reports (installed applications, certificates) reach several megabytes; devices don't compress them."""

MAX_DEPTH: Final = 64
"""Nested containers. The deepest message of Apple's has about ten; the readers recurse, so this also guards the
stack."""

_SMALLEST_INTEGER: Final = -(2**63)
_LARGEST_INTEGER: Final = 2**64 - 1

EARLIEST_DATE: Final = datetime(1, 1, 1, tzinfo=UTC)
"""What dates before year 1 are read as. Core Foundation's distant past is 0000-12-30, and means "never"."""

_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_REPLACEMENT: Final = "\ufffd"


def bounded_integer(number: int) -> int:
    """*number*, if it is one of the 64-bit integers, signed or unsigned, which Core Foundation reads. Else
    MalformedMessage."""
    if not _SMALLEST_INTEGER <= number <= _LARGEST_INTEGER:
        raise MalformedMessage("an integer of the property list needs more than 64 bits")
    return number


def xml_characters(text: str) -> str:
    """*text*, with U+FFFD for every control character that XML 1.0, section 2.2 does not have.

    Core Foundation writes them as they are, in XML too: the name of one careless app would otherwise keep a report from
    being read, and its device would send it for ever. NUL is among them, so PostgreSQL can store whatever was read.
    """
    return _NOT_XML.sub(_REPLACEMENT, text)

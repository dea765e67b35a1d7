"""Bounded reader of DER and BER, and the few DER writers this package needs (ITU-T X.690).

Why our own: devices send BER with indefinite lengths and constructed strings (the Mdm-Signature of a Mac), which
strict DER readers refuse; and what a signature covers has to be taken as the bytes that were sent. The reader copies
nothing until asked, follows at most MAX_DEPTH levels, and looks at no length more than twice a level.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Self

from muster.crypto.errors import MalformedMessage

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
BIT_STRING: Final = 0x03
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
OBJECT_IDENTIFIER: Final = 0x06
UTF8_STRING: Final = 0x0C
PRINTABLE_STRING: Final = 0x13
IA5_STRING: Final = 0x16
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
SEQUENCE: Final = 0x30
SET: Final = 0x31
CONTEXT_0: Final = 0x80
CONSTRUCTED: Final = 0x20
CONTEXT_0_CONSTRUCTED: Final = 0xA0
CONTEXT_1_CONSTRUCTED: Final = 0xA1
CONTEXT_2_CONSTRUCTED: Final = 0xA2
CONTEXT_3_CONSTRUCTED: Final = 0xA3

MAX_DEPTH: Final = 16  # a CMS with nested BER strings needs 9; more is an attack on the stack
_MAX_LENGTH: Final = 0x84  # four octets of length, so 4 GiB: far above every bound on a body
_MAX_OID_OCTETS: Final = 64  # the longest in use have about 20
_MAX_INTEGER_OCTETS: Final = 64  # certificate serial numbers have at most 20; no key material is read here

_END_OF_CONTENTS: Final = 0x00
_HIGH_TAG_NUMBER: Final = 0x1F  # announces a tag number of 31 or more, in octets of its own: in no format read here
_INDEFINITE: Final = 0x80
_TEXT_ENCODINGS: Final = {
    UTF8_STRING: "utf-8",
    PRINTABLE_STRING: "latin-1",  # latin-1 for the old kinds: senders put accents where only ASCII belongs
    0x12: "latin-1",  # NumericString
    0x14: "latin-1",  # TeletexString, by custom
    IA5_STRING: "latin-1",
    0x1A: "latin-1",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
    0x1E: "utf-16-be",  # BMPString
}


class Reader:
    """A cursor over the elements of one constructed element.

    Every method raises MalformedMessage when the bytes do not hold what was asked for, when a length runs past the
    enclosing element, or when a bound is exceeded. Non-minimal lengths are accepted, as BER has them.
    """

    __slots__ = ("_closings", "_data", "_depth", "_end", "_position")

    def __init__(
        self,
        data: bytes,
        start: int = 0,
        end: int | None = None,
        depth: int = 0,
        closings: dict[int, int] | None = None,
    ) -> None:
        if depth > MAX_DEPTH:
            raise MalformedMessage(f"nested deeper than {MAX_DEPTH} levels")
        self._data = data
        self._position = start
        self._end = len(data) if end is None else end
        self._depth = depth
        # Where indefinite lengths end, by where their content starts: found once, by the outermost, for all within.
        self._closings: dict[int, int] = {} if closings is None else closings

    @classmethod
    def of_single(cls, data: bytes, tag: int) -> Self:
        """Enter the one element that *data* consists of. Trailing bytes are refused."""
        reader = cls(data)
        start, stop = reader._take(tag)
        reader.finish()
        reader._position, reader._end, reader._depth = start, stop, 1
        return reader

    def next_tag(self) -> int:
        """Return the identifier octet of the next element, or 0 (which no element has) when none is left."""
        if self._position >= self._end:
            return 0
        tag = self._data[self._position]
        if tag == _END_OF_CONTENTS or tag & _HIGH_TAG_NUMBER == _HIGH_TAG_NUMBER:
            raise MalformedMessage(f"tag {tag:#04x} is not expected anywhere")
        return tag

    def enter(self, tag: int) -> "Reader":
        """Return a reader of what the next element holds, and step over it."""
        start, stop = self._take(tag)
        return Reader(self._data, start, stop, self._depth + 1, self._closings)

    def enter_optional(self, tag: int) -> "Reader | None":
        """Enter the next element if it carries *tag*; otherwise stay and return None."""
        return self.enter(tag) if self.next_tag() == tag else None

    def content(self, tag: int) -> bytes:
        """Return the content octets of the next element."""
        start, stop = self._take(tag)
        return self._data[start:stop]

    def remaining(self) -> bytes:
        """Return everything not read yet, as sent, and step over it."""
        start, self._position = self._position, self._end
        return self._data[start : self._end]

    def raw(self, tag: int | None = None) -> bytes:
        """Return the next element as sent, identifier and length included."""
        start = self._position
        self._take(self.next_tag() if tag is None else tag)
        return self._data[start : self._position]

    def skip(self, tag: int | None = None) -> None:
        """Step over the next element."""
        self._take(self.next_tag() if tag is None else tag)

    def finish(self) -> None:
        """Refuse anything that is left."""
        if self._position != self._end:
            raise MalformedMessage("unexpected bytes at the end of an element")

    def oid(self) -> str:
        """Return an object identifier in dotted form."""
        return oid_text(self.content(OBJECT_IDENTIFIER))

    def integer(self) -> int:
        """Return a (signed) integer of at most 64 octets."""
        octets = self.content(INTEGER)
        if not 0 < len(octets) <= _MAX_INTEGER_OCTETS:
            raise MalformedMessage(f"an integer has 1 to {_MAX_INTEGER_OCTETS} octets")
        return int.from_bytes(octets, "big", signed=True)

    def bit_string(self) -> bytes:
        """Return a bit string that is a whole number of octets."""
        octets = self.content(BIT_STRING)
        if octets[:1] != b"\x00":
            raise MalformedMessage("a bit string is not a whole number of octets")
        return octets[1:]

    def octet_string(self, tag: int = OCTET_STRING) -> bytes:
        """Return an octet string, primitive or (BER) in pieces. *tag* is the primitive form of its tag."""
        if self.next_tag() == tag | CONSTRUCTED:
            return b"".join(_pieces(self.enter(tag | CONSTRUCTED)))
        return self.content(tag)

    def text(self) -> str:
        """Return a character string of any of ASN.1's kinds. NUL is refused: databases cannot hold it."""
        encoding = _TEXT_ENCODINGS.get(self.next_tag())
        if encoding is None:
            raise MalformedMessage("not a character string")
        try:
            text = self.content(self.next_tag()).decode(encoding)
        except UnicodeDecodeError as error:
            raise MalformedMessage(f"a character string is not {encoding}") from error
        if "\0" in text:
            raise MalformedMessage("a character string holds NUL")
        return text

    def time(self) -> datetime:
        """Return a UTCTime (1950 to 2049, RFC 5280 section 4.1.2.5.1) or GeneralizedTime as aware UTC."""
        tag = self.next_tag()
        if tag not in (UTC_TIME, GENERALIZED_TIME):
            raise MalformedMessage("not a time")
        return _parse_time(self.content(tag), year_digits=2 if tag == UTC_TIME else 4)

    def _take(self, tag: int) -> tuple[int, int]:
        """Step over the next element, which must carry *tag*; return where its content starts and stops."""
        data = self._data
        position = self._position
        start = position + 2
        if start > self._end:
            raise MalformedMessage("an element is missing or cut short")
        if data[position] != tag:
            raise MalformedMessage(f"expected tag {tag:#04x}, found {data[position]:#04x}")
        length = data[position + 1]
        if length < _INDEFINITE:
            following = stop = start + length
        elif length > _INDEFINITE:
            length, start = _long_length(data, start, length, self._end)
            following = stop = start + length
        else:
            if not tag & CONSTRUCTED:
                raise MalformedMessage("an indefinite length on a primitive element")
            if start not in self._closings:
                _find_closings(data, start, self._end, self._depth, self._closings)
            following = self._closings[start]
            stop = following - 2
        if following > self._end:
            raise MalformedMessage("a length runs past the enclosing element")
        self._position = following
        return start, stop


def _pieces(reader: Reader) -> Iterable[bytes]:
    """Yield the pieces of a constructed octet string, which may be constructed themselves."""
    while tag := reader.next_tag():
        if tag == OCTET_STRING:
            yield reader.content(OCTET_STRING)
        else:
            yield from _pieces(reader.enter(OCTET_STRING | CONSTRUCTED))


def _long_length(data: bytes, position: int, first: int, end: int) -> tuple[int, int]:
    """Return (length, where the content starts), given a long form's *first* octet and the *position* behind it."""
    start = position + (first & 0x7F)
    if first > _MAX_LENGTH or start > end:
        raise MalformedMessage("a length is malformed")
    return int.from_bytes(data[position:start], "big"), start


def _find_closings(data: bytes, position: int, end: int, depth: int, closings: dict[int, int]) -> None:
    """Find the end-of-contents octets which close the element whose content is at *position*.

    Notes in *closings* the offset behind them, for this element and for every indefinite one directly within.
    """
    still_open = [position]
    while position + 2 <= end:
        tag, length = data[position], data[position + 1]
        start = position + 2
        if tag == _END_OF_CONTENTS:
            if length:
                raise MalformedMessage("malformed end-of-contents octets")
            closings[still_open.pop()] = start
            if not still_open:
                return
            position = start
        elif tag & _HIGH_TAG_NUMBER == _HIGH_TAG_NUMBER:
            raise MalformedMessage(f"tag {tag:#04x} is not expected anywhere")
        elif length == _INDEFINITE:
            still_open.append(start)
            if not tag & CONSTRUCTED or depth + len(still_open) > MAX_DEPTH:
                raise MalformedMessage(f"an indefinite length on a primitive element, or more than {MAX_DEPTH} levels")
            position = start
        else:
            if length > _INDEFINITE:
                length, start = _long_length(data, start, length, end)
            position = start + length
    raise MalformedMessage("an indefinite length is never closed")


@lru_cache(maxsize=1024)  # a few dozen identifiers make up all the traffic; the bound is for those who invent some
def oid_text(octets: bytes) -> str:
    """Return the dotted form of an object identifier's content octets."""
    if not 0 < len(octets) <= _MAX_OID_OCTETS or octets[-1] & 0x80:
        raise MalformedMessage("a malformed object identifier")
    arcs: list[int] = []
    arc = 0
    for octet in octets:
        if not arc and octet == 0x80:  # a leading zero digit, which X.690 section 8.19.2 forbids
            raise MalformedMessage("a malformed object identifier")
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, [first, arcs[0] - 40 * first, *arcs[1:]]))


def is_text(tag: int) -> bool:
    """True when *tag* is that of a character string which Reader.text can read."""
    return tag in _TEXT_ENCODINGS


def _parse_time(octets: bytes, *, year_digits: int) -> datetime:
    """Read YY or YYYY, MMDDhhmm, seconds (which BER may leave out) with or without a fraction, and a zone."""
    digits, offset = octets[:-1], timedelta(0)
    if octets[-1:] != b"Z":
        digits, sign, zone = octets[:-5], octets[-5:-4], octets[-4:]
        if sign not in (b"+", b"-") or len(zone) != 4 or not zone.isdigit() or zone > b"2359" or zone[2:] > b"59":
            raise MalformedMessage("a time names no zone")
        offset = timedelta(hours=int(zone[:2]), minutes=int(zone[2:])) * (1 if sign == b"+" else -1)
    digits = digits.partition(b".")[0]  # fractions of a second are of no use here
    if len(digits) == year_digits + 8:
        digits += b"00"
    if len(digits) != year_digits + 10 or not digits.isdigit():
        raise MalformedMessage("a malformed time")
    year, rest = int(digits[:year_digits]), digits[year_digits:]
    if year_digits == 2:
        year += 1900 if year >= 50 else 2000
    try:
        moment = datetime(
            year, int(rest[:2]), int(rest[2:4]), int(rest[4:6]), int(rest[6:8]), int(rest[8:]), tzinfo=UTC
        )
        return moment - offset if offset else moment
    except (ValueError, OverflowError) as error:
        raise MalformedMessage("a time that does not exist") from error


def element(tag: int, *contents: bytes) -> bytes:
    """Encode one element of definite length whose content is *contents* joined."""
    content = b"".join(contents)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*members: bytes) -> bytes:
    """Encode a SEQUENCE of encoded members."""
    return element(SEQUENCE, *members)


def set_of(members: Iterable[bytes], tag: int = SET) -> bytes:
    """Encode a SET OF encoded members in DER's order (X.690 section 11.6)."""
    return element(tag, *sorted(members))


def integer(value: int) -> bytes:
    """Encode an INTEGER."""
    return element(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def octet_string(octets: bytes) -> bytes:
    """Encode an OCTET STRING."""
    return element(OCTET_STRING, octets)


def bit_string(octets: bytes) -> bytes:
    """Encode a BIT STRING of whole octets."""
    return element(BIT_STRING, b"\0", octets)


def null() -> bytes:
    """Encode NULL."""
    return element(NULL)


@lru_cache(maxsize=256)
def oid(dotted: str) -> bytes:
    """Encode an OBJECT IDENTIFIER given in dotted form. A form that is none raises ValueError: ours to get right."""
    first, second, *others = (int(arc) for arc in dotted.split("."))
    octets = bytearray()
    for arc in (first * 40 + second, *others):
        digits = [arc & 0x7F]
        while arc := arc >> 7:
            digits.append(0x80 | arc & 0x7F)
        octets += bytes(reversed(digits))
    return element(OBJECT_IDENTIFIER, bytes(octets))


def text(characters: str) -> bytes:
    """Encode a PrintableString where its alphabet suffices (X.680 section 41.4), otherwise a UTF8String."""
    if all(c.isascii() and (c.isalnum() or c in " '()+,-./:=?") for c in characters):
        return element(PRINTABLE_STRING, characters.encode("ascii"))
    return element(UTF8_STRING, characters.encode())


def time(moment: datetime) -> bytes:
    """Encode *moment* (aware) to the second: UTCTime through 2049, then GeneralizedTime (RFC 5280 section 4.1.2.5)."""
    moment = moment.astimezone(UTC)
    if 1950 <= moment.year < 2050:
        return element(UTC_TIME, moment.strftime("%y%m%d%H%M%SZ").encode())
    return element(GENERALIZED_TIME, f"{moment.year:04d}{moment:%m%d%H%M%S}Z".encode())

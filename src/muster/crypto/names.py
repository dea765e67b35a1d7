"""Distinguished names: read without strictness, written as text (RFC 4514)."""

from collections.abc import Iterable
from typing import Final, TypeAlias

from muster.crypto import der
from muster.crypto.errors import MalformedMessage

# Relative distinguished names in the order of the encoding; each a tuple of (type as dotted OID, value as text).
DistinguishedName: TypeAlias = tuple[tuple[tuple[str, str], ...], ...]

COMMON_NAME: Final = "2.5.4.3"
ORGANIZATION: Final = "2.5.4.10"
COUNTRY: Final = "2.5.4.6"
EMAIL_ADDRESS: Final = "1.2.840.113549.1.9.1"
USER_ID: Final = "0.9.2342.19200300.100.1.1"

MAXIMUM_COMMON_NAME_OCTETS: Final = 64
"""RFC 5280, ub-common-name, says characters; `cryptography` counts the octets of UTF-8."""

MAX_ATTRIBUTES: Final = 64  # names in use have fewer than ten

_SHORT_NAMES: Final = {
    COMMON_NAME: "CN",
    COUNTRY: "C",
    "2.5.4.7": "L",
    "2.5.4.8": "ST",
    "2.5.4.9": "STREET",
    ORGANIZATION: "O",
    "2.5.4.11": "OU",
    "0.9.2342.19200300.100.1.25": "DC",
    USER_ID: "UID",
}


def read_name(reader: der.Reader) -> DistinguishedName:
    """Read the Name that comes next. An empty one is fine: Apple's devices send it.

    A value which is no character string is given as "#" and the hexadecimal form of its encoding. Raises
    MalformedMessage, also for more than 64 attributes.
    """
    name: list[tuple[tuple[str, str], ...]] = []
    count = 0
    rdns = reader.enter(der.SEQUENCE)
    while rdns.next_tag():
        attributes: list[tuple[str, str]] = []
        members = rdns.enter(der.SET)
        while members.next_tag():
            attribute = members.enter(der.SEQUENCE)
            attributes.append((attribute.oid(), _value(attribute)))
            attribute.finish()
            count += 1
            if count > MAX_ATTRIBUTES:
                raise MalformedMessage(f"a name has more than {MAX_ATTRIBUTES} attributes")
        name.append(tuple(attributes))
    return tuple(name)


def encode_name(attributes: Iterable[tuple[str, str]]) -> bytes:
    """Encode a Name of one attribute (dotted OID, value) for each relative distinguished name.

    An e-mail address is an IA5String (RFC 5280 section 4.1.2.6): UnicodeEncodeError where it is not ASCII.
    """
    return der.sequence(
        *(der.element(der.SET, der.sequence(der.oid(oid), _encode_value(oid, value))) for oid, value in attributes)
    )


def first_value(name: DistinguishedName, oid: str) -> str | None:
    """Return the first value of type *oid*, or None when *name* has none."""
    return next((value for rdn in name for kind, value in rdn if kind == oid), None)


def rfc4514(name: DistinguishedName) -> str:
    """Write *name* as RFC 4514 has it: the last part first, and types without a short name as dotted OIDs."""
    return ",".join(
        "+".join(f"{_SHORT_NAMES.get(kind, kind)}={_escaped(value)}" for kind, value in rdn) for rdn in reversed(name)
    )


def _encode_value(oid: str, value: str) -> bytes:
    return der.element(der.IA5_STRING, value.encode("ascii")) if oid == EMAIL_ADDRESS else der.text(value)


def _value(attribute: der.Reader) -> str:
    if der.is_text(attribute.next_tag()):
        return attribute.text()
    return "#" + attribute.raw().hex()


def _escaped(value: str) -> str:
    escaped = "".join(f"\\{c}" if c in '"+,;<>\\' else c for c in value)
    if escaped.startswith((" ", "#")):
        escaped = f"\\{escaped}"
    if escaped.endswith(" ") and len(value) > 1:
        escaped = f"{escaped[:-1]}\\ "
    return escaped

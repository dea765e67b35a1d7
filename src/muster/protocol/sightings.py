"""What another witness posts of devices that it saw: our own inbound API, JSON.

{"sightings": [{"device": {"serial": "C02XK1LYJGH5"}, "at": "2026-11-22T14:31:07Z",
                "network": "198.51.100.7", "says_unmanaged": false, "detail": {"user": "ada"}}]}
"""

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from muster.protocol.errors import MalformedMessage

MAX_BODY_BYTES: Final = 512 * 1024
"""Of a post: MAX_SIGHTINGS of a kilobyte each."""
MAX_SIGHTINGS: Final = 500
"""Of a post: they are one transaction, for which all devices wait on SQLite."""
MAX_AGE: Final = timedelta(days=7)
"""How old a sighting may be: a collector that was off over a long weekend is heard, an import of old logs is not."""
MAX_AHEAD: Final = timedelta(minutes=5)
"""How far ahead of our clock a witness's may be; what it says then counts as seen now."""
MAX_IDENTIFIER_CHARACTERS: Final = 64
"""A UDID has 25 to 40 characters, a serial number 12 and in virtual machines up to 40."""
MAX_DETAILS: Final = 10
MAX_DETAIL_CHARACTERS: Final = 200
"""Of a name and of a value of the detail, which is kept as it is and shown."""
MAX_FAULTS: Final = 20
"""That are named of one post."""

DetailValue: TypeAlias = str | int | bool
_KEYS: Final = frozenset({"device", "at", "network", "says_unmanaged", "detail"})
_WHICH: Final = ("udid", "serial")
_MAX_INTEGER: Final = 2**53 - 1  # what JSON of all languages carries


@dataclass(frozen=True, slots=True)
class Sighting:
    """A device that was seen: by *udid* or by *serial_number*, one of the two. *at* is aware UTC.

    *network*: the public address that it came from; empty: not said. *says_unmanaged*: there is no enrollment profile
    on it, as the witness has it.
    """

    at: datetime
    udid: str | None = None
    serial_number: str | None = None
    network: str = ""
    says_unmanaged: bool = False
    detail: Mapping[str, DetailValue] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a post. *pointer*: where in it (RFC 6901); *detail*: what it should be."""

    pointer: str
    detail: str


class MalformedSightings(MalformedMessage):
    """The post as a whole is refused; *faults* name each place, MAX_FAULTS at most."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        super().__init__("; ".join(f"{fault.pointer or 'the body'}: {fault.detail}" for fault in faults))
        self.faults = faults


def read_sightings(body: bytes, now: datetime) -> tuple[Sighting, ...]:
    """Read a post as of *now*. Raises MalformedSightings for anything that is not as the manual has it, unknown keys
    included: one that is misspelled would be missed for ever.

    Not checked: whether there are such devices.
    """
    if len(body) > MAX_BODY_BYTES:
        raise _malformed("", f"it is larger than {MAX_BODY_BYTES} bytes")
    try:
        post: Any = json.loads(body, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise _malformed("", "it is not JSON") from None
    if not isinstance(post, dict) or not isinstance(post.get("sightings"), list):
        raise _malformed("", "it is an object with an array `sightings`")
    if post.keys() != {"sightings"}:
        raise _malformed("", "it has no other key than `sightings`")
    if len(post["sightings"]) > MAX_SIGHTINGS:
        raise _malformed("/sightings", f"it has {MAX_SIGHTINGS} items at most")
    faults: list[Fault] = []
    read = [_read(item, f"/sightings/{number}", now, faults) for number, item in enumerate(post["sightings"])]
    if faults:
        raise MalformedSightings(tuple(faults[:MAX_FAULTS]))
    return tuple(one for one in read if one is not None)


def _read(item: Any, at: str, now: datetime, faults: list[Fault]) -> Sighting | None:
    before = len(faults)
    if not isinstance(item, dict):
        faults.append(Fault(at, "it is an object"))
        return None
    faults += [Fault(f"{at}/{_escaped(key)}", "there is no such key") for key in item.keys() - _KEYS]
    device = _device(item.get("device"), f"{at}/device", faults)
    seen_at = _instant(item.get("at"), f"{at}/at", now, faults)
    network = _network(item.get("network"), f"{at}/network", faults)
    says_unmanaged = item.get("says_unmanaged", False)
    if not isinstance(says_unmanaged, bool):
        faults.append(Fault(f"{at}/says_unmanaged", "it is true or false"))
    detail = _detail(item.get("detail", {}), f"{at}/detail", faults)
    if len(faults) > before:
        return None
    return Sighting(seen_at, device.get("udid"), device.get("serial"), network, says_unmanaged, detail)


def _device(value: Any, at: str, faults: list[Fault]) -> Mapping[str, str]:
    is_one = isinstance(value, dict) and len(value) == 1 and next(iter(value)) in _WHICH
    if not is_one or not all(_is_text(one, MAX_IDENTIFIER_CHARACTERS) and one for one in value.values()):
        limit = MAX_IDENTIFIER_CHARACTERS
        faults.append(Fault(at, f"it is an object with `udid` or `serial`, a string of at most {limit} characters"))
        return {}
    return {str(name): str(one) for name, one in value.items()}


def _instant(value: Any, at: str, now: datetime, faults: list[Fault]) -> datetime:
    try:
        read = (
            datetime.fromisoformat(value)
            if isinstance(value, str) and len(value) <= MAX_IDENTIFIER_CHARACTERS
            else None
        )
        read = None if read is None or read.tzinfo is None else read.astimezone(UTC)
    except (ValueError, OverflowError):
        read = None
    if read is None:
        faults.append(Fault(at, "it is a time with its offset, such as 2026-11-22T14:31:07Z"))
        return now
    if read < now - MAX_AGE:
        faults.append(Fault(at, f"it is more than {MAX_AGE.days} days ago"))
    elif read > now + MAX_AHEAD:
        faults.append(Fault(at, f"it is more than {MAX_AHEAD // timedelta(minutes=1)} minutes ahead of the server"))
    return min(read, now)


def _network(value: Any, at: str, faults: list[Fault]) -> str:
    if value is None:
        return ""
    try:
        # a zone (RFC 4007) may be any text, and has no meaning elsewhere
        is_fit = isinstance(value, str) and "%" not in value
        return str(ipaddress.ip_address(value)) if is_fit else _no_address(at, faults)
    except ValueError:
        return _no_address(at, faults)


def _no_address(at: str, faults: list[Fault]) -> str:
    faults.append(Fault(at, "it is the public IP address from which the device was seen"))
    return ""


def _detail(value: Any, at: str, faults: list[Fault]) -> Mapping[str, DetailValue]:
    if not isinstance(value, dict) or len(value) > MAX_DETAILS:
        faults.append(Fault(at, f"it is an object with at most {MAX_DETAILS} keys"))
        return {}
    kept: dict[str, DetailValue] = {}
    for name, one in value.items():
        is_fit = isinstance(one, bool | int) and abs(one) <= _MAX_INTEGER
        if not _is_text(name, MAX_DETAIL_CHARACTERS) or not (is_fit or _is_text(one, MAX_DETAIL_CHARACTERS)):
            limit = MAX_DETAIL_CHARACTERS
            what = f"it is a string of at most {limit} characters, a whole number, true or false"
            faults.append(Fault(f"{at}/{_escaped(name)}", what))
        else:
            kept[name] = one
    return MappingProxyType(kept)


def _is_text(value: Any, maximum: int) -> bool:
    """Tell a text that can be stored and shown: of bounded length, without NUL and lone surrogates."""
    if not isinstance(value, str) or len(value) > maximum or "\0" in value:
        return False
    return not any("\ud800" <= character <= "\udfff" for character in value)


def _escaped(name: str) -> str:
    """Write a name as a part of a pointer (RFC 6901, section 3), cut short and fit to be printed."""
    shown = name[:MAX_IDENTIFIER_CHARACTERS].encode("ascii", "backslashreplace").decode()
    return shown.replace("~", "~0").replace("/", "~1")


def _malformed(pointer: str, detail: str) -> MalformedSightings:
    return MalformedSightings((Fault(pointer, detail),))


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")

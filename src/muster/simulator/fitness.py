"""Whether a command, a question or a setting is for a device, and whether a request is whole: by the catalogue.

Source: Apple's device management schema, as `muster.protocol.catalogue` has it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from functools import cache

from muster.protocol.catalogue.facts import KeyFacts, Mode, Support, SupportByFamily, ValueKind
from muster.protocol.os_family import OsFamily
from muster.protocol.plist import PlistValue


class Obstacle(Enum):
    """Why something is not for a device, in the order in which a device finds it."""

    UNKNOWN = auto()
    """Not on this system, not on this version, or not on this channel."""
    USER_ENROLLMENT = auto()
    NOT_SUPERVISED = auto()
    NO_RIGHT = auto()


@dataclass(frozen=True, slots=True)
class Addressee:
    """A channel of a device, and what counts about it. access_rights: None in a user enrollment, where none count.
    is_shared_ipad: None of an iPad to which nobody has logged in so far: it may be shared."""

    family: OsFamily
    os_version: str
    is_supervised: bool
    is_user_enrollment: bool
    is_shared_ipad: bool | None
    is_user_channel: bool
    access_rights: int | None


def obstacle(by_family: SupportByFamily, addressee: Addressee) -> Obstacle | None:
    """The first obstacle of something with this support; None when there is none. A family that isn't listed is no
    obstacle: what holds it has decided. Whether Automated Device Enrollment is asked for is not looked at."""
    if addressee.family not in by_family:
        return None
    support = by_family[addressee.family]
    if support is None or not _has_version(support, addressee.os_version) or not _is_for_channel(support, addressee):
        return Obstacle.UNKNOWN
    if addressee.is_user_enrollment and support.user_enrollment in (Mode.FORBIDDEN, Mode.IGNORED):
        return Obstacle.USER_ENROLLMENT
    if support.needs_supervision and not addressee.is_supervised:
        return Obstacle.NOT_SUPERVISED
    if addressee.access_rights is not None and support.access_right & ~addressee.access_rights:
        return Obstacle.NO_RIGHT
    return None


def heeded(keys: Sequence[KeyFacts], given: Mapping[str, PlistValue], addressee: Addressee) -> dict[str, PlistValue]:
    """*given* without what *addressee* passes over: keys that are for others, in dictionaries within as well. What
    nobody knows stays."""
    named = {key.name: key for key in keys}
    return {
        name: _heeded_value(named.get(name), value, addressee)
        for name, value in given.items()
        if name not in named or obstacle(named[name].support, addressee) is None
    }


def _heeded_value(key: KeyFacts | None, value: PlistValue, addressee: Addressee) -> PlistValue:
    if key is None:
        return value
    if isinstance(value, dict):
        return heeded(key.members, value, addressee)
    if isinstance(value, list) and len(key.members) == 1:
        return [_heeded_value(key.members[0], item, addressee) for item in value]
    return value


def fault_in(keys: Sequence[KeyFacts], given: Mapping[str, PlistValue], addressee: Addressee) -> str | None:
    """The name of the first of *keys* that is missing in *given* or has another type, in dictionaries within as well;
    None when there is none. Values are not looked at, nor keys that nobody knows; what is for others isn't missed."""
    for key in keys:
        if key.stands_for_all:
            continue
        if key.name not in given:
            if key.is_required and obstacle(key.support, addressee) is None:
                return key.name
            continue
        fault = _fault_of(key, given[key.name], addressee)
        if fault is not None:
            return fault
    return None


def _fault_of(key: KeyFacts, value: PlistValue, addressee: Addressee) -> str | None:
    if not _is_of_kind(value, key.kind):
        return key.name
    if isinstance(value, dict):
        return fault_in(key.members, value, addressee)
    if isinstance(value, list) and len(key.members) == 1:  # of several kinds, whoever reads them tells them apart
        faults = (_fault_of(key.members[0], item, addressee) for item in value)
        return next((fault for fault in faults if fault is not None), None)
    return None


_TYPES: Mapping[ValueKind, tuple[type, ...]] = {
    ValueKind.STRING: (str,),
    ValueKind.BOOLEAN: (bool,),
    ValueKind.INTEGER: (int,),
    ValueKind.REAL: (int, float),
    ValueKind.DATE: (datetime,),
    ValueKind.DATA: (bytes,),
    ValueKind.ARRAY: (list,),
    ValueKind.DICTIONARY: (dict,),
}


def _is_of_kind(value: PlistValue, kind: ValueKind) -> bool:
    if kind is ValueKind.ANY:
        return True
    return isinstance(value, _TYPES[kind]) and (kind is ValueKind.BOOLEAN or not isinstance(value, bool))


def _has_version(support: Support, os_version: str) -> bool:
    runs = _version(os_version)
    introduced = support.introduced is None or runs >= _version(support.introduced)
    return introduced and (support.removed is None or runs < _version(support.removed))


@cache
def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".") if part.isdecimal())


def _is_for_channel(support: Support, addressee: Addressee) -> bool:
    if addressee.family is OsFamily.MACOS:
        said = support.on_user_channel if addressee.is_user_channel else support.on_device_channel
        return said is not False
    if addressee.is_shared_ipad is False:
        return support.shared_ipad is not Mode.REQUIRED
    said = support.on_shared_user if addressee.is_user_channel else support.on_shared_device
    return said is not False and (addressee.is_shared_ipad is None or support.shared_ipad is not Mode.FORBIDDEN)

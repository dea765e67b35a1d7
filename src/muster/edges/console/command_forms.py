"""The form of a command, made of Apple's facts of its keys; and what was typed into it, read as their values."""

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from muster.edges.console.forms import Form
from muster.protocol.catalogue.commands import find_command
from muster.protocol.catalogue.facts import CommandFacts, KeyFacts, ValueKind
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue, write_plist

MAXIMUM_COMMAND_BYTES: Final = 1024 * 1024
"""Of a form with a command: a profile with certificates, in base64 and with percent signs."""
MAXIMUM_DEPTH: Final = 20
"""Of what is typed as JSON; no command of Apple's nests half as deep."""
_PREFIX: Final = "key."
_NUMBER: Final = re.compile(r"-?[0-9]{1,18}")
_REAL: Final = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")
_XML: Final = ("<?xml", "<!DOCTYPE", "<plist")
_FIRST_QUERIES: Final = "DeviceName\nOSVersion\nBuildVersion\nModelName\nSerialNumber\nBatteryLevel"
_TETHER: Final = "RequestRequiresNetworkTether"
"""Every command has it, and hardly anybody means it."""


class Widget(StrEnum):
    """How a key is asked for."""

    LINE = "line"
    CHOICE = "choice"
    LINES = "lines"
    """One value a line."""
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Input:
    """One key of a command as its form asks for it. *value* is what was typed; *fault* what is wrong with that."""

    name: str
    label: str
    widget: Widget
    is_required: bool
    choices: tuple[str, ...]
    help: str
    value: str
    fault: str = ""


class _Unfit(Exception):
    """What was typed is no value of its key; the message says why."""


def inputs_of(facts: CommandFacts, form: Form | None = None, faults: Mapping[str, str] | None = None) -> list[Input]:
    """Return the inputs of a command's form, those that have to be given first; *form* is what was typed before."""
    keys = sorted((key for key in facts.request if not key.stands_for_all), key=_place)
    return [_input(facts, key, form, (faults or {}).get(key.name, "")) for key in keys]


def _place(key: KeyFacts) -> tuple[bool, bool]:
    return not key.is_required, key.name == _TETHER


def _input(facts: CommandFacts, key: KeyFacts, form: Form | None, fault: str) -> Input:
    name = _PREFIX + key.name
    typed = _first(facts, key) if form is None else form[name]
    return Input(name, key.name, _widget(key), key.is_required, _choices(key), _help(key), typed, fault)


def _first(facts: CommandFacts, key: KeyFacts) -> str:
    """Return what stands in the form before anybody typed."""
    return _FIRST_QUERIES if (facts.request_type, key.name) == ("DeviceInformation", "Queries") else ""


def _item(key: KeyFacts) -> KeyFacts | None:
    return key.members[0] if key.kind is ValueKind.ARRAY and key.members else None


def _widget(key: KeyFacts) -> Widget:
    item = _item(key)
    if item is not None and item.kind in _LINES:
        return Widget.LINES
    if key.kind in {ValueKind.ARRAY, ValueKind.DICTIONARY, ValueKind.ANY, ValueKind.DATA}:
        return Widget.TEXT
    return Widget.CHOICE if _choices(key) else Widget.LINE


def _choices(key: KeyFacts) -> tuple[str, ...]:
    if key.kind is ValueKind.BOOLEAN:
        return ("true", "false")
    if key.kind is ValueKind.STRING and key.members:
        return tuple(member.name for member in key.members)
    return tuple(str(one) for one in key.allowed) if key.kind is not ValueKind.ARRAY else ()


def _help(key: KeyFacts) -> str:
    said = []
    item = _item(key)
    if item is not None and item.kind in _LINES:
        said.append("one a line")
    elif key.kind is ValueKind.DATA:
        said.append("base64, or the text of a property list")
    elif key.kind in {ValueKind.ARRAY, ValueKind.DICTIONARY, ValueKind.ANY}:
        said.append("JSON")
        if key.members and key.kind is ValueKind.DICTIONARY:
            said.append(f"of {', '.join(member.name for member in key.members)}")
    elif key.kind in {ValueKind.INTEGER, ValueKind.REAL}:
        least, most = key.bounds
        said.append("a number" if least is None and most is None else f"{_open(least)} to {_open(most)}")
    if key.default is not None:
        said.append(f"{str(key.default).lower() if isinstance(key.default, bool) else key.default} unless given")
    return ", ".join(said)


def _open(bound: float | None) -> str:
    return "any" if bound is None else f"{bound:g}"


def read_request(request_type: str, form: Form) -> CommandRequest | dict[str, str]:
    """Make the request that was typed; else return what is wrong, by key. What is left empty is not sent.

    *request_type* is one of the catalogue's. Not checked: whether all is there that has to be, and the device.
    """
    facts = find_command(request_type)
    assert facts is not None, "the form is made of its facts"
    keys: dict[str, PlistValue] = {}
    faults: dict[str, str] = {}
    for key in facts.request:
        typed = form[_PREFIX + key.name]
        if not typed.strip():
            continue
        try:
            keys[key.name] = _value(key, typed)
            write_plist({key.name: keys[key.name]})
        except _Unfit as error:
            faults[key.name] = str(error)
        except (ValueError, OverflowError):
            faults[key.name] = "no property list holds it: a control character, or too large a number"
    return faults or CommandRequest(request_type, keys)


def _value(key: KeyFacts, typed: str) -> PlistValue:
    item = _item(key)
    if item is not None and item.kind in _LINES:
        return [_LINES[item.kind](line.strip()) for line in typed.splitlines() if line.strip()]
    if key.kind is ValueKind.STRING:
        return typed.replace("\r\n", "\n")
    read = _READERS.get(key.kind)
    return _json(typed) if read is None else read(typed.strip())


def _string(typed: str) -> PlistValue:
    return typed


def _integer(typed: str) -> PlistValue:
    if not _NUMBER.fullmatch(typed):
        raise _Unfit("it has to be a whole number")
    return int(typed)


def _real(typed: str) -> PlistValue:
    if not _REAL.fullmatch(typed):
        raise _Unfit("it has to be a number, such as 0.5")
    return float(typed)


def _boolean(typed: str) -> PlistValue:
    if typed not in ("true", "false"):
        raise _Unfit("it has to be true or false")
    return typed == "true"


def _data(typed: str) -> PlistValue:
    if typed.startswith(_XML):
        return typed.encode()
    try:
        return base64.b64decode("".join(typed.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Unfit("it is neither base64 nor the text of a property list") from error


def _json(typed: str) -> PlistValue:
    try:
        value: object = json.loads(typed)
    except (ValueError, RecursionError) as error:
        raise _Unfit('it is no JSON: words stand in "quotes"') from error
    return _of_json(value, MAXIMUM_DEPTH)


def _of_json(value: object, depth: int) -> PlistValue:
    if depth == 0:
        raise _Unfit(f"it nests deeper than {MAXIMUM_DEPTH}")
    if isinstance(value, dict):
        return {str(name): _of_json(one, depth - 1) for name, one in value.items()}
    if isinstance(value, list):
        return [_of_json(one, depth - 1) for one in value]
    if isinstance(value, str | int | float):
        return value
    raise _Unfit("property lists have no null")


_LINES: Final[Mapping[ValueKind, Callable[[str], PlistValue]]] = {
    ValueKind.STRING: _string,
    ValueKind.INTEGER: _integer,
    ValueKind.REAL: _real,
}
_READERS: Final[Mapping[ValueKind, Callable[[str], PlistValue]]] = {
    ValueKind.INTEGER: _integer,
    ValueKind.REAL: _real,
    ValueKind.BOOLEAN: _boolean,
    ValueKind.DATA: _data,
}


# --- which command ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Common:
    """A command that people often want, in their words."""

    request_type: str
    says: str


COMMON: Final = (
    Common("DeviceInformation", "Ask what it is: name, OS, capacity"),
    Common("SecurityInfo", "Ask for encryption, passcode, firewall, locks"),
    Common("ProfileList", "Ask which profiles it has"),
    Common("InstalledApplicationList", "Ask which apps it has"),
    Common("AvailableOSUpdates", "Ask which updates it would take"),
    Common("DeviceLock", "Lock it now, with a PIN and a message"),
    Common("RestartDevice", "Restart it"),
    Common("ShutDownDevice", "Shut it down"),
    Common("ClearPasscode", "Remove the passcode of an iPhone or iPad"),
    Common("EnableLostMode", "Lost mode: lock it and show whom to call"),
    Common("InstallProfile", "Install a configuration profile"),
    Common("RemoveProfile", "Remove a profile by its identifier"),
    Common("EraseDevice", "Erase it, for good"),
)


def common_types(is_allowed: Callable[[str], bool]) -> Iterator[Common]:
    """Offer the common commands that *is_allowed* lets somebody send."""
    return (one for one in COMMON if is_allowed(one.request_type))

"""What `muster commands send` is given, made into a request: a property list, and KEY=VALUE."""

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import typer

from muster.cli.errors import CommandFailed, ExitCode
from muster.protocol.catalogue.commands import find_command
from muster.protocol.catalogue.facts import KeyFacts, ValueKind
from muster.protocol.command import CommandRequest, read_command_file, read_command_uuid
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import CommandUUID
from muster.protocol.plist import PlistValue

_MAXIMUM_DIGITS = 18
"""Of a number that surely fits 64 bits; what is longer is no quantity."""
_REAL = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")


def read_request(
    request_type: str | None, assignments: list[str], plist: Path | None
) -> tuple[CommandRequest, CommandUUID | None]:
    """Build the request from a file (`-`: standard input), from KEY=VALUE, or from both; the latter win.

    Returns the file's CommandUUID too, where it has one. Raises CommandFailed and BadParameter, both of usage.
    """
    keys: dict[str, PlistValue] = {}
    command_uuid = None
    if plist is not None:
        content = sys.stdin.buffer.read() if str(plist) == "-" else _read(plist)
        try:
            read, command_uuid = read_command_file(content), read_command_uuid(content)
        except MalformedMessage as error:
            raise CommandFailed(f"{plist} is not a command: {error}", code=ExitCode.USAGE) from error
        if request_type is not None and request_type != read.request_type:
            raise typer.BadParameter(f"the file holds a {read.request_type}, not a {request_type}")
        request_type = read.request_type
        keys.update(read.keys)
    if request_type is None:
        raise typer.BadParameter("name the command, as in `muster commands send ID DeviceInformation`")
    if not (request_type.isascii() and request_type.isalnum()):
        raise typer.BadParameter(f"{request_type!r} is no RequestType: those are letters and digits")
    command = find_command(request_type)
    known = {} if command is None else {key.name: key for key in command.request}
    keys.update(_assigned(assignment, known) for assignment in assignments)
    return CommandRequest(request_type, keys), command_uuid


def _assigned(assignment: str, known: Mapping[str, KeyFacts]) -> tuple[str, PlistValue]:
    key, separator, text = assignment.partition("=")
    if not separator or not key.removesuffix("[]"):
        raise typer.BadParameter(f"{assignment!r} is not KEY=VALUE", param_hint="--set")
    if key.endswith("[]"):
        key = key.removesuffix("[]")
        items = known[key].members if key in known else ()
        kind = items[0].kind if items else None
        return key, [_value(part, kind) for part in text.split(",") if part]
    return key, _value(text, known[key].kind if key in known else None)


def _value(text: str, kind: ValueKind | None) -> PlistValue:
    """Take *text* for what it looks like, and for text where *kind* says so; the rules stand in the command's help."""
    if text.startswith("@"):
        return _read(Path(text[1:]))
    if text.startswith(('"', "[", "{")):
        return _json(text)
    if kind is ValueKind.STRING:
        return text
    if text in ("true", "false"):
        return text == "true"
    if kind is ValueKind.REAL and _REAL.fullmatch(text):
        return float(text)
    digits = text.removeprefix("-")
    is_number = digits.isascii() and digits.isdigit() and (digits == "0" or not digits.startswith("0"))
    return int(text) if is_number and len(digits) <= _MAXIMUM_DIGITS else text


def _json(text: str) -> PlistValue:
    try:
        value: PlistValue = json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not JSON: {error}", param_hint="--set") from error
    if _has_null(value):
        raise typer.BadParameter(f"{text!r} has a null, which property lists don't know", param_hint="--set")
    return value


def _has_null(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_null(one) for one in value.values())
    if isinstance(value, list):
        return any(_has_null(one) for one in value)
    return value is None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CommandFailed(f"{path} can't be read: {error.strerror}", code=ExitCode.USAGE) from error

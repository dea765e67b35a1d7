"""Commands: what a server tells a device to do.

Sources: Apple, "Commands and queries"; the keys CommandUUID and Command, and RequestType in the latter. Which keys a
command takes is not known here.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from muster.protocol.connect import MAX_COMMAND_UUID_CHARACTERS
from muster.protocol.errors import MalformedMessage
from muster.protocol.fields import optional_dictionary, optional_text, required_text
from muster.protocol.identifiers import CommandUUID
from muster.protocol.plist import PlistValue, read_plist, write_plist

_REQUEST_TYPE: Final = re.compile(r"[A-Za-z0-9]{1,64}")


@dataclass(frozen=True, slots=True)
class CommandRequest:
    """A command that has no CommandUUID yet. keys stand beside RequestType."""

    request_type: str
    keys: Mapping[str, PlistValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Command:
    """One command as a device receives it. keys stand beside RequestType."""

    command_uuid: CommandUUID
    request_type: str
    keys: Mapping[str, PlistValue] = field(default_factory=dict)


def encode_command(command: Command) -> bytes:
    """The body of the reply that gives *command* to a device."""
    request: dict[str, PlistValue] = {"RequestType": command.request_type}
    return write_plist({"Command": request | dict(command.keys), "CommandUUID": command.command_uuid})


def decode_command(body: bytes) -> Command:
    """The command in the body of a reply. Keys beside Command and CommandUUID are dropped.

    Raises MalformedMessage when *body* is no property list, when Command, CommandUUID or RequestType is absent or of
    another form, and when CommandUUID has more than 255 characters.
    """
    keys = read_plist(body)
    command_uuid = required_text(keys, "CommandUUID", MAX_COMMAND_UUID_CHARACTERS)
    request = _request(optional_dictionary(keys, "Command"))
    return Command(CommandUUID(command_uuid), request.request_type, request.keys)


def read_command_file(data: bytes) -> CommandRequest:
    """The command in a file that a person wrote: the whole body of a reply, or only the dictionary in it that holds
    RequestType. `read_command_uuid` tells whether the file names the command as well.

    Raises MalformedMessage when *data* is neither.
    """
    keys = read_plist(data)
    return _request(optional_dictionary(keys, "Command") if "Command" in keys else keys)


def read_command_uuid(data: bytes) -> CommandUUID | None:
    """The CommandUUID in a file that `read_command_file` reads; None when there is none, or it is empty.

    Raises MalformedMessage when *data* is no property list, and when CommandUUID is no text of at most 255 characters.
    """
    command_uuid = optional_text(read_plist(data), "CommandUUID", MAX_COMMAND_UUID_CHARACTERS)
    return CommandUUID(command_uuid) if command_uuid else None


def _request(keys: Mapping[str, PlistValue] | None) -> CommandRequest:
    if keys is None:
        raise MalformedMessage("Command is missing")
    request_type = required_text(keys, "RequestType")
    if _REQUEST_TYPE.fullmatch(request_type) is None:
        raise MalformedMessage("RequestType is not 1 to 64 letters and digits")
    return CommandRequest(request_type, {key: value for key, value in keys.items() if key != "RequestType"})

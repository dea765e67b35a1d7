"""Requests that are valid by the catalogue, made from it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from muster.protocol.catalogue.facts import CommandFacts, KeyFacts, ValueKind
from muster.protocol.command import CommandRequest
from muster.protocol.plist import PlistValue, write_plist

PROFILE = write_plist(
    {
        "PayloadType": "Configuration",
        "PayloadIdentifier": "org.example",
        "PayloadContent": [{"PayloadType": "com.apple.wifi.managed"}],
    }
)

SAMPLES: dict[ValueKind, PlistValue] = {
    ValueKind.STRING: "text",
    ValueKind.BOOLEAN: True,
    ValueKind.INTEGER: 1,
    ValueKind.REAL: 0.5,
    ValueKind.DATE: datetime(2026, 1, 1, tzinfo=UTC),
    ValueKind.DATA: b"data",
    ValueKind.ANY: "anything",
}


WAYS_TO_NAME = {
    "InstallApplication": ("Identifier", "iTunesStoreID", "ManifestURL"),
    "InstallEnterpriseApplication": ("ManifestURL", "Manifest"),
}
"""Keys of which a request has exactly one: here the first."""


def minimal_request(command: CommandFacts) -> CommandRequest:
    """The request with its required keys alone, and with one of those that name its app."""
    keys = _members(command.request_type, command.request, is_full=False)
    named: dict[str, PlistValue] = dict.fromkeys(WAYS_TO_NAME.get(command.request_type, ())[:1], "org.example")
    return CommandRequest(command.request_type, {**keys, **named})


def full_request(command: CommandFacts) -> CommandRequest:
    """The request with every key that the catalogue has, but for other ways to say the same."""
    return CommandRequest(command.request_type, _members(command.request_type, _at_once(command), is_full=True))


def _at_once(command: CommandFacts) -> tuple[KeyFacts, ...]:
    others = WAYS_TO_NAME.get(command.request_type, ())[1:]
    return tuple(key for key in command.request if key.name not in others)


def _members(owner: str, members: tuple[KeyFacts, ...], *, is_full: bool) -> dict[str, PlistValue]:
    return {
        member.name: value_of(owner, member, is_full=is_full) for member in members if is_full or member.is_required
    }


def value_of(owner: str, key: KeyFacts, *, is_full: bool) -> PlistValue:
    """A valid value of *key*, in a request of the type *owner*."""
    if owner == "InstallProfile" and key.name == "Payload":
        return PROFILE
    if key.name == "PIN":
        return "123456"
    if key.kind is ValueKind.ARRAY:
        kinds = key.members if is_full else key.members[:1]
        return [value_of(owner, kind, is_full=is_full) for kind in kinds]
    if key.kind is ValueKind.DICTIONARY:
        made = _members(owner, key.members, is_full=is_full)
        return made | {"Item": key.name} if key.name == "DefaultApplications" else made  # the schema forgot it
    if key.kind is ValueKind.STRING and key.members:
        return key.members[0].name
    return key.allowed[0] if key.allowed else SAMPLES[key.kind]


def paths(command: CommandFacts) -> Iterator[tuple[tuple[str | int, ...], KeyFacts]]:
    """Every key of `full_request`, by the keys and indexes that lead to it; those that stand for any name are left
    out."""
    yield from _paths((), _at_once(command))


def _paths(
    above: tuple[str | int, ...], members: tuple[KeyFacts, ...]
) -> Iterator[tuple[tuple[str | int, ...], KeyFacts]]:
    for member in members:
        if member.stands_for_all:
            continue
        here = (*above, member.name)
        yield here, member
        if member.kind is ValueKind.DICTIONARY:
            yield from _paths(here, member.members)
        if member.kind is ValueKind.ARRAY:
            for index, kind in enumerate(member.members):
                if kind.kind is ValueKind.DICTIONARY:
                    yield from _paths((*here, index), kind.members)


def shown(path: tuple[str | int, ...]) -> str:
    """A path as findings write it."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.removeprefix(".")

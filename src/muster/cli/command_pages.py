"""A command of the catalogue as a page for a terminal."""

from collections.abc import Iterator
from textwrap import wrap
from typing import Final

from muster.domain.command_fitness import RIGHTS
from muster.protocol.catalogue.facts import CommandFacts, KeyFacts, Mode, Support, SupportByFamily, ValueKind
from muster.protocol.os_family import OsFamily

_NAME_COLUMNS: Final = 34
_TYPE_COLUMNS: Final = 34
_PAGE_COLUMNS: Final = 100
"""Beyond which lists of values go on in the next line."""


def command_page(command: CommandFacts) -> str:
    """Describe a command in lines for people, in words rather than in marks."""
    families = [family for family in OsFamily if command.support.get(family) is not None]
    lines = [command.request_type, ""]
    for family in families:
        support = command.support[family]
        lines.append(f"  {family.value:<10}{since(support):<20}{needs(support, family)}".rstrip())
    others = [family.value for family in OsFamily if family not in families]
    if others:
        lines.append(f"  not for {', '.join(others)}")
    for title, keys in (("Request", command.request), ("Answer", command.response)):
        lines += ["", f"{title}:"]
        lines += [line for key in keys for line in _key_lines(key, 1, command.support)] or ["  the status alone"]
    return "\n".join(lines)


def since(support: Support | None) -> str:
    """Say from which version on something is there, and until which; empty where it isn't."""
    if support is None:
        return ""
    ends = f"until {support.removed}" if support.removed else ""
    return " ".join(word for word in (support.introduced, ends) if word)


def needs(support: Support | None, family: OsFamily) -> str:
    """Say in words what must be so of a device for it."""
    return "; ".join(_needs(support, family))


def _needs(support: Support | None, family: OsFamily) -> list[str]:
    if support is None:
        return []
    words = [
        "supervised" if support.needs_supervision else "",
        "Automated Device Enrollment" if support.needs_automated_enrollment else "",
        f"right to {RIGHTS.get(support.access_right, '')} ({support.access_right})" if support.access_right else "",
        _channels(support, family),
        _mode(support.user_enrollment, "User Enrollment"),
        _mode(support.shared_ipad, "Shared iPad"),
        f"deprecated in {support.deprecated}" if support.deprecated else "",
    ]
    return [word for word in words if word]


def _channels(support: Support, family: OsFamily) -> str:
    pairs = {
        OsFamily.MACOS: (support.on_device_channel, support.on_user_channel),
        OsFamily.IOS: (support.on_shared_device, support.on_shared_user),
    }
    on_device, on_user = pairs.get(family, (None, None))
    where = {
        (True, True): "device's and users' channels",
        (True, False): "device's channel",
        (False, True): "users' channels",
    }.get((on_device is not False, on_user is not False), "")
    return "" if on_device is None and on_user is None else where


def _mode(mode: Mode | None, what: str) -> str:
    return {
        Mode.REQUIRED: f"{what} only",
        Mode.FORBIDDEN: f"not in {what}" if what == "User Enrollment" else f"not on {what}",
        Mode.IGNORED: f"ignored on {what}",
    }.get(mode or Mode.ALLOWED, "")


def _key_lines(key: KeyFacts, depth: int, command: SupportByFamily, *, is_word: bool = False) -> Iterator[str]:
    indent = "  " * depth
    name = "(any name)" if key.stands_for_all else key.name
    head = f"{indent}{name}".ljust(_NAME_COLUMNS) + ("" if is_word else f" {_type(key)}")
    where = _where(key, command)
    yield (f"{head:<{_NAME_COLUMNS + _TYPE_COLUMNS}}  {where}" if where else head).rstrip()
    yield from _value_lines(key, indent)
    members, is_word = key.members, key.kind is ValueKind.STRING
    if key.kind is ValueKind.ARRAY and len(members) == 1:
        (item,) = members
        yield from _value_lines(item, indent)
        members, is_word = item.members, item.kind is ValueKind.STRING
    for member in members:
        yield from _key_lines(member, depth + 1, command, is_word=is_word)


def _type(key: KeyFacts) -> str:
    kind = key.kind.value
    if key.kind is ValueKind.ARRAY and key.members:
        item = key.members[0]
        has_choice = len(key.members) > 1 or (item.kind is ValueKind.STRING and item.members)
        kind = f"array of {item.kind.value}" + (", each one of these" if has_choice else "")
    words = [kind, "required" if key.is_required else ""]
    if key.default is not None:
        words.append(f"default {str(key.default).lower() if isinstance(key.default, bool) else key.default}")
    if key.bounds != (None, None):
        words.append(f"{key.bounds[0]} to {key.bounds[1]}")
    return ", ".join(word for word in words if word)


def _value_lines(key: KeyFacts, indent: str) -> Iterator[str]:
    """Write the values that a key can have below it."""
    if key.allowed:
        what = "one of: " if len(key.allowed) > 1 else "always: "
        margin = f"{indent}    "
        values = what + " | ".join(str(value) for value in key.allowed)
        yield from wrap(values, _PAGE_COLUMNS, initial_indent=margin, subsequent_indent=margin)


def _where(key: KeyFacts, command: SupportByFamily) -> str:
    """Name the systems that know a key, where not all that know the command do, and what it needs beyond that one."""
    known = [(family, key.support.get(family, _AS_ABOVE)) for family, above in command.items() if above is not None]
    here = [(family, said) for family, said in known if said is not None]
    if not here:
        return "no system now"
    beyond = {
        family: [word for word in _needs(said, family) if word not in _needs(command[family], family)]
        for family, said in here
    }
    alike = [word for word in beyond[here[0][0]] if all(word in words for words in beyond.values())]
    systems = []
    for family, said in here:
        own = "; ".join(word for word in beyond[family] if word not in alike)
        systems.append(f"{family.value} {since(said)}".rstrip() + (f" ({own})" if own else ""))
    if len(here) == len(known) and systems == [family.value for family, _ in here]:
        systems = []
    return "; ".join([*([", ".join(systems)] if systems else []), *alike])


_AS_ABOVE: Final = Support()

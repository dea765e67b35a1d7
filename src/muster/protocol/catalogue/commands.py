"""The catalogue of commands: by name, all of them, and the nearest to a misspelt name.

`table.py` holds it as text, which is read when it is first asked for. Each line is a JSON object, indented by what it
belongs to: a command (`c` its name, `os` its support), below it its keys (`k` name, `t` type, `p` required, `e` allowed
values, `r` bounds, `d` default, `f` pattern, `n` repetition, `os` support), those of the answer marked `a`. Support is
by family: null where it is not for it, else `in` introduced, `dep` deprecated, `rem` removed, `sup` supervised, `ade`
Automated Device Enrollment, `ar` access right, `dc` and `uc` channels, `sp`, `spdc` and `spuc` Shared iPad, `ue` User
Enrollment.
"""

import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from types import MappingProxyType
from typing import Any, Final

from muster.protocol.catalogue.facts import CommandFacts, KeyFacts, Mode, Support, SupportByFamily, ValueKind
from muster.protocol.catalogue.table import TABLE
from muster.protocol.os_family import OsFamily

SCHEMA_VERSION: Final = "27.0"
"""The newest systems that the schema behind the table knows. From them on, commands and keys may be missing here."""

COMMON_KEYS: Final = (KeyFacts("RequestRequiresNetworkTether", ValueKind.BOOLEAN, default=False),)
"""What every request may have (each command's page has it; the schema leaves it out)."""

_SUGGESTIONS: Final = 3
_COMMAND: Final = '{"c":"'
"""How the line of a command begins."""


def find_command(request_type: str) -> CommandFacts | None:
    """What is known of the command of that RequestType, spelt exactly so; None when nothing is."""
    return _read(request_type) if request_type in _sections() else None


def command_names() -> tuple[str, ...]:
    """The RequestType of every command, by name."""
    return tuple(_sections())


def all_commands() -> tuple[CommandFacts, ...]:
    """Every command, by name."""
    return tuple(_read(name) for name in _sections())


def similar_commands(request_type: str) -> tuple[str, ...]:
    """Up to three names that may have been meant, the nearest first. Case doesn't count."""
    return similar_names(request_type, _sections())


def similar_names(name: str, names: Iterable[str]) -> tuple[str, ...]:
    """Up to three of *names* that may have been meant by *name*, the nearest first. Case doesn't count."""
    by_folded = {one.casefold(): one for one in names}
    near = get_close_matches(name.casefold(), by_folded, n=_SUGGESTIONS, cutoff=0.7)
    return tuple(by_folded[one] for one in near)


@cache
def _sections() -> Mapping[str, str]:
    return sections_of(TABLE)


def sections_of(table: str) -> Mapping[str, str]:
    """The lines of each command of a table, by its name."""
    sections = {}
    for section in table.removeprefix(_COMMAND).split(f"\n{_COMMAND}"):
        name, _, rest = section.partition('"')
        sections[name] = f'{_COMMAND}{name}"{rest}'.removesuffix("\n")
    return MappingProxyType(sections)


@cache
def _read(name: str) -> CommandFacts:
    """One command of the table. Few are ever asked for, so that each is read by itself."""
    return read_section(name, _sections()[name])


def read_section(name: str, section: str) -> CommandFacts:
    """Read the lines of one command, which the table of payloads has, too."""
    lines = section.split("\n")
    rows = json.loads(f"[{','.join(lines)}]")
    depths = [len(line) - len(line.lstrip(" ")) for line in lines]
    keys = _keys(rows, depths, 1, len(rows))
    return CommandFacts(
        name,
        _support(rows[0]["os"]),
        (*(key for key, is_answer in keys if not is_answer), *COMMON_KEYS),
        tuple(key for key, is_answer in keys if is_answer),
    )


def _end_of(depths: list[int], start: int) -> int:
    """Return the first row after *start* that doesn't belong to it."""
    end = start + 1
    while end < len(depths) and depths[end] > depths[start]:
        end += 1
    return end


def _keys(rows: list[dict[str, Any]], depths: list[int], start: int, end: int) -> list[tuple[KeyFacts, bool]]:
    """Return the keys from *start* up to *end*, with whether each is one of the answer."""
    keys = []
    while start < end:
        after = _end_of(depths, start)
        members = tuple(member for member, _ in _keys(rows, depths, start + 1, after))
        keys.append((_key(rows[start], members), "a" in rows[start]))
        start = after
    return keys


def _key(row: dict[str, Any], members: tuple[KeyFacts, ...]) -> KeyFacts:
    return KeyFacts(
        name=row["k"],
        kind=ValueKind(row["t"]),
        is_required="p" in row,
        allowed=tuple(row.get("e", ())),
        bounds=tuple(row.get("r", (None, None))),
        default=row.get("d"),
        pattern=row.get("f"),
        repetition=tuple(row.get("n", (None, None))),
        support=_support(row["os"]) if "os" in row else _INHERITED,
        members=members,
    )


_INHERITED: Final[SupportByFamily] = MappingProxyType({})


def _support(by_family: Mapping[str, dict[str, Any] | None]) -> SupportByFamily:
    return MappingProxyType(
        {OsFamily(family): None if said is None else _said(tuple(said.items())) for family, said in by_family.items()}
    )


@cache
def _said(words: tuple[tuple[str, Any], ...]) -> Support:
    """Read what is said of one family; the same words are one object, for they are said hundreds of times."""
    said = dict(words)

    def flag(name: str) -> bool | None:
        return bool(said[name]) if name in said else None

    return Support(
        introduced=said.get("in"),
        deprecated=said.get("dep"),
        removed=said.get("rem"),
        needs_supervision="sup" in said,
        needs_automated_enrollment="ade" in said,
        access_right=said.get("ar", 0),
        on_device_channel=flag("dc"),
        on_user_channel=flag("uc"),
        shared_ipad=Mode(said["sp"]) if "sp" in said else None,
        on_shared_device=flag("spdc"),
        on_shared_user=flag("spuc"),
        user_enrollment=Mode(said["ue"]) if "ue" in said else None,
    )

"""What a query means: whether it holds for a device of which so much is known.

What isn't known matches nothing, and neither does its opposite: a device is found only where that is known which was
asked. `is unknown` asks for the others. So a command that goes to a query's devices goes to none on a guess, and a
condition and its opposite never find the same device.

Letters are compared without regard to case, from a to z; other letters are compared as they are, and so are the
identifiers in lists.
"""

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from string import ascii_lowercase, ascii_uppercase
from typing import Any, Final, TypeAlias, assert_never

from muster.domain.os_versions import sortable
from muster.domain.queries.fields import FieldKind
from muster.domain.queries.syntax import (
    AllOf,
    AnyOf,
    Compare,
    Comparison,
    InGroup,
    IsKnown,
    IsMember,
    Moment,
    Not,
    OneOf,
    Query,
    Value,
    VersionTest,
)


@dataclass(frozen=True, slots=True)
class Item:
    """One item of a list. *version*: absent where the device told none."""

    identifier: str
    version: str | None = None


Fact: TypeAlias = str | float | bool | datetime | tuple[Item, ...]
Facts: TypeAlias = Mapping[str, Fact]
"""What is known of a device, by the fields' names; what isn't known is absent. That of a group is the ids of
those it was put into, as items."""

GROUPS: Final = "group"
"""The fact that has the ids of the groups a device was put into; absent where it is in none."""

_FOLD: Final = str.maketrans(ascii_uppercase, ascii_lowercase)
_ORDER: Final[Mapping[Comparison, Callable[[Any, Any], bool]]] = {
    Comparison.EQUAL: operator.eq,
    Comparison.LESS: operator.lt,
    Comparison.AT_MOST: operator.le,
    Comparison.GREATER: operator.gt,
    Comparison.AT_LEAST: operator.ge,
}


def folded(text: str) -> str:
    """Return *text* as it is compared: its letters from A to Z in lower case."""
    return text.translate(_FOLD)


def matches(query: Query, facts: Facts, now: datetime) -> bool:
    """Tell whether *query* finds a device of which *facts* are known. It names no group any more (`groups.resolve`)."""
    return _holds(query, facts, now) is True


def version_beginnings(version: str) -> tuple[str, str]:
    """Return by what versions are told that begin with *version*: they sort as the first says, or begin with the
    second. 26 begins 26.1 and isn't the beginning of 260."""
    return sortable(version) or "", ".".join(f"{int(part):09}" for part in version.split(".")) + "."


def version_fits(test: VersionTest, version: str) -> bool:
    """Tell whether the version of an item is as *test* has it; what is no version never is."""
    return _compare_versions(test.comparison, test.version, version) is True


def _holds(query: Query, facts: Facts, now: datetime) -> bool | None:
    """Tell whether *query* holds; None where that isn't known."""
    match query:
        case AllOf(parts):
            found = {_holds(part, facts, now) for part in parts}
            return False if False in found else None if None in found else True
        case AnyOf(parts):
            found = {_holds(part, facts, now) for part in parts}
            return True if True in found else None if None in found else False
        case Not(part):
            holds = _holds(part, facts, now)
            return None if holds is None else not holds
        case IsKnown(field):
            fact = facts.get(field.name)
            return fact is not None and (field.kind is not FieldKind.VERSION or sortable(str(fact)) is not None)
        case IsMember(group_id):
            groups = facts.get(GROUPS, ())
            return isinstance(groups, tuple) and any(item.identifier == group_id for item in groups)
        case OneOf(field, values):
            parts = tuple(Compare(field, Comparison.EQUAL, value) for value in values)
            return _holds(AnyOf(parts), facts, now)
        case Compare(field, comparison, value, version):
            fact = facts.get(field.name)
            return None if fact is None else _compare(field.kind, comparison, value, version, fact, now)
        case InGroup(name):
            raise ValueError(f"the group {name!r} was not resolved")
        case _:
            assert_never(query)


def _compare(
    kind: FieldKind, comparison: Comparison, value: Value, version: VersionTest | None, fact: Fact, now: datetime
) -> bool | None:
    if isinstance(fact, tuple):
        return any(_item_fits(item, comparison, str(value), version) for item in fact)
    if kind is FieldKind.VERSION:
        return _compare_versions(comparison, str(value), str(fact))
    if isinstance(value, Moment):
        return _ORDER[comparison](fact, value.seen_from(now))
    if isinstance(value, str) and isinstance(fact, str):
        return _compare_text(comparison, value, fact)
    return _ORDER[comparison](fact, value)


def _item_fits(item: Item, comparison: Comparison, value: str, test: VersionTest | None) -> bool:
    """Tell whether an item fits; identifiers are compared as they are."""
    if not _compare_exactly(comparison, value, item.identifier):
        return False
    return test is None or (item.version is not None and version_fits(test, item.version))


def _compare_text(comparison: Comparison, value: str, fact: str) -> bool:
    return _compare_exactly(comparison, folded(value), folded(fact))


def _compare_exactly(comparison: Comparison, asked: str, known: str) -> bool:
    if comparison is Comparison.CONTAINS:
        return asked in known
    return known.startswith(asked) if comparison is Comparison.STARTS_WITH else asked == known


def _compare_versions(comparison: Comparison, value: str, fact: str) -> bool | None:
    known = sortable(fact)
    if known is None:
        return None
    if comparison is Comparison.STARTS_WITH:
        same, beginning = version_beginnings(value)
        return known == same or known.startswith(beginning)
    return _ORDER[comparison](known, sortable(value))

"""Groups that queries name, put in their places."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.queries.errors import QueryError
from muster.domain.queries.evaluation import folded
from muster.domain.queries.parser import parse_query
from muster.domain.queries.syntax import (
    AllOf,
    AnyOf,
    Compare,
    InGroup,
    IsKnown,
    IsMember,
    Not,
    OneOf,
    Query,
    conditions_of,
)
from muster.protocol.catalogue.commands import similar_names

MAXIMUM_NAME: Final = 64
"""Characters of a group's name: it stands in queries and tables."""
MAXIMUM_NESTING: Final = 10
"""Groups that name groups: nobody understands more."""
MAXIMUM_RESOLVED: Final = 500
"""Conditions of a query once the groups that it names are put in: each may be looked up for every device, and SQLite
takes no more than 1,000 in a row."""
MAXIMUM_RESOLVED_VALUES: Final = 10_000
"""Values in it: SQLite takes 32,766 in a statement."""
MAXIMUM_RESOLVED_DEPTH: Final = 40
"""Of what is nested in it: SQLite's parser takes about a hundred parentheses."""


@dataclass(frozen=True, slots=True)
class GroupDefinition:
    """A group: by *query*, or, where that is absent, of devices that were put in."""

    id: str
    name: str
    query: str | None


def name_key(name: str) -> str:
    """Return by what names of groups are told apart: case doesn't count."""
    return folded(name)


def unfit_name(name: str) -> Refusal | None:
    """Tell why a group can't be called *name*; None when it can."""
    if not name or len(name) > MAXIMUM_NAME or not name.isprintable() or name != name.strip():
        message = f"a group's name has 1 to {MAXIMUM_NAME} characters, all of them printable, no spaces around them"
        return Refusal(RefusalCode.QUERY_UNFIT, message)
    return None


def resolve(query: Query, groups: Mapping[str, GroupDefinition], within: tuple[str, ...] = ()) -> Query:
    """Put what groups mean in the place of their names. *groups* are by `name_key`; *within* are the groups that
    *query* is a part of.

    Raises QueryError for a group that isn't known, one that would be in itself, and what is too much together.
    """
    return _Resolver(groups).resolve(query, tuple(map(name_key, within)), 0)


class _Resolver:
    """Resolves one query, and counts what it becomes."""

    def __init__(self, groups: Mapping[str, GroupDefinition]) -> None:
        self._groups = groups
        self._parsed: dict[str, Query] = {}
        self._conditions = 0
        self._values = 0

    def resolve(self, query: Query, within: tuple[str, ...], depth: int) -> Query:
        if depth > MAXIMUM_RESOLVED_DEPTH:
            raise QueryError(f"with the groups that it names it is nested more than {MAXIMUM_RESOLVED_DEPTH} deep", 1)
        match query:
            case InGroup(name, column):
                return self._meaning(name, column, within, depth)
            case Not(part):
                return Not(self.resolve(part, within, depth + 1))
            case AllOf(parts):
                return AllOf(tuple(self.resolve(part, within, depth + 1) for part in parts))
            case AnyOf(parts):
                return AnyOf(tuple(self.resolve(part, within, depth + 1) for part in parts))
            case Compare() | OneOf() | IsKnown() | IsMember():
                self._count(query)
                return query
            case _:
                assert_never(query)

    def _count(self, condition: Compare | OneOf | IsKnown | IsMember) -> None:
        self._conditions += 1
        self._values += len(condition.values) if isinstance(condition, OneOf) else 1
        if self._conditions > MAXIMUM_RESOLVED or self._values > MAXIMUM_RESOLVED_VALUES:
            message = f"with the groups that it names it has more than {MAXIMUM_RESOLVED} conditions, or "
            raise QueryError(f"{message}{MAXIMUM_RESOLVED_VALUES:,} values; name fewer groups", 1)

    def _meaning(self, name: str, column: int, within: tuple[str, ...], depth: int) -> Query:
        key = name_key(name)
        if key in within:
            raise QueryError(
                f"the group {name!r} would be in itself ({' > '.join([*within, key])}); name another", column
            )
        if len(within) >= MAXIMUM_NESTING:
            raise QueryError(f"groups name groups {MAXIMUM_NESTING} deep at most", column)
        group = self._groups.get(key)
        if group is None:
            near = similar_names(name, [one.name for one in self._groups.values()])
            hint = f"did you mean {' or '.join(map(repr, near))}?" if near else "see `muster groups list`"
            raise QueryError(f"there is no group {name!r}; {hint}", column)
        if group.query is None:
            member = IsMember(group.id)
            self._count(member)
            return member
        try:
            if key not in self._parsed:
                self._parsed[key] = parse_query(group.query)
            return self.resolve(self._parsed[key], (*within, key), depth + 1)
        except QueryError as error:
            raise QueryError(error.message, column) from error


def names_of(query: Query) -> frozenset[str]:
    """Return the groups that *query* names itself, by `name_key`."""
    return frozenset(name_key(one.name) for one in conditions_of(query) if isinstance(one, InGroup))

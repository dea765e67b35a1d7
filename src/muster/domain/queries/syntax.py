"""What a query is once it is read: conditions on fields, and what joins them."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from typing import TypeAlias, assert_never

from muster.domain.queries.fields import Field


class Comparison(StrEnum):
    """How a field is held against a value. `!=` is the opposite of `=`, so that it needs no place here."""

    EQUAL = "="
    LESS = "<"
    AT_MOST = "<="
    GREATER = ">"
    AT_LEAST = ">="
    CONTAINS = "contains"
    STARTS_WITH = "starts with"


@dataclass(frozen=True, slots=True)
class Moment:
    """An instant: *at*, or *offset* from the present; or where a day began, in UTC.

    *is_midnight*: the midnight before that instant; *weekday*: that of the last such day (0: Monday), today included.
    """

    at: datetime | None = None
    offset: timedelta = timedelta(0)
    is_midnight: bool = False
    weekday: int | None = None

    def seen_from(self, now: datetime) -> datetime:
        """Return the instant as it is at *now*."""
        if self.at is not None:
            return self.at
        at = (now + self.offset).astimezone(UTC)
        if self.weekday is not None:
            at -= timedelta(days=(at.weekday() - self.weekday) % 7)
        return datetime.combine(at.date(), time(), UTC) if self.is_midnight else at


Value: TypeAlias = str | float | bool | Moment
"""Of the field's type: text, words and versions are strings. A word is one of the field's, as that is stored."""


@dataclass(frozen=True, slots=True)
class Compare:
    """*field* against *value*. Of a list: whether one of its items fits, and, where *version* is there, that one's
    version, too."""

    field: Field
    comparison: Comparison
    value: Value
    version: "VersionTest | None" = None


@dataclass(frozen=True, slots=True)
class VersionTest:
    """What the version of a list's item must be."""

    comparison: Comparison
    version: str


@dataclass(frozen=True, slots=True)
class OneOf:
    """*field* equals one of *values*; one of a list's items does."""

    field: Field
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class IsKnown:
    """*field* is known, whatever it is."""

    field: Field


@dataclass(frozen=True, slots=True)
class InGroup:
    """The device is in the group of that name; case doesn't count. *column* is where the name stands, for messages."""

    name: str
    column: int


@dataclass(frozen=True, slots=True)
class IsMember:
    """The device was put into the group of that id, by name."""

    group_id: str


@dataclass(frozen=True, slots=True)
class Not:
    """The opposite; of what isn't known, that isn't known either."""

    part: "Query"


@dataclass(frozen=True, slots=True)
class AllOf:
    """All of *parts*, of which there are two at least."""

    parts: tuple["Query", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of *parts*, of which there are two at least."""

    parts: tuple["Query", ...]


Query: TypeAlias = Compare | OneOf | IsKnown | InGroup | IsMember | Not | AllOf | AnyOf


def conditions_of(query: Query) -> Iterator[Compare | OneOf | IsKnown | InGroup | IsMember]:
    """Return every condition of *query*, from left to right."""
    match query:
        case AllOf(parts) | AnyOf(parts):
            for part in parts:
                yield from conditions_of(part)
        case Not(part):
            yield from conditions_of(part)
        case Compare() | OneOf() | IsKnown() | InGroup() | IsMember():
            yield query
        case _:
            assert_never(query)

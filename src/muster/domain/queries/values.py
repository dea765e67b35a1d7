"""Values of queries, each read as its field's type has them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from muster.domain.os_versions import version_key
from muster.domain.queries.errors import QueryError
from muster.domain.queries.fields import Field, FieldKind
from muster.domain.queries.syntax import Comparison, Moment, Value
from muster.domain.queries.tokens import Token, TokenKind
from muster.protocol.catalogue.commands import similar_names

MAXIMUM_NUMBER: Final = 10**15
"""Beyond any number that a device tells, and exact as a fraction, too."""
MAXIMUM_OFFSET: Final = timedelta(days=36_525)
"""A century: calendars go no further than year 9999."""
_EARLIEST_YEAR: Final = 1970
_LATEST_YEAR: Final = 9000  # so that no offset leads beyond the calendar

UNITS: Final = {
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "week": timedelta(weeks=1),
}
DAYS: Final = {
    "today": Moment(is_midnight=True),
    "yesterday": Moment(offset=-timedelta(days=1), is_midnight=True),
    **{
        name: Moment(is_midnight=True, weekday=number)
        for number, name in enumerate(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"))
    },
}
"""When a day began, by the words that mean one."""
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?")

_ORDERED: Final = (Comparison.LESS, Comparison.AT_MOST, Comparison.GREATER, Comparison.AT_LEAST)
COMPARISONS: Final[dict[FieldKind, tuple[Comparison, ...]]] = {
    FieldKind.TEXT: (Comparison.EQUAL, Comparison.CONTAINS, Comparison.STARTS_WITH),
    FieldKind.WORD: (Comparison.EQUAL,),
    FieldKind.VERSION: (Comparison.EQUAL, *_ORDERED, Comparison.STARTS_WITH),
    FieldKind.NUMBER: (Comparison.EQUAL, *_ORDERED),
    FieldKind.FLAG: (Comparison.EQUAL,),
    FieldKind.INSTANT: _ORDERED,
    FieldKind.LIST: (Comparison.EQUAL, Comparison.CONTAINS, Comparison.STARTS_WITH),
    FieldKind.GROUP: (Comparison.EQUAL,),
}
"""What can be asked of fields of each type; `!=` and `in` besides, wherever `=` can be."""


def read_value(field: Field, token: Token) -> Value:
    """Read a value that is one token. Raises QueryError where it is none of the field's type."""
    match field.kind:
        case FieldKind.TEXT | FieldKind.LIST | FieldKind.GROUP:
            if token.kind is TokenKind.TEXT and token.text:
                return token.text
            raise _expected(field, "text in quotes, with something in them", token)
        case FieldKind.WORD:
            return _word(field, token)
        case FieldKind.VERSION:
            return read_version(field.name, token)
        case FieldKind.NUMBER:
            return _number(field, token)
        case FieldKind.FLAG:
            if token.word in ("true", "false"):
                return token.word == "true"
            raise _expected(field, "true or false", token)
        case FieldKind.INSTANT:
            return _instant(field, token)


def read_version(name: str, token: Token) -> str:
    """Read a version, which may stand without quotes."""
    if token.kind in (TokenKind.TEXT, TokenKind.NUMBER) and version_key(token.text) is not None:
        return token.text
    raise QueryError(f"{name} is a version, such as '26.1', and {_shown(token)} is none", token.column)


def offset_of(amount: Token, unit: Token) -> timedelta:
    """Read a span of time: a whole number and a unit."""
    length = UNITS.get(unit.word.removesuffix("s"))
    if length is None:
        raise QueryError(
            f"{_shown(unit)} is no unit of time; there are {', '.join(f'{one}s' for one in UNITS)}", unit.column
        )
    if not amount.text.isdigit() or len(amount.text) > len(str(MAXIMUM_NUMBER)):
        raise QueryError(f"{amount.text} is no whole number of {unit.text}", amount.column)
    count = int(amount.text)
    if count > MAXIMUM_OFFSET // length:
        raise QueryError(f"{amount.text} {unit.text} is longer than a century", amount.column)
    return count * length


def _word(field: Field, token: Token) -> str:
    by_folded = {word.lower(): word for word in field.words}
    if token.kind in (TokenKind.TEXT, TokenKind.WORD) and token.text.lower() in by_folded:
        return by_folded[token.text.lower()]
    words = ", ".join(f"'{word}'" for word in field.words)
    near = similar_names(token.text, field.words) if token.text else ()
    hint = f"; did you mean {' or '.join(repr(str(one)) for one in near)}?" if near else ""
    raise QueryError(f"{field.name} is one of {words}, and never {_shown(token)}{hint}", token.column)


def _number(field: Field, token: Token) -> float:
    try:
        number = float(token.text) if token.kind is TokenKind.NUMBER else None
    except ValueError:
        number = None
    if number is None or not -MAXIMUM_NUMBER <= number <= MAXIMUM_NUMBER:
        raise _expected(field, "a number", token)
    return number


def _instant(field: Field, token: Token) -> Moment:
    """Read a date, which is midnight, or a date and time; both are UTC unless they say otherwise."""
    example = "a time, such as '2026-01-31', '2026-01-31 14:00' (UTC), 7 days ago, monday or in 30 days"
    if token.kind is not TokenKind.TEXT or not _DATE.fullmatch(token.text):
        raise _expected(field, example, token)
    try:
        at = datetime.fromisoformat(token.text)
        at = (at if at.tzinfo is not None else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise QueryError(f"{_shown(token)} is no date that there is", token.column) from error
    if not _EARLIEST_YEAR <= at.year <= _LATEST_YEAR:
        raise QueryError(f"{_shown(token)} is not between {_EARLIEST_YEAR} and {_LATEST_YEAR}", token.column)
    return Moment(at)


def _expected(field: Field, what: str, token: Token) -> QueryError:
    return QueryError(f"{field.name} is compared with {what}, and not with {_shown(token)}", token.column)


def _shown(token: Token) -> str:
    if token.kind is TokenKind.END:
        return "the end of the query"
    return repr(token.text) if token.kind is TokenKind.TEXT else token.text

"""From a query's text to conditions.

    query      = all ("or" all)*
    all        = one ("and" one)*
    one        = "not" one | "(" query ")" | condition
    condition  = FIELD                                     a field that is true or false
               | FIELD "is" ("known" | "unknown")
               | FIELD ("=" | "!=" | "<" | "<=" | ">" | ">=") value
               | FIELD ["not"] ("contains" | "starts" "with") value
               | FIELD ["not"] "in" "(" value ("," value)* ")"
    value      = TEXT | NUMBER | WORD | NUMBER unit "ago" | "in" NUMBER unit | "now"

A condition on an item of a list may go on with `version` and a comparison of it. Case doesn't count, but in quotes.
"""

import re
from typing import Final

from muster.domain.queries.errors import QueryError
from muster.domain.queries.fields import FIELDS, Field, FieldKind
from muster.domain.queries.syntax import (
    AllOf,
    AnyOf,
    Compare,
    Comparison,
    InGroup,
    IsKnown,
    Moment,
    Not,
    OneOf,
    Query,
    Value,
    VersionTest,
)
from muster.domain.queries.tokens import Token, TokenKind, tokens_of
from muster.domain.queries.values import COMPARISONS, DAYS, offset_of, read_value, read_version
from muster.protocol.catalogue.commands import similar_names

MAXIMUM_DEPTH: Final = 20
"""Of parentheses and `not`; databases give up at some hundreds."""
MAXIMUM_CONDITIONS: Final = 100
"""In one query; each may be looked up for every device."""
MAXIMUM_VALUES: Final = 1000
"""In one list of values, as many as one statement takes well."""

_SIGNS: Final = {one.value: one for one in Comparison if not one.value.isalpha() and " " not in one.value}


def parse_query(text: str) -> Query:
    """Read a query. Raises QueryError, which says where it is wrong and what would do.

    Not checked: whether the groups that it names exist.
    """
    reader = _Reader(tokens_of(text))
    if reader.has_ended():
        raise QueryError("an empty query means nothing; to mean every device write: state is known", 1)
    query = _read_any(reader, 0)
    if not reader.has_ended():
        raise QueryError(f"{reader.here.text} can't stand here; join conditions with and, or", reader.here.column)
    return query


class _Reader:
    """The tokens, and how far they are read."""

    def __init__(self, tokens: tuple[Token, ...]) -> None:
        self._tokens = tokens
        self._index = 0
        self.conditions = 0

    @property
    def here(self) -> Token:
        return self._tokens[self._index]

    @property
    def next(self) -> Token:
        return self._tokens[min(self._index + 1, len(self._tokens) - 1)]

    def has_ended(self) -> bool:
        return self.here.kind is TokenKind.END

    def take(self) -> Token:
        token = self.here
        if token.kind is not TokenKind.END:
            self._index += 1
        return token

    def takes(self, word: str) -> bool:
        """Take the next token if it is *word*."""
        if self.here.word != word:
            return False
        self.take()
        return True

    def expect(self, word: str, after: str) -> None:
        if not self.takes(word):
            raise QueryError(f"{after} goes on with {word}", self.here.column)


def _read_any(reader: _Reader, depth: int) -> Query:
    parts = [_read_all(reader, depth)]
    while reader.takes("or"):
        parts.append(_read_all(reader, depth))
    return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))


def _read_all(reader: _Reader, depth: int) -> Query:
    parts = [_read_one(reader, depth)]
    while reader.takes("and"):
        parts.append(_read_one(reader, depth))
    return parts[0] if len(parts) == 1 else AllOf(tuple(parts))


def _read_one(reader: _Reader, depth: int) -> Query:
    token = reader.here
    if depth > MAXIMUM_DEPTH:
        raise QueryError(f"parentheses and not go {MAXIMUM_DEPTH} deep at most", token.column)
    if reader.takes("not"):
        return Not(_read_one(reader, depth + 1))
    if not reader.takes("("):
        return _read_condition(reader)
    query = _read_any(reader, depth + 1)
    if not reader.takes(")"):
        raise QueryError(f"the parenthesis of column {token.column} is not closed here; write )", reader.here.column)
    return query


def _read_condition(reader: _Reader) -> Query:
    token = reader.take()
    field = _field(token)
    reader.conditions += 1
    if reader.conditions > MAXIMUM_CONDITIONS:
        raise QueryError(f"a query has at most {MAXIMUM_CONDITIONS} conditions; use in ('a', 'b')", token.column)
    if reader.takes("is"):
        return _read_known(reader, field)
    if reader.here.word == "not" and reader.next.word in ("in", "contains", "starts"):
        reader.take()
        return Not(_read_test(reader, field))
    return _read_test(reader, field)


_BEGINNING: Final = re.compile(
    r"\s*(?:not\b|\(|\s)*(?P<field>[A-Za-z_][A-Za-z0-9_]*)\s*(?P<more>[=!<>]|(?:in|not|contains|starts|is|and|or)\b)?",
    re.IGNORECASE,
)


def reads_like_query(text: str) -> bool:
    """Tell whether *text*, typed where one may also search for words, is meant as a query: it begins as one does."""
    found = _BEGINNING.match(text)
    field = None if found is None else FIELDS.get(found["field"].lower())
    if found is None or field is None:
        return False
    return found["more"] is not None or (field.kind is FieldKind.FLAG and found.end() == len(text.rstrip()))


def _field(token: Token) -> Field:
    field = FIELDS.get(token.word)
    if field is not None:
        return field
    if token.kind is TokenKind.END:
        raise QueryError("a condition is missing at the end", token.column)
    near = similar_names(token.text, FIELDS)
    remedy = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(FIELDS)}"
    raise QueryError(f"{token.text!r} is no field; {remedy}", token.column)


def _read_known(reader: _Reader, field: Field) -> Query:
    token = reader.take()
    is_not = token.word == "not"
    if is_not:
        token = reader.take()
    if token.word not in ("known", "unknown"):
        raise QueryError(f"{field.name} is goes on with known or unknown; to compare, write =", token.column)
    if field.kind is FieldKind.GROUP:
        raise QueryError("who is in a group is always known; write group = 'its name'", token.column)
    return IsKnown(field) if (token.word == "known") is not is_not else Not(IsKnown(field))


def _read_test(reader: _Reader, field: Field) -> Query:
    token = reader.here
    if reader.takes("in"):
        _check_possible(field, Comparison.EQUAL, token)
        return _with_version(reader, _read_list(reader, field))
    if reader.takes("!="):
        _check_possible(field, Comparison.EQUAL, token)
        return Not(_with_version(reader, _compared(field, Comparison.EQUAL, reader.here, _read_value(reader, field))))
    comparison = _comparison(reader)
    if comparison is None:
        if field.kind is FieldKind.FLAG and (token.kind is TokenKind.END or token.word in ("and", "or", ")")):
            return Compare(field, Comparison.EQUAL, True)
        raise QueryError(
            f"{field.name} goes on with {_possible(field)}, and not with {token.text or 'nothing'}", token.column
        )
    _check_possible(field, comparison, token)
    return _with_version(reader, _compared(field, comparison, reader.here, _read_value(reader, field)))


def _comparison(reader: _Reader) -> Comparison | None:
    word = reader.here.word
    if word == "starts":
        reader.take()
        reader.expect("with", "starts")
        return Comparison.STARTS_WITH
    comparison = Comparison.CONTAINS if word == "contains" else _SIGNS.get(word)
    if comparison is not None:
        reader.take()
    return comparison


def _compared(field: Field, comparison: Comparison, token: Token, value: Value) -> Query:
    if field.kind is FieldKind.GROUP:
        return InGroup(str(value), token.column)
    return Compare(field, comparison, value)


def _read_list(reader: _Reader, field: Field) -> Query:
    reader.expect("(", "in")
    tokens, values = [reader.here], [_read_value(reader, field)]
    while reader.takes(","):
        tokens.append(reader.here)
        values.append(_read_value(reader, field))
    if len(values) > MAXIMUM_VALUES:
        raise QueryError(
            f"a list has at most {MAXIMUM_VALUES:,} values; put the devices into a group", tokens[-1].column
        )
    reader.expect(")", "the list of values, after a comma or")
    if field.kind is not FieldKind.GROUP:
        return OneOf(field, tuple(values))
    reader.conditions += len(values) - 1
    if reader.conditions > MAXIMUM_CONDITIONS:
        raise QueryError(f"a query names at most {MAXIMUM_CONDITIONS} groups", tokens[-1].column)
    groups = tuple(InGroup(str(value), token.column) for value, token in zip(values, tokens, strict=True))
    return groups[0] if len(groups) == 1 else AnyOf(groups)


def _with_version(reader: _Reader, query: Query) -> Query:
    """Read on where the version of a list's item is asked for."""
    if reader.here.word != "version":
        return query
    token = reader.take()
    if not isinstance(query, Compare) or query.field.kind is not FieldKind.LIST:
        raise QueryError("version goes after an item of a list: app = 'com.apple.Pages' version < '14'", token.column)
    comparison, is_not = (Comparison.EQUAL, True) if reader.takes("!=") else (_comparison(reader), False)
    if comparison is None or comparison not in COMPARISONS[FieldKind.VERSION] or is_not:
        raise QueryError("version goes on with =, <, <=, >, >= or starts with", reader.here.column)
    version = read_version("version", reader.take())
    return Compare(query.field, query.comparison, query.value, VersionTest(comparison, version))


def _read_value(reader: _Reader, field: Field) -> Value:
    token = reader.take()
    if field.kind is FieldKind.INSTANT:
        if token.word == "now":
            return Moment()
        if token.word in DAYS:
            return DAYS[token.word]
        if token.word == "in":
            amount, unit = reader.take(), reader.take()
            return Moment(offset=offset_of(amount, unit))
        if token.kind is TokenKind.NUMBER:
            offset = offset_of(token, reader.take())
            reader.expect("ago", "a span of time")
            return Moment(offset=-offset)
    return read_value(field, token)


def _check_possible(field: Field, comparison: Comparison, token: Token) -> None:
    if comparison not in COMPARISONS[field.kind]:
        message = f"{field.name} ({field.kind}) can't be compared by {token.text}; it goes on with {_possible(field)}"
        raise QueryError(message, token.column)


def _possible(field: Field) -> str:
    signs = [comparison.value for comparison in COMPARISONS[field.kind]]
    if Comparison.EQUAL in COMPARISONS[field.kind]:
        signs[1:1] = ["!=", "in"]
    return ", ".join([*signs, *(["is known"] if field.kind is not FieldKind.GROUP else [])])

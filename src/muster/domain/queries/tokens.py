"""A query's text, cut into tokens."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from muster.domain.queries.errors import QueryError

MAXIMUM_CHARACTERS: Final = 50_000
"""Room for a thousand serial numbers, or ids, in one list; nobody writes more by hand."""
MAXIMUM_TEXT: Final = 255
"""Characters of one value: longer than any name or identifier that devices tell."""


class TokenKind(StrEnum):
    """What a token is."""

    WORD = "word"
    TEXT = "text in quotes"
    NUMBER = "number"
    SIGN = "sign"
    END = "end"


@dataclass(frozen=True, slots=True)
class Token:
    """One token; *text* of one in quotes is without them. *column* is where it begins, counted from 1."""

    kind: TokenKind
    text: str
    column: int

    @property
    def word(self) -> str:
        """The token as a word of the language, in lower case; empty for one in quotes."""
        return "" if self.kind is TokenKind.TEXT else self.text.lower()


_TOKEN: Final = re.compile(
    r"""\s*(?:
    (?P<word>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<number>-?[0-9]+(?:\.[0-9]+)*)
  | (?P<text>'(?:[^']|'')*'|"(?:[^"]|"")*")
  | (?P<sign><=|>=|!=|<>|==|=|<|>|\(|\)|,)
  | (?P<end>\Z)
    )""",
    re.VERBOSE,
)
_SAME: Final = {"==": "=", "<>": "!="}
_CURLY: Final = "\u2018\u2019\u201c\u201d"


def tokens_of(text: str) -> tuple[Token, ...]:
    """Cut *text* into tokens, the last of which is its end.

    Raises QueryError for what is too long, a quote that isn't closed, and a sign that means nothing here.
    """
    if len(text) > MAXIMUM_CHARACTERS:
        message = f"a query has at most {MAXIMUM_CHARACTERS:,} characters, and this one {len(text):,}; put the devices "
        raise QueryError(message + "into a group", MAXIMUM_CHARACTERS + 1)
    tokens: list[Token] = []
    position = 0
    while not tokens or tokens[-1].kind is not TokenKind.END:
        found = _TOKEN.match(text, position)
        if found is None or found.lastgroup is None:
            raise _unreadable(text, position)
        tokens.append(_token(TokenKind[found.lastgroup.upper()], found[found.lastgroup], found.start(found.lastgroup)))
        position = found.end()
    return tuple(tokens)


def _token(kind: TokenKind, text: str, start: int) -> Token:
    if kind is TokenKind.SIGN:
        return Token(kind, _SAME.get(text, text), start + 1)
    if kind is not TokenKind.TEXT:
        return Token(kind, text, start + 1)
    quote = text[0]
    inner = text[1:-1].replace(quote * 2, quote)
    if len(inner) > MAXIMUM_TEXT:
        raise QueryError(f"a value has at most {MAXIMUM_TEXT} characters, and this one {len(inner):,}", start + 1)
    if not inner.isprintable():
        raise QueryError("a value has no control characters, nor line breaks", start + 1)
    return Token(kind, inner, start + 1)


def _unreadable(text: str, position: int) -> QueryError:
    start = position + len(text[position:]) - len(text[position:].lstrip())
    sign = text[start]
    if sign in "'\"":
        return QueryError(f"the quote that begins here is never closed; end it with {sign}", start + 1)
    if sign in _CURLY:
        return QueryError(f"{sign} is a typographer's quote; write ' or \"", start + 1)
    shown = sign if sign.isprintable() else repr(sign)
    return QueryError(f"{shown} means nothing in a query; text stands in quotes: 'like this'", start + 1)

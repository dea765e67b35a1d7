"""What keeps a text from being a query."""

from typing import Final

_AROUND: Final = 60
"""Characters of the query that are shown before the place that is wrong, and after it."""


class QueryError(Exception):
    """*message* says what is wrong and what would do; *column* is where in the text, counted from 1."""

    def __init__(self, message: str, column: int) -> None:
        super().__init__(message)
        self.message = message
        self.column = column


def pointed_out(text: str, error: QueryError) -> str:
    """Return what *error* says of the query *text*, with the place in it below, in three lines."""
    first = max(error.column - 1 - _AROUND, 0)
    part = text[first : error.column - 1 + _AROUND]
    shown = "".join(character if character.isprintable() else " " for character in part)
    return f"{error.message}\n  {shown}\n  {' ' * (error.column - 1 - first)}^"

"""What a parameter or a member of a body may be: one annotation, which reading obeys and the OpenAPI document tells."""

import re
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

MAXIMUM_PAGE: Final = 500
"""Rows in one answer: each is read, judged and written in one go."""
DEFAULT_PAGE: Final = 100
MAXIMUM_TEXT: Final = 10_000
"""Characters of a text of which nothing else is said."""
MAXIMUM_PART: Final = 512
"""Characters of a name in a path."""
MAXIMUM_ITEMS: Final = 5_000
"""Of a list of which nothing else is said: as many channels as one transaction takes, nobody waiting."""
MAXIMUM_WHOLE: Final = 2**53 - 1
"""Whole numbers beyond it are not the same in every JSON reader (RFC 8259, 6), and no column of ours has them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """*said*: what it is, for the document. *least* and *most*: of a number itself, else of its characters or items.

    *is_plain*: a text without control characters, as names are, and what stands in property lists.
    """

    said: str = ""
    least: int | None = None
    most: int | None = None
    is_plain: bool = False


PLAIN: Final = re.compile("[^\\x00-\\x1f\\x7f-\\x9f]*")
"""A text without control characters."""
PLAIN_PATTERN: Final = r"^[^\u0000-\u001f\u007f-\u009f]*$"
"""The same, as JSON Schema has it (ECMA-262)."""

Cursor: TypeAlias = Annotated[str, Limits("`next` of the page before; absent: the first page.", 1, 2_000)]
PageSize: TypeAlias = Annotated[int, Limits("Rows on a page.", 1, MAXIMUM_PAGE)]
QueryText: TypeAlias = Annotated[str, Limits("A query, in the language of the manual's page on queries.", 1, 1_000)]
Id: TypeAlias = Annotated[str, Limits("The id of a device, or of a user's channel.", 1, 512, is_plain=True)]
Ids: TypeAlias = Annotated[tuple[Id, ...], Limits("Ids of devices or users' channels.", 1, MAXIMUM_ITEMS)]

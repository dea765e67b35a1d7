"""Where the next page begins: the place in the list, and the list that it is a place of, as one opaque text."""

import base64
import binascii
import hashlib
import json
from dataclasses import fields
from typing import Any

from muster.edges.api.problems import FaultyMember, malformed
from muster.edges.api.writing import as_json, plain

_NOT_OF_THE_LIST = frozenset({"cursor", "limit"})


def cursor_after(asked: Any, place: str | int | None) -> str | None:
    """Return the cursor behind *place* of the list that *asked*, a dataclass of parameters, means; None for None.

    A cursor is no secret, and nothing is lost by one that somebody made up: whoever shows it sees what they may see.
    """
    if place is None:
        return None
    text = json.dumps([_list_of(asked), place], separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode("utf-8", "surrogatepass")).rstrip(b"=").decode()


def text_place(asked: Any) -> str | None:
    """Return the place, a text, that the cursor of *asked* names; None without one. Raises Problem."""
    place = _place(asked)
    if place is None or isinstance(place, str):
        return place
    raise _foreign()


def numbered_place(asked: Any) -> int | None:
    """Return the place, a number, that the cursor of *asked* names; None without one. Raises Problem."""
    place = _place(asked)
    if place is None or (isinstance(place, int) and not isinstance(place, bool) and 0 <= place < 2**53):
        return place
    raise _foreign()


def _place(asked: Any) -> object:
    cursor: str | None = asked.cursor
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        read = json.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise _foreign() from error
    if not isinstance(read, list) or len(read) != 2 or read[0] != _list_of(asked):
        raise _foreign()
    place = read[1]
    if isinstance(place, str) and not place.isprintable():
        raise _foreign()
    return place


def _list_of(asked: Any) -> str:
    """Name the list by what was asked for, but for the page."""
    named = {one.name: plain(getattr(asked, one.name)) for one in fields(asked) if one.name not in _NOT_OF_THE_LIST}
    return hashlib.sha256(type(asked).__name__.encode() + as_json(named)).hexdigest()[:16]


def _foreign() -> Exception:
    return malformed(FaultyMember("query.cursor", "it is no cursor of this list as it is asked for"))

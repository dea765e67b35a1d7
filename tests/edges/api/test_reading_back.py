"""What is written as JSON is read back as what it was, by its types."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum, IntEnum, StrEnum
from typing import Annotated, Any, Literal, NamedTuple, NewType, get_args, get_origin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.api.endpoints import Endpoint, Page, Stream
from muster.edges.api.reading_back import Unreadable, read_back
from muster.edges.api.table import TABLE
from muster.edges.api.writing import as_json

Id = NewType("Id", str)


class Colour(StrEnum):
    """A set of words."""

    RED = "red"


class Level(IntEnum):
    """A set of numbers."""

    HIGH = 3


class Mark(NamedTuple):
    """A record of a hot path."""

    day: int
    strip: bytes = b""


@dataclass(frozen=True, slots=True)
class Inner:
    """A part."""

    at: datetime
    lasts: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """Another part, told apart by its members."""

    at: datetime
    why: str


@dataclass(frozen=True, slots=True)
class Whole:
    """One of everything."""

    id: Id
    colour: Colour | None
    level: Level
    part: Inner | Other
    marks: tuple[Mark, ...]
    pair: tuple[str, int]
    by_number: Mapping[int, Colour]
    facts: Mapping[str, str | bool | int | float | datetime | None]
    names: frozenset[str]
    word: Literal["a", "b"]
    listed: list[bytes]
    limited: Annotated[int, "at most"]
    anything: object = None


AT = datetime(2026, 11, 22, 14, 31, 7, 5, tzinfo=UTC)
WHOLE = Whole(
    Id("one"),
    Colour.RED,
    Level.HIGH,
    Other(AT, "it is so"),
    (Mark(7, b"\x01\xff"), Mark(8)),
    ("x", 1),
    {5: Colour.RED},
    {"a": "15.5", "b": True, "c": 1, "d": 2.5, "e": AT, "f": None, "g": "", "h": "2026-11-22", "i": "true"},
    frozenset({"y", "z"}),
    "b",
    [b""],
    -1,
    {"k": [1, "two", None]},
)


def read(kind: Any, value: object) -> Any:
    return read_back(kind, json.loads(as_json(value)))


def test_everything_is_read_back_as_it_was() -> None:
    assert read(Whole, WHOLE) == WHOLE
    assert type(read(Whole, WHOLE).facts["a"]) is str
    assert read(Inner, Inner(AT, timedelta(seconds=90))) == Inner(AT, timedelta(seconds=90))


@given(st.datetimes(timezones=st.just(UTC)), st.text(), st.floats(allow_nan=False), st.integers(-(2**53), 2**53))
def test_any_value_is_read_back(at: datetime, text: str, number: float, whole: int) -> None:
    facts = {"at": at, "text": f"t{text}", "number": number + 0.0, "whole": whole}

    assert read(Mapping[str, str | int | float | datetime], facts) == facts or "inf" in str(number)


def test_member_that_nobody_knows_here_is_passed_over() -> None:
    assert read_back(Other, {"at": "2026-11-22T14:31:07Z", "why": "so", "newer": 1}).why == "so"


@pytest.mark.parametrize(
    ("kind", "value", "said"),
    [
        (Whole, [], "the answer is no Whole"),
        (Other, {"at": "2026-11-22T14:31:07Z"}, "why is no member of what was answered"),
        (Other, {"at": "yesterday", "why": ""}, "at is no datetime"),
        (Mapping[str, Inner], {"x": {"at": 5}}, "x.at is no datetime"),
        (tuple[Colour, ...], ["red", "blue"], "[1] is no Colour"),
        (tuple[str, int], ["x"], "the answer is no list of 2"),
        (tuple[str, ...], "x", "the answer is no list"),
        (Mapping[int, str], {"x": ""}, "the answer is no number"),
        (bytes, "zz", "the answer is no bytes"),
        (timedelta, 1e300, "the answer is no timedelta"),
        (int, True, "the answer is no int"),
        (int | None, "5", "the answer is no value of its types"),
        (Literal["a"], "b", "one of"),
    ],
)
def test_what_was_not_so_written_is_told(kind: Any, value: object, said: str) -> None:
    with pytest.raises(Unreadable) as told:
        read_back(kind, value)

    assert said in str(told.value)


def _kinds(kind: Any, seen: set[Any]) -> set[Any]:
    """Gather the dataclasses that an answer has."""
    for inner in get_args(kind):
        _kinds(inner, seen)
    origin = get_origin(kind) or kind
    if hasattr(origin, "__dataclass_fields__") and origin not in seen and origin is not Page:
        seen.add(origin)
        for one in origin.__dataclass_fields__.values():
            _kinds(one.type, seen)
    return seen


@pytest.mark.parametrize("endpoint", TABLE, ids=lambda one: f"{one.method} {one.path}")
def test_every_answer_has_types_that_can_be_read_back(endpoint: Endpoint) -> None:
    for kind in _kinds(endpoint.gives, set()) - {Stream}:
        with suppress(Unreadable):  # where members have to be there; a type without a form is another error
            read_back(kind, {})


def test_closed_sets_of_words_are_told_apart_from_text() -> None:
    assert isinstance(read_back(Colour | str, "red"), Enum)  # type: ignore[arg-type]
    assert read_back(Colour | str, "green") == "green"  # type: ignore[arg-type]

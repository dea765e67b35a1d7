"""What programs send becomes dataclasses, or is refused with the place that is wrong; whatever it is."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muster.edges.api.cursors import cursor_after, numbered_place, text_place
from muster.edges.api.limits import Limits
from muster.edges.api.problems import Problem
from muster.edges.api.rates import BUCKETS, RateLimiter
from muster.edges.api.reading import MAXIMUM_DEPTH, read_body, read_json, read_parameters
from muster.edges.api.writing import as_json

T = TypeVar("T")

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Part:
    """A part."""

    name: str


@dataclass(frozen=True, slots=True)
class Whole:
    """All that there is."""

    name: Annotated[str, Limits("", 1, 5, is_plain=True)]
    count: Annotated[int | None, Limits("", 0, 9)] = None
    is_new: bool = False
    colour: Colour = Colour.RED
    at: datetime | None = None
    parts: Annotated[tuple[Part, ...], Limits("", 0, 2)] = ()
    more: Mapping[str, object] | None = None
    cursor: str | None = None
    limit: int = 1


def test_what_is_right_is_read() -> None:
    sent = {"name": "a", "count": 3, "at": "2026-11-23T13:00:00+01:00", "parts": [{"name": "b"}], "more": {"x": [1.5]}}

    assert read_body(Whole, sent) == Whole("a", 3, at=NOW, parts=(Part("b"),), more={"x": [1.5]})


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ([], "body"),
        ({}, "body.name"),
        ({"name": ""}, "body.name"),
        ({"name": "abcdef"}, "body.name"),
        ({"name": "a\n"}, "body.name"),
        ({"name": 5}, "body.name"),
        ({"name": "a", "count": "3"}, "body.count"),
        ({"name": "a", "count": True}, "body.count"),
        ({"name": "a", "count": 10}, "body.count"),
        ({"name": "a", "count": 1.0}, "body.count"),
        ({"name": "a", "is_new": 1}, "body.is_new"),
        ({"name": "a", "colour": "blue"}, "body.colour"),
        ({"name": "a", "colour": None}, "body.colour"),
        ({"name": "a", "at": "2026-11-23"}, "body.at"),
        ({"name": "a", "at": "0001-01-01T00:00:00+14:00"}, "body.at"),
        ({"name": "a", "parts": {}}, "body.parts"),
        ({"name": "a", "parts": [{"name": "b"}] * 3}, "body.parts"),
        ({"name": "a", "parts": [{"name": "b"}, {"named": "b"}]}, "body.parts[1].named"),
        ({"name": "a", "more": {"x": 2**63}}, "body.more.x"),
        ({"name": "a", "more": {"x": "\0"}}, "body.more.x"),
        ({"name": "a", "more": {"x": float("inf")}}, "body.more.x"),
        ({"name": "a", "x" * 500: 1}, "body." + "x" * 100),
    ],
)
def test_what_is_wrong_is_named(sent: object, path: str) -> None:
    with pytest.raises(Problem) as raised:
        read_body(Whole, sent)

    assert raised.value.document.errors[0].path == path


def test_all_that_is_wrong_is_told_at_once_within_bounds() -> None:
    with pytest.raises(Problem) as raised:
        read_body(Whole, {f"x{number}": 1 for number in range(100)})

    assert len(raised.value.document.errors) == 20


_JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
_NEARLY = st.dictionaries(st.sampled_from(["name", "count", "is_new", "colour", "at", "parts", "more"]), _JSON)


def outcome(read: Callable[[], T]) -> T | str:
    """Return what was read, or the code of the problem."""
    try:
        return read()
    except Problem as problem:
        return problem.document.code


@given(_JSON | _NEARLY)
def test_any_json_is_read_or_refused(sent: Any) -> None:
    read = outcome(lambda: read_body(Whole, sent))

    assert read == "request_malformed" or json.loads(as_json(read))["name"] == sent["name"]


@given(st.binary(max_size=200) | st.text().map(lambda text: text.encode("utf-8", "surrogatepass")))
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    read = outcome(lambda: read_json(body))

    assert read == "request_malformed" or read == json.loads(body)


def test_nesting_is_bounded() -> None:
    assert read_json(b"[" * MAXIMUM_DEPTH + b"]" * MAXIMUM_DEPTH)
    for depth in (MAXIMUM_DEPTH + 2, 1_000_000):
        with pytest.raises(Problem):
            read_json(b"[" * depth + b"]" * depth)


@given(st.lists(st.tuples(st.sampled_from(["name", "count", "is_new", "at"]) | st.text(), st.text())))
def test_any_parameters_are_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    read = outcome(lambda: read_parameters(Whole, pairs))

    assert read == "request_malformed" or isinstance(read, Whole)


# --- cursors ----------------------------------------------------------------------------------------------------------


@given(st.text().filter(str.isprintable), st.integers(0, 2**53 - 1))
def test_cursor_leads_back_to_its_place(place: str, number: int) -> None:
    asked = Whole("a", limit=1)

    by_text, by_number = cursor_after(asked, place), cursor_after(asked, number)

    assert text_place(Whole("a", cursor=by_text, limit=7)) == place
    assert numbered_place(Whole("a", cursor=by_number)) == number


@given(st.text(max_size=60))
def test_any_cursor_is_refused_that_is_none(cursor: str) -> None:
    for place in (text_place, numbered_place):
        with pytest.raises(Problem):
            place(Whole("a", cursor=cursor))


def test_cursor_of_another_list_is_refused() -> None:
    cursor = cursor_after(Whole("a"), "x")

    with pytest.raises(Problem):
        text_place(Whole("b", cursor=cursor))
    with pytest.raises(Problem):
        numbered_place(Whole("a", cursor=cursor))


# --- rates ------------------------------------------------------------------------------------------------------------


@given(st.integers(1, 100), st.lists(st.floats(0, 120), max_size=300))
def test_nobody_asks_oftener_than_twice_the_quota_in_any_minute(quota: int, pauses: list[float]) -> None:
    rates, at, allowed = RateLimiter(quota), NOW, []

    for pause in pauses:
        at += timedelta(seconds=pause)
        if rates.take("one", at).retry_after_seconds is None:
            allowed.append(at)

    minute = timedelta(seconds=60)
    assert all(sum(begin <= one < begin + minute for one in allowed) <= 2 * quota for begin in allowed)


def test_whoever_waits_as_told_is_answered() -> None:
    rates, at = RateLimiter(3), NOW
    for _ in range(3):
        assert rates.take("one", at).retry_after_seconds is None

    told = rates.take("one", at).retry_after_seconds

    assert told is not None
    assert rates.take("one", at + timedelta(seconds=told)).retry_after_seconds is None


def test_counted_names_are_bounded() -> None:
    rates = RateLimiter(3)

    for number in range(BUCKETS + 10):
        rates.take(str(number), NOW)

    assert len(rates._empty_at) == BUCKETS

"""The timeline strip."""

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.runner import NOW

from muster.domain.control.contact import ContactDay, fold_contact
from muster.edges.console.strip import (
    DAYS,
    LARGE_COLUMNS_PER_DAY,
    SMALL_COLUMNS_PER_DAY,
    Span,
    enrolled_span,
    large_ticks,
    small_strip,
    start,
)

TODAY = int(NOW.timestamp()) // 86400


def _day(at: datetime) -> ContactDay:
    return fold_contact(None, at).current


def _marked(path: str) -> set[int]:
    return {
        column
        for x, width in re.findall(r"M(\d+) \d+h(\d+)v\d+h-\d+z", path)
        for column in range(int(x), int(x) + int(width))
    }


@given(st.sets(st.integers(0, DAYS * 288 - 1), max_size=40))
def test_a_column_is_marked_exactly_when_there_was_contact_in_it(slots: set[int]) -> None:
    days: dict[int, ContactDay] = {}
    for slot in sorted(slots):
        at = start(NOW) + slot * timedelta(minutes=5)
        folded = fold_contact(days.get(slot // 288), at)
        days[slot // 288] = folded.current
    contacts = [days[number] for number in sorted(days)]

    small = small_strip(contacts, None, None, NOW)
    large = large_ticks(contacts, NOW, height=16)

    assert _marked(small.ticks) == {slot // (288 // SMALL_COLUMNS_PER_DAY) for slot in slots}
    assert _marked(large) == {slot // (288 // LARGE_COLUMNS_PER_DAY) for slot in slots}
    assert len({slot // 288 for slot in slots}) == len(contacts)


def test_neighbouring_columns_are_one_mark() -> None:
    strip = small_strip([ContactDay(TODAY, b"\xff" * 36)], None, None, NOW)

    assert strip.ticks == "M116 0h4v9h-4z"


def test_days_before_the_strip_are_not_drawn() -> None:
    strip = small_strip([_day(NOW - timedelta(days=30))], None, None, NOW)

    assert (strip.ticks, strip.label) == ("", "No contact in the last 30 days")


def test_the_label_says_on_how_many_days_there_was_contact() -> None:
    days = [_day(NOW - timedelta(days=3)), _day(NOW), ContactDay(TODAY - 9, bytes(36))]

    assert small_strip(days, None, None, NOW).label == "Contact on 2 of the last 30 days"


@pytest.mark.parametrize(
    ("enrolled_days_ago", "ended_days_ago", "expected"),
    [
        (None, None, None),
        (400, None, Span(0.0, 118.4)),
        (400, 31, None),
        (10, 5, Span(78.4, 20.0)),
        (0, 0, None),
    ],
)
def test_the_band_covers_the_time_enrolled(
    enrolled_days_ago: int | None, ended_days_ago: int | None, expected: Span | None
) -> None:
    def ago(days: int | None) -> datetime | None:
        return None if days is None else NOW - timedelta(days=days)

    assert enrolled_span(ago(enrolled_days_ago), ago(ended_days_ago), NOW, SMALL_COLUMNS_PER_DAY) == expected

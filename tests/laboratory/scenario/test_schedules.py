"""A schedule rests when it says, over weekends, holidays, breaks and midnights, whatever chance does."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.laboratory.scenario.model import Schedule
from muster.laboratory.scenario.schedules import rests_of

MONDAY = datetime(2026, 1, 5, 8, tzinfo=UTC)
DAY = timedelta(days=1)
NIGHTS = (time(18), time(8))


def rests(schedule: Schedule, days: float = 14, seed: int = 1) -> list[tuple[datetime, datetime]]:
    return rests_of(schedule, MONDAY, MONDAY + days * DAY, Random(seed), Random(seed + 1))


def rested(schedule: Schedule, days: float = 14, seed: int = 1) -> timedelta:
    return sum((end - begin for begin, end in rests(schedule, days, seed)), timedelta(0))


def hour(day: int, at: int) -> datetime:
    return datetime(2026, 1, day, at, tzinfo=UTC)


def test_empty_schedule_never_rests() -> None:
    assert rests(Schedule("s")) == []


def test_nights_go_over_midnight() -> None:
    assert rests(Schedule("s", nights=NIGHTS), days=2) == [(hour(5, 18), hour(6, 8)), (hour(6, 18), hour(7, 8))]


def test_nights_may_lie_within_a_day() -> None:
    assert rests(Schedule("s", nights=(time(1), time(5))), days=2) == [
        (hour(6, 1), hour(6, 5)),
        (hour(7, 1), hour(7, 5)),
    ]


def test_a_weekend_lasts_from_friday_evening_to_monday_morning() -> None:
    long = [rest for rest in rests(Schedule("s", nights=NIGHTS, weekends=True)) if rest[1] - rest[0] > DAY]

    assert long == [(hour(9, 18), hour(12, 8)), (hour(16, 18), hour(19, 8))]


@pytest.mark.parametrize(
    "schedule",
    [
        Schedule("s", holidays=(date(2026, 1, 7), date(2026, 1, 8))),
        Schedule("s", breaks=((date(2026, 1, 7), date(2026, 1, 8)),)),
    ],
)
def test_holidays_and_breaks_are_whole_days(schedule: Schedule) -> None:
    assert rests(schedule) == [(hour(7, 0), hour(9, 0))]


def test_a_cart_is_used_on_a_share_of_the_days_together() -> None:
    schedule = Schedule("s", nights=NIGHTS, days_used=0.3, together=True, hours_used=2)
    mine, yours = (rests_of(schedule, MONDAY, MONDAY + 100 * DAY, Random(n), Random(9)) for n in (1, 2))

    assert mine == yours
    used = 100 * DAY - sum((end - begin for begin, end in mine), timedelta(0))
    assert 15 * timedelta(hours=2) < used < 45 * timedelta(hours=2)


def test_devices_by_themselves_are_used_on_days_of_their_own() -> None:
    schedule = Schedule("s", days_used=0.5)

    assert rests(schedule, seed=1) != rests(schedule, seed=5)


@settings(max_examples=60, deadline=None)
@given(
    st.builds(
        Schedule,
        name=st.just("s"),
        nights=st.none() | st.sampled_from([NIGHTS, (time(1), time(5)), (time(0), time(6)), (time(20), time(0))]),
        weekends=st.booleans(),
        days_used=st.floats(0, 1),
        together=st.booleans(),
        hours_used=st.none() | st.floats(0.5, 24),
        jitter=st.timedeltas(timedelta(0), timedelta(hours=3)),
    ),
    st.integers(0, 100),
)
def test_rests_are_in_order_and_within_the_time(schedule: Schedule, seed: int) -> None:
    found = rests(schedule, seed=seed)

    assert all(begin < end for begin, end in found)
    assert all(first[1] < second[0] for first, second in pairwise(found))
    assert all(begin >= MONDAY and end <= MONDAY + 14 * DAY for begin, end in found)
    assert rested(schedule, seed=seed) == rested(schedule, seed=seed)

"""What the fleet does is measured day by day, from sketches alone."""

import pytest
from tests.domain.control.rhythms import MONDAY, rhythm_of

from muster.domain.control.fleet_activity import (
    ACTIVE_WITHIN,
    UNKNOWN_FLEET,
    FleetActivity,
    FleetDay,
    activity_of,
    measure_day,
    share_on,
    weekday_of,
)
from muster.domain.control.rhythm import Rhythm

DAILY = rhythm_of(*range(57))
"""Ends on a Monday."""


def test_days_are_named_from_monday_on() -> None:
    assert [weekday_of(MONDAY + number) for number in range(8)] == [0, 1, 2, 3, 4, 5, 6, 0]
    assert weekday_of(0) == 3, "1 January 1970 was a Thursday"


def test_day_is_measured_by_who_was_heard_and_who_should_have_been() -> None:
    other, gone = rhythm_of(*range(56)), rhythm_of(0, 1)

    measured = measure_day([DAILY, other, gone, rhythm_of(56)], MONDAY + 58, UNKNOWN_FLEET)
    monday = measure_day([DAILY, other, rhythm_of(56)], MONDAY + 56, UNKNOWN_FLEET)

    assert (measured.active, measured.heard) == (3, 0), "who is gone for two months is no part of it"
    assert (monday.active, monday.heard) == (2, 1), "who came on that very day was not expected"
    assert monday.expected == pytest.approx(2 * 0.92, abs=0.02)


def test_day_is_measured_alike_however_late() -> None:
    later = rhythm_of(*range(57), 80)

    assert measure_day([DAILY], MONDAY + 56, UNKNOWN_FLEET).heard == 1
    assert measure_day([later], MONDAY + 56, UNKNOWN_FLEET).heard == 1
    assert measure_day([later], MONDAY + 57, UNKNOWN_FLEET).heard == 0


@pytest.mark.parametrize(
    ("heard", "expected", "is_low"),
    [
        (0, 9.0, False),
        (0, 9.5, True),
        (6, 20.0, True),
        (7, 20.0, False),
        (70, 100.0, False),
        (69, 100.0, True),
        (749, 1000.0, True),
        (751, 1000.0, False),
    ],
)
def test_holiday_is_a_day_on_which_far_fewer_were_heard_than_chance_allows(
    heard: int, expected: float, is_low: bool
) -> None:
    activity = activity_of([FleetDay(MONDAY, round(expected), heard, expected)])

    assert activity.low == ({MONDAY: heard / expected} if is_low else {})


def test_fleet_tells_its_weekdays_without_its_holidays() -> None:
    days = [FleetDay(MONDAY + day, 100, 90 if day % 7 < 5 else 5, 90.0 if day % 7 < 5 else 5.0) for day in range(28)]
    holiday = [FleetDay(MONDAY + 28, 100, 1, 90.0)]

    activity = activity_of([*holiday, *days])

    assert activity.low.keys() == {MONDAY + 28}
    assert all(share == pytest.approx(0.9, abs=0.02) for share in activity.shares[:5])
    assert all(share == pytest.approx(0.05, abs=0.02) for share in activity.shares[5:])


def test_nothing_measured_is_the_unknown_fleet() -> None:
    assert activity_of([]) == UNKNOWN_FLEET


def test_share_leaves_the_holidays_out() -> None:
    mondays_but_one = rhythm_of(*(day for day in range(57) if day != 35))
    monday = weekday_of(MONDAY)

    with_holiday = share_on(mondays_but_one, monday, FleetActivity(UNKNOWN_FLEET.shares, {MONDAY + 35: 0.1}))

    assert share_on(mondays_but_one, monday, UNKNOWN_FLEET) < with_holiday
    assert with_holiday == pytest.approx(share_on(DAILY, monday, UNKNOWN_FLEET), abs=0.02)


@pytest.mark.parametrize(
    ("first", "after", "is_heard"), [(10, 20, True), (11, 20, False), (10, 11, True), (9, 10, False), (20, 99, True)]
)
def test_rhythm_tells_whether_it_was_heard_within_days(first: int, after: int, is_heard: bool) -> None:
    assert rhythm_of(1, 10, 20).was_heard_within(MONDAY + first, MONDAY + after) is is_heard


def test_who_was_silent_for_long_is_no_part_of_the_fleet() -> None:
    for age, active in ((ACTIVE_WITHIN, 1), (ACTIVE_WITHIN + 1, 0)):
        assert measure_day([Rhythm(MONDAY - age, 3)], MONDAY, UNKNOWN_FLEET).active == active

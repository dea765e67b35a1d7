"""A clock that is wrong is noted by signing times, and not at every message."""

from datetime import timedelta

import pytest
from tests.support.instants import NOON

from muster.edges.device.clocks import MAXIMUM_DEVICES, NOTED_EVERY, ClockWatch
from muster.protocol.identifiers import DeviceId

A = DeviceId("A")
MINUTE, SECOND = timedelta(minutes=1), timedelta(seconds=1)


@pytest.mark.parametrize(
    ("off_by", "seconds"),
    [
        (timedelta(0), None),
        (5 * MINUTE - SECOND, None),
        (SECOND - 5 * MINUTE, None),
        (5 * MINUTE, 300),
        (-5 * MINUTE, -300),
        (timedelta(days=-20_000), -20_000 * 86_400),
    ],
)
def test_only_a_clock_off_by_minutes_is_noted(off_by: timedelta, seconds: int | None) -> None:
    assert ClockWatch().to_note(A, NOON + off_by, NOON) == seconds


def test_clock_is_noted_once_an_hour() -> None:
    clocks = ClockWatch()
    wrong = NOON + timedelta(days=1)

    noted = [
        clocks.to_note(A, wrong, at) is not None
        for at in (NOON, NOON + MINUTE, NOON + NOTED_EVERY - SECOND, NOON + NOTED_EVERY, NOON + NOTED_EVERY + MINUTE)
    ]

    assert noted == [True, False, False, True, False]
    assert clocks.to_note(DeviceId("B"), wrong, NOON + MINUTE) is not None


def test_clock_that_was_set_right_is_noted_once() -> None:
    clocks = ClockWatch()
    clocks.to_note(A, NOON + timedelta(days=1), NOON)

    noted = [clocks.to_note(A, NOON + at * MINUTE + 2 * SECOND, NOON + at * MINUTE) for at in (1, 2)]

    assert noted == [2, None]
    assert clocks.to_note(A, NOON + timedelta(days=1), NOON + 3 * MINUTE) is not None


def test_our_own_clock_set_back_silences_nobody() -> None:
    clocks = ClockWatch()
    clocks.to_note(A, NOON + timedelta(days=2), NOON)

    assert clocks.to_note(A, NOON + timedelta(days=2), NOON - timedelta(days=1)) is not None


def test_the_longest_noted_are_forgotten_first() -> None:
    clocks = ClockWatch()
    wrong = NOON + timedelta(days=1)
    for number in range(MAXIMUM_DEVICES + 1):
        clocks.to_note(DeviceId(str(number)), wrong, NOON)

    assert clocks.to_note(DeviceId("1"), wrong, NOON) is None
    assert clocks.to_note(DeviceId("0"), wrong, NOON) == 86_400

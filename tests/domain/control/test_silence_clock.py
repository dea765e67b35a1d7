"""The clock of silence stands still while we could not have heard, and a day we were deaf on says nothing."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.domain.control.rhythms import MONDAY

from muster.domain.control.control_policy import SUSPICION_OF_QUIET
from muster.domain.control.dossier import Silence
from muster.domain.control.fleet_activity import UNKNOWN_FLEET
from muster.domain.control.rhythm import fold_rhythm
from muster.domain.control.silence_clock import DAY_SETTLES, day_of, merged, silence_of, start_of

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
NOON = start_of(MONDAY) + 12 * HOUR


@dataclass(frozen=True)
class Deaf:
    began_at: datetime
    ended_at: datetime | None


def deaf(*hours: tuple[float, float | None]) -> list[Deaf]:
    """Outages, by hours after NOON."""
    return [Deaf(NOON + a * HOUR, None if b is None else NOON + b * HOUR) for a, b in hours]


def daily() -> bytes:
    """The sketch of one that was heard on every day of four months, on Monday for the last time."""
    sketch = None
    for day in range(MONDAY - 120, MONDAY + 1):
        sketch = fold_rhythm(sketch, day)
    assert sketch is not None
    return sketch


def silence(now: datetime, *outages: Deaf, sketch: bytes | None = None) -> Silence:
    return silence_of(NOON, outages, sketch or daily(), UNKNOWN_FLEET, now)


@pytest.mark.parametrize(
    ("outages", "counted"),
    [
        ([], 48),
        ([(1, 3)], 46),
        ([(1, 3), (2, 4)], 45),
        ([(2, 4), (1, 3), (1, 3)], 45),
        ([(1, 9), (2, 3)], 40),
        ([(1, 2), (2, 3)], 46),
        ([(-5, 2)], 46),
        ([(46, 99)], 46),
        ([(40, None)], 40),
        ([(40, None), (44, None)], 40),
        ([(-9, -1)], 48),
        ([(50, None)], 48),
        ([(-9, None)], 0),
        ([(5, 5), (7, 6)], 48),
    ],
)
def test_time_of_outages_is_taken_out_once(outages: list[tuple[float, float | None]], counted: float) -> None:
    found = silence(NOON + 48 * HOUR, *deaf(*outages))

    assert found.counted == counted * HOUR
    assert found.counted + found.deaf == 48 * HOUR


def test_contact_in_the_future_is_no_silence() -> None:
    assert silence(NOON - HOUR) == Silence(NOON, timedelta(0))


def test_suspicion_waits_for_a_whole_day_and_tells_when_it_will_be_reached() -> None:
    first = start_of(MONDAY + 2) + DAY_SETTLES
    at_first, before = silence(first), silence(first - timedelta(microseconds=1))

    assert (before.suspicion, before.suspicious_at) == (0, None)
    assert 1 < at_first.suspicion < SUSPICION_OF_QUIET
    assert at_first.suspicious_at == start_of(MONDAY + 3) + DAY_SETTLES
    assert silence(at_first.suspicious_at - timedelta(microseconds=1)).suspicion == at_first.suspicion
    reached = silence(at_first.suspicious_at)
    assert reached.suspicion >= SUSPICION_OF_QUIET
    assert reached.suspicious_at is None


@pytest.mark.parametrize(("hours", "is_suspicious"), [(12, True), (12.1, False)])
def test_day_deaf_for_more_than_its_half_says_nothing(hours: float, is_suspicious: bool) -> None:
    tuesday = 12.0

    found = silence(NOON + 3 * DAY, *deaf((tuesday, tuesday + hours)))

    assert (found.suspicion >= SUSPICION_OF_QUIET) is is_suspicious


def test_days_before_and_after_an_outage_of_a_week_count() -> None:
    outage = deaf((36, 36 + 7 * 24))  # Wednesday to Wednesday

    during, after = silence(NOON + 8 * DAY, *outage), silence(NOON + 10 * DAY, *outage)

    assert 0 < during.suspicion < SUSPICION_OF_QUIET <= after.suspicion


def test_while_an_outage_lasts_nobody_tells_when_suspicion_will_be_reached() -> None:
    found = silence(NOON + 2 * DAY, *deaf((40, None)))

    assert found.suspicion > 0
    assert found.suspicious_at is None


def test_fleet_comes_through_a_week_of_our_downtime_unsuspected() -> None:
    down = Deaf(NOON + HOUR, NOON + 7 * DAY)

    found = silence(NOON + 7 * DAY + HOUR, down)

    assert (found.counted, found.suspicion) == (2 * HOUR, 0)


def test_channel_never_heard_is_measured_by_the_fleet() -> None:
    found = silence_of(NOON, (), None, UNKNOWN_FLEET, NOON + 6 * DAY)

    assert 0 < found.suspicion < SUSPICION_OF_QUIET


SPANS = st.lists(
    st.tuples(st.floats(-50, 400), st.none() | st.floats(-50, 400)).filter(
        lambda one: one[1] is None or one[0] < one[1]
    ),
    max_size=6,
)


@given(SPANS)
@settings(max_examples=60)
def test_parts_lie_apart_in_order_and_inside(spans: list[tuple[float, float | None]]) -> None:
    until = NOON + 300 * HOUR

    parts = merged(deaf(*spans), NOON, until)

    edges = [edge for part in parts for edge in part]
    assert edges == sorted(set(edges))
    assert all(NOON <= edge <= until for edge in edges)


@given(SPANS, st.floats(0, 400), st.floats(0, 100))
@settings(max_examples=60)
def test_clock_never_goes_back(spans: list[tuple[float, float | None]], hours: float, more: float) -> None:
    outages = deaf(*spans)

    before, after = (silence(NOON + one * HOUR, *outages) for one in (hours, hours + more))

    assert before.counted <= after.counted
    assert timedelta(0) <= after.counted <= (hours + more) * HOUR + timedelta(microseconds=1)


def test_days_are_counted_from_1970() -> None:
    assert day_of(datetime(1970, 1, 2, 23, 59, tzinfo=UTC)) == 1
    assert start_of(day_of(NOON)) == NOON - 12 * HOUR

"""Suspicion grows with a silence, by the channel's own rhythm: simulated years, and what never holds."""

from dataclasses import dataclass, field
from random import Random
from statistics import median
from typing import Final

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from tests.domain.control.rhythms import (
    MONDAY,
    YEAR,
    Fleet,
    Uses,
    always_on,
    cart,
    office,
    rhythm_of,
    school,
    shifts,
    traveller,
)

from muster.domain.control.control_policy import SUSPICION_OF_QUIET
from muster.domain.control.fleet_activity import UNKNOWN_FLEET, FleetActivity
from muster.domain.control.rhythm import SKETCH_DAYS, Rhythm
from muster.domain.control.suspicion import day_of_suspicion, expectation_of, suspicion

TOLERANCE_DAYS = 6
"""Complete days of silence after which it is the policy's tolerance that speaks."""
SHARES = st.floats(0.0, 1.0)
ACTIVITIES = st.builds(
    FleetActivity,
    st.tuples(*[SHARES] * 7),
    st.dictionaries(st.integers(MONDAY - 200, MONDAY + 100), st.floats(0.0, 0.75), max_size=20),
)
RHYTHMS = st.builds(Rhythm, st.just(MONDAY), st.integers(0, (1 << SKETCH_DAYS - 1) - 1).map(lambda days: days << 1 | 1))


@given(RHYTHMS, ACTIVITIES)
@settings(max_examples=60)
def test_suspicion_grows_with_silence(rhythm: Rhythm, fleet: FleetActivity) -> None:
    expectation = expectation_of(rhythm, fleet)

    grown = [suspicion(expectation, range(MONDAY + 1, MONDAY + 1 + days)) for days in range(30)]

    assert grown[0] == 0
    assert grown == sorted(grown)


@given(RHYTHMS, ACTIVITIES)
@settings(max_examples=60)
def test_one_day_of_silence_alone_is_never_suspicious(rhythm: Rhythm, fleet: FleetActivity) -> None:
    assert suspicion(expectation_of(rhythm, fleet), [MONDAY + 1]) < SUSPICION_OF_QUIET


@given(RHYTHMS)
@settings(max_examples=60)
def test_day_of_suspicion_is_the_first_after_which_it_is_reached(rhythm: Rhythm) -> None:
    expectation = expectation_of(rhythm, UNKNOWN_FLEET)

    day = day_of_suspicion(expectation, [MONDAY + 1], MONDAY + 2)

    assume(day is not None)  # of whom nearly nothing is known, nothing is suspicious
    assert day is not None
    assert suspicion(expectation, range(MONDAY + 1, day)) < SUSPICION_OF_QUIET
    assert suspicion(expectation, range(MONDAY + 1, day + 1)) >= SUSPICION_OF_QUIET


def test_weekend_suspects_nobody_who_works_from_monday_to_friday() -> None:
    for weeks in range(1, 18):
        workdays = [week * 7 + day for week in range(weeks) for day in range(5)]
        friday = MONDAY + workdays[-1]

        found = suspicion(expectation_of(rhythm_of(*workdays), UNKNOWN_FLEET), [friday + 1, friday + 2])

        assert found < (1.0 if weeks < 3 else 0.5)


@pytest.mark.parametrize(("weeks", "days"), [(2, 3), (3, 2), (8, 2), (17, 2)])
def test_what_is_always_on_is_suspicious_after_few_days(weeks: int, days: int) -> None:
    rhythm = rhythm_of(*range(weeks * 7))
    fleet = FleetActivity((0.9,) * 7)

    last_day = day_of_suspicion(expectation_of(rhythm, fleet), [], rhythm.last_day + 1)

    assert last_day is not None
    assert last_day - rhythm.last_day == days


@pytest.mark.parametrize(("share", "days"), [(0.97, 3), (0.95, 3), (0.9, 5), (0.5, None)])
def test_a_newcomer_to_a_fleet_that_is_always_on_is_suspicious_after_three_days(share: float, days: int | None) -> None:
    rhythm = rhythm_of(0, 1, 2)
    fleet = FleetActivity((share,) * 7)

    last_day = day_of_suspicion(expectation_of(rhythm, fleet), [], rhythm.last_day + 1)

    if days is None:
        assert last_day is None or last_day > rhythm.last_day + TOLERANCE_DAYS
    else:
        assert last_day is not None
        assert last_day - rhythm.last_day == days


def test_little_history_falls_back_on_the_fleet() -> None:
    weekdays = FleetActivity((0.9,) * 5 + (0.1, 0.1))
    newcomer = rhythm_of(3, 4)  # a Thursday and a Friday

    weekend = suspicion(expectation_of(newcomer, weekdays), [MONDAY + 5, MONDAY + 6])
    midweek = suspicion(expectation_of(newcomer, weekdays), [MONDAY + 7, MONDAY + 8])

    assert weekend < 0.2
    assert midweek > 3 * weekend
    assert expectation_of(None, weekdays).shares[0] > expectation_of(None, weekdays).shares[6]


def test_absences_that_happened_twice_are_a_habit() -> None:
    daily = set(range(70))
    once, twice = daily - set(range(20, 25)), daily - set(range(20, 25)) - set(range(40, 45))

    found = [
        suspicion(expectation_of(rhythm_of(*sorted(days)), UNKNOWN_FLEET), range(MONDAY + 70, MONDAY + 75))
        for days in (once, twice)
    ]

    assert found[0] >= SUSPICION_OF_QUIET > found[1]


def test_day_on_which_the_whole_fleet_was_away_counts_for_little() -> None:
    rhythm = rhythm_of(*range(60))
    silent_days = range(MONDAY + 60, MONDAY + 64)
    holiday = FleetActivity(UNKNOWN_FLEET.shares, dict.fromkeys(silent_days, 0.02))

    assert suspicion(expectation_of(rhythm, holiday), silent_days) < 0.1
    assert suspicion(expectation_of(rhythm, UNKNOWN_FLEET), silent_days) > 3


# Years


@dataclass
class Year:
    """What a year brought for one kind of device: the shares of days on which one was suspected that had no fault, and
    after how many days one that stopped was. *sampled* are the days on which it is asked when it would have been."""

    first_weeks: list[bool] = field(default_factory=list)
    later: list[bool] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)


def live_a_year(kinds: dict[Uses, int], seed: int) -> dict[Uses, Year]:
    random = Random(seed)
    made = [kind for kind, count in kinds.items() for _ in range(count)]
    fleet = Fleet([kind(random) for kind in made])
    years = {kind: Year() for kind in kinds}
    for number in range(YEAR):
        for kind, rhythm in zip(made, fleet.live(), strict=True):
            silent_days = range(rhythm.last_day + 1, fleet.day + 1)
            is_quiet = False
            if 1 < len(silent_days) <= TOLERANCE_DAYS:
                expectation = expectation_of(rhythm, fleet.activity)
                is_quiet = suspicion(expectation, silent_days) >= SUSPICION_OF_QUIET
            (years[kind].first_weeks if number < 21 else years[kind].later).append(is_quiet)
            if number >= 21 and number % 19 == 0 and not silent_days:
                years[kind].delays.append(_delay(rhythm, fleet))
    return years


def _delay(rhythm: Rhythm, fleet: Fleet) -> float:
    """Tell after how many days it is suspected if it stops in the middle of this day."""
    last_day = day_of_suspicion(expectation_of(rhythm, fleet.activity), [], rhythm.last_day + 1)
    assert last_day is not None
    return last_day - rhythm.last_day + 0.5


def share(days: list[bool]) -> float:
    return sum(days) / len(days)


FLEETS: Final[tuple[tuple[str, dict[Uses, int]], ...]] = (
    ("an office", {office: 40}),
    ("a school", {school: 40}),
    ("a mixed fleet", {office: 70, always_on: 35, cart: 35, shifts: 20, traveller: 20}),
    ("carts alone", {cart: 25}),
)


@pytest.mark.parametrize("kinds", [pytest.param(kinds, id=name) for name, kinds in FLEETS])
def test_year_without_faults_suspects_hardly_anybody(kinds: dict[Uses, int]) -> None:
    for kind, year in live_a_year(kinds, seed=1).items():
        limit = 0.0025 if kind is traveller else 0.001  # who comes and goes by chance has no rhythm to go by

        assert share(year.first_weeks) < 0.01, kind
        assert share(year.later) < limit, kind
        if kind in (office, always_on):
            assert median(year.delays) <= 3.5, kind


def test_two_weeks_break_of_everybody_suspects_nobody() -> None:
    fleet = Fleet([office(Random(number)) for number in range(30)])
    for _ in range(63):
        fleet.live()
    resting = Fleet([iter([False] * 14) for _ in range(30)], fleet.day, fleet.activity, list(fleet.measured))
    resting.sketches = fleet.sketches

    highest = 0.0
    for _ in range(14):
        for rhythm in resting.live():
            silent_days = range(rhythm.last_day + 1, resting.day + 1)
            highest = max(highest, suspicion(expectation_of(rhythm, resting.activity), silent_days))

    assert highest < SUSPICION_OF_QUIET

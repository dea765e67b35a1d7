"""What the whole fleet does: on which weekdays it is heard, and on which days something kept everybody away.

One `FleetDay` is measured for each finished day, from the sketches that the channels' rows carry.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import exp
from types import MappingProxyType
from typing import Final

from muster.domain.control.rhythm import SKETCH_DAYS, Rhythm

DAYS_OF_WEEK: Final = 7
MEMORY_WEEKS: Final = 8
"""After so many weeks a day counts for a third of what yesterday does: a rhythm changes with seasons and jobs."""
FLEET_COUNTS: Final = 1.0
"""How many weeks of a channel's own history the fleet's example weighs."""
FLEET_CEILING: Final = 0.7
"""The example of a fleet whose devices come and go makes nobody suspicious before the fourth day of silence."""
FLEET_DEPARTURE: Final = 1.5
"""Of a fleet that is hardly ever away more is expected than FLEET_CEILING: all but so many times what it is away."""
STEADY_DAYS: Final = 10.0
"""So many days a channel of which nothing is known is taken to be known for, where its fleet is never away ..."""
STEADY_ABOVE: Final = 0.7
"""... and none where so few of it, or fewer, are heard on some weekday."""
CERTAINTY: Final = 0.98
"""Nobody is sure to be heard on a day: one day of silence alone never makes suspicious, whatever the history."""
HOLIDAY_BELOW: Final = 0.75
"""On a day on which fewer than so many were heard of those that should have been, something kept many of them ..."""
HOLIDAY_DEVIATIONS: Final = 3.0
"""... if there are more missing than so many square roots of who was expected: of a few devices, nearly all."""
FLEET_UNKNOWN: Final = 5.0
"""How many devices the example of the unknown fleet weighs against a fleet's own days."""
ACTIVE_WITHIN: Final = 56
"""Days within which a device was heard that counts for the fleet: a summer's break, and not who is gone for good."""
WEIGHTS: Final = tuple(exp(-(age // DAYS_OF_WEEK) / MEMORY_WEEKS) for age in range(SKETCH_DAYS))
"""How much a day counts that lies so many days back."""


@dataclass(frozen=True, slots=True)
class FleetDay:
    """A finished day, by days since 1970-01-01 UTC.

    *active*: devices that were heard in the weeks before it; *heard*: those of them that were heard on that day;
    *expected*: how many should have been, by their rhythms.
    """

    day: int
    active: int
    heard: int
    expected: float


@dataclass(frozen=True, slots=True)
class FleetActivity:
    """What the fleet does. *shares*: how much of it is heard on each weekday, Monday first. *low*: the days on which
    everybody was away, with how much of what was expected was heard; on all others it is 1."""

    shares: tuple[float, ...]
    low: Mapping[int, float] = field(default_factory=lambda: MappingProxyType({}))


UNKNOWN_FLEET: Final = FleetActivity((0.5,) * DAYS_OF_WEEK)
"""Of a server that has just been set up."""


def known_of(fleet: FleetActivity) -> float:
    """Return how many days the example of a steady fleet is worth: a newcomer will hardly be one who comes and goes."""
    return STEADY_DAYS * max(min(fleet.shares) - STEADY_ABOVE, 0.0) / (1.0 - STEADY_ABOVE)


def weekday_of(day: int) -> int:
    """Return 0 for a Monday to 6 for a Sunday; *day* counts days since 1970-01-01, a Thursday."""
    return (day + 3) % DAYS_OF_WEEK


def activity_of(days: Iterable[FleetDay]) -> FleetActivity:
    """Put together what the fleet does from its finished days, in any order; none: the unknown fleet."""
    measured = sorted(days, key=lambda one: one.day)
    low = {
        one.day: one.heard / one.expected
        for one in measured
        if one.heard < HOLIDAY_BELOW * one.expected
        and one.expected - one.heard > HOLIDAY_DEVIATIONS * one.expected**0.5
    }
    heard, active = [0.0] * DAYS_OF_WEEK, [0.0] * DAYS_OF_WEEK
    for one in measured:
        age = measured[-1].day - one.day
        if one.day not in low and age < SKETCH_DAYS:
            heard[weekday_of(one.day)] += WEIGHTS[age] * one.heard
            active[weekday_of(one.day)] += WEIGHTS[age] * one.active
    shares = (
        (one_heard + FLEET_UNKNOWN * unknown) / (one_active + FLEET_UNKNOWN)
        for one_heard, one_active, unknown in zip(heard, active, UNKNOWN_FLEET.shares, strict=True)
    )
    return FleetActivity(tuple(shares), MappingProxyType(low))


def measure_day(rhythms: Iterable[Rhythm], day: int, fleet: FleetActivity) -> FleetDay:
    """Measure a finished day of the fleet whose devices have *rhythms* at present; *fleet* is what it did before."""
    active, heard, expected = 0, 0, 0.0
    weekday = weekday_of(day)
    for rhythm in rhythms:
        if not rhythm.was_heard_within(day - ACTIVE_WITHIN, day):
            continue
        active += 1
        heard += rhythm.was_heard(day)
        expected += share_on(rhythm, weekday, fleet)
    return FleetDay(day, active, heard, expected)


def share_on(rhythm: Rhythm, weekday: int, fleet: FleetActivity) -> float:
    """Tell how often a channel is heard on *weekday*.

    What is weeks old counts less, the fleet's holidays not at all; nor does its first day: that it came is no rhythm.
    """
    hits, chances = 0.0, 0.0
    days, last_day, low = rhythm.days, rhythm.last_day, fleet.low
    age = (weekday_of(last_day) - weekday) % DAYS_OF_WEEK
    for one in range(age, days.bit_length() - 1, DAYS_OF_WEEK):
        if low and last_day - one in low:
            continue
        chances += WEIGHTS[one]
        if days >> one & 1:
            hits += WEIGHTS[one]
    return blended(hits, chances, fleet.shares[weekday])


def blended(hits: float, chances: float, share_of_fleet: float) -> float:
    """Tell how likely contact is after *hits* of *chances*, with the fleet's example where these are few."""
    example = min(share_of_fleet, max(FLEET_CEILING, 1.0 - FLEET_DEPARTURE * (1.0 - share_of_fleet)))
    return min((hits + FLEET_COUNTS * example) / (chances + FLEET_COUNTS), CERTAINTY)

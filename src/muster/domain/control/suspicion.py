"""How surprising a silence is by a channel's own rhythm: what decides `quiet`.

Suspicion is -log10 of how likely so long a silence is: over its complete days (UTC), the sum of -log10(1 - the chance
of being heard on that day). The chance is how often the channel is heard on such weekdays (the fleet's example where
little is known of it), times how active the fleet was on that very day, so that a holiday of everybody suspects nobody.
It sinks while the silence lasts: the faster the less is known, and the more its absences tend to last. There is
nothing to tune by hand; why it is so, and what came of it in simulated years, stands in docs/protocol/choices.md.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from math import log10
from typing import Final

from muster.domain.control.control_policy import SUSPICION_OF_QUIET
from muster.domain.control.fleet_activity import DAYS_OF_WEEK, WEIGHTS, FleetActivity, blended, known_of, weekday_of
from muster.domain.control.rhythm import Rhythm

MISSES_COUNTED: Final = 7
"""Of a longer absence so many days tell of the rhythm; the rest says only that it was an absence."""
HABIT_DAYS: Final = 84
"""Twelve weeks in which an absence that happened twice is a habit."""
OFTEN_AWAY: Final = 6
"""Who was away so often in these weeks has no fixed habit: absences twice as surprising as before are still his."""
NOTABLE: Final = 0.3
"""As surprising as a day off of who comes every second day; what is less (a weekend) is no absence to speak of."""
BELOW_LIMIT: Final = 1.9
"""What is no more surprising than a habit stays below SUSPICION_OF_QUIET."""
ASIDE: Final = 1.0
"""How many absences that last no longer than chance has it are taken for known of everybody."""
ONE_ABSENCE_COUNTS: Final = 2.0
"""One holiday of a person makes no one of whom absences are expected to last."""
FIRST_KNOWN: Final = 2.0
"""Days that are taken for known of a channel of which nothing is known, in a fleet that comes and goes."""
UNSEEN_DAYS: Final = 3.0
"""Against so many days weighs what is known: of whom no absence was seen yet nobody knows how long it would last."""
AHEAD_DAYS: Final = 60
"""How far ahead suspicion is looked for; every limit of a policy has passed by then."""
_ROUNDING: Final = 1e-9


@dataclass(frozen=True, slots=True)
class Expectation:
    """What is expected of a channel, and so what its silence means.

    *shares*: how likely contact is on each weekday, Monday first. *known*: days that this rests on. *return_share*: by
    how much contact is less likely once an absence has begun; 1: it is not. *habit*: how surprising an absence may
    be and yet no more than its habit. *low*: the fleet's holidays.
    """

    shares: tuple[float, ...]
    known: float
    return_share: float
    habit: float
    low: Mapping[int, float]

    def score(self, days: Iterable[int]) -> float:
        """Return how surprising it is not to be heard on *days*, in order; it grows with each of them."""
        score = 0.0
        for score in self.scores(days):  # noqa: B007 - the last is that of all days
            pass
        return score

    def scores(self, days: Iterable[int]) -> Iterator[float]:
        """Yield after each of *days*, in order, how surprising it is not to be heard until then."""
        score, missed = 0.0, 0.0
        for day in days:
            share = self.shares[weekday_of(day)] * self.low.get(day, 1.0)
            chance = share * self.known / (self.known + missed)
            if missed >= NOTABLE:
                chance *= self.return_share
            score -= log10(1.0 - chance)
            missed += share
            yield score


def expectation_of(rhythm: Rhythm | None, fleet: FleetActivity) -> Expectation:
    """Work out what is expected of a channel; *rhythm* absent: it was never heard, and the fleet's example counts."""
    hits, chances = [0.0] * DAYS_OF_WEEK, [0.0] * DAYS_OF_WEEK
    absences = [] if rhythm is None else _count_days(rhythm, fleet, hits, chances)
    shares = tuple(blended(hit, chance, share) for hit, chance, share in zip(hits, chances, fleet.shares, strict=True))
    known = sum(chances) + FIRST_KNOWN + known_of(fleet)
    return_share = min(_return_share(absences, shares, fleet), known / (known + UNSEEN_DAYS))
    plain = Expectation(shares, known, return_share, 0.0, fleet.low)
    return Expectation(shares, known, return_share, _habit(absences, plain), fleet.low)


def suspicion(expectation: Expectation, silent_days: Sequence[int]) -> float:
    """Return how surprising a silence is over *silent_days*, complete ones that count, in order."""
    return _with_habit(expectation.score(silent_days), expectation)


def _with_habit(score: float, expectation: Expectation) -> float:
    return score if score > expectation.habit + _ROUNDING else min(score, BELOW_LIMIT)


def day_of_suspicion(expectation: Expectation, silent_days: Sequence[int], next_day: int) -> int | None:
    """Tell after which day suspicion will have reached SUSPICION_OF_QUIET, if the silence lasts.

    The days from *next_day* on are taken for such as any. None: not within AHEAD_DAYS.
    """
    ahead = range(next_day, next_day + AHEAD_DAYS)
    scores = islice(expectation.scores(chain(silent_days, ahead)), len(silent_days), None)
    return next(
        (
            day
            for day, score in zip(ahead, scores, strict=True)
            if _with_habit(score, expectation) >= SUSPICION_OF_QUIET
        ),
        None,
    )


def _count_days(rhythm: Rhythm, fleet: FleetActivity, hits: list[float], chances: list[float]) -> list[tuple[int, ...]]:
    """Count the days of a sketch by weekday, the first one left out: that it came to us is no rhythm.

    Returns the absences of HABIT_DAYS, each with its days in order.
    """
    absences: list[tuple[int, ...]] = []
    absent: list[int] = []
    days, last_day, low = rhythm.days, rhythm.last_day, fleet.low
    for age in range(days.bit_length() - 1):
        day = last_day - age
        if days >> age & 1:
            if absent:
                absences.append(tuple(reversed(absent)))
                absent = []
            if day in low:
                continue
            hits[(day + 3) % DAYS_OF_WEEK] += WEIGHTS[age]
        else:
            absent.append(day)
            if day in low or len(absent) > MISSES_COUNTED:
                continue
        chances[(day + 3) % DAYS_OF_WEEK] += WEIGHTS[age]
    if absent:
        absences.append(tuple(reversed(absent)))
    return [one for one in absences if last_day - one[-1] < HABIT_DAYS]


def _return_share(absences: Sequence[tuple[int, ...]], shares: Sequence[float], fleet: FleetActivity) -> float:
    """Compare how often it came back, once an absence had begun, with how often chance would have it come."""
    returned = expected = ASIDE
    for absence in absences:
        missed, of_one = 0.0, 0.0
        for day in (*absence, absence[-1] + 1):
            share = shares[weekday_of(day)] * fleet.low.get(day, 1.0)
            if missed >= NOTABLE:
                of_one += share
            missed += share
        if of_one:
            returned += 1
            expected += min(of_one, ONE_ABSENCE_COUNTS)
    return min(returned / expected, 1.0)


def _habit(absences: Sequence[tuple[int, ...]], expectation: Expectation) -> float:
    scores = sorted((score for one in absences if (score := expectation.score(one)) >= NOTABLE), reverse=True)
    if len(scores) < 2:
        return 0.0
    return scores[1] * (1.0 + min(len(scores) / OFTEN_AWAY, 1.0))

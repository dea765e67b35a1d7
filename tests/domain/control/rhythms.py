"""Years of people and machines, for tests of rhythms: on which days each is heard."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random

from muster.domain.control.fleet_activity import UNKNOWN_FLEET, FleetActivity, FleetDay, activity_of, measure_day
from muster.domain.control.rhythm import Rhythm, fold_rhythm, read_rhythm

MONDAY = 20_458
"""5 January 2026."""
YEAR = 364
HOLIDAYS = frozenset({88, 91, 116, 129, 140, 299, 354, 355, 361})
"""Of everybody who keeps office hours: days from MONDAY on, Easter's Friday and Monday among them."""
BREAKS = ((42, 49), (84, 98), (180, 222), (287, 294), (350, 364))
"""Of schools: the first day of each, and the first after it."""

Uses = Callable[[Random], Iterator[bool]]
"""Tells for day after day, from MONDAY on, whether a device is heard."""


def is_workday(number: int) -> bool:
    """Tell whether people work on that day after MONDAY."""
    return number % 7 < 5 and number not in HOLIDAYS


def office(random: Random) -> Iterator[bool]:
    """Monday to Friday, now and then a day at home."""
    return (is_workday(number) and random.random() < 0.97 for number in range(YEAR))


def school(random: Random) -> Iterator[bool]:
    """As an office, but for weeks of holidays."""
    at_school = [is_workday(day) and not any(first <= day < after for first, after in BREAKS) for day in range(YEAR)]
    return (is_open and random.random() < 0.97 for is_open in at_school)


def always_on(random: Random) -> Iterator[bool]:
    """A kiosk or a Mac mini that nobody turns off."""
    return (random.random() < 0.998 for _ in range(YEAR))


def cart(random: Random) -> Iterator[bool]:
    """Shared iPads that a class takes out of a cart for a day or two, and then nobody for a week."""
    return _in_turns(random, (1, 1, 2, 3), (1, 2, 2, 3, 3, 4, 5, 6, 7, 9), lambda number: number % 7 < 5, 1.0)


def shifts(random: Random) -> Iterator[bool]:
    """Four days on, four off."""
    offset = random.randrange(8)
    return ((number + offset) % 8 < 4 and random.random() < 0.98 for number in range(YEAR))


def traveller(random: Random) -> Iterator[bool]:
    """Some days in reach, some not."""
    return _in_turns(random, range(2, 13), range(1, 6), lambda _: True, 0.95)


def _in_turns(
    random: Random, on: Sequence[int], off: Sequence[int], may: Callable[[int], bool], share: float
) -> Iterator[bool]:
    is_on, left = True, random.choice(on)
    for number in range(YEAR):
        if left == 0:
            is_on = not is_on
            left = random.choice(on if is_on else off)
        left -= 1
        yield is_on and may(number) and random.random() < share


@dataclass
class Fleet:
    """Devices day after day: their rhythms after each, and what the fleet does."""

    uses: Sequence[Iterator[bool]]
    day: int = MONDAY - 1
    activity: FleetActivity = UNKNOWN_FLEET
    measured: list[FleetDay] = field(default_factory=list)
    sketches: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.sketches = [fold_rhythm(None, self.day) for _ in self.uses]

    def live(self) -> list[Rhythm]:
        """Live a day; returns the rhythms after it."""
        self.day += 1
        for number, use in enumerate(self.uses):
            if next(use):
                self.sketches[number] = fold_rhythm(self.sketches[number], self.day)
        rhythms = [read_rhythm(sketch) for sketch in self.sketches]
        self.measured.append(measure_day(rhythms, self.day, self.activity))
        self.activity = activity_of(self.measured[-128:])
        return rhythms


def rhythm_of(*heard: int) -> Rhythm:
    """Return the rhythm of one who was heard on these days after MONDAY."""
    sketch = fold_rhythm(None, MONDAY + heard[0])
    for number in heard[1:]:
        sketch = fold_rhythm(sketch, MONDAY + number)
    return read_rhythm(sketch)

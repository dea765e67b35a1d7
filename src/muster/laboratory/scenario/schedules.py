"""When devices rest: a schedule and a calendar become intervals, with nothing left to chance."""

from datetime import UTC, date, datetime, time, timedelta
from random import Random

from muster.laboratory.scenario.model import Schedule

DAY = timedelta(days=1)
SATURDAY = 5

Interval = tuple[datetime, datetime]


def rests_of(schedule: Schedule, begins_at: datetime, ends_at: datetime, rng: Random, shared: Random) -> list[Interval]:
    """The intervals between *begins_at* and *ends_at* in which a device on *schedule* rests, in order, none touching.

    *rng* draws what is the device's own chance, *shared*, equal for all devices of a cohort, what is theirs in common.
    """
    awake: list[Interval] = []
    day = begins_at.date() - DAY
    while day <= ends_at.date():
        awake += _awake_on(day, schedule, rng, shared)
        day += DAY
    rests: list[Interval] = []
    at = begins_at
    for begun, ended in awake:
        if begun > at:
            rests.append((at, min(begun, ends_at)))
        at = max(at, ended)
        if at >= ends_at:
            break
    if at < ends_at:
        rests.append((at, ends_at))
    return [rest for rest in rests if rest[0] < rest[1]]


def _awake_on(day: date, schedule: Schedule, rng: Random, shared: Random) -> list[Interval]:
    """When the device is used on *day*, in order. Draws the same number of times whatever comes of it."""
    chance = shared if schedule.together else rng
    is_used, place = chance.random() < schedule.days_used, chance.random()
    early, late = (schedule.jitter * rng.uniform(-1, 1) for _ in range(2))
    if not is_used or _is_off(day, schedule):
        return []
    windows = _windows(day, schedule)
    if schedule.hours_used is not None:
        begun, ended = max(windows, key=lambda window: window[1] - window[0])
        length = min(timedelta(hours=schedule.hours_used), ended - begun)
        first = begun + (ended - begun - length) * place
        windows = [(first, first + length)]
    midnight = datetime.combine(day, time(), UTC)
    moved = (
        (begun if begun == midnight else begun + early, ended if ended == midnight + DAY else ended + late)
        for begun, ended in windows
    )
    return [window for window in moved if window[0] < window[1]]


def _is_off(day: date, schedule: Schedule) -> bool:
    is_weekend = schedule.weekends and day.weekday() >= SATURDAY
    is_break = any(first <= day <= last for first, last in schedule.breaks)
    return is_weekend or is_break or day in schedule.holidays


def _windows(day: date, schedule: Schedule) -> list[Interval]:
    """The hours of *day* outside the nights."""
    midnight = datetime.combine(day, time(), UTC)
    if schedule.nights is None:
        return [(midnight, midnight + DAY)]
    falls, rises = (datetime.combine(day, moment, UTC) for moment in schedule.nights)
    windows = [(rises, falls)] if rises < falls else [(midnight, falls), (rises, midnight + DAY)]
    return [window for window in windows if window[0] < window[1]]

"""Arithmetic of intervals of time: which cover a moment, and how much time passes outside of them."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import TypeAlias

Interval: TypeAlias = tuple[datetime, datetime]
"""From the first, included, to the second, not included."""

Intervals: TypeAlias = tuple[Interval, ...]
"""In order, none empty, none touching another."""


def merged(spans: Iterable[Interval], gap: timedelta = timedelta(0)) -> Intervals:
    """Put *spans* into order and make one of those that overlap, or lie no further apart than *gap*."""
    found: list[Interval] = []
    for began, ended in sorted(spans):
        if began >= ended:
            continue
        if found and began <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], ended))
        else:
            found.append((began, ended))
    return tuple(found)


def covering(spans: Intervals, at: datetime) -> Interval | None:
    """The interval that *at* lies in; None: it lies in none."""
    place = bisect_right(spans, at, key=lambda one: one[0]) - 1
    return spans[place] if place >= 0 and at < spans[place][1] else None


def covered(spans: Intervals, since: datetime, until: datetime) -> timedelta:
    """How much of the time from *since* to *until* lies in *spans*."""
    return sum(
        (
            min(ended, until) - max(began, since)
            for began, ended in spans
            if ended > since and began < until and min(ended, until) > max(began, since)
        ),
        timedelta(0),
    )


def after(spans: Intervals, since: datetime, length: timedelta) -> datetime:
    """When *length* has passed since *since* outside of *spans*; never a moment inside of one."""
    at = since
    for began, ended in spans:
        if ended <= at:
            continue
        if began > at:
            if began - at >= length:
                break
            length -= began - at
        at = max(at, ended)
    return at + length

"""The timeline strip: contacts of thirty days as ticks, small for lists and large for one device's page.

Time runs to the right, a UTC day is equally wide everywhere, and the last day is today. Everything here is geometry;
the templates draw it.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from muster.domain.control.contact import SLOTS_PER_DAY, ContactDay

DAYS = 30
SMALL_COLUMNS_PER_DAY = 4
"""Six hours a pixel: thirty days in 120 pixels."""
LARGE_COLUMNS_PER_DAY = 36
"""Forty minutes a pixel: thirty days in 1080 pixels."""


def first_day(now: datetime) -> int:
    """Return the first day of a strip that ends today, in days since 1970-01-01 UTC."""
    return int(now.timestamp()) // 86400 - DAYS + 1


def start(now: datetime) -> datetime:
    """Return when a strip that ends today begins."""
    return datetime.fromtimestamp(first_day(now) * 86400, UTC)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a strip, in pixels from its left edge."""

    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Strip:
    """Contacts of one channel. *ticks* is the `d` of an SVG path; *label* says the picture in words."""

    ticks: str
    enrolled: Span | None
    label: str


def small_strip(
    days: Sequence[ContactDay], enrolled_at: datetime | None, ended_at: datetime | None, now: datetime
) -> Strip:
    """Draw a strip 120 pixels wide: ticks from y 1 to 10, over the time it was enrolled."""
    ticks = _path(days, first_day(now), SMALL_COLUMNS_PER_DAY, top=1, height=9)
    return Strip(ticks, enrolled_span(enrolled_at, ended_at, now, SMALL_COLUMNS_PER_DAY), contact_label(days, now))


def large_ticks(days: Sequence[ContactDay], now: datetime, *, height: int) -> str:
    """Return the path of a strip 1080 pixels wide, ticks from y 0 down to *height*."""
    return _path(days, first_day(now), LARGE_COLUMNS_PER_DAY, top=0, height=height)


def enrolled_span(
    enrolled_at: datetime | None, ended_at: datetime | None, now: datetime, columns_per_day: int
) -> Span | None:
    """Return where a channel was enrolled; None when it never was, or not in these thirty days."""
    if enrolled_at is None:
        return None
    end = now if ended_at is None else min(ended_at, now)
    begins = position(max(enrolled_at, start(now)), now, columns_per_day)
    ends = position(end, now, columns_per_day)
    return Span(begins, round(ends - begins, 1)) if ends > begins else None


def position(at: datetime, now: datetime, columns_per_day: int) -> float:
    """Return how many pixels *at* lies from the left edge; negative before it."""
    return round((at - start(now)) / timedelta(days=1) * columns_per_day, 1)


def contact_label(days: Sequence[ContactDay], now: datetime) -> str:
    """Say in words what the ticks show."""
    first = first_day(now)
    count = sum(1 for day in days if day.day >= first and any(day.strip))
    if count == 0:
        return f"No contact in the last {DAYS} days"
    return f"Contact on {count} of the last {DAYS} days"


def _path(days: Iterable[ContactDay], first: int, per_day: int, *, top: int, height: int) -> str:
    return "".join(f"M{x} {top}h{width}v{height}h-{width}z" for x, width in _runs(_columns(days, first, per_day)))


def _columns(days: Iterable[ContactDay], first: int, per_day: int) -> Iterator[int]:
    """Yield the columns in which there was contact, in order."""
    slots = SLOTS_PER_DAY // per_day
    mask = (1 << slots) - 1
    for day in days:
        bits = int.from_bytes(day.strip, "little")
        base = (day.day - first) * per_day
        if base < 0 or not bits:
            continue
        for column in range(per_day):
            if bits >> column * slots & mask:
                yield base + column


def _runs(columns: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Join neighbouring columns: (first, how many)."""
    begin = end = None
    for column in columns:
        if begin is not None and column == end:
            end = column + 1
            continue
        if begin is not None and end is not None:
            yield begin, end - begin
        begin, end = column, column + 1
    if begin is not None and end is not None:
        yield begin, end - begin

"""The timeline strip: contacts of thirty days as ticks, small for lists and large for one device's page.

Time runs to the right, a UTC day is equally wide everywhere, and the last day is today. Everything here is geometry;
the templates draw it.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from muster.domain.control.contact import SLOTS_PER_DAY, ContactDay
from muster.domain.control.reasons import REASONS, Reason
from muster.domain.control.states import ControlState
from muster.edges.console.times import exact_text
from muster.operations.views.marks import CONTROL
from muster.operations.views.verdicts import Held

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
class Band:
    """What was held of a channel in a stretch of a strip; *state* names its colour, *height* tells it without one."""

    x: float
    width: float
    height: int
    state: str
    title: str


HEIGHTS: Final[Mapping[ControlState, int]] = {
    ControlState.IN_CONTROL: 2,
    ControlState.DORMANT: 2,
    ControlState.ENDED: 1,
    ControlState.QUIET: 3,
    ControlState.UNKNOWN: 3,
    ControlState.AT_RISK: 4,
    ControlState.INACTIVE: 4,
    ControlState.OUT_OF_CONTROL: 5,
}
"""Pixels of a band: the graver, the taller, so that it is read in grey as well."""


def bands(held: Sequence[Held], now: datetime, columns_per_day: int) -> tuple[Band, ...]:
    """Draw what was held as bands, none narrower than a pixel."""
    drawn = []
    for one in held:
        if one.ends <= start(now):
            continue
        x = position(max(one.begins, start(now)), now, columns_per_day)
        width = max(1.0, round(position(one.ends, now, columns_per_day) - x, 1))
        title = CONTROL[one.state].word
        if one.reason is not Reason.NONE:
            title = f"{title}: {REASONS[one.reason].title}"
        drawn.append(Band(x, width, HEIGHTS[one.state], one.state.value, f"{title}, from {exact_text(one.begins)}"))
    return tuple(drawn)


@dataclass(frozen=True, slots=True)
class Strip:
    """Contacts of one channel, and what was held of it. *ticks* is the `d` of an SVG path; *label* says the picture in
    words. *enrolled* stands in for the bands of a channel that was never judged.
    """

    ticks: str
    enrolled: Span | None
    label: str
    bands: tuple[Band, ...] = ()


def small_strip(
    days: Sequence[ContactDay],
    enrolled_at: datetime | None,
    ended_at: datetime | None,
    now: datetime,
    held: Sequence[Held] = (),
) -> Strip:
    """Draw a strip 120 pixels wide: ticks from y 0 to 9, over what was held of it, or the time it was enrolled."""
    ticks = _path(days, first_day(now), SMALL_COLUMNS_PER_DAY, top=0, height=9)
    drawn = bands(held, now, SMALL_COLUMNS_PER_DAY)
    span = None if drawn else enrolled_span(enrolled_at, ended_at, now, SMALL_COLUMNS_PER_DAY)
    return Strip(ticks, span, contact_label(days, now), drawn)


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

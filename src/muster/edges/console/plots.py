"""Plots of the fleet as geometry; the templates draw them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control import saying
from muster.edges.console.times import day_text
from muster.operations.views.control import ControlDay, ReasonRow

WIDTH: Final = 800
HEIGHT: Final = 160
BAR_WIDTH: Final = 200
_BASES: Final = (0.95, 0.9, 0.8, 0.5, 0.0)
"""Where the axis of shares may begin: the highest that lies under all of them, for 98 and 99 percent look alike on the
whole scale. It is written beside the axis."""
_LEAST_ROOM: Final = 0.02
"""Between the lowest share and the beginning of the axis."""


@dataclass(frozen=True, slots=True)
class Tick:
    """A line of the grid: its place, and what stands beside it."""

    at: float
    label: str


@dataclass(frozen=True, slots=True)
class DayPoint:
    """One day of the plot, as wide as the pointer needs to find it; *title* says it in words."""

    x: float
    width: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class SharePlot:
    """The share under control over time. *area* and *line* are the `d` of paths; *label* says it in words."""

    area: str
    line: str
    shares: tuple[Tick, ...]
    days: tuple[Tick, ...]
    points: tuple[DayPoint, ...]
    label: str


def plot_shares(history: Sequence[ControlDay], now: datetime, days: int) -> SharePlot | None:
    """Plot the share under control of the last *days* days; None where that would be a single point."""
    known = [one for one in history if one.total]
    if len(known) < 2:
        return None
    shares = [one.in_control / one.total for one in known]
    base = next(one for one in _BASES if one == 0 or min(shares) - _LEAST_ROOM >= one)
    first = known[-1].day - timedelta(days=days - 1)
    pitch = WIDTH / max(days - 1, 1)

    def x(day: datetime) -> float:
        return round((day - first) / timedelta(days=1) * pitch, 1)

    def y(share: float) -> float:
        return round(HEIGHT * (1 - (share - base) / (1 - base)), 1)

    places = [(x(one.day), y(share)) for one, share in zip(known, shares, strict=True)]
    line = "M" + "L".join(f"{at} {height}" for at, height in places)
    middle = (1 + base) / 2
    lowest = min(zip(shares, known, strict=True), key=lambda one: one[0])
    return SharePlot(
        area=f"{line}L{places[-1][0]} {HEIGHT}L{places[0][0]} {HEIGHT}z",
        line=line,
        shares=tuple(Tick(y(one), f"{one * 100:g} %") for one in (1.0, middle, base)),
        days=tuple(Tick(x(one.day), day_text(one.day, now)) for one in known if one.day.weekday() == 0),
        points=tuple(
            DayPoint(max(0.0, at - pitch / 2), pitch, height, _day_title(one, now))
            for (at, height), one in zip(places, known, strict=True)
        ),
        label=(
            f"Share of devices under control: {saying.share(known[-1].in_control, known[-1].total)} now, at the lowest "
            f"{saying.share(lowest[1].in_control, lowest[1].total)} on {day_text(lowest[1].day, now)}"
        ),
    )


def _day_title(one: ControlDay, now: datetime) -> str:
    share = saying.share(one.in_control, one.total)
    return f"{day_text(one.day, now)}: {one.in_control:,} of {one.total:,} under control, {share}"


@dataclass(frozen=True, slots=True)
class StatePart:
    """One part of the bar of all states."""

    state: str
    x: float
    width: float


def state_parts(states: Sequence[tuple[str, int]], width: float, *, narrowest: float = 3) -> tuple[StatePart, ...]:
    """Divide *width* among *states*; those that have anybody are seen, however few these are."""
    some = [(state, devices) for state, devices in states if devices]
    total = sum(devices for _, devices in some)
    widths = [max(width * devices / total, narrowest) for _, devices in some]
    scale = width / sum(widths) if widths else 1
    parts, x = [], 0.0
    for (state, _), part in zip(some, widths, strict=True):
        parts.append(StatePart(state, round(x, 1), round(part * scale, 1)))
        x += part * scale
    return tuple(parts)


def reason_width(row: ReasonRow, most: int) -> float:
    """Return how long the bar of a reason is; *most* is the length of the longest, in devices."""
    return round(max(2.0, BAR_WIDTH * row.devices / most), 1)

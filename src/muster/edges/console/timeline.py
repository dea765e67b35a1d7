"""The large strip of one device's page: its contacts, pushes, refusals and commands of thirty days, on one axis."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType

from muster.domain.control.evidence import Signal
from muster.domain.control.own_side import Outage
from muster.domain.control.reasons import REASONS
from muster.edges.console.strip import (
    DAYS,
    LARGE_COLUMNS_PER_DAY,
    Band,
    Span,
    bands,
    contact_label,
    enrolled_span,
    large_ticks,
    position,
    start,
)
from muster.edges.console.times import exact_text
from muster.operations.views import words
from muster.operations.views.commands import CommandRow
from muster.operations.views.devices import DeviceDetails
from muster.operations.views.evidence import EvidenceRow
from muster.operations.views.marks import Shape, Tone
from muster.operations.views.pushing import PushMark
from muster.operations.views.verdicts import Held
from muster.protocol.identifiers import ChannelId

WIDTH = DAYS * LARGE_COLUMNS_PER_DAY
TICK_HEIGHT = 16
ROOM_FOR_NOW = 80
"""Pixels that a date and the word "now" take beside one another."""
BARS_SHOWN = 200
"""More bars than pixels tell nothing."""
PUSHES_DRAWN = 300
"""Dots of pushes at most; ten a day are many."""
BAR_ROWS = 4
"""Overlapping commands are stacked so deep; the next ones share the last row."""
BAR_PITCH = 6
_NARROWEST_BAR = 3.0


@dataclass(frozen=True, slots=True)
class DayMark:
    """A Monday on the axis; its *label* is empty where there is no room for it."""

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One channel's contacts."""

    name: str
    ticks: str
    enrolled: Span | None
    label: str
    bands: tuple[Band, ...] = ()
    """What was held of it, beneath its contacts; *enrolled* is absent then."""


@dataclass(frozen=True, slots=True)
class Point:
    """A refusal; *title* says it in words. *since* is where equal ones before it began."""

    x: float
    since: float | None
    title: str


@dataclass(frozen=True, slots=True)
class PushDot:
    """A push: a disc, a ring until the channel was in contact after it, and other shapes for what APNs refused."""

    x: float
    shape: Shape
    tone: Tone
    title: str


@dataclass(frozen=True, slots=True)
class Bar:
    """A command from its queueing to its answer, or to now."""

    x: float
    width: float
    y: int
    tone: str
    title: str


@dataclass(frozen=True, slots=True)
class Shade:
    """A fault of ours across all channels: while it lasted nobody could be heard, or woken."""

    x: float
    width: float
    title: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Everything to draw; rows that would be empty are empty tuples."""

    mondays: tuple[DayMark, ...]
    weekends: tuple[Span, ...]
    now: float
    lanes: tuple[Lane, ...]
    pushes: tuple[PushDot, ...]
    pushes_left_out: bool
    refusals: tuple[Point, ...]
    bars: tuple[Bar, ...]
    bars_height: int
    outages: tuple[Shade, ...] = ()


def draw_timeline(
    details: DeviceDetails,
    commands: Sequence[CommandRow],
    pushes: Sequence[PushMark],
    now: datetime,
    *,
    held: Mapping[ChannelId, Sequence[Held]] = MappingProxyType({}),
    outages: Sequence[Outage] = (),
) -> Timeline:
    """Place what is known of a device on the last thirty days. *pushes* are the newest first, of the same time.

    *held* is what was held of each of its channels, *outages* are faults of ours that touched everybody.
    """
    first = start(now)
    days = [first + timedelta(days=number) for number in range(DAYS)]
    bars = _bars(commands, now)
    return Timeline(
        mondays=tuple(_day_mark(day, now) for day in days if day.weekday() == 0),
        weekends=_weekends(days, now),
        now=_x(now, now),
        lanes=_lanes(details, held, now),
        pushes=_dots(details, pushes[:PUSHES_DRAWN], now),
        pushes_left_out=len(pushes) > PUSHES_DRAWN,
        refusals=_refusals(details.evidence, now),
        bars=bars,
        bars_height=max((bar.y + BAR_PITCH for bar in bars), default=0),
        outages=tuple(_shade(one, now) for one in outages),
    )


def _x(at: datetime, now: datetime) -> float:
    return position(at, now, LARGE_COLUMNS_PER_DAY)


def _day_mark(day: datetime, now: datetime) -> DayMark:
    """Mark a day by its date, unless the word "now" stands there."""
    x, at_now = _x(day, now), _x(now, now)
    return DayMark(x, "" if x > at_now - ROOM_FOR_NOW else f"{day.day} {day:%b}")


def _weekends(days: Sequence[datetime], now: datetime) -> tuple[Span, ...]:
    spans = []
    for day in days:
        if day.weekday() == 5 or (day.weekday() == 6 and day is days[0]):
            x = _x(day, now)
            spans.append(Span(x, min((7 - day.weekday()) * LARGE_COLUMNS_PER_DAY, WIDTH - x)))
    return tuple(spans)


def _shade(outage: Outage, now: datetime) -> Shade:
    x = max(0.0, _x(outage.began_at, now))
    width = max(1.0, round(_x(min(outage.ended_at or now, now), now) - x, 1))
    until = "now" if outage.ended_at is None else exact_text(outage.ended_at)
    return Shade(x, width, f"{REASONS[outage.reason].title}: {exact_text(outage.began_at)} until {until}")


def _lanes(details: DeviceDetails, held: Mapping[ChannelId, Sequence[Held]], now: datetime) -> tuple[Lane, ...]:
    device = details.device
    lanes = []
    for channel in sorted(details.channels, key=lambda one: one.id != device.id):
        days = details.contact_days.get(channel.id, ())
        is_device = channel.id == device.id
        drawn = bands(held.get(channel.id, ()), now, LARGE_COLUMNS_PER_DAY)
        span = None
        if is_device and not drawn:
            span = enrolled_span(device.enrolled_at, device.ended_at, now, LARGE_COLUMNS_PER_DAY)
        name = "Contacts" if is_device else channel.user_short_name or "User"
        lanes.append(Lane(name, large_ticks(days, now, height=TICK_HEIGHT), span, contact_label(days, now), drawn))
    return tuple(lanes)


def _dots(details: DeviceDetails, pushes: Sequence[PushMark], now: datetime) -> tuple[PushDot, ...]:
    """Draw each push, the oldest first, so that of two in one place the newer is seen."""
    users = {one.id: one.user_short_name or "a user" for one in details.channels if one.id != details.device.id}
    dots = []
    for push in reversed(pushes):
        mark = words.push_answer(push.outcome)
        heard = "in contact since" if push.is_answered else "not in contact since"
        whose = f", of {users[push.channel_id]}" if push.channel_id in users else ""
        reason = f" ({push.reason})" if push.reason else ""
        said = f"{words.push_sentence(push.outcome)}{reason}, for {words.push_reason(push.wanted)}{whose}"
        shape = Shape.RING if mark.shape is Shape.DISC and not push.is_answered else mark.shape
        dots.append(PushDot(_x(push.at, now), shape, mark.tone, f"{said}: {exact_text(push.at)}; {heard}"))
    return tuple(dots)


def _refusals(evidence: Sequence[EvidenceRow], now: datetime) -> tuple[Point, ...]:
    points = []
    for row in evidence:
        if row.signal != Signal.REFUSED_CONTACT or row.last_at < start(now):
            continue
        times = "" if row.count == 1 else f", {row.count} times since {exact_text(row.first_at)}"
        points.append(
            Point(
                x=_x(row.last_at, now),
                since=None if row.count == 1 else max(0.0, _x(row.first_at, now)),
                title=f"{words.evidence_sentence(row)}: {exact_text(row.last_at)}{times}",
            )
        )
    return tuple(points)


def _bars(commands: Sequence[CommandRow], now: datetime) -> tuple[Bar, ...]:
    shown = [
        (row, row.queued_at, row.reported_at or now)
        for row in commands
        if row.queued_at is not None and (row.reported_at or now) >= start(now)
    ][:BARS_SHOWN]
    bars: list[Bar] = []
    ends = [float("-inf")] * BAR_ROWS
    for row, queued_at, until in sorted(shown, key=lambda one: one[1]):
        x = max(0.0, _x(queued_at, now))
        width = round(max(_x(until, now) - x, _NARROWEST_BAR), 1)
        place = next((number for number, end in enumerate(ends) if end + 1 <= x), BAR_ROWS - 1)
        ends[place] = max(ends[place], x + width)
        mark = words.command_status(row.status)
        title = f"{row.request_type or 'Unknown command'}, queued {exact_text(queued_at)}: {mark.word}"
        if row.reported_at is not None:
            title += f" {exact_text(row.reported_at)}"
        bars.append(Bar(x, width, place * BAR_PITCH, mark.tone.value, title))
    return tuple(bars)

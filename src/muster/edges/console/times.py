"""Times for people: relative to now, with the exact time at hand for those who hover and for machines."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from markupsafe import Markup

_MINUTE = timedelta(minutes=1)
_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)
_UNITS = (
    # the unit is used from this length on, and rounds down: "2 days ago" is at least two days
    (timedelta(days=730), timedelta(days=365), "years", "years"),
    (timedelta(days=60), timedelta(days=30), "months", "months"),
    (timedelta(days=2), _DAY, "days", "days"),
    (2 * _HOUR, _HOUR, "h", "hours"),
    (2 * _MINUTE, _MINUTE, "min", "minutes"),
    (_MINUTE, _MINUTE, "min", "minute"),
)


@dataclass(frozen=True, slots=True)
class Clock:
    """Says times as seen at *now* (aware UTC)."""

    now: datetime

    def ago(self, at: datetime) -> Markup:
        """Say *at* relative to now, short, for tables: `4 min ago`, `in 12 days`."""
        return _element(at, self._relative(at, long=False))

    def ago_in_words(self, at: datetime) -> Markup:
        """Say *at* relative to now, for sentences: `4 minutes ago`, `in 12 days`."""
        return _element(at, self._relative(at, long=True))

    def day(self, at: datetime) -> Markup:
        """Say the day of *at*: `3 Nov`, with the year unless it is this one."""
        return _element(at, self._day(at))

    def exact(self, at: datetime) -> Markup:
        """Say *at* to the minute: `3 Nov 14:02` (UTC)."""
        return _element(at, f"{self._day(at)} {at.astimezone(UTC):%H:%M}")

    def _day(self, at: datetime) -> str:
        return day_text(at, self.now)

    def _relative(self, at: datetime, *, long: bool) -> str:
        distance = abs(at - self.now)
        if distance < _MINUTE:
            return "just now" if at <= self.now else "in a moment"
        said = length(distance, long=long)
        return f"{said} ago" if at < self.now else f"in {said}"


def length(duration: timedelta, *, long: bool = True) -> str:
    """Say how long *duration* is in one unit, rounded down: `3 hours`, or `3 h` unless *long*."""
    for begins, unit, short_name, long_name in _UNITS:
        if duration >= begins:
            return f"{duration // unit} {long_name if long else short_name}"
    return "less than a minute" if long else "< 1 min"


def day_text(at: datetime, now: datetime) -> str:
    """Say the day of *at*: `3 Nov`, with the year unless it is that of *now*."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b}" if at.year == now.year else f"{at.day} {at:%b %Y}"


def exact_text(at: datetime) -> str:
    """Say *at* to the second: `3 Nov 2026, 14:02:11 UTC`."""
    at = at.astimezone(UTC)
    return f"{at.day} {at:%b %Y, %H:%M:%S} UTC"


def _element(at: datetime, text: str) -> Markup:
    machine = f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
    # a page says hundreds of times: formatting them with escapes takes longer than reading them
    return Markup(f'<time datetime="{machine}" title="{exact_text(at)}">{text}</time>')  # noqa: S704 - our own words

"""Durations and instants in the words of the sentences that are said of a channel. Times are UTC.

Sentences are kept with the verdict and read later, so they name the day (`instant`); what is made while it is read may
say `yesterday` (`instant_near`).
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

_MINUTE: Final = timedelta(minutes=1)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip
"""Said here, for `strftime` would say them in the language of whoever started the server."""
_NEAR: Final = {-1: "yesterday", 0: "today", 1: "tomorrow"}


def duration(length: timedelta) -> str:
    """Say how long *length* is, in whole units, never more than it was: `3 days`, `30 hours`, `1 day`, `5 minutes`.

    Hours are counted up to two days, for `1 day` would hide half of it. Less than a minute, and what is negative, is
    `less than a minute`.
    """
    if length < _MINUTE:
        return "less than a minute"
    if length < _HOUR:
        return count(length // _MINUTE, "minute")
    if length == _DAY or length >= 2 * _DAY:
        return count(length // _DAY, "day")
    return count(length // _HOUR, "hour")


def instant(at: datetime, now: datetime) -> str:
    """Say *at*: `on 3 November at 14:02 UTC`, with the year unless it is that of *now*."""
    return f"{day(at, now)} at {_clock(at)}"


def day(at: datetime, now: datetime) -> str:
    """Say the day of *at*: `on 3 November`, with the year unless it is that of *now*."""
    at = at.astimezone(UTC)
    year = "" if at.year == now.astimezone(UTC).year else f" {at.year}"
    return f"on {at.day} {_MONTHS[at.month - 1]}{year}"


def instant_near(at: datetime, now: datetime) -> str:
    """As `instant`, but `yesterday at 14:02 UTC`, and so today and tomorrow: for what is read at *now* and not kept."""
    days = (at.astimezone(UTC).date() - now.astimezone(UTC).date()).days
    return f"{_NEAR[days]} at {_clock(at)}" if days in _NEAR else instant(at, now)


def count(number: int, noun: str) -> str:
    """Say how many: `1 push`, `2 pushes`, `3 days`."""
    if number == 1:
        return f"1 {noun}"
    return f"{number:,} {noun}{'es' if noun.endswith(('s', 'sh', 'ch', 'x')) else 's'}"


def listed(words: Sequence[str]) -> str:
    """Say several: `a`, `a and b`, `a, b and c`. Empty for none."""
    *first, last = words or ("",)
    return f"{', '.join(first)} and {last}" if first else last


def _clock(at: datetime) -> str:
    return f"{at.astimezone(UTC):%H:%M} UTC"

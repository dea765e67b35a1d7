"""Times as a scenario writes them: `10d 4h`, `-2d`, `18:00-08:00`."""

import re
from datetime import time, timedelta
from typing import Final

LONGEST: Final = timedelta(days=3660)
"""Ten years: longer is a slip of the pen, and virtual time has to be lived through."""

_PART: Final = r"(\d{1,6}(?:\.\d{1,3})?)"
_SPAN: Final = re.compile(rf"(-?)(?:{_PART}w)? ?(?:{_PART}d)? ?(?:{_PART}h)? ?(?:{_PART}m)? ?(?:{_PART}s)?")
_HOURS: Final = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


def read_duration(text: str) -> timedelta | None:
    """The duration that *text* writes, negative with a minus before it; None when it writes none, or over LONGEST."""
    found = _SPAN.fullmatch(text.strip())
    if found is None or not any(found.groups()[1:]):
        return None
    sign, *parts = found.groups()
    weeks, days, hours, minutes, seconds = (float(part or 0) for part in parts)
    span = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
    return None if span > LONGEST else -span if sign else span


def write_duration(span: timedelta) -> str:
    """*span* as `read_duration` reads it, without fractions of a second."""
    sign, seconds = ("-", -span.total_seconds()) if span < timedelta(0) else ("", span.total_seconds())
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{count}{unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "m"), (rest, "s")) if count]
    return sign + (" ".join(parts) or "0s")


def read_hours(text: str) -> tuple[time, time] | None:
    """The two times of day in `HH:MM-HH:MM`; None when *text* is something else, or they are equal."""
    found = _HOURS.fullmatch(text.strip())
    if found is None:
        return None
    first, second, third, fourth = (int(part) for part in found.groups())
    begins, ends = time(first, second), time(third, fourth)
    return None if begins == ends else (begins, ends)


def is_between(moment: time, hours: tuple[time, time]) -> bool:
    """Whether *moment* lies in *hours*, which may go over midnight."""
    begins, ends = hours
    return begins <= moment < ends if begins < ends else moment >= begins or moment < ends

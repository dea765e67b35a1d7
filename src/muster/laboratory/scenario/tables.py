"""Reading tables of TOML with every fault noted, none raised: where it stands, and what would do instead."""

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from difflib import get_close_matches
from typing import Final

from muster.laboratory.scenario.lines import Path, line_of
from muster.laboratory.scenario.times import read_duration, read_hours

NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,63}")
_LISTED: Final = 12
"""So many words are listed where one of them was meant; of more, those near to it are."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing wrong with a file: its line, the path of the key, and the words."""

    line: int
    path: str
    words: str


class BadScenario(Exception):
    """The file is no scenario; `faults` are all that was found, in the order of its lines."""

    def __init__(self, source: str, faults: Iterable[Fault]) -> None:
        self.source = source
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(_sentence(source, fault) for fault in self.faults))


def _sentence(source: str, fault: Fault) -> str:
    return (
        f"{source}:{fault.line}: {fault.path}: {fault.words}" if fault.path else f"{source}:{fault.line}: {fault.words}"
    )


class Faults:
    """What is wrong so far. *lines* is where each key stands."""

    def __init__(self, lines: Mapping[Path, int]) -> None:
        self.found: list[Fault] = []
        self._lines = lines

    def note(self, path: Path, words: str) -> None:
        """Something is wrong at *path*."""
        self.found.append(Fault(self.line(path), write_path(path), words))

    def line(self, path: Path) -> int:
        """The line of *path*."""
        return line_of(self._lines, path)


def write_path(path: Path) -> str:
    """As in `event[2].do`: tables of an array count from 1."""
    written = ""
    for part in path:
        written += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if written else part
    return written


def nearest(word: str, known: Iterable[str]) -> str:
    """What to say after an unknown word: which was meant, or which there are."""
    words = sorted(known)
    near = get_close_matches(word, words, n=1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(words)}" if 0 < len(words) <= _LISTED else ""


class Table:
    """One table of the file. Each getter gives None when the key is absent or, which is noted, no such thing."""

    def __init__(self, values: Mapping[str, object], path: Path, faults: Faults) -> None:
        self.values = values
        self.path = path
        self.faults = faults

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.faults.line(self.path)

    def note(self, key: str, words: str) -> None:
        """*key* is wrong."""
        self.faults.note((*self.path, key), words)

    def check_keys(self, known: Collection[str]) -> None:
        """Note every key that means nothing here."""
        for key in self.values:
            if key not in known:
                self.note(key, f"means nothing here{nearest(key, known)}")

    def has(self, key: str) -> bool:
        """Whether *key* was given."""
        return key in self.values

    def require(self, key: str) -> bool:
        """Whether *key* was given; that it was not is noted."""
        if key not in self.values:
            self.faults.note(self.path, f"{key} is missing")
        return key in self.values

    def text(self, key: str) -> str | None:
        """A string that isn't empty."""
        value = self.values.get(key)
        if isinstance(value, str) and value.strip():
            return value
        self._wrong(key, "is a text")
        return None

    def name(self, key: str) -> str | None:
        """A name for something."""
        value = self.text(key)
        if value is not None and NAME.fullmatch(value) is None:
            self.note(key, "is a letter, and then letters, digits, - or _, 64 at most")
            return None
        return value

    def word(self, key: str, words: Collection[str]) -> str | None:
        """One of *words*."""
        value = self.values.get(key)
        if isinstance(value, str) and value in words:
            return value
        if isinstance(value, str):
            self.note(key, f"there is no {value!r} here{nearest(value, words)}")
            return None
        self._wrong(key, f"is one of {', '.join(sorted(words))}")
        return None

    def words(self, key: str) -> tuple[str, ...] | None:
        """A text, or a list of texts, at least one."""
        value = self.values.get(key)
        listed = [value] if isinstance(value, str) else value
        if isinstance(listed, list) and listed and all(isinstance(one, str) and one for one in listed):
            return tuple(listed)
        self._wrong(key, "is a text, or a list of them")
        return None

    def flag(self, key: str) -> bool | None:
        """True or false."""
        value = self.values.get(key)
        if isinstance(value, bool):
            return value
        self._wrong(key, "is true or false")
        return None

    def count(self, key: str, *, least: int = 1, most: int = 1_000_000_000) -> int | None:
        """A whole number from *least* to *most*."""
        value = self.values.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self._wrong(key, f"is a whole number from {least} to {most}")
        return None

    def number(self, key: str, *, most: float = 1e9) -> float | None:
        """A number from 0 to *most*."""
        value = self.values.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
            return float(value)
        self._wrong(key, f"is a number from 0 to {most:g}")
        return None

    def share(self, key: str) -> float | None:
        """A number from 0 to 1."""
        return self.number(key, most=1)

    def duration(self, key: str, *, may_be_negative: bool = False) -> timedelta | None:
        """A duration."""
        value = self.values.get(key)
        span = read_duration(value) if isinstance(value, str) else None
        if span is not None and (may_be_negative or span >= timedelta(0)):
            return span
        self._wrong(key, 'is a duration such as "1d 12h 30m 15s"')
        return None

    def durations(self, key: str) -> tuple[timedelta, timedelta] | None:
        """A duration, or two in a list, the first not longer than the second."""
        value = self.values.get(key)
        listed = value if isinstance(value, list) and len(value) == 2 else [value, value]
        spans = [read_duration(one) if isinstance(one, str) else None for one in listed]
        first, last = spans
        if first is not None and last is not None and timedelta(0) <= first <= last:
            return first, last
        self._wrong(key, 'is a duration such as "1d 12h", or a list of two of which the first is not longer')
        return None

    def hours(self, key: str) -> tuple[time, time] | None:
        """Hours of the day."""
        value = self.values.get(key)
        hours = read_hours(value) if isinstance(value, str) else None
        if hours is not None:
            return hours
        self._wrong(key, 'is hours of the day such as "18:00-08:00"')
        return None

    def moment(self, key: str, value: object, begins_at: datetime) -> timedelta | None:
        """*value* of *key* as a span since *begins_at*: a duration, a date (its first moment, UTC) or an instant."""
        if isinstance(value, str):
            span = read_duration(value)
            if span is not None and span >= timedelta(0):
                return span
        if isinstance(value, date):
            instant = as_instant(value, begins_at)
            if instant >= begins_at:
                return instant - begins_at
            self._wrong(key, f"is before the scenario begins, at {begins_at:%Y-%m-%d %H:%M} UTC")
            return None
        self._wrong(key, 'is a time since the beginning such as "10d 4h", a date, or an instant')
        return None

    def dates(self, key: str) -> tuple[date, ...] | None:
        """A list of dates."""
        value = self.values.get(key)
        if isinstance(value, list) and all(isinstance(one, date) and not isinstance(one, datetime) for one in value):
            return tuple(value)
        self._wrong(key, "is a list of dates, not in quotes, as in [2026-04-03]")
        return None

    def tables(self, key: str) -> list["Table"]:
        """The tables of an array."""
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            self.note(key, f"is written [[{key}]]")
            return []
        return [Table(one, (*self.path, key, number), self.faults) for number, one in enumerate(value)]

    def table(self, key: str) -> "Table":
        """The table called *key*; an empty one when it is absent."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            self.note(key, f"is written [{key}]")
            value = {}
        return Table(value, (*self.path, key), self.faults)

    def _wrong(self, key: str, words: str) -> None:
        if key in self.values:
            self.note(key, words)


def as_instant(value: date, begins_at: datetime) -> datetime:
    """A date as its first moment, a local time as UTC."""
    if not isinstance(value, datetime):
        return datetime(value.year, value.month, value.day, tzinfo=begins_at.tzinfo)
    return value if value.tzinfo is not None else value.replace(tzinfo=begins_at.tzinfo)

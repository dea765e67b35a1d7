"""The weather at simulated APNs as a scenario writes it: plain mappings become conditions, or are refused.

One mapping, as a table of TOML gives it, is one condition:

    what = "refuse"             # see EFFECTS for the words, and for what each needs beside them
    reason = "ServiceUnavailable"
    from = "10d"                # an instant, or a time since the scenario began; absent: from the start
    until = "10d 2h 30m"        # absent: for ever
    topics = ["com.apple…"]     # or tokens = ["ab12…"] in hexadecimal; both absent: everybody
    share = 0.5                 # of the requests; absent: all
    times = 3                   # absent: as often as it fits
"""

import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeVar

from muster.simulator.apns_weather import (
    Condition,
    Drop,
    Effect,
    GoAway,
    Refuse,
    RefuseStream,
    Reset,
    ResetStream,
    Silence,
    Slow,
    StreamLimit,
    Throttle,
    Unreachable,
)

T = TypeVar("T")

_SPAN: Final = re.compile(r"(?:(\d{1,6})d)? ?(?:(\d{1,6})h)? ?(?:(\d{1,6})m)? ?(?:(\d{1,6})s)?")
_LARGEST: Final = 1e9  # seconds or whatever else: more than thirty years, and far from infinity
_COMMON: Final = frozenset({"what", "from", "until", "topics", "tokens", "share", "times"})


class BadForecast(ValueError):
    """A mapping that is no condition; the message says which one, which key, and what it should be."""


class _Entry:
    """One mapping, read key by key. *name* is how it is called in refusals."""

    def __init__(self, entry: Mapping[str, object], name: str, start: datetime) -> None:
        self._entry = entry
        self._name = name
        self._start = start

    def refuse(self, key: str, words: str) -> BadForecast:
        return BadForecast(f"{self._name}: {key} {words}")

    def check_keys(self, known: frozenset[str]) -> None:
        """Refuse keys that mean nothing here: a slip of the pen would else be fair weather."""
        for key in sorted(set(map(str, self._entry)) - known):
            raise self.refuse(key, f"means nothing here; known: {', '.join(sorted(known))}")

    def given(self, key: str) -> bool:
        return key in self._entry

    def word(self, key: str) -> str:
        value = self._required(key)
        if not isinstance(value, str):
            raise self.refuse(key, "is a string")
        return value

    def number(self, key: str) -> float:
        value = self._required(key)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LARGEST:
            raise self.refuse(key, "is a number")
        return float(value)

    def count(self, key: str) -> int:
        value = self._required(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.refuse(key, "is a whole number")
        return value

    def flag(self, key: str) -> bool:
        value = self._required(key)
        if not isinstance(value, bool):
            raise self.refuse(key, "is true or false")
        return value

    def words(self, key: str) -> list[str]:
        value = self._required(key)
        if not isinstance(value, list | tuple) or not value or not all(isinstance(one, str) for one in value):
            raise self.refuse(key, "is a list of strings, at least one")
        return list(value)

    def moment(self, key: str) -> datetime:
        """An aware instant, or how long after the scenario's start."""
        value = self._required(key)
        if isinstance(value, datetime) and value.tzinfo is not None:
            return value
        span = _SPAN.fullmatch(value) if isinstance(value, str) else None
        if span is None or not any(span.groups()):
            raise self.refuse(key, 'is an instant with a time zone, or a time since the start as "1d 12h 30m 15s"')
        days, hours, minutes, seconds = (int(part or 0) for part in span.groups())
        try:
            return self._start + timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        except OverflowError as error:
            raise self.refuse(key, "is later than time goes") from error

    def optional(self, key: str, read: Callable[[str], T], absent: T) -> T:
        return read(key) if self.given(key) else absent

    def _required(self, key: str) -> object:
        if key not in self._entry:
            raise self.refuse(key, "is missing")
        return self._entry[key]


_Reader = Callable[[_Entry], Effect]

EFFECTS: Final[Mapping[str, tuple[frozenset[str], _Reader]]] = {
    "refuse": (
        frozenset({"reason", "since"}),
        lambda entry: Refuse(entry.word("reason"), entry.moment("since") if entry.given("since") else None),
    ),
    "throttle": (
        frozenset({"pushes", "seconds"}),
        lambda entry: Throttle(entry.count("pushes"), entry.number("seconds")),
    ),
    "drop": (frozenset(), lambda _: Drop()),
    "slow": (frozenset({"seconds"}), lambda entry: Slow(entry.number("seconds"))),
    "silence": (frozenset(), lambda _: Silence()),
    "goaway": (frozenset({"every"}), lambda entry: GoAway(entry.optional("every", entry.count, 1))),
    "reset": (frozenset({"every"}), lambda entry: Reset(entry.optional("every", entry.count, 1))),
    "reset_stream": (frozenset({"every"}), lambda entry: ResetStream(entry.optional("every", entry.count, 1))),
    "refuse_stream": (frozenset({"every"}), lambda entry: RefuseStream(entry.optional("every", entry.count, 1))),
    "unreachable": (
        frozenset({"is_silent"}),
        lambda entry: Unreachable(is_silent=entry.optional("is_silent", entry.flag, False)),
    ),
    "stream_limit": (frozenset({"streams"}), lambda entry: StreamLimit(entry.count("streams"))),
}
"""The words for `what`, the keys that go with each, and what they make (`muster.simulator.apns_weather`)."""


def read_forecast(entries: Sequence[Mapping[str, object]], start: datetime) -> tuple[Condition, ...]:
    """Read *entries* as conditions, in order; times since the start are counted from *start* (aware).

    Raises BadForecast for the first one that is none: an unknown word or key, a key that is missing or of another type,
    a value that its condition refuses.
    """
    return tuple(_read(_Entry(entry, f"condition {number}", start)) for number, entry in enumerate(entries, start=1))


def _read(entry: _Entry) -> Condition:
    what = entry.word("what")
    if what not in EFFECTS:
        raise entry.refuse("what", f"is one of {', '.join(sorted(EFFECTS))}, not {what!r}")
    own_keys, read_effect = EFFECTS[what]
    entry.check_keys(_COMMON | own_keys)
    try:
        return Condition(
            read_effect(entry),
            begins_at=entry.moment("from") if entry.given("from") else None,
            ends_at=entry.moment("until") if entry.given("until") else None,
            topics=frozenset(entry.words("topics")) if entry.given("topics") else frozenset(),
            tokens=frozenset(_tokens(entry)),
            share=entry.optional("share", entry.number, 1.0),
            times=entry.count("times") if entry.given("times") else None,
        )
    except BadForecast:
        raise
    except ValueError as error:
        raise entry.refuse(what, f"can't be: {error}") from error


def _tokens(entry: _Entry) -> list[bytes]:
    words = entry.words("tokens") if entry.given("tokens") else []
    try:
        return [bytes.fromhex(word) for word in words]
    except ValueError as error:
        raise entry.refuse("tokens", "are hexadecimal") from error

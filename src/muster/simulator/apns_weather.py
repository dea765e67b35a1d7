"""What goes wrong between a server and APNs, and when: conditions as plain data, which each door to it obeys.

A condition says what happens (its effect), from when until when, to whom, how often. Of two that fit a request the one
added last wins, and those of single tokens come after the others. One that refuses, one that spoils the transport and
one that delays may meet in one request, which still has one answer at most. Nothing is random but what *share* asks
for.

Sources: Apple, "Handling notification responses from APNs" (reasons); RFC 9113 (GOAWAY, RST_STREAM, SETTINGS).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from random import Random
from typing import TypeAlias

from muster.protocol.apns import REASONS

_REASONS = frozenset(reason for _, reason in REASONS)


@dataclass(frozen=True, slots=True)
class Refuse:
    """APNs answers with Apple's *reason*, any of them: an outage, a revoked certificate, a dead token.

    *since*: the time that goes with status 410, aware; None: none is given. Raises ValueError for a reason which APNs
    does not have.
    """

    reason: str
    since: datetime | None = None

    def __post_init__(self) -> None:
        """Check the reason."""
        if self.reason not in _REASONS:
            raise ValueError(f"APNs has no reason {self.reason!r}")


@dataclass(frozen=True, slots=True)
class Throttle:
    """Of the pushes to one token no more than *pushes* are taken within *seconds*; the others get TooManyRequests.

    A period begins with the first push after the one before ended; what was refused doesn't count.
    """

    pushes: int
    seconds: float

    def __post_init__(self) -> None:
        """Check that both are more than nothing."""
        if self.pushes < 1 or self.seconds <= 0:
            raise ValueError("a throttle lets at least one push through in more than no time")


@dataclass(frozen=True, slots=True)
class Drop:
    """The push is taken (200), and never delivered: what may become of one whose topic is not the token's."""


@dataclass(frozen=True, slots=True)
class Slow:
    """The answer comes after *seconds*; the push is taken at once. Other streams don't wait for it."""

    seconds: float

    def __post_init__(self) -> None:
        """Check that time goes forward."""
        if self.seconds < 0:
            raise ValueError("an answer can't come before its request")


@dataclass(frozen=True, slots=True)
class Silence:
    """The push is taken, and never answered."""


@dataclass(frozen=True, slots=True)
class _Recurring:
    """*every*: it befalls each so-many-th of the requests it could befall; 1: all of them."""

    every: int = 1

    def __post_init__(self) -> None:
        """Check that it can be counted."""
        if self.every < 1:
            raise ValueError("every counts requests: 1 or more")


@dataclass(frozen=True, slots=True)
class GoAway(_Recurring):
    """The request is answered, and all later ones on its connection are told to go elsewhere (GOAWAY)."""


@dataclass(frozen=True, slots=True)
class Reset(_Recurring):
    """The push is taken; then the connection is reset instead of an answer."""


@dataclass(frozen=True, slots=True)
class ResetStream(_Recurring):
    """The push is taken; then its stream is reset (INTERNAL_ERROR) instead of an answer."""


@dataclass(frozen=True, slots=True)
class RefuseStream(_Recurring):
    """The stream is refused (REFUSED_STREAM), the push untouched."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """No connection comes about, and those there are break.

    *is_silent*: they are accepted and then nothing is ever heard, as behind a firewall that drops; else they are reset.
    """

    is_silent: bool = False


@dataclass(frozen=True, slots=True)
class StreamLimit:
    """A connection may have no more than *streams* requests under way."""

    streams: int

    def __post_init__(self) -> None:
        """Check that it is a number of streams."""
        if self.streams < 0:
            raise ValueError("a connection has no fewer than 0 streams")


Mishap: TypeAlias = Silence | GoAway | Reset | ResetStream | RefuseStream
"""What befalls one request on its way."""
Effect: TypeAlias = Refuse | Throttle | Drop | Slow | Mishap | Unreachable | StreamLimit

_OF_CONNECTIONS = (Unreachable, StreamLimit)


@dataclass(frozen=True, slots=True)
class Condition:
    """One thing that goes wrong. It holds from *begins_at* (None: always did) to before *ends_at* (None: for ever).

    *topics*, *tokens*: whom it concerns; neither: everybody. *share*: of the requests that fit, how large a part it
    strikes, drawn by chance. *times*: after so many it is over; None: it never is.

    Raises ValueError when *share* or *times* is none, when the end is not after the beginning, when a time is not
    aware, and when an effect on whole connections is to concern but some requests.
    """

    effect: Effect
    begins_at: datetime | None = None
    ends_at: datetime | None = None
    topics: frozenset[str] = frozenset()
    tokens: frozenset[bytes] = frozenset()
    share: float = 1.0
    times: int | None = None

    def __post_init__(self) -> None:
        """Check what would otherwise never happen, or always."""
        if not 0 < self.share <= 1:
            raise ValueError("share is more than 0 and at most 1")
        if self.times is not None and self.times < 1:
            raise ValueError("times is 1 or more")
        if any(moment is not None and moment.tzinfo is None for moment in (self.begins_at, self.ends_at)):
            raise ValueError("times of a condition are aware")
        if self.begins_at is not None and self.ends_at is not None and self.ends_at <= self.begins_at:
            raise ValueError("a condition ends after it begins")
        is_of_some = self.topics or self.tokens or self.share < 1 or self.times is not None
        if isinstance(self.effect, _OF_CONNECTIONS) and is_of_some:
            raise ValueError(f"{type(self.effect).__name__} concerns whole connections, and so everybody")

    def holds_at(self, now: datetime) -> bool:
        """Whether *now* is within its time."""
        return (self.begins_at is None or self.begins_at <= now) and (self.ends_at is None or now < self.ends_at)


class Reach(Enum):
    """What becomes of connections now."""

    OPEN = "made and served"
    REFUSED = "reset"
    SILENT = "accepted, and never answered"


class TokenCounts:
    """How many pushes of each token a throttle has let through in the present period."""

    def __init__(self, throttle: Throttle) -> None:
        self._throttle = throttle
        self._periods: dict[bytes, tuple[float, int]] = {}

    def take(self, token: bytes, now: datetime) -> bool:
        """Count one more push to *token*; False: it is one too many, and was not counted."""
        at = now.timestamp()
        begun, count = self._periods.get(token, (at, 0))
        if at - begun >= self._throttle.seconds:
            begun, count = at, 0
        if count >= self._throttle.pushes:
            return False
        self._periods[token] = (begun, count + 1)
        return True


class Weather:
    """The conditions that hold or will hold, and how often each has struck. *rng* decides about shares."""

    def __init__(self, rng: Random) -> None:
        self._rng = rng
        self._refusals = _Watches()
        self._drops = _Watches()
        self._delays = _Watches()
        self._mishaps = _Watches()
        self._of_connections = _Watches()

    def add(self, condition: Condition) -> None:
        """Let *condition* hold as well, before those there are."""
        self._watches(condition.effect).add(_Watch(condition))

    def remove(self, condition: Condition) -> None:
        """End *condition*; one that isn't there, or is over, is no matter."""
        self._watches(condition.effect).remove(condition)

    def change_to(self, conditions: Iterable[Condition]) -> None:
        """Let *conditions* hold and no others; none at all is fair weather."""
        for watches in (self._refusals, self._drops, self._delays, self._mishaps, self._of_connections):
            watches.clear()
        for condition in conditions:
            self.add(condition)

    def refusal(self, topic: str, token: bytes, now: datetime) -> Refuse | None:
        """How APNs refuses this push; None: the weather gives no reason to. Counts as an occurrence."""
        for watch in self._refusals.of(topic, token, now):
            match watch.condition.effect:
                case Throttle() if watch.has_room_for(token, now):
                    continue
                case Throttle() if self._strikes(watch):
                    return Refuse("TooManyRequests")
                case Refuse() as refuse if self._strikes(watch):
                    return refuse
                case _:
                    continue
        return None

    def drops(self, topic: str, token: bytes, now: datetime) -> bool:
        """Whether this push is taken and lost. Counts as an occurrence."""
        return any(self._strikes(watch) for watch in self._drops.of(topic, token, now))

    def mishap(self, topic: str, token: bytes, now: datetime) -> Mishap | None:
        """What befalls this request on its way. Counts as an occurrence; *token* is b"" where it can't be read."""
        for watch in self._mishaps.of(topic, token, now):
            match watch.condition.effect:
                case Silence() | GoAway() | Reset() | ResetStream() | RefuseStream() as mishap:
                    if watch.is_its_turn() and self._strikes(watch):
                        return mishap
                case _:
                    continue
        return None

    def delay_seconds(self, topic: str, token: bytes, now: datetime) -> float:
        """How long the answer to this request is kept back; 0.0: not at all. Counts as an occurrence."""
        for watch in self._delays.of(topic, token, now):
            match watch.condition.effect:
                case Slow(seconds=seconds) if self._strikes(watch):
                    return seconds
                case _:
                    continue
        return 0.0

    def reach(self, now: datetime) -> Reach:
        """What becomes of connections at *now*."""
        for watch in self._of_connections.of("", b"", now):
            match watch.condition.effect:
                case Unreachable(is_silent=is_silent):
                    return Reach.SILENT if is_silent else Reach.REFUSED
                case _:
                    continue
        return Reach.OPEN

    def stream_limit(self, now: datetime) -> int | None:
        """How many streams a connection may have at *now*; None: the weather doesn't say."""
        for watch in self._of_connections.of("", b"", now):
            match watch.condition.effect:
                case StreamLimit(streams=streams):
                    return streams
                case _:
                    continue
        return None

    def _strikes(self, watch: "_Watch") -> bool:
        share = watch.condition.share
        if share < 1 and self._rng.random() >= share:
            return False
        if watch.left is not None:
            watch.left -= 1
        return True

    def _watches(self, effect: Effect) -> "_Watches":
        match effect:
            case Refuse() | Throttle():
                return self._refusals
            case Drop():
                return self._drops
            case Slow():
                return self._delays
            case Silence() | GoAway() | Reset() | ResetStream() | RefuseStream():
                return self._mishaps
            case Unreachable() | StreamLimit():
                return self._of_connections


@dataclass(slots=True)
class _Watch:
    """A condition and how often it has struck. *left*: how often it still may."""

    condition: Condition
    left: int | None = field(init=False)
    seen: int = 0
    counts: TokenCounts | None = None

    def __post_init__(self) -> None:
        self.left = self.condition.times

    def has_room_for(self, token: bytes, now: datetime) -> bool:
        """Whether its throttle lets one more push to *token* through."""
        if self.counts is None:
            assert isinstance(self.condition.effect, Throttle)
            self.counts = TokenCounts(self.condition.effect)
        return self.counts.take(token, now)

    def is_its_turn(self) -> bool:
        """Count a request; whether it is one of those that the effect falls on."""
        self.seen += 1
        effect = self.condition.effect
        return not isinstance(effect, _Recurring) or self.seen % effect.every == 0


class _Watches:
    """Conditions of one sort, the newest first; those of single tokens are found without looking at all."""

    def __init__(self) -> None:
        self._general: list[_Watch] = []
        self._by_token: dict[bytes, list[_Watch]] = defaultdict(list)

    def add(self, watch: _Watch) -> None:
        for watches in self._places(watch.condition):
            watches[:] = [watch, *(other for other in watches if other.left != 0)]

    def remove(self, condition: Condition) -> None:
        for watches in self._places(condition):
            for watch in watches:
                if watch.condition == condition:
                    watches.remove(watch)
                    break

    def clear(self) -> None:
        self._general.clear()
        self._by_token.clear()

    def of(self, topic: str, token: bytes, now: datetime) -> Iterator[_Watch]:
        """Those that concern this request now and are not over: of everybody or its topic, then of its token alone."""
        if not self._general and not self._by_token:
            return
        for watch in (*self._general, *self._by_token.get(token, ())):
            condition = watch.condition
            is_meant = not condition.topics or topic in condition.topics
            if is_meant and watch.left != 0 and condition.holds_at(now):
                yield watch

    def _places(self, condition: Condition) -> list[list[_Watch]]:
        return [self._by_token[token] for token in sorted(condition.tokens)] if condition.tokens else [self._general]

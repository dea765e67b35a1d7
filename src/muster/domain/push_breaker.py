"""The breaker of a topic: when its pushes fail together, it is not each device's fault, and trying all would help none.

Closed is the rule, and is no record at all. Open, one push at a time is let through as a probe, by one node of all,
after growing pauses; an answer closes it. While it is open nothing is known of the topic's devices, and nothing of
their silence counts against them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from muster.protocol.apns import OutcomeClass


class BreakerCause(StrEnum):
    """What the failures have in common."""

    APNS_UNREACHABLE = "apns_unreachable"
    """No connection, or no answer: the network, a proxy, or APNs."""
    APNS_UNAVAILABLE = "apns_unavailable"
    """APNs answers that it can't (5xx)."""
    CERTIFICATE_REFUSED = "certificate_refused"
    """The push certificate was refused: expired, revoked, or for another environment."""
    PUSHES_REFUSED = "pushes_refused"
    """Fault is found with every push itself: a host that isn't APNs', something in between, or a bug of ours."""
    TOKENS_REFUSED = "tokens_refused"
    """Every token is refused as bad or as another topic's: the wrong environment or certificate, not the devices."""


FAILURES_TO_OPEN: Final = 10
"""Pushes in a row without an answer, with a 5xx, or found wrong."""
REFUSALS_TO_OPEN: Final = 20
"""Tokens in a row that are refused as bad or as another topic's, with none accepted between them."""
PAUSES: Final = {
    BreakerCause.APNS_UNREACHABLE: (timedelta(seconds=15), timedelta(minutes=15)),
    BreakerCause.APNS_UNAVAILABLE: (timedelta(seconds=30), timedelta(minutes=15)),
    BreakerCause.CERTIFICATE_REFUSED: (timedelta(minutes=5), timedelta(hours=1)),
    BreakerCause.PUSHES_REFUSED: (timedelta(minutes=5), timedelta(hours=1)),
    BreakerCause.TOKENS_REFUSED: (timedelta(minutes=15), timedelta(hours=1)),
}
"""The pause before the first probe, which doubles with each that fails, and the longest one."""
PROBE_PATIENCE: Final = timedelta(minutes=5)
"""How long a probe's outcome is waited for before another node may send one."""
PROBES: Final = {cause: 5 if cause is BreakerCause.TOKENS_REFUSED else 1 for cause in BreakerCause}
"""Pushes of one probe: of a single token the refusal might be true."""

MAXIMUM_DOUBLINGS: Final = 16
"""After so many every pause is at its longest; a breaker that is open for months counts on."""

_FAILING: Final = {
    OutcomeClass.NO_ANSWER: BreakerCause.APNS_UNREACHABLE,
    OutcomeClass.APNS_UNAVAILABLE: BreakerCause.APNS_UNAVAILABLE,
    OutcomeClass.OUR_FAULT: BreakerCause.PUSHES_REFUSED,
}
_SUSPICIOUS: Final = frozenset({OutcomeClass.TOKEN_BAD, OutcomeClass.TOPIC_MISMATCH})
_ANSWERED: Final = frozenset({OutcomeClass.ACCEPTED, OutcomeClass.TOKEN_UNREGISTERED, OutcomeClass.THROTTLED})


@dataclass(frozen=True, slots=True)
class Breaker:
    """Failures of a topic in a row, and what follows. Before it opens, *opened_at* and *retry_at* are absent."""

    cause: BreakerCause
    failures: int
    since: datetime
    """When the first failure of the row was recorded."""
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    """When the next probe may be sent; while one is under way, when it counts as lost."""
    probes: int = 0
    """Probes that failed."""
    is_probing: bool = False

    @property
    def is_open(self) -> bool:
        """Tell whether pushes of the topic are held."""
        return self.opened_at is not None


def after_outcomes(
    breaker: Breaker | None, outcomes: Iterable[OutcomeClass], now: datetime, jitter: float
) -> Breaker | None:
    """Return the breaker of a topic after some of its outcomes, recorded together; None: it is closed.

    *jitter* (0 to 1) keeps the probes of several topics apart.
    """
    counts = Counter(outcomes)
    suspicious = sum(counts[one] for one in _SUSPICIOUS)
    answered = sum(counts[one] for one in _ANSWERED)
    if counts[OutcomeClass.CERTIFICATE_REFUSED]:
        return _fail(breaker, BreakerCause.CERTIFICATE_REFUSED, counts[OutcomeClass.CERTIFICATE_REFUSED], now, jitter)
    if answered:
        return None
    if suspicious:
        return _fail(breaker, BreakerCause.TOKENS_REFUSED, suspicious, now, jitter)
    failing = {cause: counts[outcome] for outcome, cause in _FAILING.items() if counts[outcome]}
    if not failing:
        return breaker
    return _fail(breaker, max(failing, key=failing.__getitem__), sum(failing.values()), now, jitter)


def _fail(breaker: Breaker | None, cause: BreakerCause, count: int, now: datetime, jitter: float) -> Breaker | None:
    if breaker is None or _begins_anew(breaker, cause):
        breaker = Breaker(cause, 0, now)
    breaker = replace(breaker, failures=breaker.failures + count)
    if not breaker.is_open:
        if breaker.failures < _THRESHOLDS[cause]:
            return replace(breaker, cause=cause)
        return replace(breaker, cause=cause, opened_at=now, retry_at=now + _pause(cause, 0, jitter))
    if not breaker.is_probing:
        return breaker  # the last of what was under way when it opened
    probes = breaker.probes + 1
    retry_at = now + _pause(cause, probes, jitter)
    return replace(breaker, cause=cause, probes=probes, is_probing=False, retry_at=retry_at)


def _begins_anew(breaker: Breaker, cause: BreakerCause) -> bool:
    """Tell whether what fails now fails otherwise: APNs answers again, about the token; or it is silent about all."""
    if cause is BreakerCause.TOKENS_REFUSED:
        return breaker.cause is not BreakerCause.TOKENS_REFUSED
    return breaker.cause is BreakerCause.TOKENS_REFUSED and not breaker.is_open


def take_probe(breaker: Breaker, now: datetime) -> Breaker | None:
    """Return an open breaker with a probe under way; None when it is too early for one."""
    if breaker.retry_at is None or now < breaker.retry_at:
        return None
    return replace(breaker, is_probing=True, retry_at=now + PROBE_PATIENCE)


def postpone_probe(breaker: Breaker, now: datetime) -> Breaker:
    """Return an open breaker whose probe found nobody to be sent to: the next one is looked for later."""
    return replace(breaker, is_probing=False, retry_at=now + PROBE_PATIENCE)


_THRESHOLDS: Final = {
    BreakerCause.APNS_UNREACHABLE: FAILURES_TO_OPEN,
    BreakerCause.APNS_UNAVAILABLE: FAILURES_TO_OPEN,
    BreakerCause.CERTIFICATE_REFUSED: 1,
    BreakerCause.PUSHES_REFUSED: FAILURES_TO_OPEN,
    BreakerCause.TOKENS_REFUSED: REFUSALS_TO_OPEN,
}


def _pause(cause: BreakerCause, probes: int, jitter: float) -> timedelta:
    first, longest = PAUSES[cause]
    doubled: timedelta = first * 2 ** min(probes, MAXIMUM_DOUBLINGS)
    return min(doubled, longest) * (1 + jitter / 4)

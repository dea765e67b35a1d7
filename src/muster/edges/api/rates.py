"""How often one token may ask: a bucket for each, in bounded memory."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final

WINDOW_SECONDS: Final = 60
BUCKETS: Final = 10_000
"""Tokens that are counted at a time: ten times as many as there can be."""


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is left to one who asks. *retry_after_seconds*: absent where this request is allowed."""

    quota: int
    left: int
    full_in_seconds: int
    retry_after_seconds: int | None = None

    def headers(self) -> dict[str, str]:
        """Return what says so in the answer (draft-ietf-httpapi-ratelimit-headers; RFC 9110, 10.2.3)."""
        said = {
            "RateLimit-Policy": f'"token";q={self.quota};w={WINDOW_SECONDS}',
            "RateLimit": f'"token";r={self.left};t={self.full_in_seconds}',
        }
        return said if self.retry_after_seconds is None else {**said, "Retry-After": str(self.retry_after_seconds)}


class RateLimiter:
    """Lets each name ask *quota* times a minute: all at once after a rest, else evenly."""

    def __init__(self, quota: int) -> None:
        self._quota = quota
        self._each = WINDOW_SECONDS / quota
        self._empty_at: OrderedDict[str, float] = OrderedDict()
        """When what each name used will have been given back."""

    def take(self, name: str, now: datetime) -> Allowance:
        """Count one request of *name*, unless it is one too many; those cost nothing."""
        at = now.timestamp()
        given_back = max(self._empty_at.pop(name, at), at)
        debt = given_back + self._each - at
        if debt > WINDOW_SECONDS + 1e-6:
            self._keep(name, given_back)
            wait = max(1, round(debt - WINDOW_SECONDS + 0.5))
            return Allowance(self._quota, 0, round(given_back - at + 0.5), wait)
        self._keep(name, given_back + self._each)
        left = int((WINDOW_SECONDS - debt) / self._each + 1e-6)
        return Allowance(self._quota, left, round(debt + 0.5))

    def _keep(self, name: str, empty_at: float) -> None:
        self._empty_at[name] = empty_at
        if len(self._empty_at) > BUCKETS:
            self._empty_at.popitem(last=False)

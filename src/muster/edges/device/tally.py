"""What the doors for devices answered lately, and whether requests bring identities: so a node knows its own faults.

In memory, of this process alone, and bounded; a request costs a few additions.
"""

from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from muster.domain.control.evidence import CLOCK_OFF_BY
from muster.domain.control.self_watch import (
    BEAT_EVERY,
    LOOK_BACK,
    MAXIMUM_CLOCKS,
    Bucket,
    failing_since,
    is_failing,
    own_clock_error,
    recent_share,
)
from muster.edges.device.http import Send
from muster.operations.watch_ourselves import DifferingClocks, Dropped, Failing, NodeFindings
from muster.protocol.identifiers import ChannelId, DeviceId

MAXIMUM_CLAIMANTS = 100
"""Whom requests without an identity claim to come from, as many as are remembered; anyone can claim anything."""
KEPT_BUCKETS = LOOK_BACK // BEAT_EVERY
SERVER_ERROR = 500


@dataclass(slots=True)
class _Endpoint:
    answered: int = 0
    failed: int = 0
    is_failing: bool = False
    buckets: deque[Bucket] = field(default_factory=lambda: deque(maxlen=KEPT_BUCKETS))


class Tally:
    """Counts what is answered, by endpoint, in buckets of the time between two calls of `take`."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._began_at = now()
        self._endpoints: defaultdict[str, _Endpoint] = defaultdict(_Endpoint)
        self._identities = 0
        self._claimed: set[ChannelId] = set()
        self._without_since: datetime | None = None
        self._clocks: dict[bytes, tuple[datetime, DeviceId, int]] = {}

    def counting(self, endpoint: str, send: Send) -> Send:
        """Return a *send* that counts the answer to a request to *endpoint*, which is one of few."""
        counts = self._endpoints[endpoint]

        def count_and_send(message: MutableMapping[str, Any]) -> Awaitable[None]:
            if "status" in message:
                counts.answered += 1
                if message["status"] >= SERVER_ERROR:
                    counts.failed += 1
            return send(message)  # awaited by who sends: a coroutine less for each message

        return count_and_send

    def note_fault(self, endpoint: str) -> None:
        """A request to *endpoint* ended in an exception, which whoever serves us answers as an error."""
        counts = self._endpoints[endpoint]
        counts.answered += 1
        counts.failed += 1

    def note_identity(self) -> None:
        """A request brought an identity."""
        self._identities += 1
        if self._without_since is not None:
            self._claimed.clear()
            self._without_since = None

    def note_none(self, claimed_id: ChannelId | None) -> None:
        """A request that speaks as a device brought no identity at all."""
        if self._without_since is None:
            self._without_since = self._now()
        if claimed_id is not None and len(self._claimed) < MAXIMUM_CLAIMANTS:
            self._claimed.add(claimed_id)

    def note_clock(self, identity: bytes, device_id: DeviceId, seconds: int) -> None:
        """A request of *device_id* was signed by *identity* when its clock was *seconds* ahead of ours. One that agrees
        with ours disproves that ours is wrong. A device counts once, whatever identities it has, and an identity once,
        whomever it claims to be."""
        if abs(seconds) < CLOCK_OFF_BY.total_seconds():
            self._clocks.clear()
        elif identity in self._clocks or len(self._clocks) < MAXIMUM_CLOCKS:
            self._clocks.pop(identity, None)
            self._clocks[identity] = (self._now(), device_id, seconds)

    def take(self) -> NodeFindings:
        """Close the bucket, and tell what the last ones show."""
        now = self._now()
        began_at, self._began_at = self._began_at, now
        failing = {}
        for endpoint, counts in self._endpoints.items():
            if counts.answered:
                counts.buckets.append(Bucket(began_at, counts.answered, counts.failed))
                counts.answered = counts.failed = 0
            counts.is_failing = is_failing(counts.buckets, now, was_failing=counts.is_failing)
            if counts.is_failing:
                failing[endpoint] = Failing(failing_since(counts.buckets, now), *recent_share(counts.buckets, now))
        identities, self._identities = self._identities, 0
        dropped = None if self._without_since is None else Dropped(self._without_since, frozenset(self._claimed))
        return NodeFindings(failing, dropped, has_identities=identities > 0, differing=self._differing(now))

    def _differing(self, now: datetime) -> DifferingClocks | None:
        self._clocks = {name: one for name, one in self._clocks.items() if abs(now - one[0]) <= LOOK_BACK}
        devices = {device_id: seconds for _, device_id, seconds in self._clocks.values()}  # what each said last
        error = own_clock_error(list(devices.values()))
        if error is None:
            return None
        return DifferingClocks(min(at for at, _, _ in self._clocks.values()), error, len(devices))

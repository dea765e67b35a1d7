"""The push worker: claim what is due, send it, record what became of it.

Nothing waits for a slow answer: outcomes are recorded together as they come, while the next pushes are claimed and
sent.
"""

import asyncio
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime

import structlog
from prometheus_client import Counter, Gauge, Histogram

from muster.domain.push_outcomes import Consequence
from muster.operations.load_push_credentials import load_push_credentials
from muster.operations.ports import PushCredentials, PushReceipt, PushSender, Runner
from muster.operations.push_devices import (
    CLAIM_LIMIT,
    ClaimedPush,
    ClaimedPushes,
    PushResult,
    RecordedOutcome,
    claim_pushes,
    record_push_outcomes,
)

MAXIMUM_UNDER_WAY = 4000
"""Pushes handed to the sender at one time: four connections of a thousand streams, which is what APNs allows."""
DRAIN_SECONDS = 5.0
"""How long a stopping server waits for answers; pushes without one are repeated when their lease ends."""

OUTCOMES = Counter("muster_pushes_total", "Pushes, by what APNs answered", ["outcome"])
LATENCY = Histogram("muster_push_seconds", "Time from sending a push to APNs' answer")
UNDER_WAY = Gauge("muster_pushes_under_way", "Pushes sent and not answered yet", multiprocess_mode="livesum")

log = structlog.get_logger("muster.push")


class PushWorker:
    """Sends the pushes that are due. *wake* has a step made soon.

    Certificates are looked up by the fingerprint that a claim names, so that a new one is used at once.
    """

    def __init__(self, runner: Runner, sender: PushSender, wake: Callable[[], None]) -> None:
        self._runner = runner
        self._sender = sender
        self._wake = wake
        self._credentials: dict[bytes, PushCredentials] = {}
        self._under_way: dict[str, ClaimedPush] = {}
        self._arrived: deque[PushResult] = deque()
        self._is_settled = asyncio.Event()

    async def step(self) -> datetime | None:
        """Record what has arrived and send everything that is due; returns when the next push is."""
        while True:
            room = MAXIMUM_UNDER_WAY - len(self._under_way)
            arrived = self._take_arrived()
            claimed, _ = await asyncio.gather(self._claim(room), self._record(arrived))
            if claimed is not None:
                await self._send(claimed.pushes)
            await asyncio.sleep(0)
            if not self._arrived and (claimed is None or not claimed.more):
                return None if claimed is None else claimed.next_due_at

    async def drain(self) -> None:
        """Wait a while for the answers to what was sent, and record them; called once, after the last step."""
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._under_way:
                    self._is_settled.clear()
                    await self._is_settled.wait()
        except TimeoutError:
            log.warning("pushes_left_unanswered", count=len(self._under_way))
        self._under_way.clear()  # what is settled from here on was not answered, but given up
        await self._record(self._take_arrived())

    async def _claim(self, room: int) -> ClaimedPushes | None:
        if room <= 0:
            return None  # the next answer wakes us
        return (await self._runner.write(claim_pushes, [min(room, CLAIM_LIMIT)]))[0]

    async def _send(self, claimed: Sequence[ClaimedPush]) -> None:
        by_certificate: dict[bytes, list[ClaimedPush]] = {}
        for one in claimed:
            by_certificate.setdefault(one.certificate, []).append(one)
        await self._load(by_certificate.keys() - self._credentials.keys())
        for fingerprint, batch in by_certificate.items():
            credentials = self._credentials.get(fingerprint)
            if credentials is None:
                continue  # replaced since the claim; the lease ends, and the wish is pushed under the new one
            self._under_way.update((one.push.apns_id, one) for one in batch)
            self._sender.send(credentials, [one.push for one in batch], self._settle)
        UNDER_WAY.set(len(self._under_way))

    async def _load(self, missing: set[bytes]) -> None:
        if missing:
            fingerprints = sorted(missing)
            loaded = await self._runner.write(load_push_credentials, fingerprints)
            self._credentials |= {one.fingerprint: one for one in loaded if one is not None}

    def _settle(self, receipt: PushReceipt) -> None:
        claimed = self._under_way.pop(receipt.apns_id, None)
        if claimed is None:
            return
        self._arrived.append(PushResult(claimed, receipt))
        self._is_settled.set()
        self._wake()

    def _take_arrived(self) -> list[PushResult]:
        taken = list(self._arrived)
        self._arrived.clear()
        return taken

    async def _record(self, results: Sequence[PushResult]) -> None:
        if not results:
            return
        recorded = await self._runner.write(record_push_outcomes, results)
        UNDER_WAY.set(len(self._under_way))
        for result in results:
            OUTCOMES.labels(result.receipt.outcome.outcome_class.value).inc()
            LATENCY.observe(result.receipt.latency_seconds)
        _tell(results, recorded)


def _tell(results: Sequence[PushResult], recorded: Sequence[RecordedOutcome]) -> None:
    """Log each token that is refused and each breaker that turns; of the rest, how many there were of a kind."""
    others: Tally[tuple[str, str, str | None]] = Tally()
    for result, one in zip(results, recorded, strict=True):
        outcome, push = result.receipt.outcome, result.claimed.push
        if one.consequence is Consequence.STOPPED:
            log.warning(
                "push_token_refused",
                enrollment_id=result.claimed.channel_id,
                outcome=outcome.outcome_class.value,
                reason=outcome.reason,
                unregistered_at=outcome.unregistered_at,
                apns_id=push.apns_id,
            )
        else:
            others[one.consequence.value, outcome.outcome_class.value, outcome.reason] += 1
        if one.opened is not None:
            log.error("push_breaker_opened", topic=push.topic, cause=one.opened.cause.value, reason=outcome.reason)
        if one.closed is not None:
            log.warning("push_breaker_closed", topic=push.topic, cause=one.closed.cause.value)
    for (consequence, outcome_class, reason), count in others.items():
        level = log.info if consequence == Consequence.PUSHED.value else log.warning
        level("pushes", count=count, outcome=outcome_class, consequence=consequence, reason=reason)

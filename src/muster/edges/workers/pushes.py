"""The push worker: claim what is due, send it, record what became of it.

Nothing waits for a slow answer: outcomes are recorded together as they come, while the next pushes are claimed and
sent.
"""

import asyncio
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import chain

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
from muster.protocol.apns import OutcomeClass
from muster.storage.errors import Unavailable

MAXIMUM_UNDER_WAY = 4000
"""Pushes handed to the sender at one time: four connections of a thousand streams, which is what APNs allows."""
RECORD_LIMIT = 1000
"""Outcomes recorded in one transaction at most."""
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

    def __init__(
        self,
        runner: Runner,
        sender: PushSender,
        wake: Callable[[], None],
        *,
        maximum_under_way: int = MAXIMUM_UNDER_WAY,
        record_limit: int = RECORD_LIMIT,
    ) -> None:
        self._runner = runner
        self._sender = sender
        self._wake = wake
        self._maximum_under_way = maximum_under_way
        self._record_limit = record_limit
        self._credentials: dict[bytes, PushCredentials] = {}
        self._to_send: list[ClaimedPush] = []
        self._under_way: dict[str, ClaimedPush] = {}
        self._arrived: deque[PushResult] = deque()
        self._is_settled = asyncio.Event()

    async def step(self) -> datetime | None:
        """Record what has arrived and send what is due; returns when the next step is to be made.

        Raises what kept it from either, Unavailable before others. What was claimed is sent all the same, and what has
        arrived is kept: the next step records it.
        """
        room = self._maximum_under_way - len(self._under_way) - len(self._to_send)
        claimed, recorded = await asyncio.gather(self._claim(room), self._record(), return_exceptions=True)
        if isinstance(claimed, ClaimedPushes):
            self._to_send += claimed.pushes
        await self._send()
        faults = [fault for fault in (claimed, recorded) if isinstance(fault, BaseException)]
        if faults:
            raise next((fault for fault in faults if isinstance(fault, Unavailable)), faults[0])
        if self._arrived:
            return self._runner.now()
        if not isinstance(claimed, ClaimedPushes):
            return None  # there was no room: the next answer wakes us
        return self._runner.now() if claimed.more else claimed.next_due_at

    async def drain(self) -> None:
        """Wait a while for the answers to what was sent, and record them; called once, after the last step.

        What can't be recorded is left to the next claim, when its lease has ended: nothing is raised.
        """
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                while self._under_way:
                    self._is_settled.clear()
                    await self._is_settled.wait()
        except TimeoutError:
            log.warning("pushes_left_unanswered", count=len(self._under_way))
        self._under_way.clear()  # what is settled from here on was not answered, but given up
        try:
            await self._record()
        except Unavailable as error:
            log.warning("push_outcomes_not_recorded", count=len(self._arrived), error=str(error))

    async def _claim(self, room: int) -> ClaimedPushes | None:
        if room <= 0:
            return None
        return (await self._runner.write(claim_pushes, [min(room, CLAIM_LIMIT)]))[0]

    async def _send(self) -> None:
        """Send what was claimed. What can't be, because certificates can't be read, is sent by the next step."""
        await self._load({one.certificate for one in self._to_send} - self._credentials.keys())
        by_certificate: dict[bytes, list[ClaimedPush]] = {}
        for one in self._to_send:
            by_certificate.setdefault(one.certificate, []).append(one)
        self._to_send.clear()
        for fingerprint, batch in by_certificate.items():
            credentials = self._credentials.get(fingerprint)
            if credentials is None:
                continue  # replaced since the claim, or not opened: when the lease ends, the wish is claimed anew
            self._under_way.update((one.push.apns_id, one) for one in batch)
            self._sender.send(credentials, [one.push for one in batch], self._settle)
        UNDER_WAY.set(len(self._under_way))

    async def _load(self, missing: set[bytes]) -> None:
        """Open certificates; one that can't be opened keeps no other topic waiting."""
        for fingerprint in sorted(missing):
            try:
                loaded = (await self._runner.write(load_push_credentials, [fingerprint]))[0]
            except Unavailable:
                raise
            except Exception:
                log.exception("push_certificate_not_opened", fingerprint=fingerprint.hex())
                continue
            if loaded is not None:
                self._credentials[fingerprint] = loaded

    def _settle(self, receipt: PushReceipt) -> None:
        claimed = self._under_way.pop(receipt.apns_id, None)
        if claimed is None:
            return
        if not self._arrived:
            self._wake()  # for those after it, it is awake
        self._arrived.append(PushResult(claimed, receipt))
        self._is_settled.set()

    async def _record(self) -> None:
        """Record what has arrived. Unavailable, it is kept in its order; a batch that fails otherwise is halved, until
        only the outcome that makes it fail is left out."""
        arrived = list(self._arrived)
        self._arrived.clear()
        limit = self._record_limit
        batches = deque(arrived[at : at + limit] for at in range(0, len(arrived), limit))
        while batches:
            batch = batches.popleft()
            try:
                recorded = await self._runner.write(record_push_outcomes, batch)
            except Unavailable:
                again = [one._replace(may_be_recorded=True) for one in batch]  # the commit may have come through
                self._arrived.extendleft(reversed([*again, *chain.from_iterable(batches)]))
                raise
            except Exception:
                middle = len(batch) // 2
                if middle:
                    batches.extendleft((batch[middle:], batch[:middle]))
                else:
                    log.exception("push_outcome_lost", enrollment_id=batch[0].claimed.channel_id)
                continue
            for one in batch:
                LATENCY.observe(one.receipt.latency_seconds)
            _tell(batch, recorded)
        UNDER_WAY.set(len(self._under_way))


def _tell(results: Sequence[PushResult], recorded: Sequence[RecordedOutcome]) -> None:
    """Count all, and log how many there were of a kind, each token that is refused, and each breaker that turns."""
    kinds: Tally[tuple[Consequence, OutcomeClass, str | None]] = Tally()
    for (claimed, receipt, _), (consequence, opened, closed) in zip(results, recorded, strict=True):
        outcome = receipt.outcome
        kinds[consequence, outcome.outcome_class, outcome.reason] += 1
        if consequence is Consequence.STOPPED:
            log.warning(
                "push_token_refused",
                enrollment_id=claimed.channel_id,
                outcome=outcome.outcome_class.value,
                reason=outcome.reason,
                unregistered_at=outcome.unregistered_at,
                apns_id=claimed.push.apns_id,
            )
        if opened is not None:
            log.error("push_breaker_opened", topic=claimed.push.topic, cause=opened.cause.value, reason=outcome.reason)
        if closed is not None:
            log.warning("push_breaker_closed", topic=claimed.push.topic, cause=closed.cause.value)
    for (consequence, outcome_class, reason), count in kinds.items():
        OUTCOMES.labels(outcome_class.value).inc(count)
        if consequence is not Consequence.STOPPED:
            level = log.info if consequence is Consequence.PUSHED else log.warning
            level("pushes", count=count, outcome=outcome_class.value, consequence=consequence.value, reason=reason)

"""The push worker: claim what is due, send it, record what became of it."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime

import structlog
from prometheus_client import Counter, Histogram

from muster.operations.ports import PushCredentials, PushSender, Runner
from muster.operations.push_devices import (
    ClaimedPush,
    PushResult,
    claim_pushes,
    load_push_credentials,
    record_push_outcomes,
)
from muster.protocol.apns import OutcomeClass

OUTCOMES = Counter("muster_pushes_total", "Pushes, by what APNs answered", ["outcome"])
LATENCY = Histogram("muster_push_seconds", "Time from sending a push to APNs' answer")

log = structlog.get_logger("muster.push")


class PushWorker:
    """Sends the pushes that are due. Credentials are read for each round, so that a new certificate is used at once."""

    def __init__(self, runner: Runner, sender: PushSender) -> None:
        self._runner = runner
        self._sender = sender

    async def step(self) -> datetime | None:
        """Send everything that is due; returns when the next push is."""
        while True:
            claimed = (await self._runner.write(claim_pushes, [None]))[0]
            if claimed.pushes:
                credentials = (await self._runner.write(load_push_credentials, [None]))[0]
                results = await self._send(claimed.pushes, {one.topic: one for one in credentials})
                await self._runner.write(record_push_outcomes, results)
            if not claimed.more:
                return claimed.next_due_at

    async def _send(self, pushes: Sequence[ClaimedPush], credentials: dict[str, PushCredentials]) -> list[PushResult]:
        by_topic: dict[str, list[ClaimedPush]] = defaultdict(list)
        for claimed in pushes:
            by_topic[claimed.push.topic].append(claimed)
        batches = [self._send_topic(batch, credentials.get(topic)) for topic, batch in by_topic.items()]
        return [result for results in await asyncio.gather(*batches) for result in results]

    async def _send_topic(self, batch: Sequence[ClaimedPush], credentials: PushCredentials | None) -> list[PushResult]:
        if credentials is None:
            log.warning("push_certificate_missing", topic=batch[0].push.topic, pushes=len(batch))
            OUTCOMES.labels("no_certificate").inc(len(batch))
            return [PushResult(claimed, None) for claimed in batch]
        receipts = await self._sender.send(credentials, [claimed.push for claimed in batch])
        for claimed, receipt in zip(batch, receipts, strict=True):
            OUTCOMES.labels(receipt.outcome.outcome_class.value).inc()
            LATENCY.observe(receipt.latency_seconds)
            is_accepted = receipt.outcome.outcome_class is OutcomeClass.ACCEPTED
            (log.info if is_accepted else log.warning)(
                "push",
                enrollment_id=claimed.channel_id,
                outcome=receipt.outcome.outcome_class.value,
                reason=receipt.outcome.reason,
                apns_id=receipt.apns_id,
            )
        return [PushResult(claimed, receipt) for claimed, receipt in zip(batch, receipts, strict=True)]

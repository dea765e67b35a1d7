"""The delivery worker: claim what is due in the outbox, send it, record what became of it.

Nobody waits for a slow receiver: answers are recorded together as they come, while what others get is claimed and sent.
"""

import asyncio
from collections import Counter as Tally
from collections import deque
from collections.abc import Callable
from datetime import datetime
from functools import partial

import structlog
from prometheus_client import Counter, Gauge

from muster.operations.deliver_events import (
    Errand,
    ErrandResult,
    Room,
    claim_errands,
    failure_words,
    is_any_due,
    is_settled,
    is_success,
    next_due_at,
    record_errands,
)
from muster.operations.end_flips import is_any_to_settle, settle_flips
from muster.operations.ports import EventAnswer, EventSender, Runner
from muster.storage.errors import Unavailable

MAXIMUM_UNDER_WAY = 64
"""Requests under way in this process, to all receivers together."""
DRAIN_SECONDS = 5.0
"""How long a stopping server waits for answers; what has none goes out again when its lease ends."""

ATTEMPTS = Counter("muster_event_attempts_total", "Attempts to deliver events, by how they ended", ["result"])
UNDER_WAY = Gauge("muster_events_under_way", "Events sent and not answered yet", multiprocess_mode="livesum")

log = structlog.get_logger("muster.events")


class DeliveryWorker:
    """Delivers the events that are due. *wake* has a step made soon."""

    def __init__(
        self,
        runner: Runner,
        sender: EventSender,
        wake: Callable[[], None],
        *,
        maximum_under_way: int = MAXIMUM_UNDER_WAY,
    ) -> None:
        self._runner = runner
        self._sender = sender
        self._wake = wake
        self._maximum_under_way = maximum_under_way
        self._under_way: dict[asyncio.Task[EventAnswer], Errand] = {}
        self._arrived: deque[ErrandResult] = deque()

    @property
    def is_busy(self) -> bool:
        """Whether requests are under way."""
        return bool(self._under_way)

    async def step(self) -> datetime | None:
        """Record what has arrived and send what is due; returns when the next step is to be made."""
        await self._record()
        await self._settle()
        room = self._maximum_under_way - len(self._under_way)
        now = self._runner.now()
        if room <= 0 or not await self._runner.read(partial(is_any_due, now=now)):
            return None if room <= 0 else await self._runner.read(partial(next_due_at, now=now))
        busy = Tally(errand.subscription_id for errand in self._under_way.values())
        claimed = (await self._runner.write(claim_errands, [Room(room, busy)]))[0]
        for name, why in claimed.failed:
            log.error("receiver_not_written_to", receiver=name, because=why)
        for errand in claimed.errands:
            task = asyncio.create_task(self._sender.send(errand.request))
            self._under_way[task] = errand
            task.add_done_callback(self._settled)
        UNDER_WAY.set(len(self._under_way))
        return claimed.next_due_at

    async def drain(self) -> None:
        """Wait a while for the answers to what was sent, and record them; called once, after the last step.

        What can't be recorded goes out again when its lease ends: nothing is raised.
        """
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=DRAIN_SECONDS)
        left = list(self._under_way)
        self._under_way.clear()
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        try:
            await self._record()
        except Unavailable as error:
            log.warning("deliveries_not_recorded", count=len(self._arrived), error=str(error))

    def _settled(self, task: asyncio.Task[EventAnswer]) -> None:
        errand = self._under_way.pop(task, None)
        if errand is None or task.cancelled():
            return
        error = task.exception()
        if error is not None:
            log.error("event_not_sent", receiver=errand.name, event_id=errand.event_id, exc_info=error)
        answer = EventAnswer(None, "a fault of ours") if error is not None else task.result()
        self._arrived.append(ErrandResult(errand, answer))
        self._wake()

    async def _record(self) -> None:
        """Record what has arrived; Unavailable, it is kept."""
        results = list(self._arrived)
        if not results:
            return
        await self._runner.write(record_errands, results)
        for one in results:
            self._arrived.popleft()
            _tell(one)
        UNDER_WAY.set(len(self._under_way))

    async def _settle(self) -> None:
        """Go on with what a person decided of a mass flip, where whoever noted that was interrupted."""
        if not await self._runner.read(is_any_to_settle):
            return
        while (await self._runner.write(settle_flips, [None]))[0].left:
            pass


def _tell(one: ErrandResult) -> None:
    errand = one.errand
    if is_success(one.answer):
        ATTEMPTS.labels("delivered").inc()
        return
    if is_settled(one):
        ATTEMPTS.labels("refused").inc()
        log.error("token_refused", receiver=errand.name, event_id=errand.event_id, because=failure_words(one.answer))
        return
    ATTEMPTS.labels("failed").inc()
    log.warning(
        "event_not_delivered",
        receiver=errand.name,
        event_id=errand.event_id,
        event_type=errand.event_type,
        attempts=errand.attempts,
        because=failure_words(one.answer),
    )

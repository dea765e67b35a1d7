"""One named loop: a step does what is due and says when it wants to be called next."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from prometheus_client import Counter, Gauge

from muster.storage.errors import Unavailable

Step = Callable[[], Awaitable[datetime | None]]
"""Does what is due; returns when something is due next, None when nothing is known to be."""

FAULT_PAUSE = timedelta(seconds=5)
"""After a step that failed: long enough not to fill the log, short enough to recover unnoticed."""

STEPS = Counter("muster_worker_steps_total", "Steps of each worker, by how they ended", ["worker", "result"])
HEARTBEAT = Gauge("muster_worker_last_step_timestamp_seconds", "When each worker last ended a step", ["worker"])

log = structlog.get_logger("muster.worker")


class Loop:
    """Calls *step* when it is due, at the latest every *poll* (None: only when due or woken), until stopped.

    Polling is how work that another process or node made is noticed; the laboratory has none and does without.
    """

    def __init__(self, name: str, step: Step, *, now: Callable[[], datetime], poll: timedelta | None) -> None:
        self.name = name
        self._step = step
        self._now = now
        self._poll = poll
        self._woken = asyncio.Event()
        self._stopping = False

    def wake(self) -> None:
        """Have the next step soon, for there is something to do."""
        self._woken.set()

    def stop(self) -> None:
        """End the loop after the step under way."""
        self._stopping = True
        self._woken.set()

    async def run(self) -> None:
        """Run until stopped. A step that fails is logged and tried again; the loop never dies of it."""
        while not self._stopping:
            self._woken.clear()
            due = await self._one_step()
            await self._wait(due)

    async def _one_step(self) -> datetime | None:
        try:
            due = await self._step()
        except Unavailable as error:
            STEPS.labels(self.name, "unavailable").inc()
            log.warning("worker_waits_for_database", worker=self.name, error=str(error))
            return self._now() + FAULT_PAUSE
        except Exception:
            STEPS.labels(self.name, "fault").inc()
            log.exception("worker_step_failed", worker=self.name)
            return self._now() + FAULT_PAUSE
        STEPS.labels(self.name, "done").inc()
        HEARTBEAT.labels(self.name).set(self._now().timestamp())
        return due

    async def _wait(self, due: datetime | None) -> None:
        pauses = [pause for pause in (self._poll, None if due is None else due - self._now()) if pause is not None]
        if self._stopping:
            return
        if not pauses:
            await self._woken.wait()
            return
        seconds = min(pauses).total_seconds()
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass

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
    """Calls *step* when it is due, at the latest every *poll* (None: only when due or expected), until stopped.

    What this process itself makes due is told by `expect`. Polling is how work that another process or node made is
    noticed; the laboratory has one process and does without, and puts another *step* in place of the real one.
    """

    def __init__(self, name: str, step: Step, *, now: Callable[[], datetime], poll: timedelta | None) -> None:
        self.name = name
        self.step = step
        self._now = now
        self._poll = poll
        self._expected: datetime | None = None
        self._told = asyncio.Event()
        self._stopping = False
        self._owes_since: datetime | None = None
        self._due: datetime | None = None

    def owes_since(self) -> datetime | None:
        """Tell since when a step is owed: due and not begun, under way, or failing each time; None: none is owed."""
        if self._owes_since is not None:
            return self._owes_since
        moments = [at for at in (self._due, self._expected) if at is not None and at <= self._now()]
        return min(moments, default=None)

    def expect(self, at: datetime) -> None:
        """Have a step at *at*, for something will be due then; one that is due earlier stays so."""
        if self._expected is None or at < self._expected:
            self._expected = at
            self._told.set()

    def wake(self) -> None:
        """Have the next step soon, for there may be something to do."""
        self.expect(self._now())

    def stop(self) -> None:
        """End the loop after the step under way."""
        self._stopping = True
        self._told.set()

    async def run(self) -> None:
        """Run until stopped. A step that fails is logged and tried again; the loop never dies of it."""
        while not self._stopping:
            self._expected = None  # what is told from here on may be too late for the step that begins
            due, not_before = await self._one_step()
            await self._wait(due, not_before)

    async def _one_step(self) -> tuple[datetime | None, datetime | None]:
        """Make one step; returns when the next is due, and before when there shall be none."""
        if self._owes_since is None:
            self._owes_since = self._now()
        try:
            due = await self.step()
        except Unavailable as error:
            STEPS.labels(self.name, "unavailable").inc()
            log.warning("worker_waits_for_database", worker=self.name, error=str(error))
        except Exception:
            STEPS.labels(self.name, "fault").inc()
            log.exception("worker_step_failed", worker=self.name)
        else:
            STEPS.labels(self.name, "done").inc()
            HEARTBEAT.labels(self.name).set(self._now().timestamp())
            self._owes_since = None
            return due, None
        pause_ends_at = self._now() + FAULT_PAUSE
        return pause_ends_at, pause_ends_at

    async def _wait(self, due: datetime | None, not_before: datetime | None) -> None:
        poll_at = None if self._poll is None else self._now() + self._poll
        longest = self._poll if not_before is None else FAULT_PAUSE  # a clock that was set back could make it hours
        while not self._stopping:
            moments = [moment for moment in (due, self._expected, poll_at) if moment is not None]
            seconds = None
            self._due = min(moments, default=None)
            if moments:
                at = min(moments) if not_before is None else max(min(moments), not_before)
                seconds = (at - self._now()).total_seconds()
                if seconds <= 0:
                    await asyncio.sleep(0)
                    return
                if longest is not None:
                    seconds = min(seconds, longest.total_seconds())
            self._told.clear()
            try:
                async with asyncio.timeout(seconds):
                    await self._told.wait()
            except TimeoutError:
                return

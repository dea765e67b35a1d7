"""The watch over our own side: this node says that it lives, and brings what it saw of faults of ours."""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge

from muster.domain.control.self_watch import BEAT_EVERY, DEAD_AFTER, NOTABLE_GAP
from muster.edges.workers.loop import Loop
from muster.operations.ports import Runner
from muster.operations.watch_ourselves import (
    Beat,
    Beginning,
    NodeFindings,
    beat,
    begin_beating,
    watch_ourselves,
)
from muster.storage.errors import Unavailable

BEATS_TO_A_WATCH = 3
"""After so many what all nodes share is looked at, while this one sees nothing by itself."""

LATE = Gauge("muster_workers_late", "Workers of this process that owe a step for too long", multiprocess_mode="livesum")

log = structlog.get_logger("muster.own_side")


class OwnSideWatch:
    """Says *every* few minutes that this node lives, and its workers; has outages made of what *take* finds."""

    def __init__(
        self,
        runner: Runner,
        loops: Callable[[], Iterable[Loop]],
        take: Callable[[], NodeFindings],
        *,
        every: timedelta = BEAT_EVERY,
    ) -> None:
        self._runner = runner
        self._loops = loops
        self._take = take
        self._every = every
        self._beaten_at: datetime | None = None
        self._watched_at: datetime | None = None
        self._late: frozenset[str] = frozenset()
        self._was_suspicious = False

    async def begin(self) -> None:
        """Say that this node begins to live. Where the database is away, the first step does."""
        try:
            await self._begin(self._runner.now())
        except Unavailable as error:
            log.warning("first_sign_of_life_not_written", error=str(error))

    async def step(self) -> datetime | None:
        """Beat, and look at what is found; returns when to do so again."""
        now = self._runner.now()
        await self._beat(now)
        findings = self._take()
        is_suspicious = bool(findings.failing or findings.dropped or findings.differing or self._late)
        if is_suspicious or self._was_suspicious or self._is_watch_due(now):
            await self._runner.write(watch_ourselves, [findings])
            self._watched_at, self._was_suspicious = now, is_suspicious
        return now + self._every

    async def stop(self) -> None:
        """Beat once more: from here on nobody is heard. Nothing is raised."""
        if self._beaten_at is None:
            return
        try:
            await self._runner.write(beat, [Beat(self._late)])
        except Unavailable as error:
            log.warning("last_sign_of_life_not_written", error=str(error))

    async def _beat(self, now: datetime) -> None:
        late = frozenset(loop.name for loop in self._loops() if _is_late(loop, now))
        for name in sorted(late - self._late):
            log.error("worker_late", worker=name, limit_minutes=DEAD_AFTER // timedelta(minutes=1))
        self._late = late
        LATE.set(len(late))
        if self._beaten_at is None or not timedelta(0) <= now - self._beaten_at < self._every + NOTABLE_GAP:
            await self._begin(now)
        else:
            await self._runner.write(beat, [Beat(late)])
            self._beaten_at = now

    async def _begin(self, now: datetime) -> None:
        workers = tuple(sorted(loop.name for loop in self._loops()))
        gap = (await self._runner.write(begin_beating, [Beginning(workers)]))[0]
        if gap is not None:
            log.info("downtime_noted", reason=gap.reason.value, began_at=f"{gap.began_at:%Y-%m-%dT%H:%M:%SZ}")
        self._beaten_at = now

    def _is_watch_due(self, now: datetime) -> bool:
        # a clock that was set back must not keep it from looking
        return self._watched_at is None or not timedelta(0) <= now - self._watched_at < BEATS_TO_A_WATCH * self._every


def _is_late(loop: Loop, now: datetime) -> bool:
    since = loop.owes_since()
    return since is not None and now - since >= DEAD_AFTER

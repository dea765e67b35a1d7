"""Refused contacts on their way to evidence: collected, bounded, written after the reply."""

import asyncio
from collections.abc import Sequence

import structlog

from muster.domain.access import SERVER
from muster.domain.errors import RefusalCode
from muster.edges.device import metrics
from muster.operations.ports import Runner
from muster.operations.record_refusals import RefusedContact, record_refusals
from muster.protocol.identifiers import ChannelId
from muster.storage.errors import Unavailable

MAXIMUM_PENDING = 1000
"""Refusals that wait to be written; anyone can cause them, so more are only counted."""

log = structlog.get_logger("muster.device")


class RefusalRecorder:
    """Writes refused contacts in the background; never in the way of a reply."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._pending: list[RefusedContact] = []
        self._task: asyncio.Task[None] | None = None

    def record(
        self, code: RefusalCode, *, claimed_id: ChannelId | None, fingerprint: bytes | None, source: str
    ) -> None:
        """Have a refused contact recorded soon; see RefusedContact for what absence means."""
        if len(self._pending) >= MAXIMUM_PENDING:
            metrics.REFUSALS_DROPPED.inc()
            return
        self._pending.append(RefusedContact(code, claimed_id, fingerprint, source, self._runner.now()))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="record-refusals")

    async def drain(self) -> None:
        """Return when everything recorded so far is written."""
        while self._task is not None:
            await asyncio.shield(self._task)

    async def _run(self) -> None:
        try:
            while self._pending:
                batch, self._pending = self._pending, []
                await self._write(batch)
        finally:
            self._task = None

    async def _write(self, batch: Sequence[RefusedContact]) -> None:
        try:
            await self._runner.write(record_refusals, batch, SERVER)
        except Unavailable as error:
            metrics.REFUSALS_DROPPED.inc(len(batch))
            log.warning("refusals_not_recorded", count=len(batch), error=str(error))
        except Exception:
            if len(batch) > 1:
                for one in batch:
                    await self._write([one])
                return
            metrics.REFUSALS_DROPPED.inc()
            log.exception("refusal_not_recorded", code=batch[0].code.value)

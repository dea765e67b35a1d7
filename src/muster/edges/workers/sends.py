"""The worker that goes on with commands to everyone whom a query finds."""

from datetime import datetime

import structlog

from muster.operations.ports import Runner
from muster.operations.send_by_query import FailedSend, continue_sends, stop_sends
from muster.storage import sends
from muster.storage.errors import Unavailable

log = structlog.get_logger("muster.sends")


class SendWorker:
    """Queues the next part of the oldest order, part after part."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def step(self) -> datetime | None:
        """Queue one part; returns when the next step is to be made. An order that fails by our fault is ended."""
        if not await self._runner.read(sends.is_any_unfinished):
            return None
        try:
            send = (await self._runner.write(continue_sends, [None]))[0]
        except Unavailable:
            raise
        except Exception as error:
            log.exception("send_stopped")
            failed = FailedSend(None, f"{type(error).__name__}: {error}")
            send = (await self._runner.write(stop_sends, [failed]))[0]
        if send is None:
            return None
        if send.finished_at is not None:
            log.info("send_finished", command_uuid=send.command_uuid, queued=send.queued, reached=send.reached)
        return self._runner.now()

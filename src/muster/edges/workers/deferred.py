"""The worker that processes messages which a fault of ours kept from being processed when they came."""

from datetime import datetime

import structlog

from muster.operations.ports import Runner
from muster.operations.retry_deferred import FailedAttempt, claim_deferred, note_failures, process_deferred
from muster.storage.errors import Unavailable

log = structlog.get_logger("muster.worker")


class DeferredWorker:
    """Tries deferred messages again, each in a transaction of its own."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def step(self) -> datetime | None:
        """Try what is due; returns when the next attempt is."""
        due = (await self._runner.write(claim_deferred, [None]))[0]
        for message in due.messages:
            try:
                await self._runner.write(process_deferred, [message])
            except Unavailable:
                raise
            except Exception as error:
                log.exception("deferred_message_failed", enrollment_id=message.channel_id, message=message.message)
                failure = FailedAttempt(message.id, f"{type(error).__name__}: {error}")
                await self._runner.write(note_failures, [failure])
            else:
                log.info("deferred_message_processed", enrollment_id=message.channel_id, message=message.message)
        return due.next_due_at

"""The worker that goes on with commands to everyone whom a query finds, and with what else is done to them."""

from datetime import datetime

import structlog

from muster.operations.act_by_query import FailedAct, continue_bulk_acts, stop_bulk_acts
from muster.operations.ports import Runner
from muster.operations.send_by_query import FailedSend, continue_sends, stop_sends
from muster.storage import bulk_acts, sends
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable

log = structlog.get_logger("muster.sends")


class SendWorker:
    """Does the next part of the oldest order of each kind, part after part."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def step(self) -> datetime | None:
        """Do one part of each; returns when the next step is to be made. An order that fails by our fault is ended."""
        is_sending, is_acting = await self._runner.read(_under_way)
        goes_on = [await self._send() if is_sending else False, await self._act() if is_acting else False]
        return self._runner.now() if any(goes_on) else None

    async def _send(self) -> bool:
        """Queue one part; tells whether there was one."""
        try:
            send = (await self._runner.write(continue_sends, [None]))[0]
        except Unavailable:
            raise
        except Exception as error:
            log.exception("send_stopped")
            failed = FailedSend(None, f"{type(error).__name__}: {error}")
            send = (await self._runner.write(stop_sends, [failed]))[0]
        if send is not None and send.finished_at is not None:
            log.info("send_finished", command_uuid=send.command_uuid, queued=send.queued, reached=send.reached)
        return send is not None

    async def _act(self) -> bool:
        """Do one part of what is done to many; tells whether there was one."""
        try:
            done = (await self._runner.write(continue_bulk_acts, [None]))[0]
        except Unavailable:
            raise
        except Exception as error:
            log.exception("bulk_act_stopped")
            failed = FailedAct(None, f"{type(error).__name__}: {error}")
            done = (await self._runner.write(stop_bulk_acts, [failed]))[0]
        if done is not None and done.finished_at is not None:
            log.info("bulk_act_finished", kind=done.kind.value, done=done.done, reached=done.reached)
        return done is not None


def _under_way(tx: Transaction) -> tuple[bool, bool]:
    return sends.is_any_unfinished(tx), bulk_acts.is_any_unfinished(tx)

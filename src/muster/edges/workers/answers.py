"""The worker that reads what devices answered, once it is stored."""

from collections import deque
from datetime import datetime, timedelta
from functools import partial

import structlog

from muster.operations.decode_answers import prepare_answers
from muster.operations.ports import Runner
from muster.operations.read_answers import UnreadableAnswer, find_answers, put_off_answers, read_answers
from muster.storage.answers import AnswerKey
from muster.storage.errors import Unavailable

PATIENCE = timedelta(seconds=1)
"""How long those are left alone that another node is reading."""

log = structlog.get_logger("muster.answers")


class AnswerWorker:
    """Reads answers that wait, some in each transaction."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._elsewhere: frozenset[AnswerKey] = frozenset()

    async def step(self) -> datetime | None:
        """Read some of what is due; returns when the next step is to be made.

        What another node is reading is passed over for what comes after it: a large answer keeps one node busy, and no
        other answer waiting.
        """
        due = await self._runner.read(lambda tx: find_answers(tx, self._runner.now(), self._elsewhere))
        if not due.keys:
            is_read_elsewhere, self._elsewhere = bool(self._elsewhere), frozenset()
            return self._runner.now() + PATIENCE if is_read_elsewhere else due.next_due_at
        settled = await self._read(due.keys)
        if not settled:
            self._elsewhere |= frozenset(due.keys)
        is_all = settled == len(due.keys) and not self._elsewhere
        return due.next_due_at if is_all else self._runner.now()

    async def _read(self, keys: tuple[AnswerKey, ...]) -> int:
        """Read answers, and tell how many of them are done with. Of a batch that fails, halves are read by
        themselves, until only the answer that makes it fail is put off."""
        batches = deque([list(keys)] if keys else [])
        settled = 0
        while batches:
            batch = batches.popleft()
            try:
                prepared = await self._runner.read(partial(prepare_answers, keys=batch))
                done = await self._runner.write(read_answers, prepared)
                settled += sum(done)
            except Unavailable:
                raise
            except Exception as error:
                middle = len(batch) // 2
                if middle:
                    batches.extendleft((batch[middle:], batch[:middle]))
                    continue
                log.exception("answer_not_read", enrollment_id=batch[0].channel_id, command_uuid=batch[0].command_uuid)
                unreadable = UnreadableAnswer(batch[0], f"{type(error).__name__}: {error}")
                await self._runner.write(put_off_answers, [unreadable])
                settled += 1
        return settled

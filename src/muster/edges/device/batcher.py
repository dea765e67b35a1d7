"""Natural batching: what arrives while a flush is under way is the next batch; nobody waits on a timer.

An idle server flushes one request at a time; a busy one hundreds at once. A batch holds each key once and is sorted
by it, so that transactions of several nodes take their locks in one order.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from muster.storage.errors import Unavailable

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

MAXIMUM_BATCH_ITEMS = 256
"""Measured: larger batches gain nothing, and a failing one costs more to take apart."""
MAXIMUM_BATCH_BYTES = 4 * 1024 * 1024
"""Bodies that go to the database in one transaction; a larger one goes alone."""
MAXIMUM_WAITING_ITEMS = 4096
"""Beyond this the server is not keeping up, and says so (503) instead of letting everyone time out."""
MAXIMUM_WAITING_BYTES = 128 * 1024 * 1024


class Overloaded(Exception):
    """Too much is waiting already; nothing was done with the item, and it may be sent again."""


@dataclass(slots=True)
class _Waiting(Generic[Item, Outcome]):
    item: Item
    key: str
    size: int
    done: "asyncio.Future[Outcome]"


class Batcher(Generic[Item, Outcome]):
    """Collects items and hands them to *flush* in batches, one batch at a time.

    *flush* returns one outcome for each item, in order; when it raises, the batch is halved until only the guilty
    item fails. Unavailable fails the whole batch at once: it is nobody's fault. An item handed over is written even if
    its caller is gone meanwhile. Belongs to the event loop it is first used in.
    """

    def __init__(
        self,
        flush: Callable[[list[Item]], Awaitable[list[Outcome]]],
        *,
        key: Callable[[Item], str],
        size: Callable[[Item], int],
    ) -> None:
        self._flush = flush
        self._key = key
        self._size = size
        self._waiting: deque[_Waiting[Item, Outcome]] = deque()
        self._waiting_bytes = 0
        self._running: asyncio.Task[None] | None = None

    async def submit(self, item: Item) -> Outcome:
        """Have *item* written in one of the next batches and return its outcome, after its commit.

        Raises Overloaded when too much waits already, Unavailable when the database can't be reached, and whatever
        *flush* raised for this item alone.
        """
        size = self._size(item)
        if len(self._waiting) >= MAXIMUM_WAITING_ITEMS or self._waiting_bytes + size > MAXIMUM_WAITING_BYTES:
            raise Overloaded(f"{len(self._waiting)} messages are waiting")
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(item, self._key(item), size, done))
        self._waiting_bytes += size
        if self._running is None:
            self._running = asyncio.create_task(self._run(), name="batcher")
        return await done

    async def drain(self) -> None:
        """Return when everything handed over so far is written."""
        while self._running is not None:
            await asyncio.shield(self._running)

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._settle(self._take())
        finally:
            self._running = None

    def _take(self) -> list[_Waiting[Item, Outcome]]:
        """Take the next batch: each key once, within the bounds, sorted by key; the rest keeps its order."""
        batch: dict[str, _Waiting[Item, Outcome]] = {}
        left: list[_Waiting[Item, Outcome]] = []
        passed_over: set[str] = set()  # what comes after one of these must not overtake it
        total = 0
        while self._waiting and len(batch) < MAXIMUM_BATCH_ITEMS:
            one = self._waiting.popleft()
            is_too_much = batch and total + one.size > MAXIMUM_BATCH_BYTES
            if is_too_much or one.key in batch or one.key in passed_over:
                left.append(one)
                passed_over.add(one.key)
                if len(left) >= MAXIMUM_BATCH_ITEMS:
                    break
                continue
            batch[one.key] = one
            total += one.size
        self._waiting.extendleft(reversed(left))
        self._waiting_bytes -= total
        return [batch[key] for key in sorted(batch)]

    async def _settle(self, batch: list[_Waiting[Item, Outcome]]) -> None:
        try:
            outcomes = await self._flush([one.item for one in batch])
            assert len(outcomes) == len(batch), "a flush has one outcome for each item"
        except Exception as error:
            if len(batch) == 1 or isinstance(error, Unavailable):
                for one in batch:
                    _fail(one, error)
                return
            middle = len(batch) // 2
            await self._settle(batch[:middle])
            await self._settle(batch[middle:])
        else:
            for one, outcome in zip(batch, outcomes, strict=True):
                if not one.done.done():
                    one.done.set_result(outcome)


def _fail(one: _Waiting[Item, Outcome], error: Exception) -> None:
    if not one.done.done():
        one.done.set_exception(error)

"""A Runner for tests: in line on the caller's thread, at a time that the test sets, with repeatable randomness."""

import random
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import cycle
from typing import TypeVar

from muster.crypto.keys import RSAPrivateKey
from muster.crypto.sealing import KeyRing
from muster.domain.access import SERVER, Actor
from muster.domain.policy import Policy
from muster.operations.context import Context
from muster.simulator.keys.published import published_keys
from muster.storage.engine import Engine, Transaction
from muster.storage.journal import JournalRecord

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

NOW = datetime(2026, 11, 22, 14, 31, 7, tzinfo=UTC)


class InlineRunner:
    """Runs operations on *engine* at `time` and under `policy`, which the test may set. Nothing is concurrent here.

    By that policy nobody is asked for inventory: what a test queues is all there is.
    What they have to say to the journal is added to `journal`.
    """

    def __init__(self, engine: Engine, *, seed: int = 1) -> None:
        self.engine = engine
        self.time = NOW
        self.random_bytes = random.Random(seed).randbytes
        self.ring = KeyRing.generate(self.random_bytes, NOW)
        self.policy = Policy(inventory_interval=timedelta(0))
        self.journal: list[JournalRecord] = []
        self._rsa_keys = cycle(published_keys()[8:24])  # those before and after are well-known parts of the tests

    async def write(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor = SERVER,
    ) -> list[Outcome]:
        """Run *operation* in one transaction."""
        context = self.context(actor)

        def work(tx: Transaction) -> tuple[list[Outcome], list[JournalRecord]]:
            return operation(tx, items, context), [*tx.journal_first, *tx.to_journal]

        outcomes, to_journal = self.engine.write(work)
        self.journal += to_journal
        return outcomes

    async def read(self, view: Callable[[Transaction], T]) -> T:
        """Run *view* in a transaction that may only read."""
        return self.engine.read(view)

    def context(self, actor: Actor = SERVER) -> Context:
        """Return the circumstances that operations are given."""
        return Context(self.time, actor, self.policy, self.ring, self.random_bytes, new_rsa_key=self._new_rsa_key)

    def _new_rsa_key(self, _bits: int) -> RSAPrivateKey:
        """Return a key made long ago: making one takes a tenth of a second."""
        return next(self._rsa_keys)

    def now(self) -> datetime:
        """Return `time`."""
        return self.time

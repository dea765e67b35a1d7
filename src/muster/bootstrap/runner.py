"""Runs operations: fills in their circumstances, and keeps them off the event loop."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from datetime import datetime
from typing import Generic, TypeVar

from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.journaling import NodeJournal, node_name
from muster.crypto.sealing import KeyRing
from muster.domain.access import SERVER, Actor
from muster.operations.context import Context
from muster.protocol.records import record
from muster.settings import Settings
from muster.storage.engine import Engine, Transaction, Work
from muster.storage.journal import JournalPosition, JournalRecord

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


Notice = Callable[[Mapping[Work, datetime]], None]
"""Is told, after a commit and on the event loop, what it made due and when."""


class EngineRunner:
    """Runs operations over an engine on an executor of its own, and gives *notice* of what they make due.

    What they have to say to the *journal* is written after the commit, before their outcomes are returned; some of it
    before the commit. Where that then fails, or is made once more, the journal has more than ever was.
    """

    def __init__(
        self,
        engine: Engine,
        executor: Executor | None,
        context: Callable[[Actor], Context],
        notice: Notice = lambda due: None,  # noqa: ARG005 - nobody needs to know
        journal: NodeJournal | None = None,
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._context = context
        self._notice = notice
        self._journal = journal

    async def write(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor = SERVER,
    ) -> list[Outcome]:
        """Run *operation* in one transaction; see operations.ports.Runner."""
        loop = asyncio.get_running_loop()
        written = await loop.run_in_executor(self._executor, self._write, operation, items, actor)
        if self._journal is not None:
            if written.to_journal:
                await self._journal.write(written.to_journal)
            if written.journal_mark is not None:
                self._journal.note_processed(written.journal_mark)
        if written.due:
            self._notice(written.due)
        return written.outcomes

    def write_now(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor = SERVER,
    ) -> list[Outcome]:
        """Run *operation* in one transaction, in the calling thread; nobody is given notice."""
        written = self._write(operation, items, actor)
        if self._journal is not None and written.to_journal:
            self._journal.write_now(written.to_journal)
        return written.outcomes

    def _write(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor,
    ) -> "_Written[Outcome]":
        context = self._context(actor)

        def work(tx: Transaction) -> _Written[Outcome]:
            outcomes = operation(tx, items, context)
            if self._journal is not None and tx.journal_first:
                self._journal.write_now(tx.journal_first)
            return _Written(outcomes, tx.due, tx.to_journal, tx.journal_mark)

        return self._engine.write(work)

    async def read(self, view: Callable[[Transaction], T]) -> T:
        """Run *view* in a transaction that may only read; see operations.ports.Runner."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._engine.read, view)

    def read_now(self, view: Callable[[Transaction], T]) -> T:
        """Run *view* in the calling thread."""
        return self._engine.read(view)

    def look_now(self, view: Callable[[Transaction, Context], T], actor: Actor = SERVER) -> T:
        """Run *view*, which asks for the circumstances, too, in the calling thread."""
        context = self._context(actor)
        return self._engine.read(lambda tx: view(tx, context))

    def now(self) -> datetime:
        """Return the time that operations are given."""
        return self._context(SERVER).now


@record(frozen=True, slots=True)
class _Written(Generic[Outcome]):
    """What a transaction did, and what it wants done after its commit."""

    outcomes: list[Outcome]
    due: Mapping[Work, datetime]
    to_journal: Sequence[JournalRecord]
    journal_mark: JournalPosition | None


def make_context(settings: Settings, around: Surroundings, ring: KeyRing) -> Callable[[Actor], Context]:
    """Return what makes the circumstances of each call."""
    policy, node = around.policy(settings.policy()), node_name(settings)

    def context(actor: Actor) -> Context:
        return Context(around.now(), actor, policy, ring, around.random_bytes, node, around.new_rsa_key)

    return context

"""Runs operations: fills in their circumstances, and keeps them off the event loop."""

import asyncio
import os
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from muster.bootstrap.data_directory import Surroundings
from muster.crypto.sealing import KeyRing
from muster.domain.access import SERVER, Actor
from muster.operations.context import Context
from muster.settings import Settings
from muster.storage.engine import Engine, Transaction, Work

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")


Notice = Callable[[Mapping[Work, datetime]], None]
"""Is told, after a commit and on the event loop, what it made due and when."""


class EngineRunner:
    """Runs operations over an engine on an executor of its own, and gives *notice* of what they make due."""

    def __init__(
        self,
        engine: Engine,
        executor: Executor | None,
        context: Callable[[Actor], Context],
        notice: Notice = lambda due: None,  # noqa: ARG005 - nobody needs to know
    ) -> None:
        self._engine = engine
        self._executor = executor
        self._context = context
        self._notice = notice

    async def write(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor = SERVER,
    ) -> list[Outcome]:
        """Run *operation* in one transaction; see operations.ports.Runner."""
        loop = asyncio.get_running_loop()
        outcomes, due = await loop.run_in_executor(self._executor, self._write, operation, items, actor)
        if due:
            self._notice(due)
        return outcomes

    def write_now(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor = SERVER,
    ) -> list[Outcome]:
        """Run *operation* in one transaction, in the calling thread; nobody is given notice."""
        return self._write(operation, items, actor)[0]

    def _write(
        self,
        operation: Callable[[Transaction, Sequence[Item], Context], list[Outcome]],
        items: Sequence[Item],
        actor: Actor,
    ) -> tuple[list[Outcome], Mapping[Work, datetime]]:
        context = self._context(actor)
        return self._engine.write(lambda tx: (operation(tx, items, context), tx.due))

    async def read(self, view: Callable[[Transaction], T]) -> T:
        """Run *view* in a transaction that may only read; see operations.ports.Runner."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._engine.read, view)

    def read_now(self, view: Callable[[Transaction], T]) -> T:
        """Run *view* in the calling thread."""
        return self._engine.read(view)

    def now(self) -> datetime:
        """Return the time that operations are given."""
        return self._context(SERVER).now


def node_name(settings: Settings) -> str:
    """Return the node's name: as set, else the host's, in the characters that file names take."""
    name = settings.node or socket.gethostname()
    kept = "".join(character if character.isalnum() or character in "-_" else "-" for character in name)[:64]
    return f"{kept}-{os.getpid()}" if settings.workers > 1 else kept


def make_context(settings: Settings, around: Surroundings, ring: KeyRing) -> Callable[[Actor], Context]:
    """Return what makes the circumstances of each call."""
    policy = around.policy(settings.policy())
    template = Context(around.now(), SERVER, policy, ring, around.random_bytes, node_name(settings), around.new_rsa_key)

    def context(actor: Actor) -> Context:
        return replace(template, now=around.now(), actor=actor)

    return context

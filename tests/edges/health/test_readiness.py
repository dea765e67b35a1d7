"""A database that hangs."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from tests.support.runner import InlineRunner

from muster.edges.health.readiness import Prober
from muster.storage.engine import Transaction

T = TypeVar("T")


class _Hanging(InlineRunner):
    """A runner whose database answers when the test says so."""

    reads = 0

    async def read(self, view: Callable[[Transaction], T]) -> T:
        self.reads += 1
        await self.answers.wait()
        return await super().read(view)

    answers: asyncio.Event


def test_a_database_that_hangs_is_not_ready_and_costs_one_run(runner: InlineRunner) -> None:
    hanging = _Hanging(runner.engine)

    async def scenario() -> list[bool]:
        hanging.answers = asyncio.Event()
        prober = Prober(hanging, {}, timeout_seconds=0.01)
        while_hanging = [(await prober.probe()).is_ready for _ in range(3)]
        hanging.answers.set()
        return [*while_hanging, (await prober.probe()).is_ready]

    assert asyncio.run(scenario()) == [False, False, False, True]
    assert hanging.reads == 1


def test_the_reason_is_said(runner: InlineRunner) -> None:
    hanging = _Hanging(runner.engine)

    async def scenario() -> str:
        hanging.answers = asyncio.Event()
        prober = Prober(hanging, {}, timeout_seconds=0.01)
        detail = (await prober.probe()).findings["database"].detail
        hanging.answers.set()
        await prober.probe()
        return detail

    assert asyncio.run(scenario()) == "no answer within 0.01 s"

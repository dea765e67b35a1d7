"""The runners of a node: whose operations wait for whose."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from muster.bootstrap.journaling import NodeJournal
from muster.bootstrap.runner import EngineRunner, Notice
from muster.domain.access import Actor
from muster.operations.context import Context
from muster.storage.engine import Engine


@dataclass(frozen=True, slots=True)
class Executors:
    """The threads of a node. Connects have one of their own, unless the engine has a single writer anyway."""

    connects: ThreadPoolExecutor
    operations: ThreadPoolExecutor
    views: ThreadPoolExecutor
    journal: ThreadPoolExecutor

    @classmethod
    def for_engine(cls, engine: Engine) -> "Executors":
        """Make the threads that an engine can use."""
        connects = ThreadPoolExecutor(1, "connects")
        operations = connects if engine.writers == 1 else ThreadPoolExecutor(3, "operations")
        return cls(connects, operations, ThreadPoolExecutor(2, "views"), ThreadPoolExecutor(1, "journal"))

    def shut_down(self) -> None:
        """Wait for what is under way, and end."""
        for one in {self.connects, self.operations, self.views, self.journal}:
            one.shutdown(wait=True)


class ViewRunner:
    """Writes with one runner and reads with another, so that a long page keeps no device waiting."""

    def __init__(self, writing: EngineRunner, reading: EngineRunner) -> None:
        self.write = writing.write
        self.read = reading.read
        self.now = reading.now


@dataclass(frozen=True, slots=True)
class Runners:
    """Who runs what over one engine.

    *connects*: what devices wait for on the hot path; *operations*: everything else that is written; *views*: writes
    like the latter, and reads beside them.
    """

    connects: EngineRunner
    operations: EngineRunner
    views: ViewRunner

    @classmethod
    def over(
        cls,
        engine: Engine,
        executors: Executors,
        context: Callable[[Actor], Context],
        notice: Notice,
        journal: NodeJournal,
    ) -> "Runners":
        """Make them over *engine*; *notice* is told of what they make due, *journal* of what is to be kept."""
        operations = EngineRunner(engine, executors.operations, context, notice, journal)
        return cls(
            EngineRunner(engine, executors.connects, context, notice, journal),
            operations,
            ViewRunner(operations, EngineRunner(engine, executors.views, context)),
        )

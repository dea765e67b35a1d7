"""Running the checks of readiness: bounded in time, one run at a time, not more often than is useful."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from muster.operations.ports import Runner
from muster.operations.views.readiness import NotReady
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable

TIMEOUT_SECONDS = 2.0
"""A database that answers later than this makes devices wait too long."""
KEPT_FOR = timedelta(seconds=1)
"""Probes of many supervisors, and of strangers, cost one run a second."""
DATABASE = "database"

Check: TypeAlias = Callable[[Transaction], str]
"""Returns what it found, in words; raises NotReady."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check found; *is_ok* None: it was not reached."""

    is_ok: bool | None
    detail: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """Every check by name, with what it found."""

    findings: Mapping[str, Finding]

    @property
    def is_ready(self) -> bool:
        """Tell whether every check passed."""
        return all(finding.is_ok for finding in self.findings.values())


class Prober:
    """Finds out whether the process is ready: the database answers, and *checks* pass in one transaction."""

    def __init__(
        self, runner: Runner, checks: Mapping[str, Check], *, timeout_seconds: float = TIMEOUT_SECONDS
    ) -> None:
        assert DATABASE not in checks, "the database is always checked"
        self._runner = runner
        self._checks = checks
        self._timeout_seconds = timeout_seconds
        self._running: asyncio.Task[Readiness] | None = None
        self._kept: tuple[datetime, Readiness] | None = None

    async def probe(self) -> Readiness:
        """Return what the checks find now, or found less than a second ago.

        A run that takes too long goes on, and those who ask meanwhile wait for the same one: a database that hangs
        costs one thread, not one for each probe.
        """
        now = self._runner.now()
        if self._kept is not None and timedelta(0) <= now - self._kept[0] < KEPT_FOR:
            return self._kept[1]
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run(now))
        done, _ = await asyncio.wait([self._running], timeout=self._timeout_seconds)
        if not done:
            return self._unreached(f"no answer within {self._timeout_seconds:g} s")
        return self._running.result()

    async def _run(self, now: datetime) -> Readiness:
        try:
            found = await self._runner.read(lambda tx: {name: _find(check, tx) for name, check in self._checks.items()})
        except Unavailable as error:
            readiness = self._unreached(str(error))
        else:
            readiness = Readiness({DATABASE: Finding(True, "answers"), **found})
        self._kept = now, readiness
        return readiness

    def _unreached(self, why: str) -> Readiness:
        others = {name: Finding(None, "not checked") for name in self._checks}
        return Readiness({DATABASE: Finding(False, why), **others})


def _find(check: Check, tx: Transaction) -> Finding:
    try:
        return Finding(True, check(tx))
    except NotReady as error:
        return Finding(False, str(error))

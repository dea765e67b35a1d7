"""A device speaks by an identity of ours that the database has forgotten: the journal is asked, and the device returns.

It happens after a database was restored from a backup, or when a record was deleted. The device is refused meanwhile,
never so that it leaves.
"""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from muster.operations.notice_rollback import note_resurrected
from muster.operations.ports import Runner
from muster.operations.replay_journal import ReplayResult, replay_records
from muster.protocol.identifiers import DeviceId
from muster.storage.journal import JournalRecord

SEARCH_INTERVAL = timedelta(minutes=10)
"""Between searches: reading the journal is work, and those who are missing are looked for together."""
FRUITLESS_FOR = timedelta(days=1)
"""How long nobody looks again for one who wasn't found."""
MAXIMUM_SOUGHT = 10_000
"""Who is looked for, and who was not found, at one time; anyone with an identity of ours can ask for any name."""
RECORDS_TOGETHER = 100
"""Records of one transaction, as at the start."""

log = structlog.get_logger("muster.journal")

Search = Callable[[Collection[DeviceId], Collection[bytes]], list[JournalRecord]]
"""Finds the records of devices and identities; see `muster.storage.journal_index`. May take minutes."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A device that spoke by an identity of ours, of which the database knows one, the other, or neither."""

    device_id: DeviceId
    fingerprint: bytes


class Resurrections:
    """Looks for the missing in the node's own journal, one search at a time. *wake* has a step made at a time."""

    def __init__(self, runner: Runner, search: Search, wake: Callable[[datetime], None]) -> None:
        self._runner = runner
        self._search = search
        self._wake = wake
        self._sought: dict[Sought, None] = {}
        self._fruitless: dict[Sought, datetime] = {}
        self._searched_at: datetime | None = None

    def seek(self, sought: Sought) -> bool:
        """Look for somebody soon; False where nothing is to be hoped for, the journal having been searched lately."""
        now = self._runner.now()
        searched_at = self._fruitless.get(sought)
        if searched_at is not None and now - searched_at < FRUITLESS_FOR:
            return False
        if sought not in self._sought:
            if len(self._sought) >= MAXIMUM_SOUGHT:
                return False
            self._sought[sought] = None
            self._wake(self._next_search(now))
        return True

    async def step(self) -> datetime | None:
        """Search if somebody is missing and the last search is long enough ago; returns when the next may be."""
        now = self._runner.now()
        if not self._sought:
            return None
        if self._next_search(now) > now:
            return self._next_search(now)
        self._searched_at = now
        sought = list(self._sought)
        devices = {one.device_id for one in sought}
        fingerprints = {one.fingerprint for one in sought}
        records = await asyncio.get_running_loop().run_in_executor(None, self._search, devices, fingerprints)
        found = await self._replay(records)
        for one in sought:
            del self._sought[one]
            if one.device_id not in found:
                self._give_up(one, now)
        return self._next_search(now) if self._sought else None

    async def _replay(self, records: list[JournalRecord]) -> set[DeviceId]:
        found: set[DeviceId] = set()
        for start in range(0, len(records), RECORDS_TOGETHER):
            replayed = await self._runner.write(replay_records, records[start : start + RECORDS_TOGETHER])
            found |= {one.device_id for one in replayed if one.result is ReplayResult.REBUILT and one.device_id}
        if found:
            await self._runner.write(note_resurrected, sorted(found))
            log.warning("enrollments_resurrected", devices=len(found), records=len(records))
        return found

    def _give_up(self, sought: Sought, now: datetime) -> None:
        log.warning("not_in_the_journal", enrollment_id=sought.device_id, identity=sought.fingerprint.hex())
        self._fruitless.pop(sought, None)
        if len(self._fruitless) >= MAXIMUM_SOUGHT:
            del self._fruitless[next(iter(self._fruitless))]
        self._fruitless[sought] = now

    def _next_search(self, now: datetime) -> datetime:
        return now if self._searched_at is None else max(now, self._searched_at + SEARCH_INTERVAL)

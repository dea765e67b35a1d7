"""Replays the journal into the database: what is new at each start, and all of it when a person asks.

Records go in small transactions, in the order of their times; one that trips over a fault of ours is passed over and
told, the rest goes on.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

import structlog

from muster.bootstrap.journaling import JOURNAL
from muster.bootstrap.runner import EngineRunner
from muster.crypto.sealing import KeyRing
from muster.edges.workers.loop import Step
from muster.operations.context import Context
from muster.operations.notice_rollback import CatchUp, RolledBack, finish_catch_ups, forget_old_marks
from muster.operations.replay_journal import Replayed, ReplayResult, replay_records
from muster.protocol.identifiers import DeviceId
from muster.settings import Settings
from muster.storage import journal_marks
from muster.storage.engine import Transaction
from muster.storage.errors import Unavailable
from muster.storage.journal import JournalDamage, JournalEntry, JournalPosition, JournalRecord, file_of
from muster.storage.journal_files import journal_files, read_merged, remove_old_files
from muster.storage.journal_index import device_of
from muster.storage.journal_marks import Mark

RECORDS_TOGETHER = 100
"""Records of one transaction: many enough to be quick, few enough for devices to be answered in between."""
EXAMPLES_KEPT = 20
"""Records that were refused or could not be read, kept to be shown with their reasons."""

log = structlog.get_logger("muster.journal")


@dataclass(slots=True)
class Tally:
    """What became of the records of a replay: counted by kind and result, and the devices that were told anew."""

    counts: Counter[tuple[str, ReplayResult]] = field(default_factory=Counter)
    devices: set[DeviceId] = field(default_factory=set)
    not_replayed: list[Replayed] = field(default_factory=list)
    damages: list[JournalDamage] = field(default_factory=list)

    def add(self, replayed: Iterable[Replayed]) -> None:
        """Count *replayed*."""
        for one in replayed:
            self.counts[one.record.message, one.result] += 1
            if one.result is ReplayResult.REBUILT and one.device_id:
                self.devices.add(one.device_id)
            elif one.reason and len(self.not_replayed) < EXAMPLES_KEPT:
                self.not_replayed.append(one)

    @property
    def rebuilt(self) -> int:
        """How many records told the database something new."""
        return sum(count for (_, result), count in self.counts.items() if result is ReplayResult.REBUILT)


def replay_all(runner: EngineRunner, records: Iterable[JournalRecord], tally: Tally) -> None:
    """Replay *records*, which are in order, and count them in *tally*. Raises Unavailable."""
    for some in _together(records):
        tally.add(_replay_some(runner, some))


class Rehearsed(Exception):
    """Carries what a replay would do out of its transaction, which is rolled back."""

    def __init__(self, replayed: list[Replayed]) -> None:
        super().__init__("nothing was changed")
        self.replayed = replayed


def rehearse_all(runner: EngineRunner, records: Iterable[JournalRecord], tally: Tally) -> None:
    """Count in *tally* what `replay_all` would do, and do nothing. The database is held meanwhile."""

    def rehearse(tx: Transaction, items: Sequence[JournalRecord], ctx: Context) -> list[Replayed]:
        raise Rehearsed(replay_records(tx, items, ctx))

    try:
        runner.write_now(rehearse, list(records))
    except Rehearsed as rehearsed:
        tally.add(rehearsed.replayed)


def catch_up(runner: EngineRunner, directory: Path, ring: KeyRing) -> Tally:
    """Take in what the journal in *directory* has and the database has not; before anybody is served.

    After a crash that is a batch at most. More, the journal itself saying that it had been processed, means that the
    database was restored from a backup: see `muster.operations.notice_rollback`. Raises Unavailable, OSError.
    """
    marks = runner.read_now(journal_marks.marks)
    tally = Tally()
    ends: dict[str, JournalPosition] = {}
    found: list[RolledBack] = []

    def seen() -> Iterator[JournalRecord]:
        behind = {node: mark.position for node, mark in marks.items()}
        for entry in read_merged(journal_files([directory]), ring, behind=behind, on_damage=tally.damages.append):
            node = _node_of(entry.position)
            ends[node] = entry.position
            older = _older_than(entry, node, marks.get(node))
            if older is not None and not found:
                # another process may write this very file: what it says it had committed can be read by now
                older = _older_than(entry, node, runner.read_now(journal_marks.marks).get(node))
            if older is not None:
                found[:] = [older]
            yield entry.record

    replay_all(runner, seen(), tally)
    rolled_back = found[0] if found else None
    if ends:
        done = CatchUp(tuple(ends.values()), rolled_back, tally.rebuilt, frozenset(tally.devices))
        held = runner.write_now(finish_catch_ups, [done])[0]
        _log(tally, rolled_back, held)
    return tally


def retention_step(runner: EngineRunner, settings: Settings) -> Step:
    """Return the step that removes the journal's files of days longer ago than the settings keep them, once a day."""

    async def step() -> datetime | None:
        before = runner.now() - timedelta(days=settings.journal_days)
        removed = await asyncio.get_running_loop().run_in_executor(
            None, remove_old_files, settings.data_dir / JOURNAL, before.date()
        )
        if removed:
            log.info("journal_files_removed", files=removed)
        await runner.write(forget_old_marks, [before])
        return runner.now() + timedelta(days=1)

    return step


def _older_than(entry: JournalEntry, node: str, mark: Mark | None) -> RolledBack | None:
    """Tell whether the database had taken in more, when *entry* was written, than it has now."""
    if entry.processed is None or (mark is not None and mark.position >= entry.processed):
        return None
    return RolledBack(node, None if mark is None else mark.at, entry.record.at)


def _node_of(position: JournalPosition) -> str:
    named = file_of(Path(position.file))
    assert named is not None, "only files of the journal are read"
    return named[1]


def _log(tally: Tally, rolled_back: RolledBack | None, held: int) -> None:
    for damage in tally.damages:
        if not damage.is_cut_off:
            log.error("journal_damaged", file=damage.position.file, record=damage.position.count, error=damage.reason)
    if rolled_back is not None:
        log.error(
            "database_rolled_back",
            node=rolled_back.node,
            database_at=rolled_back.database_at,
            journal_at=rolled_back.journal_at,
            rebuilt=tally.rebuilt,
            devices=len(tally.devices),
            held_commands=held,
            remedy="See `muster commands held`; other nodes' journals: `muster journal replay --from DIR`.",
        )
    elif tally.rebuilt:
        log.warning("journal_caught_up", rebuilt=tally.rebuilt)


def _together(records: Iterable[JournalRecord]) -> Iterator[list[JournalRecord]]:
    remaining = iter(records)
    while some := list(islice(remaining, RECORDS_TOGETHER)):
        yield some


def _replay_some(runner: EngineRunner, records: list[JournalRecord]) -> list[Replayed]:
    try:
        return runner.write_now(replay_records, records)
    except Unavailable:
        raise
    except Exception as error:
        if len(records) > 1:
            middle = len(records) // 2
            return _replay_some(runner, records[:middle]) + _replay_some(runner, records[middle:])
        log.exception("record_not_replayed", enrollment_id=records[0].channel_id, message=records[0].message)
        reason = f"{type(error).__name__}: {error}"
        return [Replayed(records[0], ReplayResult.FAILED, device_of(records[0]), reason)]

"""The journal was taken in at the start; where it shows that the database is an old one, nothing dangerous goes out.

A restored database still holds commands that devices were handed long ago. What must not happen twice (erasing,
locking, restarting) waits until a person releases it.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from muster.domain.control.evidence import Detail, Observation, Signal
from muster.domain.events import Event, EventType
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import enrollments, evidence, journal_marks, outbox, queue_holds
from muster.storage.engine import Transaction, slices
from muster.storage.journal import JournalPosition
from muster.storage.journal_marks import Rollback


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The journal of *node* proves that this database once knew more: up to *journal_at*, now up to *database_at*."""

    node: str
    database_at: datetime | None
    journal_at: datetime


@dataclass(frozen=True, slots=True)
class CatchUp:
    """What the start took in: up to where in each node's journal, how many records told something new, of whom."""

    positions: tuple[JournalPosition, ...]
    rolled_back: RolledBack | None = None
    rebuilt: int = 0
    devices: frozenset[DeviceId] = frozenset()


def finish_catch_ups(tx: Transaction, catch_ups: Sequence[CatchUp], ctx: Context) -> list[int]:
    """Note how far the journal is taken in, and a rollback for everybody to see; the commands held, for each.

    Each device that was rebuilt has it in its evidence: what was known of it came from the journal.
    """
    return [_finish(tx, one, ctx) for one in catch_ups]


def note_resurrected(tx: Transaction, devices: Sequence[DeviceId], ctx: Context) -> list[None]:
    """Have it in the evidence of *devices* that the database had lost them, and the journal had not; None for each."""
    _note(tx, devices, "record_lost", ctx)
    return [None] * len(devices)


def forget_old_marks(tx: Transaction, befores: Sequence[datetime], ctx: Context) -> list[None]:  # noqa: ARG001 - the shape of operations
    """Forget how far journals were taken in whose files are gone; None for each."""
    for before in befores:
        journal_marks.forget_marks(tx, before)
    return [None] * len(befores)


def _finish(tx: Transaction, catch_up: CatchUp, ctx: Context) -> int:
    for position in catch_up.positions:
        journal_marks.set_mark(tx, position, ctx.now)
    found = catch_up.rolled_back
    if found is None:
        return 0
    tx.lock_name("rollback")
    held = queue_holds.hold_once_only(tx)
    rollback = Rollback(ctx.new_id(), ctx.now, found.node, found.database_at, found.journal_at, catch_up.rebuilt)
    journal_marks.add_rollback(tx, rollback)
    _note(tx, catch_up.devices, "database_rolled_back", ctx)
    detail: Detail = {"node": found.node, "rebuilt": catch_up.rebuilt, "held_commands": held}
    event = Event(ctx.new_id(), EventType.DATABASE_ROLLED_BACK, outbox.NO_CHANNEL, ctx.now, detail)
    outbox.append_of_no_channel(tx, [event])
    return held


def _note(tx: Transaction, devices: Collection[DeviceId], what: str, ctx: Context) -> None:
    for some in slices(sorted(ChannelId(one) for one in devices)):
        for channel_id, enrollment in enrollments.find(tx, some).items():
            observation = Observation(channel_id, Signal.OWN_ERROR, what, ctx.now, enrollment.epoch)
            evidence.append(tx, [observation], ctx.new_id)

"""The queues in which commands wait, one a channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.command_queue import ONCE_ONLY_REQUEST_TYPES, QueueEntry, QueuePurpose
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction, slices
from muster.storage.reports import CLOSED
from muster.storage.schema import commands, queue, reports
from muster.storage.types import to_microseconds


def enqueue(
    tx: Transaction,
    command_uuid: CommandUUID,
    targets: Sequence[tuple[ChannelId, int]],
    *,
    priority: int,
    at: datetime,
    purpose: QueuePurpose = QueuePurpose.COMMAND,
) -> None:
    """Queue a stored command on *targets*, pairs of channel and its current epoch."""
    if not targets:
        return
    tx.insert_rows(
        queue,
        [
            {
                "channel_id": channel_id,
                "command_uuid": command_uuid,
                "epoch": epoch,
                "purpose": purpose.value,
                "rank": -priority,
                "position": to_microseconds(at),
                "is_withheld": False,
                "queued_at": at,
                "not_now_count": 0,
                "handed_out_count": 0,
            }
            for channel_id, epoch in targets
        ],
    )


def close_unanswered(tx: Transaction, channel_ids: Sequence[ChannelId], *, below_epoch: int, at: datetime) -> int:
    """Close what earlier epochs left unanswered: kept in history, never handed out again. Returns how many."""
    return _close(tx, sa.and_(queue.c.channel_id.in_(channel_ids), queue.c.epoch < below_epoch), at)


def close_purpose(tx: Transaction, channel_id: ChannelId, purpose: QueuePurpose, at: datetime) -> int:
    """Close what waits on a channel for *purpose*, unanswered: kept in history, never handed out. Returns how many."""
    return _close(tx, sa.and_(queue.c.channel_id == channel_id, queue.c.purpose == purpose.value), at)


def withhold_purpose(tx: Transaction, channel_id: ChannelId, purpose: QueuePurpose) -> None:
    """Hand out what waits on a channel for *purpose* no more; it stays queued for its answer."""
    tx.connection.execute(
        sa.update(queue)
        .where(queue.c.channel_id == channel_id, queue.c.purpose == purpose.value)
        .values(is_withheld=True)
    )


def is_waiting(tx: Transaction, channel_id: ChannelId, purpose: QueuePurpose) -> bool:
    """Tell whether something queued for *purpose* may still be handed out on a channel."""
    return _has(tx, channel_id, purpose, queue.c.is_withheld.is_(False))


def was_handed_out(tx: Transaction, channel_id: ChannelId, purpose: QueuePurpose) -> bool:
    """Tell whether something queued for *purpose* was handed out on a channel, and is not answered."""
    return _has(tx, channel_id, purpose, queue.c.handed_out_count > 0)


def _has(tx: Transaction, channel_id: ChannelId, purpose: QueuePurpose, condition: sa.ColumnElement[bool]) -> bool:
    found = sa.select(queue.c.command_uuid).where(
        queue.c.channel_id == channel_id, queue.c.purpose == purpose.value, condition
    )
    return tx.connection.execute(found.limit(1)).one_or_none() is not None


def _close(tx: Transaction, stale: sa.ColumnElement[bool], at: datetime) -> int:
    rows = tx.connection.execute(sa.select(queue, commands.c.request_type).join(commands).where(stale)).all()
    if not rows:
        return 0
    tx.connection.execute(
        sa.insert(reports),
        [
            {
                "channel_id": row.channel_id,
                "command_uuid": row.command_uuid,
                "request_type": row.request_type,
                "status": CLOSED,
                "epoch": row.epoch,
                "queued_at": row.queued_at,
                "handed_out_at": row.handed_out_at,
                "handed_out_count": row.handed_out_count,
                "not_now_count": row.not_now_count,
                "reported_at": at,
                "is_sealed": False,
            }
            for row in rows
        ],
    )
    tx.connection.execute(sa.delete(queue).where(stale))
    return len(rows)


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A command that may still be handed out on a channel."""

    command_uuid: CommandUUID
    request_type: str
    queued_at: datetime


def unanswered(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, tuple[Unanswered, ...]]:
    """Read what may still be handed out on each channel, in no order; channels without any are absent."""
    found: dict[ChannelId, tuple[Unanswered, ...]] = {}
    select = sa.select(queue.c.channel_id, queue.c.command_uuid, commands.c.request_type, queue.c.queued_at)
    for ids in slices(channel_ids):
        condition = sa.and_(queue.c.is_withheld.is_(False), queue.c.channel_id.in_(ids))
        for row in tx.connection.execute(select.join(commands).where(condition)):
            entry = Unanswered(CommandUUID(row.command_uuid), row.request_type, row.queued_at)
            found[ChannelId(row.channel_id)] = (*found.get(ChannelId(row.channel_id), ()), entry)
    return found


SET_UP_REQUEST_TYPES = ("DeviceConfigured", "InstallProfile")
"""What a Mac may be of use for while Setup Assistant is about to make an account."""
SET_UP_LOOKED_AT = 100
"""Of the commands of these types that wait; each is read from storage."""


def waiting_for_set_up(tx: Transaction, channel_id: ChannelId, *, before: datetime) -> tuple[QueueEntry, ...]:
    """Read, in the order of the queue, what may be handed out of SET_UP_REQUEST_TYPES and was not since *before*."""
    is_fresh = sa.or_(queue.c.handed_out_at.is_(None), queue.c.handed_out_at < before)
    rows = tx.connection.execute(
        sa.select(queue, commands.c.request_type, commands.c.body, commands.c.is_sealed)
        .join(commands)
        .where(queue.c.channel_id == channel_id, queue.c.is_withheld.is_(False), is_fresh)
        .where(commands.c.request_type.in_(SET_UP_REQUEST_TYPES))
        .order_by(queue.c.rank, queue.c.position, queue.c.command_uuid)
        .limit(SET_UP_LOOKED_AT)
    )
    return tuple(
        QueueEntry(
            CommandUUID(row.command_uuid),
            row.request_type,
            row.body,
            epoch=row.epoch,
            queued_at=row.queued_at,
            not_now_count=row.not_now_count,
            handed_out_count=row.handed_out_count,
            handed_out_at=row.handed_out_at,
            purpose=QueuePurpose(row.purpose),
            is_sealed=row.is_sealed,
        )
        for row in rows
    )


@dataclass(frozen=True, slots=True)
class WaitingCommands:
    """Commands of a channel that may still be handed out, and how many of them were answered with NotNow.

    Questions that we ask by ourselves are not counted: nobody waits for them, and no device is woken for them.
    """

    count: int
    declined: int


NONE_WAITING = WaitingCommands(0, 0)

_WAITING = (
    sa.select(
        queue.c.channel_id,
        sa.func.count(),
        sa.func.sum(sa.case((queue.c.not_now_count > 0, 1), else_=0)),
    )
    .where(
        queue.c.is_withheld.is_(False),
        queue.c.purpose != QueuePurpose.INVENTORY.value,
        queue.c.channel_id.in_(sa.bindparam("ids", expanding=True)),
    )
    .group_by(queue.c.channel_id)
)
# made once: building a statement costs more than running it on SQLite


def waiting_counts(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, WaitingCommands]:
    """Count the commands that may still be handed out on each channel; channels without any are absent."""
    return {
        ChannelId(channel_id): WaitingCommands(count, declined)
        for ids in slices(channel_ids)
        for channel_id, count, declined in tx.connection.execute(_WAITING, {"ids": ids})
    }


# --- what waits for a person's word -----------------------------------------------------------------------------------

ROLLED_BACK = "rolled_back"
"""The database was restored from a backup: the command may have been handed out after that was made."""
HANDED_OUT_BEFORE = "handed_out_before"
"""The journal has it that the command was handed out; what the device answered is not known any more."""


def note_hand_out(tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID, *, at: datetime) -> bool:
    """Let a queued command wait for a person's word, for it was handed out at *at*; False where that is known.

    After a NotNow it is handed out once more: what is known of the first time says nothing of the second.
    """
    is_news = sa.or_(queue.c.handed_out_at.is_(None), queue.c.handed_out_at < at)
    result = tx.connection.execute(
        sa.update(queue)
        .where(queue.c.channel_id == channel_id, queue.c.command_uuid == command_uuid, is_news)
        .values(
            is_withheld=True,
            held_because=HANDED_OUT_BEFORE,
            handed_out_count=queue.c.handed_out_count + 1,
            handed_out_at=at,
        )
    )
    return result.rowcount > 0


def hold_once_only(tx: Transaction) -> int:
    """Let every once-only command that may still be handed out wait for a person's word. Returns how many there are."""
    types = sa.select(commands.c.command_uuid).where(commands.c.request_type.in_(sorted(ONCE_ONLY_REQUEST_TYPES)))
    is_once_only = (queue.c.purpose == QueuePurpose.UNENROLL.value) | queue.c.command_uuid.in_(types)
    result = tx.connection.execute(
        sa.update(queue)
        .where(is_once_only, queue.c.is_withheld.is_(False))
        .values(is_withheld=True, held_because=ROLLED_BACK)
    )
    return result.rowcount


def held(tx: Transaction, command_uuid: CommandUUID | None = None) -> tuple[tuple[ChannelId, CommandUUID], ...]:
    """Name what waits for a person's word, by channel and command, sorted; with *command_uuid* only that command."""
    select = sa.select(queue.c.channel_id, queue.c.command_uuid).where(queue.c.held_because.is_not(None))
    if command_uuid is not None:
        select = select.where(queue.c.command_uuid == command_uuid)
    return tuple(sorted((ChannelId(one), CommandUUID(uuid)) for one, uuid in tx.connection.execute(select)))


def release(tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID) -> None:
    """Let a command that waits for a person's word be handed out."""
    tx.connection.execute(
        sa.update(queue)
        .where(queue.c.channel_id == channel_id, queue.c.command_uuid == command_uuid)
        .values(is_withheld=False, held_because=None)
    )


def close(tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID, at: datetime) -> int:
    """Close a queued command, unanswered: kept in history, never handed out. Returns how many there were: 1 or 0."""
    return _close(tx, sa.and_(queue.c.channel_id == channel_id, queue.c.command_uuid == command_uuid), at)

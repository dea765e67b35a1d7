"""The queues in which commands wait, one a channel."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.command_queue import UNASKED_FOR, HoldReason, OwnStatus, QueueEntry, QueuePurpose, may_have_left
from muster.domain.secrets import SETTING_REQUEST_TYPES
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage import escrow
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import commands, queue, queue_pauses, reports
from muster.storage.types import to_microseconds

_OF_COMMAND = commands.c.command_uuid == queue.c.command_uuid
_PAUSED = sa.select(queue_pauses.c.channel_id).where(among(queue_pauses.c.channel_id, "ids"))


@dataclass(frozen=True, slots=True)
class Following:
    """A command comes after *former*; on the channels *waits_on* that is still to be answered."""

    former: CommandUUID
    waits_on: frozenset[ChannelId]
    follows_any: bool = False
    """It goes out also when *former* fails."""


def enqueue(
    tx: Transaction,
    command_uuid: CommandUUID,
    targets: Sequence[tuple[ChannelId, int]],
    *,
    priority: int,
    at: datetime,
    purpose: QueuePurpose = QueuePurpose.COMMAND,
    following: Following | None = None,
    expires_at: datetime | None = None,
    retries: int = 0,
    heeds_pause: bool = True,
) -> tuple[ChannelId, ...]:
    """Queue a stored command on *targets*, pairs of channel and its current epoch.

    Returns the channels on which it may be handed out at once: not those whose queue is paused (but by a renewal, and
    without *heeds_pause*, a pause is passed), nor those on which it waits for another.
    """
    if not targets:
        return ()
    is_free = purpose is QueuePurpose.RENEWAL or not heeds_pause
    holds: dict[ChannelId, HoldReason] = {}
    if not is_free:
        holds = dict.fromkeys(paused(tx, [channel_id for channel_id, _ in targets]), HoldReason.PAUSED)
    if following is not None:
        holds |= dict.fromkeys(following.waits_on, HoldReason.AFTER)
        _note_followers(tx, following)
    shared = {
        "command_uuid": command_uuid,
        "purpose": purpose.value,
        "rank": -priority,
        "position": to_microseconds(at),
        "queued_at": at,
        "not_now_count": 0,
        "handed_out_count": 0,
        "unanswered_count": 0,
        "after_uuid": None if following is None else following.former,
        "follows_any": following is not None and following.follows_any,
        "has_followers": False,
        "expires_at": expires_at,
        "retries_left": retries,
        "failed_count": 0,
    }
    because = [holds.get(channel_id) for channel_id, _ in targets]
    columns: dict[str, list[object]] = {
        "channel_id": [channel_id for channel_id, _ in targets],
        "epoch": [epoch for _, epoch in targets],
        "is_withheld": [one is not None for one in because],
        "held_because": [None if one is None else one.value for one in because],
    }
    tx.insert_rows(queue, columns, shared)
    return tuple(channel_id for channel_id, _ in targets if channel_id not in holds)


def paused(tx: Transaction, channel_ids: Sequence[ChannelId]) -> set[ChannelId]:
    """Tell which of *channel_ids* are paused."""
    return {ChannelId(one) for one in tx.connection.scalars(_PAUSED, {"ids": channel_ids})}


def _note_followers(tx: Transaction, following: Following) -> None:
    for some in slices(sorted(following.waits_on)):
        tx.connection.execute(
            sa.update(queue)
            .where(queue.c.channel_id.in_(some), queue.c.command_uuid == following.former)
            .values(has_followers=True)
        )


# --- closing without an answer ----------------------------------------------------------------------------------------


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


def close(
    tx: Transaction,
    channel_id: ChannelId,
    command_uuids: Collection[CommandUUID],
    at: datetime,
    status: OwnStatus = OwnStatus.CLOSED,
    because: str | None = None,
) -> int:
    """Close queued commands of a channel, unanswered: kept in history, never handed out. Returns how many there were.

    *because* is what is behind it, for people. What follows them is not touched. A secret that one of them sets is
    withdrawn, where no device can have been told; else it may have been set, and stays proposed.
    """
    these = sa.and_(queue.c.channel_id == channel_id, queue.c.command_uuid.in_(sorted(command_uuids)))
    return _close(tx, these, at, status, because)


def _close(
    tx: Transaction,
    stale: sa.ColumnElement[bool],
    at: datetime,
    status: OwnStatus = OwnStatus.CLOSED,
    because: str | None = None,
) -> int:
    rows = tx.connection.execute(
        sa.select(queue, commands.c.request_type).join(commands, _OF_COMMAND).where(stale)
    ).all()
    if not rows:
        return 0
    tx.connection.execute(
        sa.insert(reports),
        [
            {
                "channel_id": row.channel_id,
                "command_uuid": row.command_uuid,
                "request_type": row.request_type,
                "purpose": row.purpose,
                "status": status.value,
                "because": because,
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
    escrow.withdraw(
        tx, [(DeviceId(row.channel_id), CommandUUID(row.command_uuid)) for row in rows if _proposed(row)], at
    )
    return len(rows)


def _proposed(row: Any) -> bool:
    """Tell whether a command proposed a secret that no device can have been told."""
    held_because = None if row.held_because is None else HoldReason(row.held_because)
    return row.request_type in SETTING_REQUEST_TYPES and not may_have_left(row.handed_out_count, held_because)


# --- reading ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Queued:
    """A command in a channel's queue, as its administration needs it."""

    channel_id: ChannelId
    command_uuid: CommandUUID
    request_type: str
    purpose: QueuePurpose
    handed_out_count: int
    has_followers: bool
    expires_at: datetime | None


_QUEUED = sa.select(
    queue.c.channel_id,
    queue.c.command_uuid,
    commands.c.request_type,
    queue.c.purpose,
    queue.c.handed_out_count,
    queue.c.has_followers,
    queue.c.expires_at,
).join(commands, _OF_COMMAND)


def on_channels(tx: Transaction, channel_ids: Sequence[ChannelId]) -> tuple[Queued, ...]:
    """Read all that is queued on channels, by channel, in its order."""
    return _read_queued(tx, channel_ids, sa.true())


def of_command(
    tx: Transaction, command_uuid: CommandUUID, channel_ids: Sequence[ChannelId] | None = None
) -> tuple[Queued, ...]:
    """Read where a command is queued: on *channel_ids*, or without them on all channels; by channel."""
    if channel_ids is None:
        rows = tx.connection.execute(_QUEUED.where(queue.c.command_uuid == command_uuid).order_by(queue.c.channel_id))
        return tuple(_queued(row, row.request_type) for row in rows)
    return _read_queued(tx, channel_ids, queue.c.command_uuid == command_uuid)


_NEVER_HANDED_OUT = (
    # commands are not joined: beginning with those of the type, a database would ask for each of them on each channel
    sa.select(
        queue.c.channel_id,
        queue.c.command_uuid,
        queue.c.purpose,
        queue.c.handed_out_count,
        queue.c.has_followers,
        queue.c.expires_at,
    )
    .where(
        among(queue.c.channel_id, "ids"),
        queue.c.handed_out_count == 0,
        queue.c.after_uuid.is_(None),
        queue.c.has_followers.is_(False),
        among(queue.c.purpose, "purposes"),
        queue.c.rank >= sa.bindparam("lowest_rank"),
    )
    .order_by(queue.c.channel_id, queue.c.rank, queue.c.position, queue.c.command_uuid)
)
_OF_TYPE = sa.select(commands.c.command_uuid).where(
    among(commands.c.command_uuid, "uuids"),
    commands.c.request_type == sa.bindparam("of_type"),
    commands.c.is_sealed.is_(False),
)
# made once: building a statement costs more than running it on SQLite


def never_handed_out(
    tx: Transaction,
    channel_ids: Sequence[ChannelId],
    request_type: str,
    purposes: Sequence[QueuePurpose],
    *,
    lowest_priority_from: int,
) -> tuple[Queued, ...]:
    """Read commands of a type, queued for one of *purposes*, that no device has seen yet and none comes before or after
    of, with at most the priority *lowest_priority_from*.
    """
    names = [one.value for one in purposes]
    rows = tx.connection.execute(
        _NEVER_HANDED_OUT, {"ids": channel_ids, "purposes": names, "lowest_rank": -lowest_priority_from}
    ).all()
    uuids = sorted({row.command_uuid for row in rows})
    of_type = set(tx.connection.scalars(_OF_TYPE, {"uuids": uuids, "of_type": request_type}) if uuids else ())
    return tuple(_queued(row, request_type) for row in rows if row.command_uuid in of_type)


def _read_queued(
    tx: Transaction, channel_ids: Sequence[ChannelId], condition: sa.ColumnElement[bool]
) -> tuple[Queued, ...]:
    select = _QUEUED.where(among(queue.c.channel_id, channel_ids), condition).order_by(
        queue.c.channel_id, queue.c.rank, queue.c.position, queue.c.command_uuid
    )
    return tuple(_queued(row, row.request_type) for row in tx.connection.execute(select))


def _queued(row: Any, request_type: str) -> Queued:
    return Queued(
        ChannelId(row.channel_id),
        CommandUUID(row.command_uuid),
        request_type,
        QueuePurpose(row.purpose),
        row.handed_out_count,
        row.has_followers,
        row.expires_at,
    )


@dataclass(frozen=True, slots=True)
class QueuedForUs:
    """A command of ours in a channel's queue. *held_because*: it is not handed out now."""

    channel_id: ChannelId
    command_uuid: CommandUUID
    held_because: HoldReason | None


def queued_for(tx: Transaction, channel_ids: Sequence[ChannelId], purpose: QueuePurpose) -> tuple[QueuedForUs, ...]:
    """Read what is queued on channels for *purpose*, by channel."""
    select = (
        sa.select(queue.c.channel_id, queue.c.command_uuid, queue.c.held_because)
        .where(among(queue.c.channel_id, channel_ids), queue.c.purpose == purpose.value)
        .order_by(queue.c.channel_id, queue.c.command_uuid)
    )
    return tuple(
        QueuedForUs(
            ChannelId(row.channel_id),
            CommandUUID(row.command_uuid),
            None if row.held_because is None else HoldReason(row.held_because),
        )
        for row in tx.connection.execute(select)
    )


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
        for row in tx.connection.execute(select.join(commands, _OF_COMMAND).where(condition)):
            entry = Unanswered(CommandUUID(row.command_uuid), row.request_type, row.queued_at)
            found[ChannelId(row.channel_id)] = (*found.get(ChannelId(row.channel_id), ()), entry)
    return found


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A command that a device was handed and has said nothing to since. *body* is the plist, or that sealed."""

    command_uuid: CommandUUID
    request_type: str
    queued_at: datetime
    body: bytes
    is_sealed: bool


OUTSTANDING_LOOKED_AT = 50
"""A device is handed one command at a time; more than a few are outstanding only where many were parked."""

_OUTSTANDING = (
    sa.select(queue.c.command_uuid, commands.c.request_type, queue.c.queued_at, commands.c.body, commands.c.is_sealed)
    .join(commands, commands.c.command_uuid == queue.c.command_uuid)
    .where(
        queue.c.channel_id == sa.bindparam("of_channel"),
        queue.c.purpose == QueuePurpose.COMMAND.value,
        queue.c.unanswered_count > 0,
        sa.or_(queue.c.handed_out_at < sa.bindparam("before"), queue.c.unanswered_count > 1),
        among(commands.c.request_type, "types"),
    )
    .order_by(queue.c.position, queue.c.command_uuid)
    .limit(OUTSTANDING_LOOKED_AT)
)
# made once: building a statement costs more than running it on SQLite


def outstanding(
    tx: Transaction, channel_id: ChannelId, request_types: Sequence[str], *, before: datetime
) -> tuple[Outstanding, ...]:
    """Read the commands of *request_types* that a channel was handed *before* then and said nothing to, oldest first.

    When one was handed out last is known, and how often; one that was several times counts as handed out before.

    At most OUTSTANDING_LOOKED_AT. What was answered with NotNow, or with an error that is tried again, is left out.
    """
    rows = tx.connection.execute(_OUTSTANDING, {"of_channel": channel_id, "types": request_types, "before": before})
    return tuple(
        Outstanding(CommandUUID(row.command_uuid), row.request_type, row.queued_at, row.body, row.is_sealed)
        for row in rows
    )


SET_UP_REQUEST_TYPES = ("DeviceConfigured", "InstallProfile")
"""What a Mac may be of use for while Setup Assistant is about to make an account."""
SET_UP_LOOKED_AT = 100
"""Of the commands of these types that wait; each is read from storage."""


def waiting_for_set_up(tx: Transaction, channel_id: ChannelId, *, before: datetime) -> tuple[QueueEntry, ...]:
    """Read, in the order of the queue, what may be handed out of SET_UP_REQUEST_TYPES and was not since *before*."""
    is_fresh = sa.or_(queue.c.handed_out_at.is_(None), queue.c.handed_out_at < before)
    rows = tx.connection.execute(
        sa.select(queue, commands.c.request_type, commands.c.body, commands.c.is_sealed)
        .join(commands, _OF_COMMAND)
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
            unanswered_count=row.unanswered_count,
            expires_at=row.expires_at,
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
        queue.c.purpose.not_in(sorted(purpose.value for purpose in UNASKED_FOR)),
        among(queue.c.channel_id, "ids"),
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

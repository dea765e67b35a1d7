"""Why queued commands are held back, and their release: by a person, by the end of a pause, or by another's answer."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.command_queue import FOR_A_PERSON, ONCE_ONLY_REQUEST_TYPES, HoldReason, QueueEntry, QueuePurpose
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import commands, queue, queue_pauses

_FOR_A_PERSON = sorted(reason.value for reason in FOR_A_PERSON)
_IS_PAUSED = sa.and_(
    queue.c.purpose != QueuePurpose.RENEWAL.value,
    sa.exists().where(queue_pauses.c.channel_id == queue.c.channel_id).correlate(queue),
)


def hold(tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID, because: HoldReason) -> None:
    """Hold a queued command back."""
    tx.connection.execute(
        sa.update(queue)
        .where(queue.c.channel_id == channel_id, queue.c.command_uuid == command_uuid)
        .values(is_withheld=True, held_because=because.value)
    )


def hold_rest(
    tx: Transaction, channel_ids: Sequence[ChannelId], because: HoldReason, spared: Collection[str] = ()
) -> None:
    """Hold back what may be handed out on channels, but for renewals and the request types *spared*."""
    types = sa.select(commands.c.request_type).where(commands.c.command_uuid == queue.c.command_uuid).scalar_subquery()
    for some in slices(channel_ids):
        tx.connection.execute(
            sa.update(queue)
            .where(
                queue.c.channel_id.in_(some),
                queue.c.is_withheld.is_(False),
                queue.c.purpose != QueuePurpose.RENEWAL.value,
                types.not_in(sorted(spared)),
            )
            .values(is_withheld=True, held_because=because.value)
        )


def free(tx: Transaction, channel_id: ChannelId, command_uuids: Collection[CommandUUID], of: HoldReason) -> bool:
    """Let commands be handed out that are held back because *of* that, or have them wait for the end of a pause of the
    channel. Tells whether any may be handed out now.
    """
    these = sa.and_(
        queue.c.channel_id == channel_id,
        queue.c.command_uuid.in_(sorted(command_uuids)),
        queue.c.held_because == of.value,
    )
    return _free(tx, these)


def _free(tx: Transaction, these: sa.ColumnElement[bool]) -> bool:
    freed = tx.connection.execute(
        sa.update(queue)
        .where(these)
        .values(
            is_withheld=_IS_PAUSED,
            held_because=sa.case((_IS_PAUSED, HoldReason.PAUSED.value), else_=None),
            retry_at=None,
        )
        .returning(queue.c.is_withheld)
    ).scalars()
    return not all(freed.all())


# --- after another ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Follower:
    """A queued command that comes after another."""

    command_uuid: CommandUUID
    follows_any: bool
    has_followers: bool


def followers(tx: Transaction, channel_id: ChannelId, former: CommandUUID) -> tuple[Follower, ...]:
    """Read what comes after *former* on a channel."""
    rows = tx.connection.execute(
        sa.select(queue.c.command_uuid, queue.c.follows_any, queue.c.has_followers)
        .where(queue.c.channel_id == channel_id, queue.c.after_uuid == former)
        .order_by(queue.c.rank, queue.c.position, queue.c.command_uuid)
    )
    return tuple(Follower(CommandUUID(row.command_uuid), row.follows_any, row.has_followers) for row in rows)


# --- what comes due ---------------------------------------------------------------------------------------------------


def put_off(tx: Transaction, channel_id: ChannelId, entry: QueueEntry, until: datetime) -> None:
    """Count an error of a command, and hold it back until a pause is over."""
    tx.connection.execute(
        sa.update(queue)
        .where(queue.c.channel_id == channel_id, queue.c.command_uuid == entry.command_uuid)
        .values(
            is_withheld=True,
            held_because=HoldReason.RETRY.value,
            retries_left=queue.c.retries_left - 1,
            failed_count=queue.c.failed_count + 1,
            unanswered_count=0,
            retry_at=until,
        )
    )


def expired(tx: Transaction, channel_ids: Sequence[ChannelId], now: datetime) -> dict[ChannelId, list[CommandUUID]]:
    """Name what has expired on channels by *now*; channels without any are absent."""
    return _by_channel(tx, channel_ids, queue.c.expires_at <= now)


def to_retry(tx: Transaction, channel_ids: Sequence[ChannelId], now: datetime) -> dict[ChannelId, list[CommandUUID]]:
    """Name what is to be tried again on channels by *now*; channels without any are absent."""
    return _by_channel(
        tx, channel_ids, sa.and_(queue.c.held_because == HoldReason.RETRY.value, queue.c.retry_at <= now)
    )


def _by_channel(
    tx: Transaction, channel_ids: Sequence[ChannelId], condition: sa.ColumnElement[bool]
) -> dict[ChannelId, list[CommandUUID]]:
    found: dict[ChannelId, list[CommandUUID]] = {}
    for some in slices(channel_ids):
        select = sa.select(queue.c.channel_id, queue.c.command_uuid).where(queue.c.channel_id.in_(some), condition)
        for row in tx.connection.execute(select.order_by(queue.c.channel_id, queue.c.position)):
            found.setdefault(ChannelId(row.channel_id), []).append(CommandUUID(row.command_uuid))
    return found


_WAITS_TO_RETRY = queue.c.held_because == HoldReason.RETRY.value
_NEXT = (
    sa.select(
        queue.c.channel_id,
        sa.func.min(queue.c.expires_at),
        sa.func.min(sa.case((_WAITS_TO_RETRY, queue.c.retry_at))),
    )
    .where(
        among(queue.c.channel_id, "ids"),
        sa.or_(queue.c.expires_at.is_not(None), _WAITS_TO_RETRY),
    )
    .group_by(queue.c.channel_id)
)
# made once: building a statement costs more than running it on SQLite


def next_due(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, datetime]:
    """Tell when something expires or is tried again next on each channel; channels without any are absent."""
    return {
        ChannelId(channel_id): min(at for at in (expires_at, retry_at) if at is not None)
        for some in slices(channel_ids)
        for channel_id, expires_at, retry_at in tx.connection.execute(_NEXT, {"ids": some})
    }


# --- pauses -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing but renewals is handed out on a channel."""

    channel_id: ChannelId
    paused_at: datetime
    paused_by: str
    reason: str


def pause(tx: Transaction, new: Pause, spared: Collection[str]) -> None:
    """Pause a channel: what may be handed out waits, but for renewals and the request types *spared*."""
    tx.connection.execute(
        sa.insert(queue_pauses).values(
            channel_id=new.channel_id, paused_at=new.paused_at, paused_by=new.paused_by, reason=new.reason
        )
    )
    hold_rest(tx, [new.channel_id], HoldReason.PAUSED, spared)


def resume(tx: Transaction, channel_id: ChannelId) -> bool:
    """End the pause of a channel. Tells whether something may be handed out now that could not."""
    tx.connection.execute(sa.delete(queue_pauses).where(queue_pauses.c.channel_id == channel_id))
    these = sa.and_(queue.c.channel_id == channel_id, queue.c.held_because == HoldReason.PAUSED.value)
    return _free(tx, these)


def pauses(tx: Transaction, channel_ids: Sequence[ChannelId]) -> Mapping[ChannelId, Pause]:
    """Read the pauses of channels; those that are not paused are absent."""
    return {
        ChannelId(row.channel_id): Pause(ChannelId(row.channel_id), row.paused_at, row.paused_by, row.reason)
        for some in slices(channel_ids)
        for row in tx.connection.execute(sa.select(queue_pauses).where(queue_pauses.c.channel_id.in_(some)))
    }


# --- what waits for a person's word -----------------------------------------------------------------------------------


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
            held_because=HoldReason.HANDED_OUT_BEFORE.value,
            handed_out_count=queue.c.handed_out_count + 1,
            handed_out_at=at,
        )
    )
    return result.rowcount > 0


def hold_once_only(tx: Transaction) -> int:
    """Let every once-only command that may still be handed out wait for a person's word. Returns how many there are."""
    types = sa.select(commands.c.command_uuid).where(commands.c.request_type.in_(sorted(ONCE_ONLY_REQUEST_TYPES)))
    is_once_only = (queue.c.purpose == QueuePurpose.UNENROLL.value) | queue.c.command_uuid.in_(types)
    # one that waits for a pause's end, or another's answer, may have gone out after the backup as well
    may_go_out_by_itself = sa.or_(
        queue.c.is_withheld.is_(False), queue.c.held_because.is_not(None) & queue.c.held_because.not_in(_FOR_A_PERSON)
    )
    result = tx.connection.execute(
        sa.update(queue)
        .where(is_once_only, may_go_out_by_itself)
        .values(is_withheld=True, held_because=HoldReason.ROLLED_BACK.value)
    )
    return result.rowcount


def note_answered(tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID) -> None:
    """Note that a command that stays queued was answered: its hand-outs until now are no lost ones."""
    these = sa.and_(queue.c.channel_id == channel_id, queue.c.command_uuid == command_uuid)
    tx.connection.execute(sa.update(queue).where(these).values(unanswered_count=0))


def held(tx: Transaction, command_uuid: CommandUUID | None = None) -> tuple[tuple[ChannelId, CommandUUID], ...]:
    """Name what waits for a person's word, by channel and command, sorted; with *command_uuid* only that command."""
    select = sa.select(queue.c.channel_id, queue.c.command_uuid).where(queue.c.held_because.in_(_FOR_A_PERSON))
    if command_uuid is not None:
        select = select.where(queue.c.command_uuid == command_uuid)
    return tuple(sorted((ChannelId(one), CommandUUID(uuid)) for one, uuid in tx.connection.execute(select)))


def release(tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID) -> bool:
    """Let a command that waits for a person's word be handed out, its hand-outs counted anew. Tells whether it may be
    at once: False where the channel is paused.
    """
    these = sa.and_(
        queue.c.channel_id == channel_id,
        queue.c.command_uuid == command_uuid,
        queue.c.held_because.in_(_FOR_A_PERSON),
    )
    tx.connection.execute(sa.update(queue).where(these).values(unanswered_count=0))
    return _free(tx, these)

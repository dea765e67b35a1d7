"""The reports that answered commands, or stand for the answer that never came."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from muster.domain.command_queue import QueuePurpose
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction, slices
from muster.storage.hot import ClosedEntry
from muster.storage.schema import reports, unread_answers


def record_kept(tx: Transaction, channel_id: ChannelId, answer: ClosedEntry, at: datetime) -> None:
    """Keep an answer to a queued command that stays queued."""
    entry = answer.entry
    tx.connection.execute(
        sa.insert(reports).values(
            channel_id=channel_id,
            command_uuid=entry.command_uuid,
            request_type=entry.request_type,
            purpose=entry.purpose.value,
            status=answer.status,
            body=answer.body,
            is_sealed=answer.is_sealed,
            epoch=entry.epoch,
            queued_at=entry.queued_at,
            handed_out_at=entry.handed_out_at,
            handed_out_count=entry.handed_out_count,
            not_now_count=entry.not_now_count,
            reported_at=at,
        )
    )


@dataclass(frozen=True, slots=True)
class SaidAnew:
    """A channel has answered a question of our own of *request_type* at *at*."""

    channel_id: ChannelId
    request_type: str
    at: datetime


def forget_questions(tx: Transaction, said: Sequence[SaidAnew]) -> None:
    """Forget what channels said before to questions of our own of the same type, since they said it anew.

    What is still to be read is kept.
    """
    if said:
        tx.connection.execute(
            _FORGET_QUESTIONS,
            [{"of_channel": one.channel_id, "of_request_type": one.request_type, "before": one.at} for one in said],
        )


_IS_UNREAD: Final = sa.exists().where(
    unread_answers.c.channel_id == reports.c.channel_id,
    unread_answers.c.command_uuid == reports.c.command_uuid,
    unread_answers.c.reported_at == reports.c.reported_at,
)
_FORGET_QUESTIONS: Final = sa.delete(reports).where(
    sa.not_(_IS_UNREAD),
    reports.c.channel_id == sa.bindparam("of_channel"),
    reports.c.reported_at < sa.bindparam("before"),
    reports.c.request_type == sa.bindparam("of_request_type"),
    reports.c.purpose == QueuePurpose.INVENTORY.value,
)
# made once: building a statement costs more than running it on SQLite


def count_unknown(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, int]:
    """Count the kept answers to commands that are not ours; channels without any are absent."""
    select = sa.select(reports.c.channel_id, sa.func.count()).where(reports.c.request_type.is_(None))
    return {
        ChannelId(channel_id): count
        for some in slices(channel_ids)
        for channel_id, count in tx.connection.execute(
            select.where(reports.c.channel_id.in_(some)).group_by(reports.c.channel_id)
        )
    }


def report_row(channel_id: ChannelId, command_uuid: CommandUUID) -> str:
    """Name the row for which an answer that holds a secret is sealed: its associated data is (reports, body, this)."""
    return f"{channel_id} {command_uuid}"


def recorded_statuses(
    tx: Transaction, answers: Sequence[tuple[ChannelId, CommandUUID]]
) -> dict[tuple[ChannelId, CommandUUID], str]:
    """Read the latest recorded status of each answer; those never recorded are absent."""
    select = sa.select(reports.c.channel_id, reports.c.command_uuid, reports.c.status).order_by(reports.c.reported_at)
    return {
        (ChannelId(row.channel_id), CommandUUID(row.command_uuid)): row.status
        for some in slices(answers)
        for row in tx.connection.execute(
            select.where(sa.tuple_(reports.c.channel_id, reports.c.command_uuid).in_(some))
        )
    }


def latest_epoch(tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID) -> int | None:
    """Tell in which epoch a command was on a channel, by its latest report; None when it has none there."""
    select = sa.select(reports.c.epoch).where(
        reports.c.channel_id == channel_id, reports.c.command_uuid == command_uuid
    )
    epoch: int | None = tx.connection.scalar(select.order_by(reports.c.reported_at.desc()).limit(1))
    return epoch


def record_unqueued(
    tx: Transaction,
    channel_id: ChannelId,
    command_uuid: CommandUUID,
    *,
    request_type: str | None,
    status: str,
    body: bytes,
    is_sealed: bool,
    epoch: int,
    at: datetime,
) -> None:
    """Keep an answer to a command that isn't queued on this channel: late, of another epoch, or not ours."""
    tx.connection.execute(
        sa.insert(reports).values(
            channel_id=channel_id,
            command_uuid=command_uuid,
            request_type=request_type,
            status=status,
            body=body,
            is_sealed=is_sealed,
            epoch=epoch,
            handed_out_count=0,
            not_now_count=0,
            reported_at=at,
        )
    )


def count_answers(
    tx: Transaction, answers: Sequence[tuple[ChannelId, CommandUUID]]
) -> dict[tuple[ChannelId, CommandUUID], int]:
    """Count what is kept of each command on each channel; those of which nothing is are absent."""
    select = sa.select(reports.c.channel_id, reports.c.command_uuid, sa.func.count())
    return {
        (ChannelId(channel_id), CommandUUID(command_uuid)): count
        for some in slices(answers)
        for channel_id, command_uuid, count in tx.connection.execute(
            select.where(sa.tuple_(reports.c.channel_id, reports.c.command_uuid).in_(some)).group_by(
                reports.c.channel_id, reports.c.command_uuid
            )
        )
    }

"""The reports that answered commands, or stand for the answer that never came."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction, slices
from muster.storage.schema import reports

CLOSED = "closed"
"""Status of a command that was never answered and won't be handed out again; ours, not Apple's."""


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

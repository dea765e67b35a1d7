"""Commands that stop people's work: who ordered them, and how many there were lately."""

from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction
from muster.storage.schema import disruptions


def lock_counting(tx: Transaction) -> None:
    """Let one transaction at a time count and add, cluster-wide; the channels' rows are held before."""
    tx.lock_name("disruptions")


def counted_since(tx: Transaction, since: datetime) -> int:
    """Count what was ordered after *since*, but for what was taken back before a device had it."""
    return tx.connection.execute(
        sa.select(sa.func.count()).select_from(disruptions).where(disruptions.c.ordered_at > since)
    ).scalar_one()


def add(
    tx: Transaction,
    command_uuid: CommandUUID,
    channel_ids: Sequence[ChannelId],
    *,
    request_type: str,
    at: datetime,
    by: str,
) -> None:
    """Record that a command was ordered for channels."""
    if channel_ids:
        shared = {"command_uuid": command_uuid, "request_type": request_type, "ordered_at": at, "ordered_by": by}
        tx.connection.execute(
            sa.insert(disruptions), [shared | {"channel_id": channel_id} for channel_id in channel_ids]
        )


def forget(tx: Transaction, channel_id: ChannelId, command_uuids: Collection[CommandUUID]) -> None:
    """Count commands no more that were taken back before the device had them."""
    tx.connection.execute(
        sa.delete(disruptions).where(
            disruptions.c.channel_id == channel_id, disruptions.c.command_uuid.in_(sorted(command_uuids))
        )
    )

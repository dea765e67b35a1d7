"""Commands that stop people's work: who ordered them, and how many there were lately."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction
from muster.storage.schema import disruptions

KEPT_FOR = timedelta(days=30)
"""How long it is told who ordered how much; the limit counts an hour of it, and the audit log keeps each act."""
FORGOTTEN_AT_ONCE = 5_000
"""Rows that one transaction forgets, a tenth of a second's work: whoever waits for it notices nothing."""


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


def forget_old(tx: Transaction, now: datetime) -> bool:
    """Forget orders that are older than KEPT_FOR, or some of them; tells whether there are more."""
    table = disruptions.c
    oldest = sa.select(table.ordered_at).where(table.ordered_at < now - KEPT_FOR).order_by(table.ordered_at)
    # up to the time of the last of the first so many: rows of one order share it, and go together
    until = tx.connection.scalar(oldest.offset(FORGOTTEN_AT_ONCE - 1).limit(1))
    is_old = table.ordered_at < now - KEPT_FOR if until is None else table.ordered_at <= until
    tx.connection.execute(sa.delete(disruptions).where(is_old))
    return until is not None

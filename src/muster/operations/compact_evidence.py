"""Evidence that is old and changed no verdict is compacted, a part of the fleet at a time."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId
from muster.storage import compaction
from muster.storage.engine import Transaction

CHANNELS_AT_ONCE: Final = 500
"""Channels of one transaction: a tenth of a second's work, for which nobody has to wait."""
CONTACT_DAYS_KEPT: Final = timedelta(days=400)
"""A year and a month, so that a summer can be laid beside the last one; the rhythm keeps what they meant."""
FROM_THE_START: Final = ""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def compact_evidence(tx: Transaction, items: Sequence[str], ctx: Context) -> list[str | None]:
    """Compact the channels that come after each of *items* by their ids, FROM_THE_START at first.

    Returns the id to go on after; None: that was the last of the fleet. Evidence goes by calendar months, so that a
    channel has a dozen hashes a year and not one a day: what was last seen before the month that began the retention.
    """
    return [_compact(tx, after, ctx) for after in items]


def _compact(tx: Transaction, after: str, ctx: Context) -> ChannelId | None:
    channel_ids = compaction.next_channels(tx, after, CHANNELS_AT_ONCE)
    if not channel_ids:
        return None
    oldest_day = (ctx.now - CONTACT_DAYS_KEPT - _EPOCH) // timedelta(days=1)
    compaction.forget_days(tx, channel_ids, before=oldest_day)
    kept_from = (ctx.now - ctx.policy.evidence_retention).astimezone(UTC)
    month = kept_from.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    for old in compaction.find_old(tx, channel_ids, month):
        compaction.compact(tx, old, ctx.new_id(), ctx.now)
    return channel_ids[-1] if len(channel_ids) == CHANNELS_AT_ONCE else None

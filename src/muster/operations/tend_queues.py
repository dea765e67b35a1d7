"""What the clock does to queues, also where nobody connects: commands expire, and are tried again after errors."""

from collections.abc import Sequence

from muster.domain.command_queue import HoldReason, OwnStatus
from muster.domain.push_policy import PushReason
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId
from muster.storage import push, queue_holds, reviews
from muster.storage.engine import Transaction


def tend_queues(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> list[None]:
    """Close what has expired on *channel_ids* (sorted), and let out again what an error put off, with a push.

    Where something expires or is tried again later, the next review is then; one None for each.
    """
    tx.lock_rows(channel_ids)
    free: list[ChannelId] = []
    for channel_id, uuids in queue_holds.expired(tx, channel_ids, ctx.now).items():
        if close_commands(tx, channel_id, uuids, OwnStatus.EXPIRED, ctx):
            free.append(channel_id)
    for channel_id, uuids in queue_holds.to_retry(tx, channel_ids, ctx.now).items():
        if queue_holds.free(tx, channel_id, uuids, HoldReason.RETRY):
            free.append(channel_id)
    push.wish(tx, free, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    for channel_id, at in queue_holds.next_due(tx, channel_ids).items():
        reviews.schedule(tx, channel_id, at)
    return [None] * len(channel_ids)

"""Commands end without an answer, and what came after them goes out, or ends with them."""

from collections.abc import Collection

from muster.domain.command_following import goes_out
from muster.domain.command_queue import HoldReason, OwnStatus
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import queue_holds, queues
from muster.storage.engine import Transaction


def close_commands(
    tx: Transaction,
    channel_id: ChannelId,
    command_uuids: Collection[CommandUUID],
    status: OwnStatus,
    ctx: Context,
    *,
    because: str | None = None,
) -> bool:
    """Close queued commands of a channel whose row is held, and do what that means for those that come after them.

    *because* is what is behind it, for people. Tells whether something may be handed out now that could not.
    """
    queues.close(tx, channel_id, command_uuids, ctx.now, status, because)
    is_success = status is OwnStatus.VERIFIED
    freed = [settle_followers(tx, channel_id, one, ctx, is_success=is_success) for one in command_uuids]
    return any(freed)


def settle_followers(
    tx: Transaction, channel_id: ChannelId, former: CommandUUID, ctx: Context, *, is_success: bool
) -> bool:
    """Let out what comes after a command that ended, or close it, and what comes after that, and so on.

    Tells whether something may be handed out now that could not.
    """
    is_any_free = False
    ended = [(former, is_success)]
    while ended:
        one, is_done = ended.pop()
        following = queue_holds.followers(tx, channel_id, one)
        free = [f.command_uuid for f in following if goes_out(is_success=is_done, follows_any=f.follows_any)]
        lost = [f for f in following if f.command_uuid not in free]
        is_any_free |= queue_holds.free(tx, channel_id, free, HoldReason.AFTER)
        queues.close(tx, channel_id, [f.command_uuid for f in lost], ctx.now, OwnStatus.DEPENDENCY_FAILED, because=one)
        ended += [(f.command_uuid, False) for f in lost if f.has_followers]
    return is_any_free

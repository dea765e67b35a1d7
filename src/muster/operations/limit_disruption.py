"""Commands that stop people's work are counted over all doors and all who order them, and limited."""

from collections.abc import Sequence

from muster.domain.command_queue import ONCE_ONLY_REQUEST_TYPES
from muster.domain.disruption import DISRUPTIONS_COUNTED_FOR, within_disruption_limit
from muster.domain.errors import Refusal
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import disruptions
from muster.storage.engine import Transaction


def record_disruptions(
    tx: Transaction,
    request_type: str,
    command_uuid: CommandUUID,
    channel_ids: Sequence[ChannelId],
    ctx: Context,
    *,
    named_count: int | None,
    given: int,
) -> Refusal | None:
    """Record that a command is ordered for *channel_ids*, whose rows are held; refused past the hour's limit.

    Commands of other types are nobody's business here. *named_count* is how many of the *given* channels somebody means
    expressly. Who asks at the same time waits here, so that the limit holds over all doors and nodes.
    """
    if request_type not in ONCE_ONLY_REQUEST_TYPES:
        return None
    disruptions.lock_counting(tx)
    refusal = within_disruption_limit(
        request_type,
        wanted=len(channel_ids),
        counted=disruptions.counted_since(tx, ctx.now - DISRUPTIONS_COUNTED_FOR),
        limit=ctx.policy.disruptions_per_hour,
        named_count=named_count,
        given=given,
    )
    if refusal is None:
        disruptions.add(tx, command_uuid, channel_ids, request_type=request_type, at=ctx.now, by=ctx.actor.name)
    return refusal


def forget_disruptions(tx: Transaction, items: Sequence[None], ctx: Context) -> list[bool]:
    """Forget orders that count no more since long, a bounded part for each of *items*; tells whether there are more."""
    return [disruptions.forget_old(tx, ctx.now) for _ in items]

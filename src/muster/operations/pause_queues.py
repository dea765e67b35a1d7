"""An administrator pauses a channel's queue: only what keeps its enrollment alive is handed out until it goes on."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.push_policy import PushReason
from muster.domain.set_up import RELEASE_REQUEST_TYPES
from muster.operations.context import Context
from muster.operations.permit import act, itself
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, people, push, queue_holds, queues
from muster.storage.engine import Transaction
from muster.storage.queue_holds import Pause

MAXIMUM_REASON_CHARACTERS = 500
"""A sentence or two for those who ask why a device gets nothing."""


@dataclass(frozen=True, slots=True)
class PauseOrder:
    """Pause the queue of a channel, for people to know the *reason*."""

    channel_id: ChannelId
    reason: str


PauseOutcome: TypeAlias = Pause | Refusal


@act(Permission.COMMAND, about=lambda _tx, order: (order.channel_id,))
def pause_queues(tx: Transaction, orders: Sequence[PauseOrder], ctx: Context) -> list[PauseOutcome]:
    """Pause the channel of each order. What waits and what is queued meanwhile is kept, and nobody is pushed for it.

    Renewals go out all the same, and so does what lets a device go on in Setup Assistant. A pause outlives a new
    enrollment of the device. Refused for a channel that is not known or is paused already.
    """
    return [_pause(tx, order, ctx) for order in orders]


def _pause(tx: Transaction, order: PauseOrder, ctx: Context) -> PauseOutcome:
    if len(order.reason) > MAXIMUM_REASON_CHARACTERS:
        return Refusal(RefusalCode.ORDER_UNFIT, f"the reason has more than {MAXIMUM_REASON_CHARACTERS} characters")
    known = _known(tx, order.channel_id)
    if known is not None:
        return known
    present = queue_holds.pauses(tx, [order.channel_id]).get(order.channel_id)
    if present is not None:
        return Refusal(
            RefusalCode.CONFLICT, f"{order.channel_id} is paused already, by {present.paused_by}: {present.reason}"
        )
    new = Pause(order.channel_id, ctx.now, ctx.actor.name, order.reason)
    queue_holds.pause(tx, new, RELEASE_REQUEST_TYPES)
    if not queues.waiting_counts(tx, [order.channel_id]):
        push.drop_wishes(tx, [order.channel_id])
    people.record_act(tx, ctx.actor, "queue.pause", order.channel_id, {"reason": order.reason}, ctx.now)
    return new


@dataclass(frozen=True, slots=True)
class Resumed:
    """A channel's queue goes on. *was_paused* is the pause that ended."""

    was_paused: Pause


@act(Permission.COMMAND, about=itself)
def resume_queues(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> list[Resumed | Refusal]:
    """End the pause of each channel, and push it when something waits; refused where there is none."""
    return [_resume(tx, channel_id, ctx) for channel_id in channel_ids]


def _resume(tx: Transaction, channel_id: ChannelId, ctx: Context) -> Resumed | Refusal:
    known = _known(tx, channel_id)
    if known is not None:
        return known
    present = queue_holds.pauses(tx, [channel_id]).get(channel_id)
    if present is None:
        return Refusal(RefusalCode.NOT_FOUND, f"{channel_id} is not paused")
    if queue_holds.resume(tx, channel_id):
        push.wish(tx, [channel_id], reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    people.record_act(tx, ctx.actor, "queue.resume", channel_id, {}, ctx.now)
    return Resumed(present)


def _known(tx: Transaction, channel_id: ChannelId) -> Refusal | None:
    tx.lock_rows([channel_id])
    if channel_id in enrollments.find(tx, [channel_id]):
        return None
    return Refusal(RefusalCode.NOT_FOUND, f"no channel {channel_id} is known", "See `muster devices list`.")

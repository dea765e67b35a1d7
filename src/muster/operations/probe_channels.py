"""Channels are asked a harmless question, for the answer's own sake: it proves that they obey."""

from collections.abc import Sequence

from muster.domain.command_queue import PROBE_PRIORITY, HoldReason, OwnStatus, QueuePurpose
from muster.domain.enrollment import EnrollmentState
from muster.domain.inventory.questions import harmless_question
from muster.domain.push_policy import PushReason
from muster.operations.check_commands import target_of
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.operations.queue_own import queue_own
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.storage import command_targets, enrollments, push, queues
from muster.storage.command_targets import StoredTarget
from muster.storage.engine import Transaction


def probe_channels(
    tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context, *, wakes: Sequence[ChannelId] = ()
) -> None:
    """Ask those of *channel_ids* that are enrolled and on which no such question waits; push those of *wakes*.

    The callers hold the channels' rows. A question that was put aside because the channel never answered it is closed,
    and asked anew. What can answer no question is left alone.
    """
    stored = enrollments.find(tx, sorted(set(channel_ids)))
    enrolled = {id_: one for id_, one in stored.items() if one.state is EnrollmentState.ENROLLED}
    if not enrolled:
        return
    waiting = set()
    for queued in queues.queued_for(tx, sorted(enrolled), QueuePurpose.PROBE):
        if queued.held_because is HoldReason.PARKED:
            close_commands(tx, queued.channel_id, [queued.command_uuid], OwnStatus.CLOSED, ctx)
        else:
            waiting.add(queued.channel_id)
    targets = command_targets.find(tx, sorted({one.channel.device_id for one in enrolled.values()}))
    batches: dict[str, tuple[CommandRequest, list[tuple[ChannelId, int]]]] = {}
    for channel_id, one in sorted(enrolled.items()):
        question = harmless_question(target_of(one.channel, targets.get(one.channel.device_id, StoredTarget())))
        if question is not None and channel_id not in waiting:
            name = repr((question.request_type, question.keys))
            batches.setdefault(name, (question, []))[1].append((channel_id, one.epoch))
    for request, asked in batches.values():
        queue_own(tx, request, asked, ctx, purpose=QueuePurpose.PROBE, priority=PROBE_PRIORITY, wakes=False)
    woken = [channel_id for channel_id in wakes if channel_id in enrolled]
    push.wish(tx, woken, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)

"""The next command that can be handed out; what can't be is set aside on the way, so that it blocks no other."""

from dataclasses import dataclass

from muster.crypto.errors import CannotDecrypt
from muster.crypto.sealing import UnknownSealingKey
from muster.domain.command_queue import (
    INVENTORY_PRIORITY,
    MAXIMUM_SET_ASIDE,
    HeadQuery,
    HoldReason,
    OwnStatus,
    QueueEntry,
    QueuePurpose,
    is_expired,
    is_stuck,
)
from muster.domain.command_verification import verifying_query
from muster.domain.control.evidence import Detail, Observation, Signal
from muster.domain.enrollment import Enrollment
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.operations.queue_own import queue_own
from muster.protocol.command import CommandRequest, decode_command
from muster.storage import evidence, queue_holds, queues, reviews
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class HandOut:
    """A command to hand out, and its plist as the device gets it."""

    entry: QueueEntry
    body: bytes


def next_hand_out(
    tx: Transaction,
    enrollment: Enrollment,
    query: HeadQuery,
    head: QueueEntry | None,
    ctx: Context,
    *,
    only: QueuePurpose | None = None,
) -> HandOut | None:
    """Return what is handed out: *head*, which *query* found, or what comes after it when it can't be.

    What has expired is closed, what was never answered is parked, what can't be opened is held: at most
    MAXIMUM_SET_ASIDE of them. With *only*, nothing that is queued for another purpose is looked at. The channel's row
    is held.
    """
    for _ in range(MAXIMUM_SET_ASIDE):
        if head is None or (only is not None and head.purpose is not only):
            return None
        problem: HoldReason | OwnStatus | None = None
        if is_expired(head, ctx.now):
            problem = OwnStatus.EXPIRED
        elif is_stuck(head):
            problem = HoldReason.PARKED
        else:
            found = opened(head, ctx)
            if found is not None:
                return found
            problem = HoldReason.UNREADABLE
        _set_aside(tx, enrollment, head, problem, ctx)
        head = tx.lock_channels([query])[enrollment.channel.id].head
    return None


def opened(entry: QueueEntry, ctx: Context) -> HandOut | None:
    """Open a command that is to be handed out; None when it is sealed and can't be opened."""
    if not entry.is_sealed:
        return HandOut(entry, entry.body)
    try:
        return HandOut(entry, ctx.open(entry.body, table="commands", column="body", row=entry.command_uuid))
    except (CannotDecrypt, UnknownSealingKey):
        return None


def _set_aside(
    tx: Transaction, enrollment: Enrollment, entry: QueueEntry, problem: HoldReason | OwnStatus, ctx: Context
) -> None:
    channel_id = enrollment.channel.id
    if isinstance(problem, OwnStatus):
        close_commands(tx, channel_id, [entry.command_uuid], problem, ctx)
        return
    queue_holds.hold(tx, channel_id, entry.command_uuid, problem)
    signal, seen = _SEEN_AS[problem]
    detail: Detail = {
        "command_uuid": entry.command_uuid,
        "request_type": entry.request_type,
        "handed_out_count": entry.handed_out_count,
    }
    evidence.append(tx, [Observation(channel_id, signal, seen, ctx.now, enrollment.epoch, "", detail)], ctx.new_id)
    if problem is HoldReason.PARKED:
        reviews.schedule(tx, channel_id, ctx.now)
        _ask_whether_done(tx, enrollment, entry, ctx)


_SEEN_AS = {
    HoldReason.PARKED: (Signal.COMMAND_ANSWER, "command_blocks_queue"),
    HoldReason.UNREADABLE: (Signal.OWN_ERROR, "command_not_opened"),
}


def _ask_whether_done(tx: Transaction, enrollment: Enrollment, entry: QueueEntry, ctx: Context) -> None:
    """Ask the question that shows whether a command that was never answered was carried out, where there is one."""
    found = opened(entry, ctx)
    if found is None:
        return
    sent = decode_command(found.body)
    query = verifying_query(CommandRequest(sent.request_type, sent.keys))
    if query is None or query.request_type in _waiting_types(tx, enrollment):
        return
    queue_own(
        tx,
        query,
        [(enrollment.channel.id, enrollment.epoch)],
        ctx,
        purpose=QueuePurpose.INVENTORY,
        priority=INVENTORY_PRIORITY,
        wakes=False,
    )


def _waiting_types(tx: Transaction, enrollment: Enrollment) -> set[str]:
    return {one.request_type for one in queues.on_channels(tx, [enrollment.channel.id])}

"""An administrator takes commands back: one, on some channels or all, or all that waits on a channel."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.command_queue import ONCE_ONLY_REQUEST_TYPES, OwnStatus, QueuePurpose
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.push_policy import PushReason
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.operations.permit import act
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import departures, disruptions, enrollments, people, push, queues
from muster.storage.engine import Transaction
from muster.storage.queues import Queued


@dataclass(frozen=True, slots=True)
class CancelOrder:
    """Take back the command *command_uuid* (None: whatever waits) on *channel_ids* (none: wherever it waits)."""

    command_uuid: CommandUUID | None
    channel_ids: tuple[ChannelId, ...] = ()


@dataclass(frozen=True, slots=True)
class CancelledCommand:
    """A command that was taken back on a channel. *was_handed_out*: the device has it, and may carry it out."""

    channel_id: ChannelId
    command_uuid: CommandUUID
    request_type: str
    was_handed_out: bool


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What was taken back, and what could not be."""

    commands: tuple[CancelledCommand, ...]
    refused: tuple[tuple[ChannelId, Refusal], ...] = ()


CancelOutcome: TypeAlias = Cancelled | Refusal


@act(Permission.COMMAND, about=lambda tx, order: {one.channel_id for one in _find(tx, order)} | {*order.channel_ids})
def cancel_commands(tx: Transaction, orders: Sequence[CancelOrder], ctx: Context) -> list[CancelOutcome]:
    """Close what each of *orders* names, in one act of the audit log each; what comes after it is closed with it.

    A late answer to what was handed out before is kept and read. A renewal can't be taken back, and neither can the
    removal of the enrollment profile once the device has it; with these left over, nothing else is undone. Refused when
    nothing of it waits.
    """
    return [_cancel(tx, order, ctx) for order in orders]


def _cancel(tx: Transaction, order: CancelOrder, ctx: Context) -> CancelOutcome:
    if order.command_uuid is None and not order.channel_ids:
        return Refusal(RefusalCode.ORDER_UNFIT, "neither a command nor a channel is named")
    channel_ids = sorted({one.channel_id for one in _find(tx, order)})
    tx.lock_rows(channel_ids)
    done: list[CancelledCommand] = []
    refused: list[tuple[ChannelId, Refusal]] = []
    free: list[ChannelId] = []
    for one in _find(tx, order):  # as it is now that the rows are held
        refusal = _keeps(one)
        if refusal is not None:
            refused.append((one.channel_id, refusal))
            continue
        if close_commands(tx, one.channel_id, [one.command_uuid], OwnStatus.CANCELLED, ctx, because=ctx.actor.name):
            free.append(one.channel_id)
        if one.handed_out_count == 0:
            _take_back(tx, one, ctx)
        done.append(CancelledCommand(one.channel_id, one.command_uuid, one.request_type, one.handed_out_count > 0))
    if not done:
        return refused[0][1] if refused else _nothing(order)
    push.wish(tx, free, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    subject = order.command_uuid or ", ".join(order.channel_ids)
    act = "command.cancel" if order.command_uuid is not None else "command.clear"
    detail: people.AuditDetail = {
        "commands": len(done),
        "handed_out": sum(one.was_handed_out for one in done),
    }
    people.record_act(tx, ctx.actor, act, subject, detail, ctx.now)
    return Cancelled(tuple(done), tuple(refused))


def _find(tx: Transaction, order: CancelOrder) -> tuple[Queued, ...]:
    if order.command_uuid is None:
        return queues.on_channels(tx, order.channel_ids)
    return queues.of_command(tx, order.command_uuid, order.channel_ids or None)


def _keeps(one: Queued) -> Refusal | None:
    if one.purpose is QueuePurpose.RENEWAL:
        return Refusal(
            RefusalCode.CANCEL_IMPOSSIBLE,
            f"{one.command_uuid} renews the identity of {one.channel_id}: without it the device would be lost",
        )
    if one.purpose is QueuePurpose.UNENROLL and one.handed_out_count > 0:
        return Refusal(
            RefusalCode.CANCEL_IMPOSSIBLE,
            f"{one.channel_id} has the order to remove its enrollment profile already",
            "Wait for its answer; enroll it again when it is gone.",
        )
    return None


def _take_back(tx: Transaction, one: Queued, ctx: Context) -> None:
    """Undo what counting said of a command that no device has seen."""
    if one.request_type in ONCE_ONLY_REQUEST_TYPES:
        disruptions.forget(tx, one.channel_id, [one.command_uuid])
    if one.purpose is QueuePurpose.UNENROLL:
        enrollment = enrollments.find(tx, [one.channel_id])[one.channel_id]
        departure = departures.pending_unenrollment(tx, enrollment.channel.device_id, enrollment.epoch)
        if departure is not None:
            departures.withdraw(tx, [departure.id], ctx.now)


def _nothing(order: CancelOrder) -> Refusal:
    what = "nothing" if order.command_uuid is None else f"no command {order.command_uuid}"
    where = f" on {', '.join(order.channel_ids)}" if order.channel_ids else ""
    return Refusal(RefusalCode.NOT_FOUND, f"{what} waits{where}", "See `muster commands list`.")

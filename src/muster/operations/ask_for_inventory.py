"""Channels are asked about themselves: what is due by the schedule, or at once because somebody wants to know.

The questions wait behind everything else. A channel that was heard lately is pushed for them; a silent one is not, and
finds them when it comes back. No kind is asked twice at a time.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from muster.domain.command_queue import INVENTORY_PRIORITY, OwnStatus, QueuePurpose
from muster.domain.enrollment import Enrollment, EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.questions import questions_for
from muster.domain.inventory.schedule import SET_UP_PATIENCE, SILENT_AFTER, UNANSWERED_FOR, due
from muster.domain.push_policy import PushReason
from muster.operations.check_commands import target_of
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.operations.queue_own import queue_own
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.storage import command_targets, enrollments, inventory_questions, people, push, set_ups
from muster.storage.command_targets import StoredTarget
from muster.storage.engine import Transaction
from muster.storage.inventory_questions import Asked, WaitingQuestion
from muster.storage.reviews import DueReview


def ask_when_due(tx: Transaction, reviewed: Sequence[DueReview], ctx: Context) -> dict[ChannelId, datetime]:
    """Ask those of *reviewed* that are due; returns when to look again at those that are asked at all."""
    interval = ctx.policy.inventory_interval
    if not interval or not reviewed:
        return {}
    asked = inventory_questions.asked(tx, [one.channel_id for one in reviewed])
    look_again: dict[ChannelId, datetime] = {}
    wanted: dict[ChannelId, frozenset[InventoryKind]] = {}
    for one in reviewed:
        known = _in_this_life(asked.get(one.channel_id), one.epoch)
        decided = due(one.channel_id, known, interval, ctx.now)
        look_again[one.channel_id] = decided.look_again_at
        if decided.kinds:
            wanted[one.channel_id] = decided.kinds
    if not wanted:
        return look_again
    for channel_id, set_up in set_ups.find(tx, sorted(wanted)).items():
        if ctx.now - set_up.since < SET_UP_PATIENCE:  # its release schedules the next review
            del wanted[channel_id]
            look_again[channel_id] = set_up.since + SET_UP_PATIENCE
    sent = _ask(tx, wanted, ctx)
    noted: dict[ChannelId, Asked] = {}
    for one in reviewed:
        kinds = sent.get(one.channel_id)
        if not kinds:
            continue
        before = _in_this_life(asked.get(one.channel_id), one.epoch)
        noted[one.channel_id] = Asked(one.epoch, {**before, **dict.fromkeys(kinds, ctx.now)})
        if _was_heard(one, ctx):
            push.wish_if_none(tx, one.channel_id, reason=PushReason.COMMAND_QUEUED, at=ctx.now)
    inventory_questions.note_asked(tx, noted)
    return look_again


def _in_this_life(asked: Asked | None, epoch: int) -> Mapping[InventoryKind, datetime]:
    return {} if asked is None or asked.epoch != epoch else asked.at


def _was_heard(review: DueReview, ctx: Context) -> bool:
    return review.last_contact_at is not None and ctx.now - review.last_contact_at < SILENT_AFTER


def _ask(
    tx: Transaction, wanted: Mapping[ChannelId, Collection[InventoryKind]], ctx: Context
) -> dict[ChannelId, frozenset[InventoryKind]]:
    """Queue what each channel can answer of what is *wanted*; returns which kinds are dealt with so.

    Those that no question asks of such a device are among them, and those whose question waits already.
    """
    enrolled = {
        channel_id: one
        for channel_id, one in enrollments.find(tx, sorted(wanted)).items()
        if one.state is EnrollmentState.ENROLLED
    }
    stored = command_targets.find(tx, sorted({one.channel.device_id for one in enrolled.values()}))
    waiting = inventory_questions.waiting(tx, sorted(enrolled))
    batches: dict[str, tuple[CommandRequest, list[tuple[ChannelId, int]]]] = {}
    dealt_with: dict[ChannelId, frozenset[InventoryKind]] = {}
    for channel_id, one in sorted(enrolled.items()):
        target = target_of(one.channel, stored.get(one.channel.device_id, StoredTarget()))
        is_known = target.family is not None and target.os_version is not None
        questions = questions_for(target)
        done = set()
        for kind in wanted[channel_id]:
            if kind not in questions and not is_known:
                continue  # asked as soon as it is known what it is
            done.add(kind)
            if kind in questions and _is_free(tx, channel_id, waiting.get(channel_id, {}).get(kind), ctx):
                _add(batches, questions[kind], one)
        dealt_with[channel_id] = frozenset(done)
    for request, targets in batches.values():
        queue_own(tx, request, targets, ctx, purpose=QueuePurpose.INVENTORY, priority=INVENTORY_PRIORITY, wakes=False)
    return dealt_with


def _add(
    batches: dict[str, tuple[CommandRequest, list[tuple[ChannelId, int]]]], request: CommandRequest, one: Enrollment
) -> None:
    """Put a channel to those that are sent the same: it is one command."""
    name = repr((request.request_type, request.keys))
    batches.setdefault(name, (request, []))[1].append((one.channel.id, one.epoch))


def _is_free(tx: Transaction, channel_id: ChannelId, waiting: WaitingQuestion | None, ctx: Context) -> bool:
    """Tell whether a question may be asked: none of its kind waits, or one that is given up now."""
    if waiting is None:
        return True
    since = waiting.handed_out_at or (waiting.queued_at if waiting.is_withheld else None)
    if since is None or ctx.now - since < UNANSWERED_FOR:
        return False
    close_commands(tx, channel_id, [waiting.command_uuid], OwnStatus.CLOSED, ctx)
    return True


# --- at once ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class InventoryOrder:
    """Ask a channel now; *kinds* empty: all that it can answer."""

    channel_id: ChannelId
    kinds: tuple[InventoryKind, ...] = ()


@dataclass(frozen=True, slots=True)
class AskedInventory:
    """What a channel is asked, or was and has not answered; *unfit* are wanted kinds that it can't answer."""

    channel_id: ChannelId
    kinds: tuple[InventoryKind, ...]
    unfit: tuple[InventoryKind, ...]


InventoryOutcome: TypeAlias = AskedInventory | Refusal


def ask_now(tx: Transaction, orders: Sequence[InventoryOrder], ctx: Context) -> list[InventoryOutcome]:
    """Ask channels about themselves now, and push them, silent or not; an act of the audit log each."""
    return [_ask_now(tx, order, ctx) for order in orders]


def _ask_now(tx: Transaction, order: InventoryOrder, ctx: Context) -> InventoryOutcome:
    tx.lock_rows([order.channel_id])
    one = enrollments.find(tx, [order.channel_id]).get(order.channel_id)
    if one is None:
        return Refusal(RefusalCode.NOT_FOUND, f"no channel {order.channel_id} is known", "See `muster devices list`.")
    if one.state is not EnrollmentState.ENROLLED:
        return Refusal(RefusalCode.NOT_ENROLLED, f"{order.channel_id} is {one.state.value}, and is asked nothing")
    stored = command_targets.find(tx, [one.channel.device_id])
    target = target_of(one.channel, stored.get(one.channel.device_id, StoredTarget()))
    questions = questions_for(target)
    wanted = order.kinds or tuple(questions)
    asked = tuple(kind for kind in wanted if kind in questions)
    _ask(tx, {order.channel_id: asked}, ctx)
    if asked:
        push.wish(tx, [order.channel_id], reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
        detail = {"kinds": ", ".join(asked)}
        people.record_act(tx, ctx.actor, "inventory.ask", order.channel_id, detail, ctx.now)
    return AskedInventory(order.channel_id, asked, tuple(kind for kind in wanted if kind not in questions))

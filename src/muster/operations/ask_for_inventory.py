"""Channels are asked about themselves: what is due by the schedule, or at once because somebody wants to know.

The questions wait behind everything else. A channel that was heard lately is pushed for them; a silent one is not, and
finds them when it comes back. No kind is asked twice at a time.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeAlias

from muster.domain.command_queue import INVENTORY_PRIORITY, OwnStatus, QueuePurpose
from muster.domain.enrollment import Enrollment, EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.questions import questions_for
from muster.domain.inventory.schedule import SET_UP_PATIENCE, SILENT_AFTER, UNANSWERED_FOR, due
from muster.domain.permissions import Permission
from muster.domain.push_policy import PushReason
from muster.operations.check_commands import target_of
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.operations.permit import act
from muster.operations.queue_own import queue_own
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind
from muster.storage import command_targets, enrollments, inventory_questions, people, push, set_ups
from muster.storage.command_targets import StoredTarget
from muster.storage.engine import Transaction
from muster.storage.inventory_questions import Asked, WaitingQuestion
from muster.storage.reviews import DueReview


def ask_when_due(
    tx: Transaction, reviewed: Sequence[DueReview], ctx: Context, *, not_pushed: Collection[ChannelId] = ()
) -> dict[ChannelId, datetime]:
    """Ask those of *reviewed* that are due; returns when to look again at those that are asked at all. Those of
    *not_pushed* are pushed otherwise."""
    interval = ctx.policy.inventory_interval
    if not interval or not reviewed:
        return {}
    asked = inventory_questions.asked(tx, [one.channel_id for one in reviewed])
    look_again: dict[ChannelId, datetime] = {}
    wanted: dict[ChannelId, frozenset[InventoryKind]] = {}
    for one in reviewed:
        known = _in_this_life(asked.get(one.channel_id), one.epoch)
        decided = due(one.channel_id, known, interval, ctx.now, ctx.policy.inventory_others_every)
        look_again[one.channel_id] = decided.look_again_at
        if decided.kinds:
            wanted[one.channel_id] = decided.kinds
    if not wanted:
        return look_again
    for channel_id, set_up in set_ups.find(tx, sorted(wanted)).items():
        if ctx.now - set_up.since < SET_UP_PATIENCE:  # its release schedules the next review
            del wanted[channel_id]
            look_again[channel_id] = set_up.since + SET_UP_PATIENCE
    reviewed_ones = {one.channel_id: (one.channel, one.epoch) for one in reviewed}
    sent = _ask(tx, {id_: (*reviewed_ones[id_], kinds) for id_, kinds in sorted(wanted.items())}, ctx)
    noted: dict[ChannelId, Asked] = {}
    heard: list[ChannelId] = []
    for one in reviewed:
        kinds = sent.get(one.channel_id)
        if not kinds:
            continue
        before = _in_this_life(asked.get(one.channel_id), one.epoch)
        noted[one.channel_id] = Asked(one.epoch, {**before, **dict.fromkeys(kinds, ctx.now)})
        if _was_heard(one, ctx) and one.channel_id not in not_pushed:
            heard.append(one.channel_id)
    # also in place of a wish that waits for days: it was put off when the channel was silent, which it is no more
    push.wish(tx, heard, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    inventory_questions.note_asked(tx, noted)
    return look_again


def _in_this_life(asked: Asked | None, epoch: int) -> Mapping[InventoryKind, datetime]:
    return {} if asked is None or asked.epoch != epoch else asked.at


def _was_heard(review: DueReview, ctx: Context) -> bool:
    return review.last_contact_at is not None and ctx.now - review.last_contact_at < SILENT_AFTER


Wanted: TypeAlias = tuple[Channel, int, Collection[InventoryKind]]
"""An enrolled channel, its epoch, and what is wanted of it."""


def _ask(
    tx: Transaction, wanted: Mapping[ChannelId, Wanted], ctx: Context
) -> dict[ChannelId, frozenset[InventoryKind]]:
    """Queue what each channel can answer of what is *wanted*; returns which kinds are dealt with so.

    Those that no question asks of such a device are among them, and those whose question waits already.
    """
    stored = command_targets.find(tx, sorted({channel.device_id for channel, _, _ in wanted.values()}))
    waiting = inventory_questions.waiting(tx, sorted(wanted))
    batches = _Batches()
    dealt_with: dict[ChannelId, frozenset[InventoryKind]] = {}
    for channel_id, (channel, epoch, kinds) in wanted.items():
        is_known, questions = batches.fitting(channel, stored.get(channel.device_id, _UNKNOWN))
        done = set()
        for kind in (kind for kind in InventoryKind if kind in kinds):  # in an order that can be told
            if kind not in questions and not is_known:
                continue  # asked as soon as it is known what it is
            done.add(kind)
            if kind in questions and _is_free(tx, channel_id, waiting.get(channel_id, {}).get(kind), ctx):
                batches.add(questions[kind], channel_id, epoch)
        dealt_with[channel_id] = frozenset(done)
    for request, targets in batches.all():
        queue_own(tx, request, targets, ctx, purpose=QueuePurpose.INVENTORY, priority=INVENTORY_PRIORITY, wakes=False)
    return dealt_with


_UNKNOWN: Final = StoredTarget()


class _Batches:
    """Who is sent what: it is one command for all that are sent the same. A fleet has few kinds of devices."""

    def __init__(self) -> None:
        self._fitting: dict[tuple[ChannelKind, int], tuple[bool, Mapping[InventoryKind, CommandRequest]]] = {}
        self._names: dict[int, str] = {}
        self._batches: dict[str, tuple[CommandRequest, list[tuple[ChannelId, int]]]] = {}

    def fitting(self, channel: Channel, stored: StoredTarget) -> tuple[bool, Mapping[InventoryKind, CommandRequest]]:
        """Tell whether it is known what a channel's device is, and what it can be asked."""
        key = (channel.kind, id(stored))  # devices that are alike share one
        found = self._fitting.get(key)
        if found is None:
            target = target_of(channel, stored)
            found = (target.family is not None and target.os_version is not None, questions_for(target))
            self._fitting[key] = found
        return found

    def add(self, request: CommandRequest, channel_id: ChannelId, epoch: int) -> None:
        """Send a channel a request, which `fitting` returned."""
        name = self._names.get(id(request))
        if name is None:
            name = self._names[id(request)] = repr((request.request_type, request.keys))
        self._batches.setdefault(name, (request, []))[1].append((channel_id, epoch))

    def all(self) -> Iterable[tuple[CommandRequest, Sequence[tuple[ChannelId, int]]]]:
        """Return each request with those that are sent it."""
        return self._batches.values()


def _is_free(tx: Transaction, channel_id: ChannelId, waiting: WaitingQuestion | None, ctx: Context) -> bool:
    """Tell whether a question may be asked: none of its kind waits, or one that is given up now."""
    if waiting is None:
        return True
    since = waiting.handed_out_at or (waiting.queued_at if waiting.is_withheld else None)
    if since is None or ctx.now - since < UNANSWERED_FOR:
        return False
    close_commands(tx, channel_id, [waiting.command_uuid], OwnStatus.CLOSED, ctx)
    return True


def _is_in_force(one: Enrollment) -> bool:
    return one.state is EnrollmentState.ENROLLED


def ask_again(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> None:
    """Ask channels all that they can answer once more, but for what waits, and push them; whoever calls has reason."""
    found = enrollments.find(tx, sorted(channel_ids))
    _ask(
        tx,
        {
            id_: (one.channel, one.epoch, tuple(InventoryKind))
            for id_, one in sorted(found.items())
            if _is_in_force(one)
        },
        ctx,
    )
    push.wish(tx, channel_ids, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)


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


@act(Permission.WAKE, about=lambda _tx, order: (order.channel_id,))
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
    _ask(tx, {order.channel_id: (one.channel, one.epoch, asked)}, ctx)
    if asked:
        push.wish(tx, [order.channel_id], reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
        detail = {"kinds": ", ".join(asked)}
        people.record_act(tx, ctx.actor, "inventory.ask", order.channel_id, detail, ctx.now)
    return AskedInventory(order.channel_id, asked, tuple(kind for kind in wanted if kind not in questions))

"""A program sends one command as it wrote it, or a push alone, to channels that it names: each has its own outcome."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from muster.domain.enrollment import Enrollment, EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission, to_send
from muster.domain.push_policy import PushReason
from muster.operations.ask_for_push import ask_for_push
from muster.operations.context import Context
from muster.operations.permit import act
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import enrollments, push
from muster.storage.engine import Transaction

_QUEUED_FOR: Final = (EnrollmentState.ENROLLED, EnrollmentState.DORMANT)


@dataclass(frozen=True, slots=True)
class RawOrder:
    """A command for each of *channel_ids*, at least one; without *request* they are pushed, and nothing is queued."""

    channel_ids: tuple[ChannelId, ...]
    request: CommandRequest | None = None
    command_uuid: CommandUUID | None = None
    """Goes with *request*."""
    is_pushed: bool = True


@dataclass(frozen=True, slots=True)
class RawSent:
    """What came of it. *refusal*: nothing was queued at all. *failed*: the channels on which it is not, and why.

    *pushed* are the channels for which a push is wanted; what becomes of it is recorded from *at* on.
    """

    at: datetime
    pushed: tuple[ChannelId, ...] = ()
    failed: Mapping[ChannelId, Refusal] = field(default_factory=dict)
    refusal: Refusal | None = None


def _needs(order: RawOrder) -> Permission:
    return Permission.WAKE if order.request is None else to_send(order.request.request_type)


@act(_needs, about=lambda _tx, order: order.channel_ids)
def send_raw_commands(tx: Transaction, orders: Sequence[RawOrder], ctx: Context) -> list[RawSent]:
    """Queue each of *orders* where that can be, and wish to push at once whoever is enrolled.

    What a device would only refuse is queued all the same, for the program is told so by the device's answer; a wrong
    form, a UUID that was used before, and the limit of commands that disrupt work keep it from being queued at all.
    """
    return [
        _push(tx, order, ctx) if order.request is None else _queue(tx, order, order.request, ctx) for order in orders
    ]


def _push(tx: Transaction, order: RawOrder, ctx: Context) -> RawSent:
    channel_ids = tuple(dict.fromkeys(order.channel_ids))
    if order.is_pushed:
        ask_for_push(tx, channel_ids, ctx)  # those that can't be pushed are told apart where the outcomes are read
    return RawSent(ctx.now, channel_ids if order.is_pushed else ())


def _queue(tx: Transaction, order: RawOrder, request: CommandRequest, ctx: Context) -> RawSent:
    channel_ids = tuple(dict.fromkeys(order.channel_ids))
    stored = enrollments.lock(tx, channel_ids)
    failed = {one: refusal for one in channel_ids if (refusal := _not_queued(one, stored.get(one))) is not None}
    there = tuple(one for one in channel_ids if one not in failed)
    if there:
        ordered = CommandOrder(there, request, command_uuid=order.command_uuid, anyway=True, is_pushed=False)
        outcome = queue_commands(tx, [ordered], ctx)[0]
        if isinstance(outcome, Refusal):
            return RawSent(ctx.now, failed=failed, refusal=outcome)
        failed |= outcome.refused
    if not order.is_pushed:
        return RawSent(ctx.now, failed=failed)
    awake = [one for one in there if one not in failed and stored[one].state is EnrollmentState.ENROLLED]
    push.wish(tx, awake, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    return RawSent(ctx.now, channel_ids, failed)


def _not_queued(channel_id: ChannelId, enrollment: Enrollment | None) -> Refusal | None:
    if enrollment is None:
        return Refusal(RefusalCode.NOT_FOUND, f"no enrollment {channel_id} is known")
    if enrollment.state in _QUEUED_FOR:
        return None
    return Refusal(RefusalCode.NOT_ENROLLED, f"{channel_id} is not enrolled now ({enrollment.state.value})")

"""Users of a device come and go: what answers to UserList, DeleteUser and LogOutUser mean for their channels."""

from collections.abc import Callable, Sequence

from muster.domain.answered_commands import AnsweredCommand
from muster.domain.command_queue import INVENTORY_PRIORITY, QueuePurpose
from muster.domain.control.evidence import Observation, Signal
from muster.domain.device_users import (
    UserChannel,
    UserFate,
    fate_by_deletion,
    fate_by_list,
    fate_by_log_out,
    read_user_list,
)
from muster.domain.enrollment import EndReason, EnrollmentState
from muster.domain.faults import Fault
from muster.operations.checkin import let_sleep, wake
from muster.operations.context import Context
from muster.operations.queue_own import queue_own
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, evidence, push, reviews, user_logins
from muster.storage.engine import Transaction


def follow_user_list(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Take from a device's list who is logged in, and whom a Shared iPad has no more."""
    if not _counts(answered):
        return []
    listed, faults = read_user_list(answered.report.answer)
    is_whole = not faults
    said_at = answered.reported_at
    _follow(
        tx,
        answered,
        lambda user: fate_by_list(user, listed, is_whole=is_whole, said_at=said_at),
        EndReason.USER_EVICTED,
        ctx,
    )
    return faults


def follow_deletion(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """End the channel of a user who was deleted. Who is left after the deletion of all is asked of the device."""
    if not _counts(answered):
        return []
    keys = answered.request.keys
    user_name = keys.get("UserName")
    if keys.get("DeleteAllUsers") is True:
        target = (answered.enrollment.channel.id, answered.enrollment.epoch)
        request = CommandRequest("UserList")
        queue_own(tx, request, [target], ctx, purpose=QueuePurpose.INVENTORY, priority=INVENTORY_PRIORITY)
    elif isinstance(user_name, str):
        said_at = answered.reported_at
        _follow(tx, answered, lambda user: fate_by_deletion(user, user_name, said_at), EndReason.USER_DELETED, ctx)
    return []


def follow_log_out(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Let the user sleep whom a Shared iPad was told to log out."""
    if _counts(answered):
        said_at = answered.reported_at
        _follow(tx, answered, lambda user: fate_by_log_out(user, said_at), EndReason.USER_EVICTED, ctx)
    return []


def _counts(answered: AnsweredCommand) -> bool:
    """Tell whether an answer is about the users there are: the device's own word, of its present life."""
    enrollment = answered.enrollment
    is_in_force = enrollment.channel.is_device and enrollment.state is EnrollmentState.ENROLLED
    return is_in_force and answered.status is Status.ACKNOWLEDGED and answered.is_of_this_life


def _follow(
    tx: Transaction,
    answered: AnsweredCommand,
    fate_of: Callable[[UserChannel], UserFate],
    reason: EndReason,
    ctx: Context,
) -> None:
    device_id = answered.enrollment.channel.device_id
    ids = enrollments.user_channels_of(tx, device_id)
    tx.lock_rows(ids)
    users = enrollments.users_of(tx, device_id)
    fates = {user.channel.id: fate_of(user) for user in users}
    out = _with(fates, UserFate.LOGGED_OUT)
    woken = [user.channel.id for user in users if _wakes(user, fates[user.channel.id])]
    for channel_id in (*out, *_with(fates, UserFate.LOGGED_IN)):
        user_logins.set_logged_in(tx, channel_id, answered.reported_at, is_logged_in=channel_id not in out)
    let_sleep(tx, out, ctx)
    if woken:
        wake(tx, woken, ctx)
    gone = _with(fates, UserFate.GONE)
    if gone:
        _end(tx, gone, answered, reason, ctx)


def _with(fates: dict[ChannelId, UserFate], fate: UserFate) -> list[ChannelId]:
    return [channel_id for channel_id, one in fates.items() if one is fate]


def _wakes(user: UserChannel, fate: UserFate) -> bool:
    return fate is UserFate.LOGGED_IN and user.state is EnrollmentState.DORMANT


def _end(
    tx: Transaction, gone: Sequence[ChannelId], answered: AnsweredCommand, reason: EndReason, ctx: Context
) -> None:
    """End channels of users who are gone. What is queued for them stays, as after a CheckOut: they may come back."""
    enrollments.set_ended(tx, gone, at=ctx.now, reason=reason)
    reviews.schedule_all(tx, gone, ctx.now)
    push.drop_wishes(tx, gone)
    detail = {"command_uuid": answered.command_uuid, "request_type": answered.request.request_type}
    evidence.append(
        tx,
        [
            Observation(channel_id, Signal.COMMAND_ANSWER, reason.value, ctx.now, answered.epoch, "", detail)
            for channel_id in gone
        ],
        ctx.new_id,
    )

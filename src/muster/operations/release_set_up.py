"""A device in Setup Assistant, or a Shared iPad's user at the login, is let go on when its commands are answered."""

from collections.abc import Sequence
from datetime import datetime

from muster.domain.enrollment import Enrollment
from muster.domain.push_policy import PushReason
from muster.domain.set_up import RELEASE_PRIORITY, RELEASES, LookAgain, decide_release
from muster.operations.context import Context
from muster.protocol.command import Command, encode_command
from muster.protocol.connect import Status
from muster.protocol.identifiers import Channel, ChannelId, CommandUUID
from muster.storage import commands, enrollments, known_facts, push, queues, reviews, set_ups
from muster.storage.engine import Transaction


def note_awaiting(tx: Transaction, channel: Channel, epoch: int, *, is_awaiting: bool | None, ctx: Context) -> None:
    """Note what a TokenUpdate said of AwaitingConfiguration; absent, what was known stays as it was.

    A channel of a kind that no command lets go on is left alone.
    """
    if channel.kind not in RELEASES:
        return
    if is_awaiting:
        set_ups.begin(tx, channel.id, epoch=epoch, since=ctx.now)
        reviews.schedule(tx, channel.id, ctx.now + ctx.policy.set_up_hold)
    elif is_awaiting is False:
        set_ups.end(tx, channel.id)


def release_channels(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> dict[ChannelId, datetime]:
    """Let those of *channel_ids* go on that wait and may; returns when to look again at those that wait on."""
    waiting = [one for one in set_ups.find(tx, channel_ids).values() if one.released_by is None]
    if not waiting:
        return {}
    stored = enrollments.find(tx, [one.channel_id for one in waiting])
    unanswered = queues.unanswered(tx, [one.channel_id for one in waiting])
    look_again: dict[ChannelId, datetime] = {}
    for one in waiting:
        enrollment, queued = stored[one.channel_id], unanswered.get(one.channel_id, ())
        request_type = RELEASES[enrollment.channel.kind]
        by_hand = [entry.command_uuid for entry in queued if entry.request_type == request_type]
        if by_hand:
            set_ups.release(tx, one.channel_id, by_hand[0])
            continue
        decision = decide_release(
            one.since,
            [entry.queued_at for entry in queued],
            hold=ctx.policy.set_up_hold,
            patience=ctx.policy.set_up_patience,
            now=ctx.now,
        )
        if isinstance(decision, LookAgain):
            look_again[one.channel_id] = decision.at
        else:
            _release(tx, enrollment, request_type, RELEASE_PRIORITY if decision.is_overtaking else 0, ctx)
    return look_again


def release_again(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> None:
    """Send once more what lets those of *channel_ids* go on that wait, were let go on and still wait; and push them."""
    waiting = set_ups.find(tx, channel_ids)
    if not waiting:
        return
    stored = enrollments.find(tx, sorted(waiting))
    unanswered = queues.unanswered(tx, sorted(waiting))
    for channel_id in sorted(waiting):
        request_type = RELEASES[stored[channel_id].channel.kind]
        if all(entry.request_type != request_type for entry in unanswered.get(channel_id, ())):
            _release(tx, stored[channel_id], request_type, RELEASE_PRIORITY, ctx)
    push.wish(tx, sorted(waiting), reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)


def _release(tx: Transaction, enrollment: Enrollment, request_type: str, priority: int, ctx: Context) -> None:
    channel_id = enrollment.channel.id
    command_uuid = CommandUUID(ctx.new_id().upper())
    body = encode_command(Command(command_uuid, request_type))
    commands.add(tx, commands.NewCommand(command_uuid, request_type, body, ctx.actor.name), ctx.now)
    target = (channel_id, enrollment.epoch)
    queues.enqueue(tx, command_uuid, [target], priority=priority, at=ctx.now, heeds_pause=False)
    push.wish(tx, [channel_id], reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    set_ups.release(tx, channel_id, command_uuid)


def settle_release(tx: Transaction, enrollment: Enrollment, status: Status, ctx: Context) -> None:
    """Note how a channel answered the command that lets it go on, whoever had sent it.

    Refused, it is not sent again by itself, until a TokenUpdate says anew that the channel waits.
    """
    channel_id = enrollment.channel.id
    set_ups.end(tx, channel_id)
    reviews.schedule(tx, channel_id, ctx.now)  # now it may be asked about itself
    if status is Status.ACKNOWLEDGED:
        known_facts.store_facts(tx, channel_id, known_facts.Facts(awaiting_configuration=False), ctx.now)

"""Devices are asked how far the apps are that they are installing: a few times, ever later."""

from collections.abc import Sequence
from datetime import datetime

from muster.domain.command_queue import QueuePurpose
from muster.domain.managed_apps import asked
from muster.operations.context import Context
from muster.operations.queue_own import queue_own
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, managed_apps
from muster.storage.engine import Transaction


def ask_for_apps(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> dict[ChannelId, datetime]:
    """Ask those of *channel_ids*, which are enrolled, whose question is due, for the list of their managed apps.

    Returns when to look at which of them again; those without an app that is being installed are absent.
    """
    waiting = managed_apps.to_ask_for(tx, channel_ids)
    if not waiting:
        return {}
    stored = enrollments.find(tx, sorted({one.channel_id for one in waiting}))
    of_this_life = [one for one in waiting if stored[one.channel_id].epoch == one.epoch]
    due = [one for one in of_this_life if one.next_question_at is not None and one.next_question_at <= ctx.now]
    changed = {(one.channel_id, one.command_uuid): asked(one, ctx.now) for one in due}
    managed_apps.change(tx, list(changed.values()))
    targets = sorted({(one.channel_id, one.epoch) for one in due})
    if targets:
        queue_own(tx, CommandRequest("ManagedApplicationList"), targets, ctx, purpose=QueuePurpose.INVENTORY)
    again: dict[ChannelId, datetime] = {}
    for one in of_this_life:
        at = changed.get((one.channel_id, one.command_uuid), one).next_question_at
        if at is not None:
            again[one.channel_id] = min(at, again.get(one.channel_id, at))
    return again

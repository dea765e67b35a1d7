"""A command whose answer was lost is settled by what the device tells of itself."""

from muster.domain.command_queue import OwnStatus
from muster.domain.control.evidence import Observation, Signal
from muster.domain.push_policy import PushReason
from muster.operations.close_commands import close_commands
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import enrollments, evidence, push, queues
from muster.storage.engine import Transaction

MAXIMUM_DETAIL_CHARACTERS = 200
"""Of what is said of a verification: where it was seen, in a few words."""


def settle_as_verified(
    tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID, ctx: Context, detail: str
) -> bool:
    """Close a queued command as done, because inventory shows its effect; *detail* says where that was seen.

    Only one that was handed out is: what a device never had it has not done, however things look. What follows it goes
    out. Tells whether there was such a command. The channel's row is held. Whether the effect is there is not checked.
    """
    found = queues.of_command(tx, command_uuid, [channel_id])
    if not found or found[0].handed_out_count == 0:
        return False
    said = detail[:MAXIMUM_DETAIL_CHARACTERS]
    if close_commands(tx, channel_id, [command_uuid], OwnStatus.VERIFIED, ctx, because=said):
        push.wish(tx, [channel_id], reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)
    enrollment = enrollments.find(tx, [channel_id])[channel_id]
    about = {"command_uuid": command_uuid, "request_type": found[0].request_type, "seen": said}
    seen = Observation(channel_id, Signal.COMMAND_ANSWER, "acknowledgement_lost", ctx.now, enrollment.epoch, "", about)
    evidence.append(tx, [seen], ctx.new_id)
    return True

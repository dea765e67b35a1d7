"""Commands that the server sends by itself: it asks what it has to know, and does what somebody's order entails."""

from collections.abc import Sequence

from muster.domain.command_queue import QueuePurpose
from muster.domain.command_secrets import holds_secret
from muster.domain.push_policy import PushReason
from muster.operations.context import Context
from muster.operations.enqueue_command import QueueTerms, enqueue_command
from muster.protocol.command import Command, CommandRequest, encode_command
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import commands, push
from muster.storage.engine import Transaction


def queue_own(
    tx: Transaction,
    request: CommandRequest,
    targets: Sequence[tuple[ChannelId, int]],
    ctx: Context,
    *,
    purpose: QueuePurpose = QueuePurpose.COMMAND,
    priority: int = 0,
    is_secret: bool = False,
    wakes: bool = True,
) -> CommandUUID:
    """Queue *request* on *targets*, pairs of an enrolled channel and its epoch, and push them; returns its UUID.

    *is_secret*: its body holds a secret that `holds_secret` knows nothing of, and is sealed. *wakes* False: nobody is
    pushed for it, so that it waits for the next contact. Neither the catalogue is asked nor an act recorded: whoever
    calls has reason to, and has said so.
    """
    command_uuid = CommandUUID(ctx.new_id().upper())
    body = encode_command(Command(command_uuid, request.request_type, request.keys))
    is_secret = is_secret or holds_secret(request)
    if is_secret:
        body = ctx.seal(body, table="commands", column="body", row=command_uuid)
    new = commands.NewCommand(command_uuid, request.request_type, body, ctx.actor.name, is_sealed=is_secret)
    commands.add(tx, new, ctx.now)
    free = enqueue_command(tx, command_uuid, request, targets, QueueTerms(purpose, priority), ctx)
    if wakes:
        due_at = ctx.now + ctx.policy.push_coalescing
        push.wish(tx, free, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=due_at)
    return command_uuid

"""A stored command joins queues: in place of older questions that it covers, and with its times to look at."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from muster.domain.command_queue import OwnStatus, QueuePurpose
from muster.domain.superseding import QUESTIONS, covered_purposes, covers
from muster.operations.context import Context
from muster.protocol.command import CommandRequest, decode_command
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import commands, queues, reviews
from muster.storage.engine import Transaction
from muster.storage.queues import Following, Queued


@dataclass(frozen=True, slots=True)
class QueueTerms:
    """How a command waits."""

    purpose: QueuePurpose = QueuePurpose.COMMAND
    priority: int = 0
    following: Following | None = None
    expires_at: datetime | None = None
    retries: int = 0


def enqueue_command(
    tx: Transaction,
    command_uuid: CommandUUID,
    request: CommandRequest,
    targets: Sequence[tuple[ChannelId, int]],
    terms: QueueTerms,
    ctx: Context,
) -> tuple[ChannelId, ...]:
    """Queue a stored command on *targets*, pairs of a channel whose row is held and its epoch.

    Returns the channels on which it may be handed out at once.
    """
    if request.request_type in QUESTIONS and terms.following is None:
        _supersede(tx, command_uuid, request, [channel_id for channel_id, _ in targets], terms, ctx)
    free = queues.enqueue(
        tx,
        command_uuid,
        targets,
        priority=terms.priority,
        at=ctx.now,
        purpose=terms.purpose,
        following=terms.following,
        expires_at=terms.expires_at,
        retries=terms.retries,
    )
    if terms.expires_at is not None:
        reviews.schedule_all(tx, [channel_id for channel_id, _ in targets], terms.expires_at)
    return free


def _supersede(
    tx: Transaction,
    command_uuid: CommandUUID,
    request: CommandRequest,
    channel_ids: Sequence[ChannelId],
    terms: QueueTerms,
    ctx: Context,
) -> None:
    """Close older questions that no device has seen and that *request* covers; never one that would wait longer."""
    older = queues.never_handed_out(
        tx,
        channel_ids,
        request.request_type,
        covered_purposes(terms.purpose),
        lowest_priority_from=terms.priority,
    )
    is_covered: dict[CommandUUID, bool] = {}
    for one in older:
        if one.command_uuid not in is_covered:
            is_covered[one.command_uuid] = _covers(tx, request, one.command_uuid)
        if is_covered[one.command_uuid] and _lasts(one, terms.expires_at):
            queues.close(tx, one.channel_id, [one.command_uuid], ctx.now, OwnStatus.SUPERSEDED, because=command_uuid)


def _covers(tx: Transaction, request: CommandRequest, older: CommandUUID) -> bool:
    body = commands.body(tx, older)
    assert body is not None, "what is queued is stored"
    sent = decode_command(body.body)
    return covers(request, CommandRequest(sent.request_type, sent.keys))


def _lasts(older: Queued, expires_at: datetime | None) -> bool:
    """Tell whether the newer question waits at least as long as *older* would have."""
    return expires_at is None or (older.expires_at is not None and older.expires_at <= expires_at)

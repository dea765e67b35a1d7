"""Answers to commands that are not queued are kept: of commands that we never sent, and of those that we had closed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from muster.domain.answered_commands import is_to_be_read
from muster.domain.command_queue import OwnStatus, QueuePurpose
from muster.domain.command_secrets import answer_holds_secret
from muster.domain.control.evidence import Observation, Signal
from muster.operations.context import Context
from muster.protocol.connect import ReportHead, Status
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import answers, commands, reports
from muster.storage.answers import AnswerKey
from muster.storage.engine import Transaction

MAXIMUM_UNKNOWN_ANSWERS = 100
"""Answers to commands that are not ours, kept of one channel: a device that another server managed has a few, and who
makes them up would fill the database. What is beyond is counted in evidence."""

MAXIMUM_LATE_ANSWERS = 10
"""Answers kept of one command on one channel, for the same reason: one that is not queued any more changes nothing."""


@dataclass(frozen=True, slots=True)
class UnqueuedAnswer:
    """A report on a command that is not queued on its channel, in the life *epoch* of its device."""

    head: ReportHead
    command_uuid: CommandUUID
    body: bytes
    source: str
    epoch: int


def record_unqueued(tx: Transaction, unqueued: Sequence[UnqueuedAnswer], ctx: Context) -> list[Observation]:
    """Keep answers to commands that are not queued, unless the very same was kept before; returns what they show."""
    pairs = [(one.head.channel.id, one.command_uuid) for one in unqueued]
    recorded = reports.recorded_statuses(tx, pairs)
    unknown = reports.count_unknown(tx, [pair[0] for pair in pairs if pair not in recorded])
    said = reports.count_answers(tx, list(recorded))
    observations = []
    for one, pair in zip(unqueued, pairs, strict=True):
        status = recorded.get(pair)
        if status == one.head.status_text:
            continue  # said again, as devices do when our reply was lost; it changes nothing
        if _is_to_be_kept(pair, status, unknown, said):
            _keep_unqueued(tx, one, pair, status, ctx)
        observed = "unknown_command" if status is None else "late_answer"
        observations.append(
            Observation(
                pair[0],
                Signal.COMMAND_ANSWER,
                observed,
                ctx.now,
                one.epoch,
                one.source,
                {"command_uuid": pair[1], "status": one.head.status_text},
            )
        )
    return observations


def _keep_unqueued(
    tx: Transaction,
    one: UnqueuedAnswer,
    pair: tuple[ChannelId, CommandUUID],
    recorded: str | None,
    ctx: Context,
) -> None:
    """Keep an answer to a command that is not queued. Of one that we had closed unanswered, as *recorded* says, it is
    the device's word, of the life that the command was sent to, and is read: it may hold a secret that is said once.
    """
    request_type = commands.request_type_of(tx, pair[1])
    is_secret = answer_holds_secret(request_type, one.body)
    is_first_word = recorded is not None and recorded in _OWN_STATUSES
    epoch = reports.latest_epoch(tx, *pair) if is_first_word else None
    reports.record_unqueued(
        tx,
        *pair,
        request_type=request_type,
        status=one.head.status_text,
        body=seal_answer(one.body, *pair, ctx) if is_secret else one.body,
        is_sealed=is_secret,
        epoch=one.epoch if epoch is None else epoch,
        at=ctx.now,
    )
    is_final = one.head.status in (Status.ACKNOWLEDGED, Status.ERROR, Status.COMMAND_FORMAT_ERROR)
    if is_first_word and is_final and is_to_be_read(request_type or "", QueuePurpose.COMMAND):
        answers.add(tx, AnswerKey(*pair, ctx.now))


_OWN_STATUSES: Final = frozenset(status.value for status in OwnStatus)


def _is_to_be_kept(
    pair: tuple[ChannelId, CommandUUID],
    status: str | None,
    unknown: Mapping[ChannelId, int],
    said: Mapping[tuple[ChannelId, CommandUUID], int],
) -> bool:
    if status is None:
        return unknown.get(pair[0], 0) < MAXIMUM_UNKNOWN_ANSWERS
    return said.get(pair, 0) < MAXIMUM_LATE_ANSWERS


def seal_answer(body: bytes, channel_id: ChannelId, command_uuid: CommandUUID, ctx: Context) -> bytes:
    """Seal an answer that holds a secret, for the report that keeps it."""
    row = reports.report_row(channel_id, command_uuid)
    return ctx.seal(body, table="reports", column="body", row=row)

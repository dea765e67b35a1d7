"""Commands of a channel, waiting and answered, and one command on every channel it went to."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.command_queue import FOR_A_PERSON, HoldReason
from muster.domain.renewal_failures import describe_chain
from muster.protocol.apns import OutcomeClass
from muster.protocol.connect import Status, decode_report
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.plist import read_plist
from muster.storage.engine import Transaction
from muster.storage.schema import channels, commands, pushes, queue, reports

LIST_LIMIT = 500
WAITING = "waiting"
HELD = "held"
"""It may have been handed out before the database was restored, and waits for a person's word."""
NOT_NOW = "NotNow"
_FAILURES = frozenset({Status.ERROR.value, Status.COMMAND_FORMAT_ERROR.value})


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command on one channel.

    *status* is Apple's word; before any answer `waiting`, `held`, or why it is not handed out now (a HoldReason); or
    how it ended otherwise (an OwnStatus). *because* says what is behind that.
    """

    channel_id: ChannelId
    command_uuid: CommandUUID
    request_type: str | None
    status: str
    queued_at: datetime | None
    handed_out_at: datetime | None
    handed_out_count: int
    not_now_count: int
    reported_at: datetime | None
    pushed_at: datetime | None = None
    """When APNs accepted the first push since it was queued; absent where the log does not reach so far."""
    because: str | None = None
    priority: int | None = None
    """Absent once it ended."""
    after_uuid: CommandUUID | None = None
    expires_at: datetime | None = None
    retries_left: int = 0
    retry_at: datetime | None = None
    failure: str | None = None
    """What the device gave as the reason of an error; absent where it gave none, or the answer holds a secret."""


@dataclass(frozen=True, slots=True)
class CommandDetails:
    """One command: its plist as sent, and where it stands on each channel with what that said (plist).

    *counts* are the channels it went to by where it stands, the most first; *rows* and *answers* are a few of them.
    """

    command_uuid: CommandUUID
    request_type: str
    created_at: datetime
    created_by: str
    body: bytes | None
    """Absent where it holds a secret, and is sealed."""
    counts: dict[str, int]
    rows: tuple[CommandRow, ...]
    answers: dict[ChannelId, bytes | None]
    """None where the answer holds a secret, and is sealed."""


def list_commands(tx: Transaction, channel_id: ChannelId) -> tuple[CommandRow, ...] | None:
    """List a channel's commands, those waiting first in their order, then answers, newest first.

    None when there is no such channel. At most LIST_LIMIT of each.
    """
    if tx.connection.scalar(sa.select(channels.c.id).where(channels.c.id == channel_id)) is None:
        return None
    return (*_waiting(tx, queue.c.channel_id == channel_id), *_answered(tx, reports.c.channel_id == channel_id))


def list_device_commands(tx: Transaction, device_id: ChannelId) -> tuple[CommandRow, ...]:
    """List what waits on any channel of a device, then what was answered or closed, the latest first.

    At most 500 of each; none when the device is not known.
    """
    own = sa.select(channels.c.id).where(channels.c.device_id == device_id)
    return (*_waiting(tx, queue.c.channel_id.in_(own)), *_answered(tx, reports.c.channel_id.in_(own)))


@dataclass(frozen=True, slots=True)
class HeldCommand:
    """A command that waits for a person's word; *because* is why, a HoldReason."""

    channel_id: ChannelId
    command_uuid: CommandUUID
    request_type: str
    queued_at: datetime
    handed_out_at: datetime | None
    because: str


def list_held(tx: Transaction) -> tuple[HeldCommand, ...]:
    """List what waits for a person's word, the oldest first; at most LIST_LIMIT."""
    rows = tx.connection.execute(
        sa.select(queue, commands.c.request_type)
        .join(commands, commands.c.command_uuid == queue.c.command_uuid)
        .where(queue.c.held_because.in_([reason.value for reason in FOR_A_PERSON]))
        .order_by(queue.c.queued_at, queue.c.channel_id)
        .limit(LIST_LIMIT)
    )
    return tuple(
        HeldCommand(
            row.channel_id, row.command_uuid, row.request_type, row.queued_at, row.handed_out_at, row.held_because
        )
        for row in rows
    )


def show_command(
    tx: Transaction, command_uuid: CommandUUID, channel_id: ChannelId | None = None
) -> CommandDetails | None:
    """Read one command; None when there is none of this UUID. Of its channels *channel_id* alone, or LIST_LIMIT."""
    command = tx.connection.execute(sa.select(commands).where(commands.c.command_uuid == command_uuid)).one_or_none()
    if command is None:
        return None
    waiting, answered = queue.c.command_uuid == command_uuid, reports.c.command_uuid == command_uuid
    counts = _counts(tx, waiting, answered)
    if channel_id is not None:
        waiting &= queue.c.channel_id == channel_id
        answered &= reports.c.channel_id == channel_id
    bodies = tx.connection.execute(
        sa.select(reports.c.channel_id, reports.c.body, reports.c.is_sealed)
        .where(answered, reports.c.body.is_not(None))
        .order_by(reports.c.reported_at)
        .limit(LIST_LIMIT)
    )
    return CommandDetails(
        command_uuid,
        command.request_type,
        command.created_at,
        command.created_by,
        None if command.is_sealed else command.body,
        counts,
        (*_waiting(tx, waiting), *_answered(tx, answered)),
        {ChannelId(row.channel_id): None if row.is_sealed else row.body for row in bodies},
    )


def count_standings(tx: Transaction, command_uuid: CommandUUID) -> dict[str, int]:
    """Count the channels that one command went to by where it stands there, the most first."""
    return _counts(tx, queue.c.command_uuid == command_uuid, reports.c.command_uuid == command_uuid)


def _counts(tx: Transaction, waiting: sa.ColumnElement[bool], answered: sa.ColumnElement[bool]) -> dict[str, int]:
    """Count channels by where a command stands, the most first; one that is tried again counts as it waits, too."""
    has_declined = queue.c.not_now_count > 0
    counts: Counter[str] = Counter()
    for because, declined, count in tx.connection.execute(
        sa.select(queue.c.held_because, has_declined, sa.func.count())
        .where(waiting)
        .group_by(queue.c.held_because, has_declined)
    ):
        counts[_standing(because, int(declined))] += count
    for status, count in tx.connection.execute(
        sa.select(reports.c.status, sa.func.count(reports.c.channel_id.distinct()))
        .where(answered)
        .group_by(reports.c.status)
    ):
        counts[status] += count
    return dict(counts.most_common())


def _first_push(table: sa.Table, until: sa.ColumnElement[Any] | None) -> sa.ScalarSelect[Any]:
    """Select when APNs accepted the first push between a row's queueing and *until*."""
    condition = sa.and_(
        pushes.c.channel_id == table.c.channel_id,
        pushes.c.at >= table.c.queued_at,
        pushes.c.outcome == OutcomeClass.ACCEPTED.value,
    )
    if until is not None:
        condition = sa.and_(condition, pushes.c.at <= until)
    return sa.select(sa.func.min(pushes.c.at)).where(condition).correlate(table).scalar_subquery()


def _waiting(tx: Transaction, condition: sa.ColumnElement[bool]) -> tuple[CommandRow, ...]:
    rows = tx.connection.execute(
        sa.select(queue, commands.c.request_type, _first_push(queue, None).label("pushed_at"))
        .join(commands, commands.c.command_uuid == queue.c.command_uuid)
        .where(condition)
        .order_by(queue.c.rank, queue.c.position, queue.c.command_uuid)
        .limit(LIST_LIMIT)
    )
    return tuple(
        CommandRow(
            row.channel_id,
            row.command_uuid,
            row.request_type,
            _standing(row.held_because, row.not_now_count),
            row.queued_at,
            row.handed_out_at,
            row.handed_out_count,
            row.not_now_count,
            None,
            row.pushed_at,
            row.held_because,
            -row.rank,
            row.after_uuid,
            row.expires_at,
            row.retries_left,
            row.retry_at,
        )
        for row in rows
    )


def _standing(held_because: str | None, not_now_count: int) -> str:
    if held_because is None:
        return NOT_NOW if not_now_count else WAITING
    since_restored = (HoldReason.ROLLED_BACK.value, HoldReason.HANDED_OUT_BEFORE.value)
    return HELD if held_because in since_restored else held_because


def _answered(tx: Transaction, condition: sa.ColumnElement[bool]) -> tuple[CommandRow, ...]:
    rows = tx.connection.execute(
        sa.select(reports, _first_push(reports, reports.c.reported_at).label("pushed_at"))
        .where(condition)
        .order_by(reports.c.reported_at.desc())
        .limit(LIST_LIMIT)
    )
    return tuple(
        CommandRow(
            row.channel_id,
            row.command_uuid,
            row.request_type,
            row.status,
            row.queued_at,
            row.handed_out_at,
            row.handed_out_count,
            row.not_now_count,
            row.reported_at,
            row.pushed_at,
            row.because,
            failure=None if row.is_sealed or row.status not in _FAILURES else _failure(row.body),
        )
        for row in rows
    )


def _failure(body: bytes | None) -> str | None:
    """Read why a device answered with an error; None where it gave no reason, or what it said can't be read."""
    try:
        chain = decode_report(body or b"").error_chain
    except MalformedMessage:
        return None
    return describe_chain(chain) if chain else None


@dataclass(frozen=True, slots=True)
class CommandShown:
    """A command and what became of it. *counts*: how many channels stand where; *channels*: of some of them, where.

    *command* and *answers* are property lists, in which data is {"$data": base64} and a date {"$date": time}; null
    where they hold a secret.
    """

    command_uuid: CommandUUID
    request_type: str
    created_at: datetime
    created_by: str
    command: object
    counts: Mapping[str, int]
    channels: tuple[CommandRow, ...]
    answers: Mapping[ChannelId, object]


def as_shown(details: CommandDetails, write: Callable[[object], object]) -> CommandShown:
    """Return a command with its property lists decoded, as *write* has their values; what is none stays text."""
    return CommandShown(
        details.command_uuid,
        details.request_type,
        details.created_at,
        details.created_by,
        _decoded(details.body, write),
        details.counts,
        details.rows,
        {channel: _decoded(answer, write) for channel, answer in details.answers.items()},
    )


def _decoded(body: bytes | None, write: Callable[[object], object]) -> object:
    if body is None:
        return None
    try:
        return write(read_plist(body))
    except MalformedMessage:
        return body.decode(errors="replace")

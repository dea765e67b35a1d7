"""Answers to commands that wait to be read: kept whole in their reports, named here until a worker has read them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.records import record
from muster.storage.among import among
from muster.storage.engine import Transaction, Work, slices
from muster.storage.schema import commands, reports, unread_answers


@record(frozen=True, slots=True)
class AnswerKey:
    """Which answer: a command may be answered more than once on a channel, where it is sent again."""

    channel_id: ChannelId
    command_uuid: CommandUUID
    reported_at: datetime


@record(frozen=True, slots=True)
class WaitingAnswer:
    """An answer that waits to be read: when its next attempt is due, and how many bytes it has."""

    key: AnswerKey
    due_at: datetime
    size: int


@record(frozen=True, slots=True)
class StoredAnswer:
    """An answer as it came, with its command as it was stored. *body* None: there is no such report."""

    key: AnswerKey
    request_type: str | None
    purpose: str | None
    """Absent when it was not queued any more."""
    status: str
    body: bytes | None
    is_sealed: bool
    """The answer holds a secret: see `muster.storage.reports.report_row`."""
    epoch: int
    attempts: int
    command: bytes | None
    command_is_sealed: bool


def waiting(tx: Transaction, limit: int) -> tuple[WaitingAnswer, ...]:
    """Name up to *limit* answers that wait to be read, due or not, the earliest due first; nothing is held."""
    rows = tx.connection.execute(_WAITING, {"at_most": limit})
    return tuple(WaitingAnswer(_key(row), row.next_attempt_at, row.size) for row in rows)


def claim(tx: Transaction, keys: Sequence[AnswerKey]) -> dict[AnswerKey, StoredAnswer]:
    """Hold those of *keys* that no other node reads, until the transaction ends; what was read is absent, too."""
    held: set[AnswerKey] = set()
    for some in slices(keys):
        held |= {_key(row) for row in tx.connection.execute(tx.claim(_NAMED), _names_of(some))}
    return find(tx, [key for key in dict.fromkeys(keys) if key in held])


def find(tx: Transaction, keys: Sequence[AnswerKey]) -> dict[AnswerKey, StoredAnswer]:
    """Read those of *keys* that still wait; nothing is held."""
    wanted = set(keys)
    return {
        key: _stored(row, key)
        for some in slices(list(wanted))
        for row in tx.connection.execute(_WITH_COMMAND, _names_of(some))
        if (key := _key(row)) in wanted
    }


def _is_its_report() -> sa.ColumnElement[bool]:
    return sa.and_(
        reports.c.channel_id == unread_answers.c.channel_id,
        reports.c.command_uuid == unread_answers.c.command_uuid,
        reports.c.reported_at == unread_answers.c.reported_at,
    )


_WAITING = (
    sa.select(
        unread_answers.c.channel_id,
        unread_answers.c.command_uuid,
        unread_answers.c.reported_at,
        unread_answers.c.next_attempt_at,
        sa.func.coalesce(sa.func.length(reports.c.body), 0).label("size"),
    )
    .outerjoin(reports, _is_its_report())
    .order_by(unread_answers.c.next_attempt_at, unread_answers.c.channel_id, unread_answers.c.command_uuid)
    .limit(sa.bindparam("at_most", type_=sa.Integer))
)
_IS_NAMED = sa.and_(
    among(unread_answers.c.channel_id, "of_channels"),
    among(unread_answers.c.command_uuid, "of_commands"),
    among(unread_answers.c.channel_id + " " + unread_answers.c.command_uuid, "pairs"),
)
"""The first two are found by the key, the last is what is meant."""
_NAMED = sa.select(unread_answers.c.channel_id, unread_answers.c.command_uuid, unread_answers.c.reported_at).where(
    _IS_NAMED
)
_WAS_READ = sa.delete(unread_answers).where(
    unread_answers.c.channel_id == sa.bindparam("of_channel"),
    unread_answers.c.command_uuid == sa.bindparam("of_command"),
    unread_answers.c.reported_at == sa.bindparam("of_time"),
)
_WITH_COMMAND = (
    sa.select(
        unread_answers.c.channel_id,
        unread_answers.c.command_uuid,
        unread_answers.c.reported_at,
        unread_answers.c.attempts,
        reports.c.request_type,
        reports.c.purpose,
        reports.c.status,
        reports.c.body,
        reports.c.is_sealed,
        reports.c.epoch,
        commands.c.body.label("command"),
        commands.c.is_sealed.label("command_is_sealed"),
    )
    .join(reports, _is_its_report())
    .outerjoin(commands, commands.c.command_uuid == unread_answers.c.command_uuid)
    .where(_IS_NAMED)
)
# made once: building a statement costs more than running it on SQLite


def _names_of(keys: Sequence[AnswerKey]) -> dict[str, list[str]]:
    return {
        "of_channels": sorted({key.channel_id for key in keys}),
        "of_commands": sorted({key.command_uuid for key in keys}),
        "pairs": [f"{key.channel_id} {key.command_uuid}" for key in keys],
    }


def _key(row: Any) -> AnswerKey:
    return AnswerKey(ChannelId(row.channel_id), CommandUUID(row.command_uuid), row.reported_at)


def _stored(row: Any, key: AnswerKey) -> StoredAnswer:
    return StoredAnswer(
        key,
        row.request_type,
        row.purpose,
        row.status,
        row.body,
        row.is_sealed,
        row.epoch,
        row.attempts,
        row.command,
        bool(row.command_is_sealed),
    )


def add(tx: Transaction, key: AnswerKey) -> None:
    """Name an answer that is kept, to be read soon."""
    tx.made_due(Work.ANSWERS, key.reported_at)
    tx.connection.execute(
        sa.insert(unread_answers),
        {
            "channel_id": key.channel_id,
            "command_uuid": key.command_uuid,
            "reported_at": key.reported_at,
            "next_attempt_at": key.reported_at,
            "attempts": 0,
        },
    )


def was_read(tx: Transaction, keys: Sequence[AnswerKey]) -> None:
    """Forget that these wait to be read."""
    if keys:
        tx.connection.execute(
            _WAS_READ,
            [{"of_channel": k.channel_id, "of_command": k.command_uuid, "of_time": k.reported_at} for k in keys],
        )


def note_faults(tx: Transaction, key: AnswerKey, faults: Sequence[dict[str, str]]) -> None:
    """Keep beside an answer what of it is not as Apple has it."""
    tx.connection.execute(
        sa.update(reports)
        .where(
            reports.c.channel_id == key.channel_id,
            reports.c.command_uuid == key.command_uuid,
            reports.c.reported_at == key.reported_at,
        )
        .values(faults=list(faults))
    )


def put_off(tx: Transaction, key: AnswerKey, *, until: datetime, error: str) -> None:
    """Count an attempt that a fault of ours has spoiled, and have the next at *until*."""
    tx.made_due(Work.ANSWERS, until)
    tx.connection.execute(
        sa.update(unread_answers)
        .where(_names(key))
        .values(attempts=unread_answers.c.attempts + 1, error=error, next_attempt_at=until)
    )


def _names(key: AnswerKey) -> sa.ColumnElement[bool]:
    return sa.and_(
        unread_answers.c.channel_id == key.channel_id,
        unread_answers.c.command_uuid == key.command_uuid,
        unread_answers.c.reported_at == key.reported_at,
    )

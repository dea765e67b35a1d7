"""Answers to commands that wait to be read: kept whole in their reports, named here until a worker has read them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction, Work, slices
from muster.storage.schema import commands, reports, unread_answers


@dataclass(frozen=True, slots=True)
class AnswerKey:
    """Which answer: a command may be answered more than once on a channel, where it is sent again."""

    channel_id: ChannelId
    command_uuid: CommandUUID
    reported_at: datetime


@dataclass(frozen=True, slots=True)
class DueAnswer:
    """An answer that waits to be read, and how many bytes it has."""

    key: AnswerKey
    size: int


@dataclass(frozen=True, slots=True)
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


def due(tx: Transaction, now: datetime, limit: int) -> tuple[DueAnswer, ...]:
    """Name up to *limit* answers that wait to be read, the longest due first; nothing is held."""
    rows = tx.connection.execute(
        sa.select(
            unread_answers.c.channel_id,
            unread_answers.c.command_uuid,
            unread_answers.c.reported_at,
            sa.func.coalesce(sa.func.length(reports.c.body), 0).label("size"),
        )
        .outerjoin(reports, _is_its_report())
        .where(unread_answers.c.next_attempt_at <= now)
        .order_by(unread_answers.c.next_attempt_at, unread_answers.c.channel_id, unread_answers.c.command_uuid)
        .limit(limit)
    )
    return tuple(DueAnswer(_key(row), row.size) for row in rows)


def claim(tx: Transaction, keys: Sequence[AnswerKey]) -> dict[AnswerKey, StoredAnswer]:
    """Hold those of *keys* that no other node reads, until the transaction ends; what was read is absent, too."""
    columns = unread_answers.c
    held: dict[AnswerKey, int] = {}
    for some in slices(keys):
        named = sa.tuple_(columns.channel_id, columns.command_uuid).in_({(k.channel_id, k.command_uuid) for k in some})
        held |= {
            _key(row): row.attempts for row in tx.connection.execute(tx.claim(sa.select(unread_answers).where(named)))
        }
    wanted = [key for key in dict.fromkeys(keys) if key in held]
    found: dict[AnswerKey, StoredAnswer] = {}
    for some in slices(wanted):
        found |= {
            key: _stored(row, key, held[key])
            for row in tx.connection.execute(_WITH_COMMAND, {"keys": _pairs(some)})
            if (key := _key(row)) in held
        }
    return found


def _is_its_report() -> sa.ColumnElement[bool]:
    return sa.and_(
        reports.c.channel_id == unread_answers.c.channel_id,
        reports.c.command_uuid == unread_answers.c.command_uuid,
        reports.c.reported_at == unread_answers.c.reported_at,
    )


_WITH_COMMAND = (
    sa.select(
        unread_answers.c.channel_id,
        unread_answers.c.command_uuid,
        unread_answers.c.reported_at,
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
    .where(
        sa.tuple_(unread_answers.c.channel_id, unread_answers.c.command_uuid).in_(sa.bindparam("keys", expanding=True))
    )
)


def _pairs(keys: Sequence[AnswerKey]) -> list[tuple[str, str]]:
    return [(key.channel_id, key.command_uuid) for key in keys]


def _key(row: Any) -> AnswerKey:
    return AnswerKey(ChannelId(row.channel_id), CommandUUID(row.command_uuid), row.reported_at)


def _stored(row: Any, key: AnswerKey, attempts: int) -> StoredAnswer:
    return StoredAnswer(
        key,
        row.request_type,
        row.purpose,
        row.status,
        row.body,
        row.is_sealed,
        row.epoch,
        attempts,
        row.command,
        bool(row.command_is_sealed),
    )


def add(tx: Transaction, key: AnswerKey) -> None:
    """Name an answer that is kept, to be read soon."""
    tx.made_due(Work.ANSWERS, key.reported_at)
    tx.connection.execute(
        sa.insert(unread_answers).values(
            channel_id=key.channel_id,
            command_uuid=key.command_uuid,
            reported_at=key.reported_at,
            next_attempt_at=key.reported_at,
            attempts=0,
        )
    )


def was_read(tx: Transaction, keys: Sequence[AnswerKey]) -> None:
    """Forget that these wait to be read."""
    for key in keys:
        tx.connection.execute(sa.delete(unread_answers).where(_names(key)))


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


def next_due(tx: Transaction) -> datetime | None:
    """Tell when an answer is to be read next; None when none waits."""
    value: datetime | None = tx.connection.scalar(sa.select(sa.func.min(unread_answers.c.next_attempt_at)))
    return value


def _names(key: AnswerKey) -> sa.ColumnElement[bool]:
    return sa.and_(
        unread_answers.c.channel_id == key.channel_id,
        unread_answers.c.command_uuid == key.command_uuid,
        unread_answers.c.reported_at == key.reported_at,
    )

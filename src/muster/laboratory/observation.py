"""Reads from the server's database what the report says of each device."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

import sqlalchemy as sa

from muster.domain.command_queue import UNASKED_FOR
from muster.laboratory.report import ChannelReport, CommandReport, EpochReport
from muster.laboratory.wire import CommandTrace
from muster.operations.views.commands import WAITING
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction
from muster.storage.schema import channels, commands, contact_days, epochs, evidence, queue, reports, rumours

Traces = Mapping[tuple[ChannelId, CommandUUID], CommandTrace]


def channels_of(tx: Transaction, device_id: ChannelId, traces: Traces) -> tuple[ChannelReport, ...]:
    """Read the channels of a device with all their commands, its own first; none when it is not stored."""
    rows = tx.connection.execute(
        sa.select(channels)
        .where(channels.c.device_id == device_id)
        .order_by(channels.c.id != channels.c.device_id, channels.c.id)
    ).all()
    ids = [row.id for row in rows]
    contacts = _contacts(tx, ids)
    told = _commands(tx, ids, traces)
    return tuple(
        ChannelReport(
            row.id,
            row.kind,
            row.state,
            row.epoch,
            row.first_seen_at,
            row.enrolled_at,
            row.last_contact_at,
            row.last_proof_at,
            contacts[row.id] + _ticks(row.contact_strip),
            commands=told[row.id, False],
            questions=told[row.id, True],
        )
        for row in rows
    )


def epochs_of(tx: Transaction, device_id: ChannelId) -> tuple[EpochReport, ...]:
    """Read a device's epochs, the first one first."""
    rows = tx.connection.execute(sa.select(epochs).where(epochs.c.device_id == device_id).order_by(epochs.c.number))
    return tuple(
        EpochReport(row.number, row.provenance, row.opened_at, row.current_from, row.closed_at, row.closed_reason)
        for row in rows
    )


def evidence_of(tx: Transaction, device_id: ChannelId) -> dict[str, int]:
    """Count a device's evidence, its users' included, by `signal class`."""
    own = sa.select(channels.c.id).where(channels.c.device_id == device_id)
    rows = tx.connection.execute(
        sa.select(evidence.c.signal, evidence.c.observed_class, sa.func.sum(evidence.c.count))
        .where(evidence.c.channel_id.in_(own))
        .group_by(evidence.c.signal, evidence.c.observed_class)
    )
    return {f"{signal} {observed_class}": int(count) for signal, observed_class, count in rows}


def count_rumours(tx: Transaction) -> dict[str, int]:
    """Count the refused contacts that nobody vouches for, by why they were refused."""
    rows = tx.connection.execute(
        sa.select(rumours.c.refusal_code, sa.func.sum(rumours.c.count)).group_by(rumours.c.refusal_code)
    )
    return {code: int(count) for code, count in rows}


def _contacts(tx: Transaction, ids: list[str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    rows = tx.connection.execute(
        sa.select(contact_days.c.channel_id, contact_days.c.strip).where(contact_days.c.channel_id.in_(ids))
    )
    for channel_id, strip in rows:
        counted[channel_id] += _ticks(strip)
    return counted


def _ticks(strip: bytes | None) -> int:
    return 0 if strip is None else int.from_bytes(strip, "big").bit_count()


def _commands(tx: Transaction, ids: list[str], traces: Traces) -> dict[tuple[str, bool], tuple[CommandReport, ...]]:
    """Answers and closed commands in the order they came, then what waits, in the order it will be handed out.

    By channel, those apart that the server asked of itself.
    """
    found: dict[tuple[str, bool], list[CommandReport]] = defaultdict(list)
    answered = tx.connection.execute(
        sa.select(reports)
        .where(reports.c.channel_id.in_(ids))
        .order_by(reports.c.reported_at, reports.c.command_uuid, reports.c.status)
    )
    for row in answered:
        found[row.channel_id, row.purpose in _OWN].append(_command(row, row.status, row.reported_at, traces))
    waiting = tx.connection.execute(
        sa.select(queue, commands.c.request_type)
        .join(commands, commands.c.command_uuid == queue.c.command_uuid)
        .where(queue.c.channel_id.in_(ids))
        .order_by(queue.c.rank, queue.c.position, queue.c.command_uuid)
    )
    for row in waiting:
        found[row.channel_id, row.purpose in _OWN].append(_command(row, WAITING, None, traces))
    return defaultdict(tuple, {key: tuple(rows) for key, rows in found.items()})


_OWN: Final = frozenset(purpose.value for purpose in UNASKED_FOR)


def _command(row: sa.Row[tuple[object, ...]], status: str, reported_at: object, traces: Traces) -> CommandReport:
    trace = traces.get((row.channel_id, row.command_uuid), CommandTrace())
    return CommandReport(
        command_uuid=row.command_uuid,
        request_type=row.request_type,
        status=status,
        epoch=row.epoch,
        queued_at=row.queued_at,
        handed_out_at=row.handed_out_at,
        reported_at=None if reported_at is None else row.reported_at,
        times_handed_out=row.handed_out_count,
        wire_handed_out=trace.handed_out,
        wire_not_now=trace.not_now,
        wire_answered=trace.answered,
        wire_handed_out_after_answer=trace.handed_out_after_answer,
    )

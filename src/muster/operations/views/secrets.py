"""The secrets that are kept of a device: kinds, states and times, never what they are."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.secrets import SecretKind, SecretState, needed_to_reveal
from muster.operations.views.commands import HELD, NOT_NOW, WAITING
from muster.protocol.identifiers import CommandUUID, DeviceId
from muster.storage import escrow
from muster.storage.engine import Transaction
from muster.storage.escrow import KeptSecret
from muster.storage.schema import queue, reports


@dataclass(frozen=True, slots=True)
class SecretRow:
    """One kept secret. *number* counts those of its kind and subject: 0 is the one to try first.

    *epoch* numbers the device's lives. *command_status* is where the command stands that sets it, where one does.
    """

    device_id: DeviceId
    serial_number: str | None
    kind: SecretKind
    subject: str
    number: int
    state: SecretState
    since: datetime
    stored_at: datetime
    epoch: int
    origin: str
    command_uuid: CommandUUID | None
    command_status: str | None
    rotate_at: datetime | None
    revealed_by: str
    """The least role that may see it."""


def list_secrets(tx: Transaction, device_id: DeviceId) -> tuple[SecretRow, ...]:
    """List what is kept of a device, known or not, by kind, each in the order in which to try."""
    return _rows(tx, escrow.of_device(tx, device_id))


def find_secrets(tx: Transaction, serial_number: str) -> tuple[SecretRow, ...]:
    """List what was kept of a serial number, whether or not there is a device of it now."""
    return _rows(tx, escrow.of_serial(tx, serial_number))


def in_order(kept: Sequence[KeptSecret]) -> tuple[KeptSecret, ...]:
    """Sort secrets of one kind by which to try first: the one in force, then the newest."""
    newest = sorted(kept, key=lambda one: (one.secret.stored_at, one.secret.id), reverse=True)
    return tuple(sorted(newest, key=lambda one: one.state is not SecretState.IN_FORCE))


def _rows(tx: Transaction, kept: Sequence[KeptSecret]) -> tuple[SecretRow, ...]:
    groups = sorted({(one.device_id, one.kind, one.subject) for one in kept})
    rows = []
    for group in groups:
        of_group = in_order([one for one in kept if (one.device_id, one.kind, one.subject) == group])
        rows += [_row(tx, one, number) for number, one in enumerate(of_group)]
    return tuple(rows)


def _row(tx: Transaction, kept: KeptSecret, number: int) -> SecretRow:
    is_open = kept.command_uuid is not None and kept.state is SecretState.PROPOSED
    return SecretRow(
        kept.device_id,
        kept.serial_number,
        kept.kind,
        kept.subject,
        number,
        kept.state,
        kept.since,
        kept.secret.stored_at,
        kept.secret.epoch,
        kept.origin,
        kept.command_uuid,
        _command_status(tx, kept) if is_open else None,
        kept.rotate_at,
        needed_to_reveal(kept.kind).value,
    )


def _command_status(tx: Transaction, kept: KeptSecret) -> str | None:
    """Tell where the command stands that proposes a secret."""
    waiting = tx.connection.execute(
        sa.select(queue.c.held_because, queue.c.not_now_count, queue.c.handed_out_count).where(
            queue.c.channel_id == kept.device_id, queue.c.command_uuid == kept.command_uuid
        )
    ).one_or_none()
    if waiting is not None:
        if waiting.held_because:
            return HELD
        return NOT_NOW if waiting.not_now_count else "handed out" if waiting.handed_out_count else WAITING
    status: str | None = tx.connection.scalar(
        sa.select(reports.c.status)
        .where(reports.c.channel_id == kept.device_id, reports.c.command_uuid == kept.command_uuid)
        .order_by(reports.c.reported_at.desc())
        .limit(1)
    )
    return status

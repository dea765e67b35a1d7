"""Secrets that devices gave us to keep: sealed, with their history, outliving re-enrollment."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import sqlalchemy as sa

from muster.protocol.identifiers import DeviceId
from muster.storage.engine import Transaction
from muster.storage.schema import escrow


class SecretKind(StrEnum):
    """What kind of secret is kept."""

    UNLOCK_TOKEN = "unlock_token"  # noqa: S105 - a kind, not a secret
    BOOTSTRAP_TOKEN = "bootstrap_token"  # noqa: S105 - as above


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as kept. Its associated data is (escrow, sealed, *id*)."""

    id: str
    sealed: bytes
    epoch: int
    stored_at: datetime


def current(tx: Transaction, device_id: DeviceId, kind: SecretKind, *, epoch: int) -> SealedSecret | None:
    """Read the secret that is in force in *epoch*; None when there is none."""
    row = tx.connection.execute(
        sa.select(escrow.c.id, escrow.c.sealed, escrow.c.epoch, escrow.c.stored_at)
        .where(
            escrow.c.device_id == device_id,
            escrow.c.kind == kind.value,
            escrow.c.epoch == epoch,
            escrow.c.archived_at.is_(None),
        )
        .order_by(escrow.c.stored_at.desc(), escrow.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else SealedSecret(row.id, row.sealed, row.epoch, row.stored_at)


def add(tx: Transaction, device_id: DeviceId, kind: SecretKind, secret: SealedSecret) -> None:
    """Keep a secret in force from now on; those of its kind and epoch before it are archived."""
    archive(tx, device_id, kind, at=secret.stored_at, epoch=secret.epoch)
    tx.connection.execute(
        sa.insert(escrow).values(
            id=secret.id,
            device_id=device_id,
            kind=kind.value,
            epoch=secret.epoch,
            sealed=secret.sealed,
            stored_at=secret.stored_at,
        )
    )


def archive(
    tx: Transaction,
    device_id: DeviceId,
    kind: SecretKind | None,
    *,
    at: datetime,
    epoch: int | None = None,
    below_epoch: int | None = None,
) -> None:
    """Put secrets out of force, keeping them: of *kind*, of *epoch*, of epochs below *below_epoch* (absent: of all)."""
    statement = sa.update(escrow).where(escrow.c.device_id == device_id, escrow.c.archived_at.is_(None))
    if kind is not None:
        statement = statement.where(escrow.c.kind == kind.value)
    if epoch is not None:
        statement = statement.where(escrow.c.epoch == epoch)
    if below_epoch is not None:
        statement = statement.where(escrow.c.epoch < below_epoch)
    tx.connection.execute(statement.values(archived_at=at))


def changed_at(tx: Transaction, device_id: DeviceId, kind: SecretKind) -> datetime | None:
    """Tell when a secret of *kind* was last kept or put out of force; None when there never was one."""
    times = tx.connection.execute(
        sa.select(sa.func.max(escrow.c.stored_at), sa.func.max(escrow.c.archived_at)).where(
            escrow.c.device_id == device_id, escrow.c.kind == kind.value
        )
    ).one()
    return max((time for time in times if time is not None), default=None)

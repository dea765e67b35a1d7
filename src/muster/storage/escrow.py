"""Secrets of devices: sealed, with their history, outliving re-enrollment and the device's record."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.secrets import SecretKind, SecretState
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage import reviews
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import device_facts, escrow, escrow_certificates

LIST_LIMIT = 1000
"""Secrets of one device that are read at most; a decade of yearly rotations has ten of each kind."""
_ROTATIONS = (
    sa.select(escrow)
    .where(among(escrow.c.device_id, "ids"), escrow.c.rotate_at.is_not(None))
    .order_by(escrow.c.rotate_at, escrow.c.id)
)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class SealedSecret:
    """A secret as kept. Its associated data is (escrow, sealed, *id*)."""

    id: str
    sealed: bytes
    epoch: int
    stored_at: datetime


@dataclass(frozen=True, slots=True)
class KeptSecret:
    """A secret and what is known of it. *subject* is what on the device it is of, empty where there is but one."""

    secret: SealedSecret
    device_id: DeviceId
    serial_number: str | None
    kind: SecretKind
    subject: str
    account_guid: str | None
    state: SecretState
    origin: str
    command_uuid: CommandUUID | None
    in_force_at: datetime | None
    archived_at: datetime | None
    rotate_at: datetime | None

    @property
    def since(self) -> datetime:
        """Since when it is in its state."""
        return self.archived_at or self.in_force_at or self.secret.stored_at


def current(
    tx: Transaction, device_id: DeviceId, kind: SecretKind, *, epoch: int, subject: str = ""
) -> SealedSecret | None:
    """Read the secret that is in force in *epoch*; None when there is none."""
    row = tx.connection.execute(
        sa.select(escrow.c.id, escrow.c.sealed, escrow.c.epoch, escrow.c.stored_at)
        .where(_same(device_id, kind, epoch, subject), escrow.c.state == SecretState.IN_FORCE.value)
        .order_by(escrow.c.stored_at.desc(), escrow.c.id.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else SealedSecret(row.id, row.sealed, row.epoch, row.stored_at)


def add(
    tx: Transaction,
    device_id: DeviceId,
    kind: SecretKind,
    secret: SealedSecret,
    *,
    origin: str,
    subject: str = "",
    account_guid: str | None = None,
    command_uuid: CommandUUID | None = None,
    state: SecretState = SecretState.IN_FORCE,
) -> None:
    """Keep a secret. One in force puts those of its kind, subject and epoch that were kept before it out of force."""
    is_in_force = state is SecretState.IN_FORCE
    if is_in_force:
        _replace(tx, _same(device_id, kind, secret.epoch, subject), secret.stored_at)
    serial = sa.select(device_facts.c.serial_number).where(device_facts.c.channel_id == device_id)
    tx.connection.execute(
        sa.insert(escrow).values(
            id=secret.id,
            device_id=device_id,
            serial_number=serial.scalar_subquery(),
            kind=kind.value,
            subject=subject,
            account_guid=account_guid,
            epoch=secret.epoch,
            state=state.value,
            sealed=secret.sealed,
            origin=origin,
            command_uuid=command_uuid,
            stored_at=secret.stored_at,
            in_force_at=secret.stored_at if is_in_force else None,
            archived_at=secret.stored_at if state not in _OPEN else None,
        )
    )


_OPEN = (SecretState.PROPOSED, SecretState.IN_FORCE)


def confirm(tx: Transaction, kept: KeptSecret, at: datetime) -> None:
    """Bring a kept secret into force; those of its kind, subject and epoch that were kept before it are replaced."""
    secret = kept.secret
    others = _same(kept.device_id, kept.kind, secret.epoch, kept.subject)
    _replace(tx, sa.and_(others, escrow.c.stored_at <= secret.stored_at, escrow.c.id != secret.id), at)
    in_force = {"state": SecretState.IN_FORCE.value, "in_force_at": at, "archived_at": None}
    tx.connection.execute(sa.update(escrow).where(escrow.c.id == secret.id).values(in_force))


def refuse(tx: Transaction, secret_id: str, at: datetime) -> None:
    """Note that the device did not take a proposed secret; it is kept nevertheless."""
    tx.connection.execute(
        sa.update(escrow)
        .where(escrow.c.id == secret_id, escrow.c.state == SecretState.PROPOSED.value)
        .values(state=SecretState.REFUSED.value, archived_at=at)
    )


def withdraw(tx: Transaction, proposed: Sequence[tuple[DeviceId, CommandUUID]], at: datetime) -> None:
    """Note that commands which propose secrets were closed before their devices had them."""
    for device_id, command_uuid in proposed:
        tx.connection.execute(
            sa.update(escrow)
            .where(escrow.c.device_id == device_id, escrow.c.command_uuid == command_uuid)
            .where(escrow.c.state == SecretState.PROPOSED.value)
            .values(state=SecretState.WITHDRAWN.value, archived_at=at)
        )


def replace_current(tx: Transaction, device_id: DeviceId, kind: SecretKind, *, epoch: int, at: datetime) -> None:
    """Note that nothing of *kind* is in force any more: the device says that it has none now."""
    _replace(tx, _same(device_id, kind, epoch, ""), at)


def _replace(tx: Transaction, which: sa.ColumnElement[bool], at: datetime) -> None:
    is_open = escrow.c.state.in_([one.value for one in _OPEN])
    values = {"state": SecretState.REPLACED.value, "archived_at": at, "rotate_at": None}
    tx.connection.execute(sa.update(escrow).where(which, is_open).values(values))


def _same(device_id: DeviceId, kind: SecretKind, epoch: int, subject: str) -> sa.ColumnElement[bool]:
    return sa.and_(
        escrow.c.device_id == device_id,
        escrow.c.kind == kind.value,
        escrow.c.epoch == epoch,
        escrow.c.subject == subject,
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
    values = {"state": SecretState.ARCHIVED.value, "archived_at": at, "rotate_at": None}
    tx.connection.execute(statement.values(values))


def changed_at(tx: Transaction, device_id: DeviceId, kind: SecretKind) -> datetime | None:
    """Tell when a secret of *kind* was last kept or put out of force; None when there never was one."""
    times = tx.connection.execute(
        sa.select(sa.func.max(escrow.c.stored_at), sa.func.max(escrow.c.archived_at)).where(
            escrow.c.device_id == device_id, escrow.c.kind == kind.value
        )
    ).one()
    return max((time for time in times if time is not None), default=None)


# --- from the journal -------------------------------------------------------------------------------------------------


def restore(tx: Transaction, kept: KeptSecret) -> bool:
    """Keep a secret under its own id as it was known at some time, or bring it there; False where as much is known.

    Its state is what was known last, whatever comes first. Of two that are in force the one is that came into force
    later.
    """
    known = find(tx, kept.secret.id)
    row = sa.update(escrow).where(escrow.c.id == kept.secret.id)
    if known is None:
        tx.connection.execute(
            sa.insert(escrow).values(
                id=kept.secret.id,
                device_id=kept.device_id,
                serial_number=kept.serial_number,
                kind=kept.kind.value,
                subject=kept.subject,
                account_guid=kept.account_guid,
                epoch=kept.secret.epoch,
                sealed=kept.secret.sealed,
                origin=kept.origin,
                command_uuid=kept.command_uuid,
                stored_at=kept.secret.stored_at,
                **_standing(kept),
            )
        )
    elif _order(known) < _order(kept):
        tx.connection.execute(row.values(rotate_at=None, **_standing(kept)))
    elif known.account_guid is None and kept.account_guid is not None:
        tx.connection.execute(row.values(account_guid=kept.account_guid))
        return True
    else:
        return False
    if kept.state is SecretState.IN_FORCE:
        _leave_one_in_force(tx, kept)
    return True


def _standing(kept: KeptSecret) -> dict[str, object]:
    return {"state": kept.state.value, "in_force_at": kept.in_force_at, "archived_at": kept.archived_at}


_RANKS = {
    SecretState.PROPOSED: 0,
    SecretState.REFUSED: 1,
    SecretState.WITHDRAWN: 1,
    SecretState.IN_FORCE: 2,
    SecretState.REPLACED: 3,
    SecretState.ARCHIVED: 4,
}
"""What comes after what, where it happened in one moment."""


def _order(kept: KeptSecret) -> tuple[datetime, int]:
    return kept.since, _RANKS[kept.state]


def _leave_one_in_force(tx: Transaction, kept: KeptSecret) -> None:
    same = _same(kept.device_id, kept.kind, kept.secret.epoch, kept.subject)
    found = _read(tx, sa.and_(same, escrow.c.state == SecretState.IN_FORCE.value))
    winner = max(found, key=lambda one: (one.since, one.secret.stored_at, one.secret.id))
    _replace(tx, sa.and_(same, escrow.c.id.in_([one.secret.id for one in found if one is not winner])), winner.since)


# --- reading ----------------------------------------------------------------------------------------------------------


def find(tx: Transaction, secret_id: str) -> KeptSecret | None:
    """Read a kept secret; None when there is none of that id."""
    return next(iter(_read(tx, escrow.c.id == secret_id)), None)


def of_device(tx: Transaction, device_id: DeviceId, kind: SecretKind | None = None) -> tuple[KeptSecret, ...]:
    """Read the secrets of a device, of every life it had, the newest first; at most LIST_LIMIT."""
    condition = escrow.c.device_id == device_id
    return _read(tx, condition if kind is None else sa.and_(condition, escrow.c.kind == kind.value))


def of_serial(tx: Transaction, serial_number: str) -> tuple[KeptSecret, ...]:
    """Read the secrets that were kept of a serial number, whatever device it was then; the newest first."""
    return _read(tx, escrow.c.serial_number == serial_number)


def of_command(tx: Transaction, device_id: DeviceId, command_uuid: CommandUUID) -> tuple[KeptSecret, ...]:
    """Read the secrets that a command sets on a device."""
    return _read(tx, sa.and_(escrow.c.device_id == device_id, escrow.c.command_uuid == command_uuid))


def _read(tx: Transaction, condition: sa.ColumnElement[bool]) -> tuple[KeptSecret, ...]:
    newest_first = (escrow.c.stored_at.desc(), escrow.c.id.desc())
    rows = tx.connection.execute(sa.select(escrow).where(condition).order_by(*newest_first).limit(LIST_LIMIT))
    return tuple(_kept(row) for row in rows)


def _kept(row: Any) -> KeptSecret:
    return KeptSecret(
        SealedSecret(row.id, row.sealed, row.epoch, row.stored_at),
        DeviceId(row.device_id),
        row.serial_number,
        SecretKind(row.kind),
        row.subject,
        row.account_guid,
        SecretState(row.state),
        row.origin,
        None if row.command_uuid is None else CommandUUID(row.command_uuid),
        row.in_force_at,
        row.archived_at,
        row.rotate_at,
    )


def name_account(tx: Transaction, device_id: DeviceId, short_name: str, account_guid: str, *, epoch: int) -> None:
    """Note by which GUID a device knows an account whose password is kept."""
    of_account = _same(device_id, SecretKind.ADMINISTRATOR_PASSWORD, epoch, short_name)
    tx.connection.execute(sa.update(escrow).where(of_account).values(account_guid=account_guid))


# --- rotation ---------------------------------------------------------------------------------------------------------


def rotate_at(tx: Transaction, kept: KeptSecret, at: datetime) -> None:
    """Have a secret replaced at *at*, or when it was to be already."""
    if kept.rotate_at is not None and kept.rotate_at <= at:
        return
    tx.connection.execute(sa.update(escrow).where(escrow.c.id == kept.secret.id).values(rotate_at=at))
    reviews.schedule(tx, ChannelId(kept.device_id), at)


def rotations(tx: Transaction, channel_ids: Sequence[ChannelId]) -> tuple[KeptSecret, ...]:
    """Read what is to be rotated on any of *channel_ids*, those of devices, the earliest first."""
    return tuple(_kept(row) for row in tx.connection.execute(_ROTATIONS, {"ids": channel_ids}))


def put_rotation_off(tx: Transaction, secret_id: str, at: datetime) -> None:
    """Have a rotation that could not be done tried again at *at*; whoever calls has the device reviewed then."""
    tx.connection.execute(sa.update(escrow).where(escrow.c.id == secret_id).values(rotate_at=at))


def rotation_done(tx: Transaction, secret_id: str) -> None:
    """Forget that a secret was to be rotated."""
    tx.connection.execute(sa.update(escrow).where(escrow.c.id == secret_id).values(rotate_at=None))


# --- the certificate to which Macs encrypt ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EscrowCertificate:
    """A certificate of ours. Its key's associated data is (escrow_certificates, key_sealed, *fingerprint* in hex)."""

    fingerprint: bytes
    certificate_der: bytes
    key_sealed: bytes


def certificates(tx: Transaction) -> tuple[EscrowCertificate, ...]:
    """Read every certificate ever ours, the present one first."""
    table = escrow_certificates
    rows = tx.connection.execute(sa.select(table).order_by(table.c.created_at.desc(), table.c.fingerprint))
    return tuple(EscrowCertificate(row.fingerprint, row.certificate_der, row.key_sealed) for row in rows)


def add_certificate(tx: Transaction, certificate: EscrowCertificate, at: datetime) -> None:
    """Store a new certificate, the present one from now on."""
    tx.connection.execute(
        sa.insert(escrow_certificates).values(
            fingerprint=certificate.fingerprint,
            certificate_der=certificate.certificate_der,
            key_sealed=certificate.key_sealed,
            created_at=at,
        )
    )

"""Devices that were let go: who ordered it, whether it reached them, and how many there were lately."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from muster.domain.letting_go import Departure, DepartureKind
from muster.protocol.identifiers import DeviceId
from muster.storage.engine import Transaction
from muster.storage.schema import departures


def add(tx: Transaction, departure: Departure) -> None:
    """Store a departure that was ordered."""
    tx.connection.execute(
        sa.insert(departures).values(
            id=departure.id,
            device_id=departure.device_id,
            kind=departure.kind.value,
            epoch=departure.epoch,
            ordered_at=departure.ordered_at,
            ordered_by=departure.ordered_by,
            is_counted=departure.is_counted,
            identity=departure.identity,
            delivered_at=departure.delivered_at,
            failed_at=departure.failed_at,
            withdrawn_at=departure.withdrawn_at,
        )
    )


def counted_since(tx: Transaction, since: datetime) -> int:
    """Count the departures that were ordered after *since*, but for those withdrawn before they reached the device.

    To hold a limit, take the name first: `lock_counting`.
    """
    was_taken_back = sa.and_(departures.c.withdrawn_at.is_not(None), departures.c.delivered_at.is_(None))
    return tx.connection.execute(
        sa.select(sa.func.count())
        .select_from(departures)
        .where(departures.c.ordered_at > since, departures.c.is_counted.is_(True), sa.not_(was_taken_back))
    ).scalar_one()


def lock_counting(tx: Transaction) -> None:
    """Let one transaction at a time count and add, cluster-wide; the channels' rows are held before."""
    tx.lock_name("departures")


_REJECTION = (
    sa.select(departures)
    .where(
        departures.c.device_id == sa.bindparam("of_device"),
        departures.c.kind == DepartureKind.REJECT.value,
        departures.c.withdrawn_at.is_(None),
    )
    .order_by(departures.c.ordered_at.desc())
    .limit(1)
)
# made once: building a statement costs more than running it on SQLite


def rejection_of(tx: Transaction, device_id: DeviceId) -> Departure | None:
    """Read the latest rejection of a device that was not withdrawn."""
    row = tx.connection.execute(_REJECTION, {"of_device": device_id}).one_or_none()
    return None if row is None else _departure(row)


def pending_unenrollment(tx: Transaction, device_id: DeviceId, epoch: int) -> Departure | None:
    """Read the latest order to unenroll a device in its *epoch*, unless the device has answered it."""
    row = tx.connection.execute(
        sa.select(departures)
        .where(
            departures.c.device_id == device_id,
            departures.c.kind == DepartureKind.UNENROLL.value,
            departures.c.epoch == epoch,
            departures.c.delivered_at.is_(None),
            departures.c.failed_at.is_(None),
        )
        .order_by(departures.c.ordered_at.desc())
        .limit(1)
    ).one_or_none()
    return None if row is None else _departure(row)


def refusal_of(tx: Transaction, identity: bytes, kind: DepartureKind) -> Departure | None:
    """Read whether a policy has refused an identity before."""
    row = tx.connection.execute(
        sa.select(departures).where(departures.c.identity == identity, departures.c.kind == kind.value).limit(1)
    ).one_or_none()
    return None if row is None else _departure(row)


def of_device(tx: Transaction, device_id: DeviceId) -> tuple[Departure, ...]:
    """Read the departures of a device, the latest first."""
    rows = tx.connection.execute(
        sa.select(departures)
        .where(departures.c.device_id == device_id)
        .order_by(departures.c.ordered_at.desc(), departures.c.id.desc())
    )
    return tuple(_departure(row) for row in rows)


def set_delivered(tx: Transaction, departure_id: str, at: datetime) -> bool:
    """Record that a departure reached its device; False when it had before."""
    return _set_once(tx, departure_id, departures.c.delivered_at, at)


def set_failed(tx: Transaction, departure_id: str, at: datetime) -> bool:
    """Record that the device said it can't; False when it had before."""
    return _set_once(tx, departure_id, departures.c.failed_at, at)


def withdraw(tx: Transaction, departure_ids: Sequence[str], at: datetime) -> None:
    """Take orders back."""
    tx.connection.execute(sa.update(departures).where(departures.c.id.in_(departure_ids)).values(withdrawn_at=at))


def _set_once(tx: Transaction, departure_id: str, column: sa.Column[datetime], at: datetime) -> bool:
    changed = tx.connection.execute(
        sa.update(departures)
        .where(departures.c.id == departure_id, column.is_(None))
        .values({column.name: at})
        .returning(departures.c.id)
    ).one_or_none()
    return changed is not None


def _departure(row: sa.Row[tuple[object, ...]]) -> Departure:
    return Departure(
        row.id,
        DeviceId(row.device_id),
        DepartureKind(row.kind),
        row.epoch,
        row.ordered_at,
        row.ordered_by,
        row.is_counted,
        row.identity,
        row.delivered_at,
        row.failed_at,
        row.withdrawn_at,
    )

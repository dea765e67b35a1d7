"""Epochs: the lives of devices, from one Authenticate to the next."""

from datetime import datetime

import sqlalchemy as sa

from muster.domain.enrollment import EndReason, Provenance
from muster.protocol.identifiers import DeviceId
from muster.storage.engine import Transaction
from muster.storage.schema import epochs

_CLOSE = sa.update(epochs).where(
    epochs.c.device_id == sa.bindparam("of_device"),
    epochs.c.number < sa.bindparam("before"),
    epochs.c.closed_at.is_(None),
)
_CLOSE_CURRENT = _CLOSE.where(epochs.c.current_from.is_not(None))
_CLOSE_OTHERS = _CLOSE.where(epochs.c.current_from.is_(None))
# made once: building a statement costs more than running it on SQLite


def add(
    tx: Transaction, device_id: DeviceId, *, number: int, identity: bytes, provenance: Provenance, at: datetime
) -> None:
    """Record that an epoch opened provisionally; the same one again is no news."""
    tx.connection.execute(
        tx.insert(epochs)
        .values(device_id=device_id, number=number, identity=identity, provenance=provenance.value, opened_at=at)
        .on_conflict_do_nothing()
    )


def last(tx: Transaction, device_id: DeviceId) -> int:
    """Return the highest number that an epoch of the device ever had; 0 when there was none."""
    number = tx.connection.scalar(sa.select(sa.func.max(epochs.c.number)).where(epochs.c.device_id == device_id))
    return number or 0


def close(tx: Transaction, device_id: DeviceId, *, before: int, at: datetime) -> None:
    """Close the epochs below *before*: as replaced where they were current, else as never completed."""
    for statement, reason in ((_CLOSE_CURRENT, EndReason.RE_ENROLLED), (_CLOSE_OTHERS, EndReason.NEVER_COMPLETED)):
        closed = {"closed_at": at, "closed_reason": reason.value}
        tx.connection.execute(statement, {"of_device": device_id, "before": before, **closed})


def start(tx: Transaction, device_id: DeviceId, *, number: int, at: datetime) -> None:
    """Record that a provisional epoch became current."""
    tx.connection.execute(
        sa.update(epochs)
        .where(epochs.c.device_id == device_id, epochs.c.number == number)
        .values(current_from=at, closed_at=None, closed_reason=None)
    )

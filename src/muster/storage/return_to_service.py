"""Which devices enroll by themselves again after they were erased, and by which Wi-Fi."""

from dataclasses import dataclass, field
from datetime import datetime

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.schema import return_to_service

ALL_DEVICES = ""
"""The scope of what stands for every device that has nothing of its own."""


@dataclass(frozen=True, slots=True)
class ReturnSetUp:
    """What stands for *scope*: a device's id, or ALL_DEVICES. The Wi-Fi profile is still sealed."""

    scope: str
    is_enabled: bool
    wifi_profile_sealed: bytes | None = field(repr=False)
    changed_at: datetime
    changed_by: str


def read(tx: Transaction, device_id: str) -> ReturnSetUp | None:
    """Read what stands for a device: its own, else that of all devices; None when nothing was ever set."""
    table = return_to_service
    row = tx.connection.execute(
        sa.select(table).where(table.c.scope.in_([device_id, ALL_DEVICES])).order_by(table.c.scope.desc()).limit(1)
    ).one_or_none()
    return None if row is None else _read(row)


def stored(tx: Transaction) -> list[ReturnSetUp]:
    """Read everything that was set, that of all devices first."""
    return [_read(row) for row in tx.connection.execute(sa.select(return_to_service).order_by("scope"))]


def write(tx: Transaction, set_up: ReturnSetUp) -> None:
    """Store what stands for a scope from now on."""
    values = {
        "is_enabled": set_up.is_enabled,
        "wifi_profile_sealed": set_up.wifi_profile_sealed,
        "changed_at": set_up.changed_at,
        "changed_by": set_up.changed_by,
    }
    insert = tx.insert(return_to_service).values(scope=set_up.scope, **values)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["scope"], set_=values))


def _read(row: sa.Row[tuple[object, ...]]) -> ReturnSetUp:
    return ReturnSetUp(row.scope, row.is_enabled, row.wifi_profile_sealed, row.changed_at, row.changed_by)

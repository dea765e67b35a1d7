"""What was set of devices that are erased: whether they enroll by themselves again."""

from dataclasses import dataclass
from datetime import datetime

from muster.storage import return_to_service
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class ReturnRow:
    """What stands for one device; *device_id* absent: for all that have nothing of their own."""

    device_id: str | None
    is_enabled: bool
    has_wifi_profile: bool
    changed_at: datetime
    changed_by: str


def list_returning(tx: Transaction) -> tuple[ReturnRow, ...]:
    """List what was set, without the Wi-Fi profiles, which hold passwords."""
    return tuple(
        ReturnRow(
            one.scope or None, one.is_enabled, one.wifi_profile_sealed is not None, one.changed_at, one.changed_by
        )
        for one in return_to_service.stored(tx)
    )

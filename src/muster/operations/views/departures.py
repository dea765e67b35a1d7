"""How it stands with letting a device go, and which devices are taken for it."""

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

import sqlalchemy as sa

from muster.domain.letting_go import Departure, DepartureKind
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import departures, known_facts
from muster.storage.engine import Transaction
from muster.storage.schema import channels, device_facts

SAME_SERIAL_SHOWN = 20
"""Of the devices with one serial number: virtual machines may all have the same."""


@dataclass(frozen=True, slots=True)
class DepartureRow:
    """The latest departure that was ordered for this life of a device and not withdrawn, *words* in a sentence."""

    kind: str
    ordered_at: datetime
    ordered_by: str
    delivered_at: datetime | None
    failed_at: datetime | None
    words: str


def departure_of(tx: Transaction, device_id: ChannelId) -> DepartureRow | None:
    """Read how it stands with letting a device go; None where nobody wants to."""
    epoch = tx.connection.scalar(sa.select(channels.c.epoch).where(channels.c.id == device_id))
    for one in departures.of_device(tx, DeviceId(device_id)):
        if one.kind in (DepartureKind.UNENROLL, DepartureKind.REJECT) and one.epoch == epoch and not one.withdrawn_at:
            return DepartureRow(
                one.kind.value, one.ordered_at, one.ordered_by, one.delivered_at, one.failed_at, _words(one)
            )
    return None


def _words(departure: Departure) -> str:
    ordered = f"by {departure.ordered_by} on {_at(departure.ordered_at)}"
    match departure.kind:
        case DepartureKind.UNENROLL if departure.failed_at is not None:
            return f"Its unenrollment was ordered {ordered}; it answered that it can't, and stays enrolled."
        case DepartureKind.UNENROLL if departure.delivered_at is not None:
            return f"Its unenrollment was ordered {ordered}, and done on {_at(departure.delivered_at)}."
        case DepartureKind.UNENROLL:
            return f"Its unenrollment was ordered {ordered}; it has not answered yet."
        case DepartureKind.REJECT | DepartureKind.ON_ENROLL | DepartureKind.ON_RESTORE:
            if departure.delivered_at is not None:
                first = _at(departure.delivered_at)
                return f"It was rejected {ordered}, and is turned away at every contact, first on {first}."
            return f"It was rejected {ordered}; it has not come to be turned away yet."
        case _:
            assert_never(departure.kind)


def _at(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


def same_serial_as(tx: Transaction, device_id: ChannelId) -> tuple[ChannelId, ...]:
    """Name the other devices that say they have a device's serial number, sorted."""
    serial_number = tx.connection.scalar(
        sa.select(device_facts.c.serial_number).where(device_facts.c.channel_id == device_id)
    )
    if not serial_number:
        return ()
    return known_facts.with_serial(tx, serial_number, but=device_id, limit=SAME_SERIAL_SHOWN)

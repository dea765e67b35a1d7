"""One device and its channels, for its page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from muster.domain.control.contact import ContactDay, contacts_of
from muster.operations.views.contacts import contact_days_of
from muster.operations.views.departures import DepartureRow, departure_of, same_serial_as
from muster.operations.views.device_lists import DeviceRow, commands_waiting, device_row, select_devices
from muster.operations.views.evidence import EvidenceRow, evidence_of
from muster.operations.views.holds import HeldRow, PauseRow, held_of, pauses_of
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import (
    channels,
    device_facts,
    epochs,
    push_targets,
    user_logins,
)

STRIP_DAYS = 30
"""Days of contacts that a device is shown with."""


@dataclass(frozen=True, slots=True)
class EpochRow:
    """One life of a device."""

    number: int
    provenance: str
    opened_at: datetime
    current_from: datetime | None
    closed_at: datetime | None
    closed_reason: str | None


@dataclass(frozen=True, slots=True)
class ChannelRow:
    """One channel of a device: the device's own or a user's."""

    id: ChannelId
    kind: str
    state: str
    user_short_name: str | None
    last_contact_at: datetime | None
    last_proof_at: datetime | None
    commands_waiting: int
    user_long_name: str | None = None
    is_on_console: bool | None = None
    """Whether the user of a Mac sits before it; absent: not said."""
    console_at: datetime | None = None
    """When that was learned."""


@dataclass(frozen=True, slots=True)
class PushRow:
    """Where a device is pushed, and what APNs said last. *refused_at*: its token is no use any more, for good."""

    topic: str
    updated_at: datetime
    refused_at: datetime | None
    last_outcome: str | None
    last_outcome_at: datetime | None
    last_reason: str | None


@dataclass(frozen=True, slots=True)
class DeviceDetails:
    """Everything the device's page shows. *contacts* are five-minute marks of the last thirty days, in order.

    *evidence* is that of all its channels; *contact_days* are those of each channel; *push* is absent before the
    first TokenUpdate.
    """

    device: DeviceRow
    facts: Mapping[str, str | bool | float | datetime | None]
    channels: tuple[ChannelRow, ...]
    epochs: tuple[EpochRow, ...]
    evidence: tuple[EvidenceRow, ...]
    contacts: tuple[datetime, ...]
    contact_days: Mapping[ChannelId, tuple[ContactDay, ...]]
    push: PushRow | None
    departure: DepartureRow | None = None
    """How it stands with letting it go."""
    same_serial: tuple[ChannelId, ...] = ()
    """Other devices that say they have its serial number."""
    pauses: tuple[PauseRow, ...] = ()
    """Of its queue and its users': nothing is handed out there."""
    held: tuple[HeldRow, ...] = ()
    """Commands, parked or held back, that go on by somebody's word alone."""


EVIDENCE_SHOWN = 100


def show_device(tx: Transaction, device_id: ChannelId, now: datetime) -> DeviceDetails | None:
    """Read one device; None when there is no such device channel."""
    is_the_device = sa.and_(channels.c.id == device_id, channels.c.device_id == device_id)
    row = tx.connection.execute(select_devices(is_the_device)).mappings().one_or_none()
    if row is None:
        return None
    since = now - timedelta(days=STRIP_DAYS)
    own_channels = _channels_of(tx, device_id)
    days = contact_days_of(tx, [channel.id for channel in own_channels], since)
    return DeviceDetails(
        device=device_row(row),
        facts=_facts_of(tx, device_id),
        channels=own_channels,
        epochs=_epochs_of(tx, device_id),
        evidence=evidence_of(tx, [channel.id for channel in own_channels], EVIDENCE_SHOWN),
        contacts=tuple(at for day in days.get(device_id, ()) for at in contacts_of(day) if at >= since),
        contact_days=days,
        push=_push_of(tx, device_id),
        departure=departure_of(tx, device_id),
        same_serial=same_serial_as(tx, device_id),
        pauses=pauses_of(tx, device_id),
        held=held_of(tx, device_id),
    )


def _facts_of(tx: Transaction, device_id: ChannelId) -> dict[str, str | bool | float | datetime | None]:
    columns = [column for column in device_facts.c if column.name not in {"channel_id", "learned_at"}]
    facts = tx.connection.execute(sa.select(*columns).where(device_facts.c.channel_id == device_id)).mappings()
    return {str(name): value for row in facts for name, value in row.items()}


def _epochs_of(tx: Transaction, device_id: ChannelId) -> tuple[EpochRow, ...]:
    return tuple(
        EpochRow(e.number, e.provenance, e.opened_at, e.current_from, e.closed_at, e.closed_reason)
        for e in tx.connection.execute(
            sa.select(epochs).where(epochs.c.device_id == device_id).order_by(epochs.c.number.desc())
        )
    )


def _push_of(tx: Transaction, device_id: ChannelId) -> PushRow | None:
    row = tx.connection.execute(
        sa.select(*(push_targets.c[name] for name in PushRow.__dataclass_fields__)).where(
            push_targets.c.channel_id == device_id
        )
    ).one_or_none()
    return None if row is None else PushRow(*row)


def _channels_of(tx: Transaction, device_id: ChannelId) -> tuple[ChannelRow, ...]:
    waiting = commands_waiting()
    columns: list[sa.ColumnElement[Any]] = [
        channels.c.id,
        channels.c.kind,
        channels.c.state,
        device_facts.c.user_short_name,
        channels.c.last_contact_at,
        channels.c.last_proof_at,
        waiting,
        device_facts.c.user_long_name,
        user_logins.c.is_on_console,
        user_logins.c.console_at,
    ]
    rows = tx.connection.execute(
        sa.select(*columns)
        .select_from(channels.outerjoin(device_facts).outerjoin(user_logins, user_logins.c.channel_id == channels.c.id))
        .where(channels.c.device_id == device_id)
        .order_by(channels.c.id)
    )
    return tuple(ChannelRow(*row) for row in rows)

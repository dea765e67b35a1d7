"""Devices and their channels, for lists and for one device's page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from muster.domain.control.contact import ContactDay, contacts_of
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import (
    channels,
    contact_days,
    device_facts,
    epochs,
    evidence,
    identities,
    push_targets,
    queue,
)

PAGE_LIMIT = 500
"""Devices on one page at most."""
STRIP_DAYS = 30
"""Days of contacts that a device is shown with."""


@dataclass(frozen=True, slots=True)
class DeviceRow:
    """One device in a list. Absent: not known (yet)."""

    id: ChannelId
    kind: str
    state: str
    serial_number: str | None
    name: str | None
    model: str | None
    os_version: str | None
    first_seen_at: datetime
    enrolled_at: datetime | None
    ended_at: datetime | None
    ended_reason: str | None
    last_contact_at: datetime | None
    last_proof_at: datetime | None
    commands_waiting: int
    last_push_outcome: str | None
    identity_not_after: datetime | None
    user_channels: int


@dataclass(frozen=True, slots=True)
class DevicePage:
    """A page of a list. *next_after* is where the next page begins, None on the last one; *total* counts all."""

    rows: tuple[DeviceRow, ...]
    total: int
    next_after: ChannelId | None


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Which devices to list, in order of their id: those after *after*, *search* in id, serial number or name."""

    search: str = ""
    state: str | None = None
    after: ChannelId | None = None
    limit: int = 100


def list_devices(tx: Transaction, query: DeviceQuery) -> DevicePage:
    """List devices (device channels), a page at a time."""
    condition = _condition(query)
    total = tx.connection.execute(
        sa.select(sa.func.count()).select_from(channels.outerjoin(device_facts)).where(condition)
    ).scalar_one()
    limit = min(query.limit, PAGE_LIMIT)
    wanted = condition if query.after is None else sa.and_(condition, channels.c.id > query.after)
    rows = tuple(_row(row) for row in tx.connection.execute(_select(wanted).order_by(channels.c.id).limit(limit + 1)))
    more = len(rows) > limit
    return DevicePage(rows[:limit], total, rows[limit - 1].id if more else None)


def _condition(query: DeviceQuery) -> sa.ColumnElement[bool]:
    condition: sa.ColumnElement[bool] = channels.c.id == channels.c.device_id
    if query.state is not None:
        condition = sa.and_(condition, channels.c.state == query.state)
    if query.search:
        text = query.search.lower()
        columns = (channels.c.id, device_facts.c.serial_number, device_facts.c.device_name, device_facts.c.product_name)
        condition = sa.and_(condition, sa.or_(*(sa.func.lower(c).contains(text, autoescape=True) for c in columns)))
    return condition


def _select(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    waiting = sa.select(sa.func.count()).select_from(queue).where(queue.c.channel_id == channels.c.id).scalar_subquery()
    user = channels.alias("user_channel")
    users = (
        sa.select(sa.func.count())
        .select_from(user)
        .where(user.c.device_id == channels.c.id, user.c.id != user.c.device_id)
        .scalar_subquery()
    )
    return (
        sa.select(
            channels.c.id,
            channels.c.kind,
            channels.c.state,
            device_facts.c.serial_number,
            device_facts.c.device_name.label("name"),
            sa.func.coalesce(device_facts.c.model_name, device_facts.c.product_name).label("model"),
            device_facts.c.os_version,
            channels.c.first_seen_at,
            channels.c.enrolled_at,
            channels.c.ended_at,
            channels.c.ended_reason,
            channels.c.last_contact_at,
            channels.c.last_proof_at,
            waiting.label("commands_waiting"),
            push_targets.c.last_outcome.label("last_push_outcome"),
            identities.c.not_after.label("identity_not_after"),
            users.label("user_channels"),
        )
        .select_from(
            channels.outerjoin(device_facts)
            .outerjoin(push_targets)
            .outerjoin(identities, identities.c.fingerprint == channels.c.pin)
        )
        .where(condition)
    )


def _row(row: sa.Row[Any]) -> DeviceRow:
    return DeviceRow(**row._mapping)


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One piece of evidence, newest first in a list."""

    signal: str
    observed_class: str
    first_at: datetime
    last_at: datetime
    count: int
    epoch: int
    source: str
    detail: Mapping[str, str | int | bool | None]


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


@dataclass(frozen=True, slots=True)
class DeviceDetails:
    """Everything the device's page shows. *contacts* are five-minute marks of the last thirty days, in order."""

    device: DeviceRow
    facts: Mapping[str, str | bool | None]
    channels: tuple[ChannelRow, ...]
    epochs: tuple[EpochRow, ...]
    evidence: tuple[EvidenceRow, ...]
    contacts: tuple[datetime, ...]


EVIDENCE_SHOWN = 100


def show_device(tx: Transaction, device_id: ChannelId, now: datetime) -> DeviceDetails | None:
    """Read one device; None when there is no such device channel."""
    row = tx.connection.execute(_select(channels.c.id == device_id)).one_or_none()
    if row is None:
        return None
    facts = tx.connection.execute(sa.select(device_facts).where(device_facts.c.channel_id == device_id)).one_or_none()
    named = {} if facts is None else {k: v for k, v in facts._mapping.items() if k not in ("channel_id", "learned_at")}
    return DeviceDetails(
        device=_row(row),
        facts=named,
        channels=_channels_of(tx, device_id),
        epochs=tuple(
            EpochRow(e.number, e.provenance, e.opened_at, e.current_from, e.closed_at, e.closed_reason)
            for e in tx.connection.execute(
                sa.select(epochs).where(epochs.c.device_id == device_id).order_by(epochs.c.number.desc())
            )
        ),
        evidence=tuple(
            EvidenceRow(**e._mapping)
            for e in tx.connection.execute(
                sa.select(*(evidence.c[name] for name in EvidenceRow.__dataclass_fields__))
                .where(evidence.c.channel_id == device_id)
                .order_by(evidence.c.last_at.desc(), evidence.c.id.desc())
                .limit(EVIDENCE_SHOWN)
            )
        ),
        contacts=contacts_since(tx, device_id, now - timedelta(days=STRIP_DAYS)),
    )


def _channels_of(tx: Transaction, device_id: ChannelId) -> tuple[ChannelRow, ...]:
    waiting = sa.select(sa.func.count()).select_from(queue).where(queue.c.channel_id == channels.c.id).scalar_subquery()
    rows = tx.connection.execute(
        sa.select(
            channels.c.id,
            channels.c.kind,
            channels.c.state,
            device_facts.c.user_short_name,
            channels.c.last_contact_at,
            channels.c.last_proof_at,
            waiting,
        )
        .select_from(channels.outerjoin(device_facts))
        .where(channels.c.device_id == device_id)
        .order_by(channels.c.id)
    )
    return tuple(ChannelRow(*row) for row in rows)


def contacts_since(tx: Transaction, channel_id: ChannelId, since: datetime) -> tuple[datetime, ...]:
    """Read a channel's contacts since *since*, as the starts of five-minute slots, in order."""
    first_day = int(since.timestamp()) // 86400
    rows = tx.connection.execute(
        sa.select(contact_days.c.day, contact_days.c.strip).where(
            contact_days.c.channel_id == channel_id, contact_days.c.day >= first_day
        )
    ).all()
    current = tx.connection.execute(
        sa.select(channels.c.contact_day, channels.c.contact_strip).where(
            channels.c.id == channel_id, channels.c.contact_day >= first_day
        )
    ).all()
    days = sorted((row[0], row[1]) for row in [*rows, *current])
    return tuple(at for day, strip in days for at in contacts_of(ContactDay(day, strip)) if at >= since)

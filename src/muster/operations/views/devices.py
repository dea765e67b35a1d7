"""Devices and their channels, for lists and for one device's page."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, assert_never

import sqlalchemy as sa

from muster.domain.command_queue import QueuePurpose
from muster.domain.control.contact import ContactDay, contacts_of
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal
from muster.domain.queries.parser import reads_like_query
from muster.domain.queries.syntax import Query
from muster.operations.read_query import read_query
from muster.operations.views.contacts import contact_days_of
from muster.operations.views.departures import DepartureRow, departure_of, same_serial_as
from muster.operations.views.evidence import EvidenceRow, evidence_of
from muster.operations.views.holds import HeldRow, PauseRow, held_of, pauses_of
from muster.protocol.identifiers import ChannelId
from muster.storage import queries
from muster.storage.engine import Transaction
from muster.storage.schema import (
    channels,
    device_facts,
    epochs,
    identities,
    push_targets,
    queue,
    user_logins,
)

PAGE_LIMIT = 500
"""Devices on one page at most."""
FEW_FINDS = 1000
"""Up to so many finds of a search are kept by id while their page is made."""
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
    """A page of a list. *next_after* is where the next page begins, None on the last one; *total* counts all.

    *fault* is what is wrong with the query that was searched by; then there is nothing on the page.
    """

    rows: tuple[DeviceRow, ...]
    total: int
    next_after: ChannelId | None
    fault: Refusal | None = None


class DeviceOrder(StrEnum):
    """In which order devices are listed. Devices never heard from since they were first seen count from then."""

    ID = "id"
    """By id, byte by byte: pages don't shift while devices connect."""
    SILENT = "silent"
    """The longest silent first."""
    RECENT = "recent"
    """The latest contact first."""


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Which devices to list: those after *after* in *order*, *search* in id, serial number, name or model.

    Where people browse, *search* may be a query as well.
    """

    search: str = ""
    state: str | None = None
    after: ChannelId | None = None
    limit: int = 100
    order: DeviceOrder = DeviceOrder.ID


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """How many devices there are in each state, and how many of the enrolled ones were not heard from for a while."""

    by_state: Mapping[str, int]
    silent: int

    @property
    def total(self) -> int:
        """Count the devices of all states."""
        return sum(self.by_state.values())


def list_devices(tx: Transaction, query: DeviceQuery) -> DevicePage:
    """List devices (device channels), a page at a time, and count them all."""
    condition = _in_state(_found(tx, query.search), query.state)
    total = tx.connection.execute(sa.select(sa.func.count()).select_from(channels).where(condition)).scalar_one()
    return _page(tx, query, condition, total)


def find_devices(tx: Transaction, query: Query, now: datetime) -> tuple[DeviceRow, ...]:
    """Read all devices that *query* finds, by id; a part in each statement, for they may be many."""
    found: list[DeviceRow] = []
    after: ChannelId | None = None
    while True:
        ids = queries.find(tx, query, now, after=after, limit=PAGE_LIMIT)
        rows = tx.connection.execute(_select(channels.c.id.in_(ids)).order_by(channels.c.id)).mappings()
        found += [_row(row) for row in rows]
        if len(ids) < PAGE_LIMIT:
            return tuple(found)
        after = ids[-1]


def browse_devices(
    tx: Transaction, query: DeviceQuery, now: datetime, silent_since: datetime
) -> tuple[DevicePage, DeviceCounts]:
    """List a page of devices, and count those that the search finds in each state, whichever one *query* names.

    Enrolled ones without contact since *silent_since* are counted as silent.
    """
    found: sa.ColumnElement[bool] | Refusal
    found = _found_by(tx, query.search, now) if reads_like_query(query.search) else _found(tx, query.search)
    if isinstance(found, Refusal):
        return DevicePage((), 0, None, found), DeviceCounts(dict.fromkeys(EnrollmentState, 0), 0)
    counts = _counts(tx, found, silent_since)
    total = counts.total if query.state is None else counts.by_state.get(query.state, 0)
    return _page(tx, query, _in_state(found, query.state), total), counts


def _counts(tx: Transaction, found: sa.ColumnElement[bool], silent_since: datetime) -> DeviceCounts:
    states = tuple(EnrollmentState)
    is_silent = sa.and_(channels.c.state == EnrollmentState.ENROLLED.value, _heard_at < silent_since)
    row = tx.connection.execute(
        sa.select(*(_count_if(channels.c.state == state.value) for state in states), _count_if(is_silent)).where(found)
    ).one()
    return DeviceCounts({state.value: count for state, count in zip(states, row, strict=False)}, row[-1])


def _page(tx: Transaction, query: DeviceQuery, condition: sa.ColumnElement[bool], total: int) -> DevicePage:
    limit = min(query.limit, PAGE_LIMIT)
    if query.after is not None:
        condition = sa.and_(condition, _follows(query.order, query.after))
    order = _order(query.order)
    # the page is chosen on the narrow table alone; only its rows are joined with what else there is
    chosen = sa.select(channels.c.id).where(condition).order_by(*order).limit(limit + 1).scalar_subquery()
    found = tx.connection.execute(_select(channels.c.id.in_(chosen)).order_by(*order)).mappings()
    rows = tuple(_row(row) for row in found)
    more = len(rows) > limit
    return DevicePage(rows[:limit], total, rows[limit - 1].id if more else None)


def _count_if(condition: sa.ColumnElement[bool]) -> sa.ColumnElement[int]:
    return sa.func.coalesce(sa.func.sum(sa.case((condition, 1), else_=0)), 0)


_heard_at = sa.func.coalesce(channels.c.last_contact_at, channels.c.first_seen_at, type_=channels.c.first_seen_at.type)


def _order(order: DeviceOrder) -> tuple[sa.ColumnElement[Any], ...]:
    match order:
        case DeviceOrder.ID:
            return (channels.c.id,)
        case DeviceOrder.SILENT:
            return (_heard_at, channels.c.id)
        case DeviceOrder.RECENT:
            return (_heard_at.desc(), channels.c.id)
        case _:
            assert_never(order)


def _follows(order: DeviceOrder, after: ChannelId) -> sa.ColumnElement[bool]:
    """The place of *after* is where it is by now; no row follows a device that isn't stored."""
    later_id = channels.c.id > after
    if order is DeviceOrder.ID:
        return later_id
    one = channels.alias("after")
    place = (
        sa.select(sa.func.coalesce(one.c.last_contact_at, one.c.first_seen_at)).where(one.c.id == after)
    ).scalar_subquery()
    beyond = _heard_at < place if order is DeviceOrder.RECENT else _heard_at > place
    return sa.or_(beyond, sa.and_(_heard_at == place, later_id))


def _in_state(found: sa.ColumnElement[bool], state: str | None) -> sa.ColumnElement[bool]:
    return found if state is None else sa.and_(found, channels.c.state == state)


def _found(tx: Transaction, search: str) -> sa.ColumnElement[bool]:
    """Return the condition for devices that *search* finds. A few finds are named, so as to be searched for once."""
    is_device = channels.c.id == channels.c.device_id
    if not search:
        return is_device
    told = (
        device_facts.c.serial_number,
        device_facts.c.device_name,
        device_facts.c.model_name,
        device_facts.c.product_name,
    )
    # two scans, each of one table, are half as dear as one of their join
    by_fact = sa.select(device_facts.c.channel_id).where(
        sa.or_(*(column.icontains(search, autoescape=True) for column in told))
    )
    by_text = sa.and_(is_device, sa.or_(channels.c.id.icontains(search, autoescape=True), channels.c.id.in_(by_fact)))
    few = tx.connection.scalars(sa.select(channels.c.id).where(by_text).limit(FEW_FINDS + 1)).all()
    return channels.c.id.in_(few) if len(few) <= FEW_FINDS else by_text


def _found_by(tx: Transaction, text: str, now: datetime) -> sa.ColumnElement[bool] | Refusal:
    """Return the condition for devices that a query finds, a few named as above."""
    query = read_query(tx, text)
    if isinstance(query, Refusal):
        return query
    found = queries.found_by(tx, query, now)
    few = tx.connection.scalars(found.limit(FEW_FINDS + 1)).all()
    return channels.c.id.in_(few) if len(few) <= FEW_FINDS else channels.c.id.in_(found)


def _waiting() -> sa.ScalarSelect[int]:
    """Count what waits on a channel; questions that we ask by ourselves are nobody's concern."""
    is_wanted = sa.and_(queue.c.channel_id == channels.c.id, queue.c.purpose != QueuePurpose.INVENTORY.value)
    return sa.select(sa.func.count()).select_from(queue).where(is_wanted).scalar_subquery()


def _select(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    waiting = _waiting()
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


def _row(row: sa.RowMapping) -> DeviceRow:
    return DeviceRow(**{str(name): value for name, value in row.items()})


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
    row = tx.connection.execute(_select(is_the_device)).mappings().one_or_none()
    if row is None:
        return None
    since = now - timedelta(days=STRIP_DAYS)
    own_channels = _channels_of(tx, device_id)
    days = contact_days_of(tx, [channel.id for channel in own_channels], since)
    return DeviceDetails(
        device=_row(row),
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
    waiting = _waiting()
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

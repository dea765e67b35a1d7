"""Devices in lists: what a search or a query finds of them, how many that are, and a page of it in some order."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, assert_never

import sqlalchemy as sa

from muster.domain.command_queue import UNASKED_FOR
from muster.domain.control.saying import GRAVITY
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal
from muster.domain.queries.evaluation import folded
from muster.domain.queries.parser import reads_like_query
from muster.domain.queries.syntax import AllOf, Query
from muster.operations.read_query import read_query
from muster.protocol.identifiers import ChannelId
from muster.storage import control_days, queries
from muster.storage.among import among
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction
from muster.storage.queries import Bounds
from muster.storage.schema import (
    channels,
    device_facts,
    identities,
    push_targets,
    queue,
    verdicts,
)

PAGE_LIMIT = 500
"""Devices on one page at most."""
FEW_FINDS = 5000
"""Up to so many finds of a search are kept by id while their page is made."""


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
    GRAVITY = "gravity"
    """By verdict, what somebody should look at first; among equals what has been so for longest; never judged last."""


@dataclass(frozen=True, slots=True)
class DeviceQuery:
    """Which devices to list: those after *after* in *order*, *search* in id, serial number, name, model or user.

    Where people browse, *search* may be a query as well.
    """

    search: str = ""
    state: str | None = None
    after: ChannelId | None = None
    limit: int = 100
    order: DeviceOrder = DeviceOrder.ID
    control: ControlState | None = None
    """Only those whose verdict is this one."""
    where: str = ""
    """A query; where devices are browsed, those alone that it finds, too."""


@dataclass(frozen=True, slots=True)
class DeviceCounts:
    """How many devices there are in each state of their enrollment; *by_control*: those judged, by verdict."""

    by_state: Mapping[str, int]
    by_control: Mapping[ControlState, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """Count the devices of all states."""
        return sum(self.by_state.values())

    @property
    def not_judged(self) -> int:
        """Count those that have no verdict yet."""
        return self.total - sum(self.by_control.values())


def list_devices(tx: Transaction, query: DeviceQuery, within: Bounds | None = None) -> DevicePage:
    """List devices (device channels), a page at a time, and count them all; *within* bounds, where there are any."""
    found = _found(tx, query.search, within)
    return _page(tx, query, found, _count(tx, _narrowed(found.condition, query)))


def find_devices(tx: Transaction, query: Query, now: datetime, within: Bounds | None = None) -> tuple[DeviceRow, ...]:
    """Read all devices that *query* finds, by id; a part in each statement, for they may be many."""
    found: list[DeviceRow] = []
    after: ChannelId | None = None
    while True:
        part = find_devices_after(tx, query, now, after, within)
        found += part
        if len(part) < PAGE_LIMIT:
            return tuple(found)
        after = part[-1].id


def find_devices_after(
    tx: Transaction, query: Query, now: datetime, after: ChannelId | None, within: Bounds | None = None
) -> tuple[DeviceRow, ...]:
    """Read the first PAGE_LIMIT devices that *query* finds, by id, *after* one; fewer where there are no more."""
    query = query if within is None else AllOf((query, within.query))
    ids = queries.find(tx, query, now, after=after, limit=PAGE_LIMIT)
    return _rows(tx, select_devices(channels.c.id.in_(ids)).order_by(channels.c.id))


def browse_devices(
    tx: Transaction, query: DeviceQuery, now: datetime, within: Bounds | None = None
) -> tuple[DevicePage, DeviceCounts]:
    """List a page of devices, and count those that the search finds in each state, whichever one *query* names.

    *within* bounds, where there are any.
    """
    found = _browsed(tx, query, now, within)
    if isinstance(found, Refusal):
        return DevicePage((), 0, None, found), DeviceCounts(dict.fromkeys(EnrollmentState, 0))
    counts = _counts(tx, found)
    if query.state is not None and query.control is not None:
        total = _count(tx, _narrowed(found.condition, query))
    elif query.control is not None:
        total = counts.by_control.get(query.control, 0)
    else:
        total = counts.total if query.state is None else counts.by_state.get(query.state, 0)
    return _page(tx, query, found, total, counts), counts


@dataclass(frozen=True, slots=True)
class _Found:
    """What a search finds: rows of `channels` for which *condition* holds. *few*: their ids, unless they are many."""

    condition: sa.ColumnElement[bool]
    few: tuple[ChannelId, ...] | None = None
    is_all: bool = False
    asked: tuple[Query, datetime] | None = None
    """The query that finds exactly these at a time, where one does: then it is asked, and no condition made of it."""


def _count(tx: Transaction, condition: sa.ColumnElement[bool]) -> int:
    return tx.connection.execute(sa.select(sa.func.count()).select_from(channels).where(condition)).scalar_one()


def _counts(tx: Transaction, found: _Found) -> DeviceCounts:
    select = sa.select(channels.c.state, sa.func.count().label("devices"))
    by_state = dict.fromkeys((state.value for state in EnrollmentState), 0)
    by_control: Counter[ControlState] = Counter()
    if found.is_all:
        rows = tx.connection.execute(select.where(found.condition).group_by(channels.c.state)).all()
        for (held, _, _), count in control_days.counts(tx).items():
            by_control[held] += count
    elif found.asked is not None:
        by_both = queries.counts_by_state(tx, *found.asked)
        for state, held_state, devices in by_both:
            by_state[state] += devices
            if held_state is not None:
                by_control[ControlState(held_state)] += devices
        return DeviceCounts(by_state, by_control)
    else:  # once for both: what finds them may be dear
        both = select.add_columns(verdicts.c.state.label("control"))
        joined = channels.outerjoin(verdicts, verdicts.c.channel_id == channels.c.id)
        grouped = both.select_from(joined).where(found.condition).group_by(channels.c.state, verdicts.c.state)
        rows = tx.connection.execute(grouped).all()
        for row in rows:
            if row.control is not None:
                by_control[ControlState(row.control)] += row.devices
    for row in rows:
        by_state[row.state] += row.devices
    return DeviceCounts(by_state, by_control)


def _page(
    tx: Transaction, query: DeviceQuery, found: _Found, total: int, counts: DeviceCounts | None = None
) -> DevicePage:
    limit = min(query.limit, PAGE_LIMIT)
    condition = _narrowed(found.condition, query)
    if query.order is DeviceOrder.GRAVITY:
        if found.few is not None:
            ids = _gravest_of_few(tx, condition, query.after, limit + 1)
        else:
            is_all = found.is_all and query.state is None
            asked = found.asked if query.state is None else None
            ids = _gravest(tx, None if is_all else condition, query, limit + 1, asked, counts)
        by_id = {row.id: row for row in _rows(tx, select_devices(channels.c.id.in_(ids)))}
        rows = tuple(by_id[one] for one in ids if one in by_id)
        return DevicePage(rows[:limit], total, rows[limit - 1].id if len(rows) > limit else None)
    if query.after is not None:
        condition = sa.and_(condition, _follows(query.order, query.after))
    order = _order(query.order)
    # the page is chosen on the narrow table alone; only its rows are joined with what else there is
    chosen = sa.select(channels.c.id).where(condition).order_by(*order).limit(limit + 1).scalar_subquery()
    rows = _rows(tx, select_devices(channels.c.id.in_(chosen)).order_by(*order))
    more = len(rows) > limit
    return DevicePage(rows[:limit], total, rows[limit - 1].id if more else None)


def _gravest_of_few(
    tx: Transaction, condition: sa.ColumnElement[bool], after: ChannelId | None, limit: int
) -> list[ChannelId]:
    """Return the same as `_gravest` where few devices are meant: all of them are read, and put in order here."""
    joined = channels.outerjoin(verdicts, verdicts.c.channel_id == channels.c.id)
    meant = condition if after is None else sa.or_(condition, channels.c.id == after)
    rows = tx.connection.execute(
        sa.select(channels.c.id, verdicts.c.state, verdicts.c.since, condition.label("is_meant"))
        .select_from(joined)
        .where(meant)
    ).all()
    places = {
        row.id: (len(GRAVITY), 0.0, row.id)
        if row.state is None
        else (GRAVITY.index(ControlState(row.state)), row.since.timestamp(), row.id)
        for row in rows
    }
    begins = None if after is None else places.get(after, (len(GRAVITY), 0.0, after))
    ids = [row.id for row in rows if row.is_meant and (begins is None or places[row.id] > begins)]
    return sorted(ids, key=places.__getitem__)[:limit]


def _gravest(
    tx: Transaction,
    condition: sa.ColumnElement[bool] | None,
    query: DeviceQuery,
    limit: int,
    asked: tuple[Query, datetime] | None = None,
    counts: DeviceCounts | None = None,
) -> list[ChannelId]:
    """Return up to *limit* ids, the gravest verdicts first; the place of `query.after` is where it is by now.

    *condition*: absent where every device is meant; *asked* finds the same, where it is there. State by state, for
    there are few in the grave ones, and an index has them in order; where *counts* has none of a state, nobody is
    looked for in it.
    """
    after, place, since = query.after, 0, None
    if after is not None:
        held = tx.connection.execute(
            sa.select(verdicts.c.state, verdicts.c.since).where(verdicts.c.channel_id == after)
        ).one_or_none()
        place, since = (len(GRAVITY), None) if held is None else (GRAVITY.index(ControlState(held.state)), held.since)
    found: list[ChannelId] = []
    for state in GRAVITY[place:]:
        if query.control not in (None, state) or (counts is not None and not counts.by_control.get(state)):
            continue
        select = _held_in(state, condition) if asked is None else queries.held_in(tx, *asked, state.value)
        if since is not None and state is GRAVITY[place]:
            same = sa.and_(verdicts.c.since == since, verdicts.c.channel_id > after)
            select = select.where(sa.or_(verdicts.c.since > since, same))
        found += tx.connection.scalars(select.limit(limit - len(found))).all()
        if len(found) >= limit:
            return found
    if query.control is not None or (counts is not None and not counts.not_judged):
        return found
    is_meant = are_devices() if condition is None else condition
    rest = sa.select(channels.c.id).where(is_meant, ~sa.exists().where(verdicts.c.channel_id == channels.c.id))
    if after is not None and place == len(GRAVITY):
        rest = rest.where(channels.c.id > after)
    found += tx.connection.scalars(rest.order_by(channels.c.id).limit(limit - len(found))).all()
    return found


def _held_in(state: ControlState, condition: sa.ColumnElement[bool] | None) -> sa.Select[Any]:
    """Select the devices that *condition* means and that are held to be in *state*, those for longest first."""
    held = sa.select(verdicts.c.channel_id).where(verdicts.c.state == state.value)
    if condition is None:
        held = held.where(verdicts.c.channel_id.not_like("%:%"))  # users' have a colon: no other table is needed
    else:
        held = held.join(channels, channels.c.id == verdicts.c.channel_id).where(condition)
    return held.order_by(verdicts.c.since, verdicts.c.channel_id)


_heard_at = sa.func.coalesce(channels.c.last_contact_at, channels.c.first_seen_at, type_=channels.c.first_seen_at.type)


def _order(order: DeviceOrder) -> tuple[sa.ColumnElement[Any], ...]:
    match order:
        case DeviceOrder.ID:
            return (channels.c.id,)
        case DeviceOrder.SILENT:
            return (_heard_at, channels.c.id)
        case DeviceOrder.RECENT:
            return (_heard_at.desc(), channels.c.id)
        case DeviceOrder.GRAVITY:
            raise ValueError("verdicts are in a table of their own")
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


def _narrowed(found: sa.ColumnElement[bool], query: DeviceQuery) -> sa.ColumnElement[bool]:
    if query.state is not None:
        found = sa.and_(found, channels.c.state == query.state)
    if query.control is not None:
        held = verdicts.alias("held")  # a query that joins verdicts itself would take its own for this one
        is_so = sa.and_(held.c.channel_id == channels.c.id, held.c.state == query.control.value)
        found = sa.and_(found, sa.exists().where(is_so).correlate(channels))
    return found


def _browsed(tx: Transaction, query: DeviceQuery, now: datetime, within: Bounds | None) -> _Found | Refusal:
    """Return what both search and query find."""
    if not query.where:
        is_query = reads_like_query(query.search)
        return _found_by(tx, query.search, now, within) if is_query else _found(tx, query.search, within)
    asked = _found_by(tx, query.where, now, within)
    if isinstance(asked, Refusal) or not query.search:
        return asked
    return _Found(sa.and_(asked.condition, _found(tx, query.search, within).condition))


def _found(tx: Transaction, search: str, within: Bounds | None) -> _Found:
    """Return what *search* finds by what a device says of itself or of its users."""
    if not search:
        bounded = are_devices() if within is None else sa.and_(are_devices(), within.condition(tx))
        return _Found(bounded, is_all=within is None)
    one = channels.alias("found")
    by_text = sa.select(device_facts.c.channel_id).where(
        device_facts.c.search_text.contains(folded(search), autoescape=True)
    )
    return _named(tx, sa.select(one.c.device_id).distinct().where(one.c.id.in_(by_text)), within)


def _found_by(tx: Transaction, text: str, now: datetime, within: Bounds | None) -> _Found | Refusal:
    """Return what a query finds."""
    query = read_query(tx, text)
    if isinstance(query, Refusal):
        return query
    found = _named(tx, queries.found_by(tx, query, now), within)
    return replace(found, asked=(query, now)) if within is None and found.few is None else found


def _named(tx: Transaction, ids: sa.Select[Any], within: Bounds | None) -> _Found:
    """Return what *ids* selects; a few are named, so as to be searched for once."""
    few = tx.connection.scalars(ids.limit(FEW_FINDS + 1)).all()
    is_few = len(few) <= FEW_FINDS
    condition = among(channels.c.id, few) if is_few else channels.c.id.in_(ids)
    bounded = condition if within is None else sa.and_(condition, within.condition(tx))
    return _Found(bounded, tuple(few) if is_few else None)


def commands_waiting() -> sa.ScalarSelect[int]:
    """Count what waits on a channel; questions that we ask by ourselves are nobody's concern."""
    ours = sorted(purpose.value for purpose in UNASKED_FOR)
    is_wanted = sa.and_(queue.c.channel_id == channels.c.id, queue.c.purpose.not_in(ours))
    return sa.select(sa.func.count()).select_from(queue).where(is_wanted).scalar_subquery()


def select_devices(condition: sa.ColumnElement[bool]) -> sa.Select[Any]:
    """Select what rows in lists have of the devices for whose row of `channels` *condition* holds."""
    waiting = commands_waiting()
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


def _rows(tx: Transaction, select: sa.Select[Any]) -> tuple[DeviceRow, ...]:
    return tuple(device_row(row) for row in tx.connection.execute(select).mappings())


def device_row(row: sa.RowMapping) -> DeviceRow:
    """Make a row in a list of what `select_devices` selected."""
    return DeviceRow(**{str(name): value for name, value in row.items()})

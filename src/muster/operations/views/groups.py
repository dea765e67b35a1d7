"""Groups, and who is in them now."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from muster.domain.errors import Refusal
from muster.domain.queries.groups import GroupDefinition, name_key
from muster.domain.queries.saved import is_saved
from muster.domain.queries.syntax import IsMember, Query
from muster.operations.read_query import read_query
from muster.storage import groups, queries
from muster.storage.engine import Transaction, slices
from muster.storage.schema import device_facts, device_groups

TRIED_SHOWN: Final = 10
"""Devices that are named of those that a query finds."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group. *query*: absent where devices are put in by name; *devices*: absent where the query can't be read, as
    *fault* then tells, and where they were not counted.

    *created_at* and *created_by*: absent of the queries that come with Muster.
    """

    name: str
    query: str | None
    devices: int | None
    created_at: datetime | None
    created_by: str | None
    fault: str = ""


def list_groups(
    tx: Transaction, now: datetime, *, may_count: Callable[[], bool] = lambda: True
) -> tuple[GroupRow, ...]:
    """List the groups by name, with how many devices each has.

    Counting a large fleet takes its time: *may_count* is asked before each, for those that administrators made first.
    """
    columns = device_groups.c.id, device_groups.c.created_at, device_groups.c.created_by
    made = {row.id: (row.created_at, row.created_by) for row in tx.connection.execute(sa.select(*columns))}
    found = groups.read_all(tx).values()
    rows = {group.id: _row(tx, group, now, made, is_counted=may_count()) for group in sorted(found, key=is_saved)}
    return tuple(rows[group.id] for group in found)


def show_group(tx: Transaction, name: str, now: datetime) -> GroupRow | None:
    """Read one group; None when there is none of this name."""
    group = find_group(tx, name)
    if group is None:
        return None
    columns = device_groups.c.id, device_groups.c.created_at, device_groups.c.created_by
    rows = tx.connection.execute(sa.select(*columns).where(device_groups.c.id == group.id))
    return _row(tx, group, now, {row.id: (row.created_at, row.created_by) for row in rows})


def _row(
    tx: Transaction,
    group: GroupDefinition,
    now: datetime,
    made: Mapping[str, tuple[datetime, str]],
    *,
    is_counted: bool = True,
) -> GroupRow:
    query = meaning_of(tx, group)
    created_at, created_by = made.get(group.id, (None, None))
    if isinstance(query, Refusal):
        return GroupRow(group.name, group.query, None, created_at, created_by, query.message)
    devices = queries.count(tx, query, now) if is_counted else None
    return GroupRow(group.name, group.query, devices, created_at, created_by)


@dataclass(frozen=True, slots=True)
class Tried:
    """What a query finds now: so many *devices*, some of them by their serial numbers, else ids."""

    devices: int
    names: tuple[str, ...]


def try_query(tx: Transaction, text: str, now: datetime) -> Tried | Refusal:
    """Tell whom a query finds now, and keep nothing; refused, with the place that is wrong, where it can't be read."""
    query = read_query(tx, text)
    if isinstance(query, Refusal):
        return query
    ids = queries.find(tx, query, now, after=None, limit=TRIED_SHOWN)
    name = sa.func.coalesce(device_facts.c.serial_number, device_facts.c.channel_id)
    select = sa.select(device_facts.c.channel_id, name.label("name")).where(device_facts.c.channel_id.in_(ids))
    names = {row.channel_id: row.name for row in tx.connection.execute(select)}
    return Tried(queries.count(tx, query, now), tuple(names.get(id_, id_) for id_ in ids))


def devices_named(tx: Transaction, named: Sequence[str]) -> tuple[str, ...]:
    """Return the ids of devices that somebody names by their serial numbers, or by their ids, which stay as they are.

    A serial number that several devices have means all of them; one that none has stays as it is.
    """
    wanted = sorted({one for one in named if one.isprintable()})
    by_serial: dict[str, list[str]] = {}
    for part in slices(wanted):
        select = sa.select(device_facts.c.serial_number, device_facts.c.channel_id).where(
            device_facts.c.serial_number.in_([*part, *(one.upper() for one in part)])
        )
        for row in tx.connection.execute(select):
            by_serial.setdefault(row.serial_number, []).append(row.channel_id)
    return tuple(
        dict.fromkeys(id_ for one in named for id_ in by_serial.get(one) or by_serial.get(one.upper()) or [one])
    )


def find_group(tx: Transaction, name: str) -> GroupDefinition | None:
    """Read a group by its name; None when there is none."""
    return groups.read_all(tx).get(name_key(name))


def meaning_of(tx: Transaction, group: GroupDefinition) -> Query | Refusal:
    """Return what finds the devices of *group*; a refusal where its query can't be read any more."""
    return IsMember(group.id) if group.query is None else read_query(tx, group.query, within=(group.name,))

"""Groups, and who is in them now."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.errors import Refusal
from muster.domain.queries.groups import GroupDefinition, name_key
from muster.domain.queries.syntax import IsMember, Query
from muster.operations.read_query import read_query
from muster.storage import groups, queries
from muster.storage.engine import Transaction
from muster.storage.schema import device_groups


@dataclass(frozen=True, slots=True)
class GroupRow:
    """One group. *query*: absent where devices are put in by name; *devices*: absent where the query can't be read."""

    name: str
    query: str | None
    devices: int | None
    created_at: datetime
    created_by: str


def list_groups(tx: Transaction, now: datetime) -> tuple[GroupRow, ...]:
    """List the groups by name, with how many devices each has."""
    rows = tx.connection.execute(sa.select(device_groups).order_by(device_groups.c.name_key)).all()
    found = []
    for row in rows:
        query = meaning_of(tx, GroupDefinition(row.id, row.name, row.query))
        devices = None if isinstance(query, Refusal) else queries.count(tx, query, now)
        found.append(GroupRow(row.name, row.query, devices, row.created_at, row.created_by))
    return tuple(found)


def find_group(tx: Transaction, name: str) -> GroupDefinition | None:
    """Read a group by its name; None when there is none."""
    return groups.read_all(tx).get(name_key(name))


def meaning_of(tx: Transaction, group: GroupDefinition) -> Query | Refusal:
    """Return what finds the devices of *group*; a refusal where its query can't be read any more."""
    return IsMember(group.id) if group.query is None else read_query(tx, group.query, within=(group.name,))

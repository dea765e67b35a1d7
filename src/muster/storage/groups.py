"""Groups of devices: by query, or of devices that were put in."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from muster.domain.queries.groups import GroupDefinition, name_key
from muster.domain.queries.saved import SAVED
from muster.protocol.identifiers import DeviceId
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, device_groups, group_members


def read_all(tx: Transaction) -> Mapping[str, GroupDefinition]:
    """Read all groups, by `name_key` and in its order; the saved queries are among them, and give way to one of
    their name.
    """
    rows = tx.connection.execute(
        sa.select(device_groups.c.name_key, device_groups.c.id, device_groups.c.name, device_groups.c.query).order_by(
            device_groups.c.name_key
        )
    )
    stored = {row.name_key: GroupDefinition(row.id, row.name, row.query) for row in rows}
    return dict(sorted({**SAVED, **stored}.items()))


def lock(tx: Transaction) -> None:
    """Let one transaction at a time change groups, for what one means depends on the others."""
    tx.lock_name("device_groups")


def add(tx: Transaction, group: GroupDefinition, *, at: datetime, by: str) -> None:
    """Store a group that there wasn't."""
    tx.connection.execute(
        sa.insert(device_groups).values(
            id=group.id,
            name=group.name,
            name_key=name_key(group.name),
            query=group.query,
            created_at=at,
            created_by=by,
        )
    )


def set_query(tx: Transaction, group_id: str, query: str) -> None:
    """Let a group by query have another one."""
    tx.connection.execute(sa.update(device_groups).where(device_groups.c.id == group_id).values(query=query))


def rename(tx: Transaction, group_id: str, name: str) -> None:
    """Give a group another name."""
    tx.connection.execute(
        sa.update(device_groups).where(device_groups.c.id == group_id).values(name=name, name_key=name_key(name))
    )


def remove(tx: Transaction, group_id: str) -> None:
    """Remove a group; its devices stay what they are."""
    tx.connection.execute(sa.delete(group_members).where(group_members.c.group_id == group_id))
    tx.connection.execute(sa.delete(device_groups).where(device_groups.c.id == group_id))


def known_devices(tx: Transaction, device_ids: Sequence[DeviceId]) -> frozenset[DeviceId]:
    """Tell which of *device_ids* are devices that are stored."""
    found = (
        DeviceId(id_)
        for ids in slices(device_ids)
        for id_ in tx.connection.scalars(
            sa.select(channels.c.id).where(channels.c.id.in_(ids), channels.c.id == channels.c.device_id)
        )
    )
    return frozenset(found)


def add_members(tx: Transaction, group_id: str, device_ids: Sequence[DeviceId], at: datetime) -> int:
    """Put devices into a group; returns how many weren't in it."""
    before = count_members(tx, group_id)
    rows = [{"group_id": group_id, "device_id": id_, "added_at": at} for id_ in sorted(set(device_ids))]
    if rows:
        tx.connection.execute(tx.insert(group_members).on_conflict_do_nothing(), rows)
    return count_members(tx, group_id) - before


def remove_members(tx: Transaction, group_id: str, device_ids: Sequence[DeviceId]) -> int:
    """Take devices out of a group; returns how many were in it."""
    return sum(
        tx.connection.execute(
            sa.delete(group_members).where(group_members.c.group_id == group_id, group_members.c.device_id.in_(ids))
        ).rowcount
        for ids in slices(sorted(set(device_ids)))
    )


def count_members(tx: Transaction, group_id: str) -> int:
    """Count the devices that were put into a group."""
    counted = sa.select(sa.func.count()).select_from(group_members).where(group_members.c.group_id == group_id)
    return tx.connection.execute(counted).scalar_one()

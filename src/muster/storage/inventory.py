"""Inventory as it is kept: the latest of each kind, the items of lists, and how they changed."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from muster.domain.inventory.changes import Change, StoredFact, StoredItem, StoredKind
from muster.domain.inventory.kinds import InventoryKind
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction, slices
from muster.storage.made_once import made_once
from muster.storage.schema import inventory, inventory_changes, inventory_items
from muster.storage.types import from_microseconds, to_microseconds

KEPT_FOR = timedelta(days=400)
"""How long changes are kept: over a year, so that what was so last year at this time can be told."""
FORGOTTEN_AT_ONCE = 5_000
"""Rows that one transaction forgets, a tenth of a second's work: whoever waits for it notices nothing."""

_FIND = sa.select(inventory.c.learned_at, inventory.c.digest, inventory.c.facts).where(
    inventory.c.channel_id == sa.bindparam("of_channel"), inventory.c.kind == sa.bindparam("of_kind")
)
_TOUCH = (
    sa.update(inventory)
    .where(inventory.c.channel_id == sa.bindparam("of_channel"), inventory.c.kind == sa.bindparam("of_kind"))
    .values(learned_at=sa.bindparam("at"))
)
_ITEMS = (
    sa.select(inventory_items)
    .where(
        inventory_items.c.channel_id == sa.bindparam("of_channel"), inventory_items.c.kind == sa.bindparam("of_kind")
    )
    .order_by(inventory_items.c.identifier)
)
_APPEND = sa.insert(inventory_changes)
# made once: building a statement costs more than running it on SQLite


def find(tx: Transaction, channel_id: ChannelId, kind: InventoryKind) -> StoredKind | None:
    """Read what is kept of one kind, but for a list's items; None where no answer of it was read."""
    row = tx.connection.execute(_FIND, {"of_channel": channel_id, "of_kind": kind.value}).one_or_none()
    return None if row is None else StoredKind(row.learned_at, row.digest, _facts(row.facts))


def of_channels(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, dict[InventoryKind, StoredKind]]:
    """Read all that is kept of channels, but for lists' items; channels without any are absent."""
    found: dict[ChannelId, dict[InventoryKind, StoredKind]] = {}
    for ids in slices(channel_ids):
        for row in tx.connection.execute(sa.select(inventory).where(inventory.c.channel_id.in_(ids))):
            kept = StoredKind(row.learned_at, row.digest, _facts(row.facts))
            found.setdefault(ChannelId(row.channel_id), {})[InventoryKind(row.kind)] = kept
    return found


def store(tx: Transaction, channel_id: ChannelId, kind: InventoryKind, kept: StoredKind) -> None:
    """Keep what there is of a kind, in place of what there was."""
    values = {"learned_at": kept.learned_at, "digest": kept.digest, "facts": _facts_json(kept.facts)}
    tx.connection.execute(_store(tx), {"channel_id": channel_id, "kind": kind.value, **values})


@made_once
def _store(tx: Transaction) -> sa.Insert:
    insert = tx.insert(inventory)
    stored: sa.Insert = insert.on_conflict_do_update(
        index_elements=["channel_id", "kind"],
        set_={name: insert.excluded[name] for name in ("learned_at", "digest", "facts")},
    )
    return stored


def touch(tx: Transaction, channel_id: ChannelId, kind: InventoryKind, learned_at: datetime) -> None:
    """Note that the latest answer was given again."""
    tx.connection.execute(_TOUCH, {"of_channel": channel_id, "of_kind": kind.value, "at": learned_at})


def _facts_json(facts: Mapping[str, StoredFact]) -> dict[str, list[Any]]:
    """By key: the value, when it was learned in microseconds, and true where it is of another type than Apple's."""
    return {
        name: [one.value, None if one.learned_at is None else to_microseconds(one.learned_at), one.is_odd]
        for name, one in facts.items()
    }


def _facts(stored: Mapping[str, Sequence[Any]]) -> dict[str, StoredFact]:
    return {
        name: StoredFact(value, None if learned_at is None else from_microseconds(learned_at), is_odd)
        for name, (value, learned_at, is_odd) in stored.items()
    }


# --- items ------------------------------------------------------------------------------------------------------------


def items(
    tx: Transaction, channel_id: ChannelId, kind: InventoryKind, *, limit: int | None = None
) -> dict[str, StoredItem]:
    """Read the items of a list, by identifier, in its order; at most *limit*, if given."""
    select = _ITEMS if limit is None else _ITEMS.limit(limit)
    return {
        row.identifier: StoredItem(row.name, row.version, row.detail, row.since, row.changed_at)
        for row in tx.connection.execute(select, {"of_channel": channel_id, "of_kind": kind.value})
    }


def identifiers_of(tx: Transaction, channel_id: ChannelId, kind: InventoryKind) -> frozenset[str] | None:
    """Read the identifiers that a list has; None where the channel never gave it as a whole."""
    of_list = sa.and_(inventory.c.channel_id == channel_id, inventory.c.kind == kind.value)
    if tx.connection.scalar(sa.select(inventory.c.learned_at).where(of_list)) is None:
        return None
    return frozenset(items(tx, channel_id, kind))


def items_of(
    tx: Transaction, channel_id: ChannelId, kind: InventoryKind, identifiers: Collection[str]
) -> dict[str, StoredItem]:
    """Read those of *identifiers* that a list has."""
    return {
        row.identifier: StoredItem(row.name, row.version, row.detail, row.since, row.changed_at)
        for some in slices(sorted(identifiers))
        for row in tx.connection.execute(
            _ITEMS.where(inventory_items.c.identifier.in_(some)), {"of_channel": channel_id, "of_kind": kind.value}
        )
    }


def listing(
    tx: Transaction, channel_ids: Collection[ChannelId], kind: InventoryKind, identifier: str
) -> frozenset[ChannelId]:
    """Name those of *channel_ids* whose list has an item."""
    table = inventory_items.c
    found = {
        ChannelId(channel_id)
        for ids in slices(sorted(channel_ids))
        for channel_id in tx.connection.scalars(
            sa.select(table.channel_id).where(
                table.channel_id.in_(ids), table.kind == kind.value, table.identifier == identifier
            )
        )
    }
    return frozenset(found)


def count_items(tx: Transaction, channel_id: ChannelId, kind: InventoryKind) -> int:
    """Count the items of a list."""
    table = inventory_items.c
    counted = sa.select(sa.func.count()).where(table.channel_id == channel_id, table.kind == kind.value)
    return tx.connection.execute(counted).scalar_one()


def counts_of(tx: Transaction, channel_id: ChannelId) -> dict[InventoryKind, int]:
    """Count the items of each kind that a channel has any of."""
    columns = inventory_items.c
    select = sa.select(columns.kind, sa.func.count()).where(columns.channel_id == channel_id).group_by(columns.kind)
    return {InventoryKind(row[0]): row[1] for row in tx.connection.execute(select)}


def write_items(
    tx: Transaction,
    channel_id: ChannelId,
    kind: InventoryKind,
    written: Mapping[str, StoredItem],
    gone: Collection[str],
) -> None:
    """Keep items as they are now, and none of *gone*."""
    for identifiers in slices(sorted(gone)):
        tx.connection.execute(
            sa.delete(inventory_items).where(
                inventory_items.c.channel_id == channel_id,
                inventory_items.c.kind == kind.value,
                inventory_items.c.identifier.in_(identifiers),
            )
        )
    if not written:
        return
    tx.connection.execute(
        _write_items(tx),
        [
            {
                "channel_id": channel_id,
                "kind": kind.value,
                "identifier": identifier,
                "name": one.name,
                "version": one.version,
                "detail": one.detail,
                "since": one.since,
                "changed_at": one.changed_at,
            }
            for identifier, one in written.items()
        ],
    )


@made_once
def _write_items(tx: Transaction) -> sa.Insert:
    insert = tx.insert(inventory_items)
    written: sa.Insert = insert.on_conflict_do_update(
        index_elements=["channel_id", "kind", "identifier"],
        set_={name: insert.excluded[name] for name in ("name", "version", "detail", "since", "changed_at")},
    )
    return written


# --- changes ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class StoredChange:
    """A change, of which kind it is, and when it was learned."""

    at: datetime
    kind: InventoryKind
    change: Change


def append_changes(
    tx: Transaction,
    channel_id: ChannelId,
    kind: InventoryKind,
    changes: Iterable[Change],
    at: datetime,
    new_id: Callable[[], str],
) -> None:
    """Record what changed."""
    rows = [
        {
            "id": new_id(),
            "channel_id": channel_id,
            "at": at,
            "kind": kind.value,
            "name": one.name,
            "before": one.before,
            "after": one.after,
        }
        for one in changes
    ]
    if rows:
        tx.connection.execute(_APPEND, rows)


def changes(
    tx: Transaction, channel_ids: Sequence[ChannelId], *, kind: InventoryKind | None = None, limit: int
) -> tuple[StoredChange, ...]:
    """Read up to *limit* changes of channels, the latest first; of one *kind*, if given."""
    table = inventory_changes.c
    select = sa.select(table.at, table.kind, table.name, table.before, table.after).where(
        table.channel_id.in_(channel_ids)
    )
    if kind is not None:
        select = select.where(table.kind == kind.value)
    return tuple(
        StoredChange(row.at, InventoryKind(row.kind), Change(row.name, row.before, row.after))
        for row in tx.connection.execute(select.order_by(table.at.desc(), table.id.desc()).limit(limit))
    )


def forget_changes(tx: Transaction, now: datetime) -> bool:
    """Forget changes that are older than KEPT_FOR, or some of them; tells whether there are more."""
    table = inventory_changes
    oldest = sa.select(table.c.id).where(table.c.at < now - KEPT_FOR).limit(FORGOTTEN_AT_ONCE)
    gone = sa.delete(table).where(table.c.id.in_(oldest), table.c.at < now - KEPT_FOR)
    return tx.connection.execute(gone).rowcount == FORGOTTEN_AT_ONCE

"""What a device said of itself: facts and lists with the time each was learned, and how they changed."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from muster.domain.inventory.changes import StoredKind
from muster.domain.inventory.kinds import KINDS, InventoryKind
from muster.domain.inventory.schedule import is_stale
from muster.domain.inventory.values import JsonValue, in_words
from muster.protocol.identifiers import ChannelId
from muster.storage import inventory
from muster.storage.engine import Transaction
from muster.storage.schema import channels

CHANGES_SHOWN = 200
"""Changes of a device that are shown."""


@dataclass(frozen=True, slots=True)
class FactRow:
    """A fact. *words* is its value in a line; *is_odd*: it is of another type than Apple's."""

    key: str
    value: JsonValue
    words: str
    learned_at: datetime
    is_stale: bool
    is_odd: bool


@dataclass(frozen=True, slots=True)
class ItemRow:
    """An item of a list."""

    identifier: str
    name: str | None
    version: str | None
    since: datetime
    changed_at: datetime
    detail: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class KindInventory:
    """What is known of one kind. *learned_at* is absent where a list was never told as a whole; *count* is of all its
    items, of which *items* may be the first."""

    kind: InventoryKind
    title: str
    is_list: bool
    learned_at: datetime | None
    is_stale: bool
    facts: tuple[FactRow, ...]
    items: tuple[ItemRow, ...]
    count: int


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """A change, as it was learned. *name* is a fact's key or an item's identifier; empty for those counted only."""

    at: datetime
    kind: InventoryKind
    title: str
    name: str
    before: JsonValue
    after: JsonValue
    words: str


@dataclass(frozen=True, slots=True)
class Inventory:
    """All of one channel, in the order of the kinds; *changes* the latest first."""

    channel_id: ChannelId
    kinds: tuple[KindInventory, ...]
    changes: tuple[ChangeRow, ...]


@dataclass(frozen=True, slots=True)
class ListRow:
    """How many a device named of one kind: apps, profiles, certificates, users. *learned_at*: when it was asked last,
    absent where it never told a list as a whole."""

    kind: InventoryKind
    title: str
    count: int
    learned_at: datetime | None


def lists_of(tx: Transaction, channel_id: ChannelId) -> tuple[ListRow, ...]:
    """Count what a channel named in its lists, in the order of the kinds; those that it was never asked are absent."""
    known = inventory.of_channels(tx, [channel_id]).get(channel_id, {})
    counts = inventory.counts_of(tx, channel_id)
    return tuple(
        ListRow(kind, KINDS[kind].title, counts.get(kind, 0), known[kind].learned_at if kind in known else None)
        for kind in InventoryKind
        if KINDS[kind].items is not None and (kind in known or kind in counts)
    )


def show_inventory(
    tx: Transaction,
    channel_id: ChannelId,
    interval: timedelta,
    now: datetime,
    *,
    kind: InventoryKind | None = None,
    changes: int = CHANGES_SHOWN,
    items: int | None = None,
    others_every: int = 1,
) -> Inventory | None:
    """Read what a channel said of itself, all or one *kind*; None when there is no such channel.

    *interval* and *others_every* are the policy's, by which it is told what is stale.

    *changes* and *items* of each list are how many there are at most; *items* None: all of them.
    """
    if tx.connection.scalar(sa.select(channels.c.id).where(channels.c.id == channel_id)) is None:
        return None
    known = inventory.of_channels(tx, [channel_id]).get(channel_id, {})
    rows = []
    for one in InventoryKind if kind is None else (kind,):
        stored, about = known.get(one), KINDS[one]
        listed = inventory.items(tx, channel_id, one, limit=items) if about.items is not None else {}
        if stored is None and not listed:
            continue
        learned_at = None if stored is None else stored.learned_at
        facts = () if stored is None or about.items is not None else _facts(one, stored, interval, now, others_every)
        rows.append(
            KindInventory(
                one,
                about.title,
                about.items is not None,
                learned_at,
                learned_at is None or is_stale(one, learned_at, interval, now, others_every),
                facts,
                tuple(
                    ItemRow(name, item.name, item.version, item.since, item.changed_at, item.detail)
                    for name, item in listed.items()
                ),
                len(listed) if items is None or len(listed) < items else inventory.count_items(tx, channel_id, one),
            )
        )
    changed = inventory.changes(tx, [channel_id], kind=kind, limit=changes) if changes else ()
    return Inventory(channel_id, tuple(rows), tuple(_change(one) for one in changed))


def _facts(
    kind: InventoryKind, stored: StoredKind, interval: timedelta, now: datetime, others_every: int
) -> tuple[FactRow, ...]:
    rows = []
    for key, fact in sorted(stored.facts.items()):
        at = fact.learned_at or stored.learned_at
        old = is_stale(kind, at, interval, now, others_every)
        rows.append(FactRow(key, fact.value, in_words(fact.value), at, old, fact.is_odd))
    return tuple(rows)


def _change(one: inventory.StoredChange) -> ChangeRow:
    name, before, after = one.change.name, one.change.before, one.change.after
    return ChangeRow(
        one.at, one.kind, KINDS[one.kind].title, name, before, after, _in_words(one.kind, name, before, after)
    )


def _in_words(kind: InventoryKind, name: str, before: JsonValue, after: JsonValue) -> str:
    """Say a change in a line."""
    if not name:
        return f"and {in_words(after)} more"
    if KINDS[kind].items is None:
        return f"{name}: {in_words(before)} → {in_words(after)}"
    if before is None:
        return f"new: {_of_item(name, after)}"
    if after is None:
        return f"gone: {_of_item(name, before)}"
    old, new = (one if isinstance(one, dict) else {} for one in (before, after))
    differences = "; ".join(f"{key} {in_words(old.get(key))} → {in_words(new.get(key))}" for key in new)
    return f"{name}: {differences}"


def _of_item(name: str, shown: JsonValue) -> str:
    if not isinstance(shown, dict):
        return name
    told = " ".join(str(shown[key]) for key in ("name", "version") if shown.get(key) is not None)
    return f"{told} ({name})" if told else name

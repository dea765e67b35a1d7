"""What becomes of the inventory that is stored when an answer is read: what is kept, and what changed.

What a device is first heard to say is no change. An answer that is older than what is stored changes nothing that was
learned since.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from muster.domain.inventory.kinds import VOLATILE
from muster.domain.inventory.learned import Learned, LearnedItem
from muster.domain.inventory.values import Detail, JsonValue
from muster.protocol.records import record

MAXIMUM_CHANGES: Final = 1_000
"""Of one answer, kept one by one: a new system brings a few hundred new versions of applications."""
MAXIMUM_KEPT: Final = 4_000
"""Facts of one kind: twice what is read of one answer. A device that says other keys each time would fill the database;
what was learned longest ago goes first, and its report has it still."""
OTHERS: Final = ""
"""Name of the change that stands for those above MAXIMUM_CHANGES; what it became says how many."""


@record(frozen=True, slots=True)
class StoredFact:
    """A fact as it is kept. *learned_at* is absent when the latest answer had it."""

    value: JsonValue
    learned_at: datetime | None = None
    is_odd: bool = False


@record(frozen=True, slots=True)
class StoredKind:
    """What is kept of one kind. *digest* is that of the latest answer that spoke of all it was to speak of."""

    learned_at: datetime
    digest: bytes
    facts: Mapping[str, StoredFact]


@record(frozen=True, slots=True)
class StoredItem:
    """An item of a list as it is kept; *since* the device named it, without a break."""

    name: str | None
    version: str | None
    detail: Detail
    since: datetime
    changed_at: datetime


@record(frozen=True, slots=True)
class Change:
    """Something that changed: a fact by its key, or an item by its identifier. Absent: it was or is not there."""

    name: str
    before: JsonValue
    after: JsonValue


def digest_of(learned: Learned) -> bytes:
    """Return what tells an answer from another one: SHA-256, 32 bytes."""
    said: dict[str, object] = {name: (one.value, one.is_odd) for name, one in learned.facts.items()}
    said |= {name: one.detail for name, one in learned.items.items()}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).digest()


def repeats(stored: StoredKind | None, learned: Learned, digest: bytes, at: datetime) -> bool:
    """Tell whether an answer of *at* says just what the latest one said, so that its time is all that is new."""
    return stored is not None and learned.is_whole and stored.digest == digest and stored.learned_at <= at


# --- facts ------------------------------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class MergedFacts:
    """What is to be kept of a kind, and what changed. *accepted* are the keys whose value the answer decided."""

    kept: StoredKind
    changes: tuple[Change, ...]
    accepted: frozenset[str]


def merge_facts(stored: StoredKind | None, learned: Learned, digest: bytes, at: datetime) -> MergedFacts:
    """Bring the facts of an answer of *at* together with what is stored: each key keeps what was learned last."""
    if stored is None:
        facts = {name: StoredFact(one.value, None, one.is_odd) for name, one in learned.facts.items()}
        return MergedFacts(StoredKind(at, digest, facts), (), frozenset(facts))
    is_latest = at >= stored.learned_at
    kept = {
        name: StoredFact(one.value, one.learned_at or stored.learned_at, one.is_odd) if is_latest else one
        for name, one in stored.facts.items()
    }
    accepted, changes = set(), []
    for name, one in learned.facts.items():
        before = stored.facts.get(name)
        if before is not None and not is_latest and (before.learned_at or stored.learned_at) >= at:
            continue
        if before is not None and before.value != one.value and name not in VOLATILE:
            changes.append(Change(name, before.value, one.value))
        kept[name] = StoredFact(one.value, None if is_latest else at, one.is_odd)
        accepted.add(name)
    kept = _latest(kept)
    latest = StoredKind(at, digest, kept) if is_latest else StoredKind(stored.learned_at, stored.digest, kept)
    return MergedFacts(latest, bounded(changes), frozenset(accepted))


def _latest(facts: dict[str, StoredFact]) -> dict[str, StoredFact]:
    """Leave out what was learned longest ago where there are more facts than are kept."""
    if len(facts) <= MAXIMUM_KEPT:
        return facts
    older = sorted((one.learned_at, name) for name, one in facts.items() if one.learned_at is not None)
    left_out = {name for _, name in older[: len(facts) - MAXIMUM_KEPT]}
    return {name: one for name, one in facts.items() if name not in left_out}


# --- lists ------------------------------------------------------------------------------------------------------------


@record(frozen=True, slots=True)
class MergedItems:
    """What is to be written of a list's items, by identifier, which are gone, and what changed."""

    written: Mapping[str, StoredItem]
    gone: frozenset[str]
    changes: tuple[Change, ...]


def merge_items(
    stored: Mapping[str, StoredItem], learned: Learned, at: datetime, *, listed_at: datetime | None
) -> MergedItems:
    """Bring the items of an answer of *at* together with what is stored, a list that was whole at *listed_at*.

    Nothing follows from an answer that is older than that list. Items are first learned without a change where no list
    was known, and of what a filter named alone.
    """
    if listed_at is not None and at < listed_at:
        return MergedItems({}, frozenset(), ())
    is_first = listed_at is None
    written: dict[str, StoredItem] = {}
    changes: list[Change] = []
    for identifier, one in learned.items.items():
        before = stored.get(identifier)
        if before is None:
            written[identifier] = StoredItem(one.name, one.version, one.detail, at, at)
            if not is_first:
                changes.append(Change(identifier, None, _shown(one)))
            continue
        detail = {**before.detail, **one.detail} if learned.merges else one.detail
        if before.changed_at > at or before.detail == detail:
            continue
        differing = _differing(before.detail, detail)
        name, version = one.name, one.version
        if learned.merges:
            name, version = name or before.name, version or before.version
        changed_at = at if differing else before.changed_at
        written[identifier] = StoredItem(name, version, detail, before.since, changed_at)
        if differing:
            changes.append(
                Change(
                    identifier,
                    {key: before.detail.get(key) for key in differing},
                    {key: detail.get(key) for key in differing},
                )
            )
    gone = stored.keys() - learned.items.keys() if learned.is_whole else stored.keys() & learned.absent
    gone = {one for one in gone if stored[one].changed_at <= at}
    changes += [
        Change(one, _shown(LearnedItem(stored[one].name, stored[one].version, stored[one].detail)), None)
        for one in sorted(gone)
    ]
    return MergedItems(written, frozenset(gone), bounded(changes))


def _differing(before: Detail, after: Detail) -> tuple[str, ...]:
    """Name the keys that differ, sorted, but for those that always do."""
    keys = before.keys() | after.keys()
    return tuple(sorted(key for key in keys if key not in VOLATILE and before.get(key) != after.get(key)))


def _shown(item: LearnedItem) -> JsonValue:
    """Return what a change says of an item that came or went."""
    return {"name": item.name, "version": item.version}


def bounded(changes: Sequence[Change]) -> tuple[Change, ...]:
    """Keep as many changes as are kept one by one, and count the others in one more."""
    if len(changes) <= MAXIMUM_CHANGES:
        return tuple(changes)
    return (*changes[:MAXIMUM_CHANGES], Change(OTHERS, None, len(changes) - MAXIMUM_CHANGES))

"""What is kept when answers come in any order, and what counts as a change."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from muster.domain.inventory.changes import (
    MAXIMUM_CHANGES,
    MAXIMUM_KEPT,
    OTHERS,
    Change,
    StoredFact,
    StoredItem,
    StoredKind,
    bounded,
    digest_of,
    merge_facts,
    merge_items,
    repeats,
)
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.learned import Learned, LearnedFact, LearnedItem
from muster.domain.inventory.values import JsonValue

T0 = datetime(2026, 11, 22, tzinfo=UTC)
T1 = T0 + timedelta(hours=1)
T2 = T0 + timedelta(hours=2)
APPS = InventoryKind.INSTALLED_APPLICATION_LIST


def facts(**said: JsonValue) -> Learned:
    return Learned(InventoryKind.DEVICE_INFORMATION, {name: LearnedFact(one) for name, one in said.items()}, {})


def stored(**said: JsonValue) -> StoredKind:
    learned = facts(**said)
    return merge_facts(None, learned, digest_of(learned), T1).kept


def apps(*, is_whole: bool = True, absent: frozenset[str] = frozenset(), **versions: str) -> Learned:
    items = {name: LearnedItem(name, one, {"Version": one}) for name, one in versions.items()}
    return Learned(APPS, {}, items, is_whole, absent)


def kept(at: datetime = T0, **versions: str) -> dict[str, StoredItem]:
    return {name: StoredItem(name, one, {"Version": one}, at, at) for name, one in versions.items()}


def changes(merged: tuple[Change, ...]) -> dict[str, tuple[JsonValue, JsonValue]]:
    return {one.name: (one.before, one.after) for one in merged}


def test_what_is_first_said_is_no_change() -> None:
    merged = merge_facts(None, facts(OSVersion="26.0"), b"", T0)

    assert merged.changes == ()
    assert merge_facts(merged.kept, facts(DeviceName="Mac"), b"", T1).changes == ()


def test_changed_value_is_a_change_and_a_volatile_one_is_not() -> None:
    merged = merge_facts(stored(OSVersion="26.0", BatteryLevel=0.8), facts(OSVersion="26.1", BatteryLevel=0.7), b"", T2)

    assert changes(merged.changes) == {"OSVersion": ("26.0", "26.1")}
    assert merged.kept.facts["BatteryLevel"] == StoredFact(0.7)
    assert merged.kept.learned_at == T2


def test_what_an_answer_does_not_speak_of_keeps_its_value_and_its_time() -> None:
    merged = merge_facts(stored(OSVersion="26.0", DeviceName="Mac"), facts(DeviceName="Mac"), b"", T2)

    assert merged.kept.facts == {"OSVersion": StoredFact("26.0", T1), "DeviceName": StoredFact("Mac")}


def test_device_that_says_other_keys_each_time_fills_nothing_for_ever() -> None:
    known = StoredKind(T1, b"", {f"old{number}": StoredFact(number, T0) for number in range(MAXIMUM_KEPT - 1)})
    known = merge_facts(known, facts(Newer=1), b"", T1).kept

    merged = merge_facts(known, facts(Newest=2), b"", T2).kept.facts

    assert len(merged) == MAXIMUM_KEPT
    assert {"Newer", "Newest"} <= merged.keys()
    assert "old0" not in merged


def test_older_answer_adds_what_is_not_known_and_changes_nothing_learned_since() -> None:
    merged = merge_facts(stored(OSVersion="26.1"), facts(OSVersion="26.0", DeviceName="Mac"), b"", T0)

    assert merged.kept.facts == {"OSVersion": StoredFact("26.1"), "DeviceName": StoredFact("Mac", T0)}
    assert merged.kept.learned_at == T1
    assert merged.accepted == {"DeviceName"}
    assert merged.changes == ()


def test_older_answer_changes_what_is_older_still() -> None:
    before = StoredKind(T2, b"", {"OSVersion": StoredFact("26.0", T0)})

    merged = merge_facts(before, facts(OSVersion="26.1"), b"", T1)

    assert merged.kept.facts == {"OSVersion": StoredFact("26.1", T1)}
    assert changes(merged.changes) == {"OSVersion": ("26.0", "26.1")}


def test_answer_that_says_the_same_is_told_by_its_digest() -> None:
    learned = facts(OSVersion="26.0")
    before = stored(OSVersion="26.0")

    assert repeats(before, learned, digest_of(learned), T1)
    assert not repeats(before, learned, digest_of(learned), T0), "an older one has a time of its own"
    assert not repeats(before, learned, digest_of(facts(OSVersion="26.1")), T2)
    assert not repeats(None, learned, digest_of(learned), T1)
    assert digest_of(Learned(learned.kind, {"OSVersion": LearnedFact("26.0", is_odd=True)}, {})) != digest_of(learned)


def test_first_list_is_no_change() -> None:
    merged = merge_items({}, apps(a="1"), T0, listed_at=None)

    assert (list(merged.written), merged.changes) == (["a"], ())


def test_list_tells_what_came_went_and_changed() -> None:
    merged = merge_items(kept(a="1", b="1", c="1"), apps(b="1", c="2", d="1"), T1, listed_at=T0)

    assert changes(merged.changes) == {
        "a": ({"name": "a", "version": "1"}, None),
        "c": ({"Version": "1"}, {"Version": "2"}),
        "d": (None, {"name": "d", "version": "1"}),
    }
    assert merged.gone == {"a"}
    assert merged.written.keys() == {"c", "d"}
    assert (merged.written["c"].since, merged.written["c"].changed_at) == (T0, T1)


def test_filtered_list_makes_nothing_vanish_but_what_it_asked_for() -> None:
    learned = apps(is_whole=False, absent=frozenset({"b", "unknown"}), a="2")

    merged = merge_items(kept(a="1", b="1", c="1"), learned, T1, listed_at=T0)

    assert merged.gone == {"b"}
    assert merged.written.keys() == {"a"}


def test_list_that_is_older_than_the_one_known_changes_nothing() -> None:
    merged = merge_items(kept(a="1"), apps(b="1"), T0, listed_at=T1)

    assert (merged.written, merged.gone, merged.changes) == ({}, frozenset(), ())


def test_item_that_was_learned_since_from_a_filtered_list_stays() -> None:
    merged = merge_items(kept(T2, a="2", b="1"), apps(a="1"), T1, listed_at=T0)

    assert (merged.written, merged.gone) == ({}, frozenset())


def test_item_of_which_some_keys_were_asked_keeps_the_others() -> None:
    before = {"a": StoredItem("A", "1", {"Version": "1", "Name": "A"}, T0, T0)}
    learned = Learned(APPS, {}, {"a": LearnedItem(None, "2", {"Version": "2"})}, is_whole=False, merges=True)

    merged = merge_items(before, learned, T1, listed_at=T0)

    assert merged.written["a"].detail == {"Version": "2", "Name": "A"}
    assert merged.written["a"].name == "A"


def test_volatile_key_of_an_item_is_kept_and_no_change() -> None:
    before = {"a": StoredItem("a", "1", {"DynamicSize": 1}, T0, T0)}
    learned = Learned(APPS, {}, {"a": LearnedItem("a", "1", {"DynamicSize": 2})})

    merged = merge_items(before, learned, T1, listed_at=T0)

    assert merged.written["a"].detail == {"DynamicSize": 2}
    assert (merged.changes, merged.written["a"].changed_at) == ((), T0)


def test_very_many_changes_are_counted() -> None:
    many = [Change(f"{number}", None, "x") for number in range(MAXIMUM_CHANGES + 7)]

    found: Mapping[str, object] = {one.name: one.after for one in bounded(many)}

    assert len(found) == MAXIMUM_CHANGES + 1
    assert found[OTHERS] == 7

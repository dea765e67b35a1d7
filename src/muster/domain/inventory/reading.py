"""What an answer says: facts by key, or the items of a list, held against what the catalogue says of their types.

Whatever a device answers becomes something: a value of another type than Apple's is kept and marked, an unknown key is
kept, what can't be told apart or is too much is left out with a Fault. The report keeps all of it.
"""

import hashlib
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from muster.crypto.certificates import inspect_certificate
from muster.crypto.errors import CryptoError
from muster.domain.command_validation import is_of_kind, kind_of
from muster.domain.faults import Fault
from muster.domain.inventory.kinds import KINDS, NOT_KEPT, InventoryKind, ItemKeys, KindFacts
from muster.domain.inventory.learned import Learned, LearnedFact, LearnedItem
from muster.domain.inventory.values import Detail, JsonValue, to_json
from muster.protocol.catalogue.commands import find_command
from muster.protocol.catalogue.facts import KeyFacts, ValueKind
from muster.protocol.plist import PlistValue

MAXIMUM_FACTS: Final = 2_000
"""Of one answer; Apple names some 150 keys, and a device's restrictions are a few hundred."""
MAXIMUM_ITEMS: Final = 25_000
"""Of one list; a developer's Mac has a few thousand applications. 16 MB of report hold some 50,000."""
MAXIMUM_IDENTIFIER_CHARACTERS: Final = 300
"""Of what tells items apart: it stands in an index. A longer one goes on as its SHA-256."""
MAXIMUM_KEY_CHARACTERS: Final = 200
"""Of a fact's key."""
MAXIMUM_NAME_CHARACTERS: Final = 500
"""Of an item's name or version beside it; its detail has all of it."""
MAXIMUM_FAULTS: Final = 100
"""Told of one answer; a list of a thousand applications may have each fault a thousand times."""


def read_answer(
    kind: InventoryKind, request: Mapping[str, PlistValue], answer: Mapping[str, PlistValue]
) -> tuple[Learned | None, tuple[Fault, ...]]:
    """Read the *answer* to a question with the keys *request*; None where it holds nothing of the kind asked for."""
    about = KINDS[kind]
    faults: list[Fault] = []
    held = answer.get(about.answer_key)
    if kind is InventoryKind.RESTRICTIONS and "ProfileRestrictions" in answer:
        held = {**(held if isinstance(held, dict) else {}), "ProfileRestrictions": answer["ProfileRestrictions"]}
    if about.items is not None:
        learned = _read_list(kind, about, request, held, faults)
    else:
        learned = _read_facts(kind, about, held, faults)
    return learned, tuple(faults[:MAXIMUM_FAULTS])


@cache
def _said_of(kind: InventoryKind) -> KeyFacts | None:
    """What the catalogue says of the key that holds the answer."""
    facts = find_command(kind.value)
    key = KINDS[kind].answer_key
    return None if facts is None else next((one for one in facts.response if one.name == key), None)


# --- facts ------------------------------------------------------------------------------------------------------------


def _read_facts(kind: InventoryKind, about: KindFacts, held: PlistValue | None, faults: list[Fault]) -> Learned | None:
    if not isinstance(held, dict):
        faults.append(_missing(about.answer_key, "dictionary"))
        return None
    facts: dict[str, LearnedFact] = {}
    for where, value, key in _flat(held, _keys_of(kind), ""):
        if len(facts) >= MAXIMUM_FACTS:
            faults.append(Fault(about.answer_key, f"has more than {MAXIMUM_FACTS} keys"))
            break
        path = where
        if kind is InventoryKind.RESTRICTIONS:  # each is a dictionary of its value alone
            path = where.removesuffix(".value").removesuffix(".values")
        name = _bounded(path, MAXIMUM_KEY_CHARACTERS)
        is_odd = key is not None and not is_of_kind(value, key.kind)
        if is_odd and key is not None:
            faults.append(_odd(f"{about.answer_key}.{name}", value, key.kind))
        facts[name] = LearnedFact(to_json(value), is_odd)
    return Learned(kind, facts, {})


def _flat(
    held: Mapping[str, PlistValue], named: Mapping[str, KeyFacts], path: str
) -> Iterator[tuple[str, PlistValue, KeyFacts | None]]:
    """Name each value by its path, going into the dictionaries whose keys Apple names; each with what is said of it."""
    any_name = named.get("")
    for name, value in held.items():
        if name in NOT_KEPT:
            continue
        key = named.get(name, any_name)
        where = f"{path}.{name}" if path else name
        if key is not None and key.kind is ValueKind.DICTIONARY and key.members and isinstance(value, dict):
            yield from _flat(value, _named(key.members), where)
        else:
            yield where, value, key


@cache
def _keys_of(kind: InventoryKind) -> Mapping[str, KeyFacts]:
    """What the catalogue says of the keys of an answer of facts, by name."""
    said = _said_of(kind)
    return _named(() if said is None else said.members)


def _named(members: tuple[KeyFacts, ...]) -> Mapping[str, KeyFacts]:
    """Keys by name; that which stands for all names has none."""
    return {"" if key.stands_for_all else key.name: key for key in members}


# --- lists ------------------------------------------------------------------------------------------------------------


def _read_list(
    kind: InventoryKind,
    about: KindFacts,
    request: Mapping[str, PlistValue],
    held: PlistValue | None,
    faults: list[Fault],
) -> Learned | None:
    assert about.items is not None, "of a list"
    asked_keys, asked_ids = request.get("Items"), request.get("Identifiers")
    if isinstance(asked_keys, list) and "Identifier" not in asked_keys:
        return None  # nothing tells the items apart
    if kind is InventoryKind.MANAGED_APPLICATION_LIST:
        listed = list(held.items()) if isinstance(held, dict) else None
    else:
        listed = [("", one) for one in held] if isinstance(held, list) else None
    if listed is None:
        wanted = "dictionary" if kind is InventoryKind.MANAGED_APPLICATION_LIST else "array"
        faults.append(_missing(about.answer_key, wanted))
        return None
    is_whole = True
    if len(listed) > MAXIMUM_ITEMS:
        faults.append(Fault(about.answer_key, f"has {len(listed)} items, of which {MAXIMUM_ITEMS} are read"))
        listed, is_whole = listed[:MAXIMUM_ITEMS], False
    said = _said_of(kind)
    members = _named(said.members[0].members) if said is not None and said.members else {}
    items: dict[str, LearnedItem] = {}
    places = _first_places(listed) if kind is InventoryKind.INSTALLED_APPLICATION_LIST else {}
    for index, (name, one) in enumerate(listed):
        path = f"{about.answer_key}[{index}]"
        if not isinstance(one, dict):
            faults.append(Fault(path, f"is {_a(kind_of(one))} and no dictionary"))
            continue
        identifier = name or _identifier(kind, about.items, one, places)
        if not identifier:
            faults.append(Fault(path, "has nothing that tells it from the others"))
            continue
        detail = _detail(kind, one, members, path, faults)
        items[_unique(_bounded(identifier, MAXIMUM_IDENTIFIER_CHARACTERS), items)] = LearnedItem(
            _first(detail, about.items.names), _first(detail, about.items.versions), detail
        )
    is_filtered = isinstance(asked_ids, list) or any(request.get(key) is True for key in _FILTERS)
    asked = frozenset(one for one in asked_ids if isinstance(one, str)) if isinstance(asked_ids, list) else frozenset()
    return Learned(kind, {}, items, is_whole and not is_filtered, asked - items.keys(), isinstance(asked_keys, list))


_FILTERS: Final = ("ManagedOnly", "ManagedAppsOnly")
"""Keys of questions by which a list names only some of what is there."""


def _first_places(listed: list[tuple[str, PlistValue]]) -> Mapping[str, str]:
    """Return for each identifier of an application its first path: a Mac may hold one in several places.

    There it goes by the identifier alone, elsewhere with its path.
    """
    places: dict[str, str] = {}
    for _, one in listed:
        match one:
            case {"Identifier": str(identifier), "Path": str(path)}:
                places[identifier] = min(path, places.get(identifier, path))
            case _:
                pass
    return places


def _identifier(
    kind: InventoryKind, keys: ItemKeys, item: Mapping[str, PlistValue], places: Mapping[str, str]
) -> str | None:
    if kind is InventoryKind.CERTIFICATE_LIST:
        data = item.get("Data")
        return hashlib.sha256(data).hexdigest() if isinstance(data, bytes) else None
    for key in keys.identifiers:
        value = item.get(key)
        if isinstance(value, str) and value:
            path = item.get("Path")
            if isinstance(path, str) and places.get(value, path) != path:
                return f"{value} {path}"
            return value
    return None


def _unique(identifier: str, items: Mapping[str, LearnedItem]) -> str:
    """Return *identifier*, numbered where an item before it has the same."""
    if identifier not in items:
        return identifier
    number = 2
    while f"{identifier} #{number}" in items and number < _NUMBERED:
        number += 1
    return f"{identifier} #{number}"


_NUMBERED: Final = 50
"""Items of one identifier that are told apart by a number; thousands of them would be counted through each time."""


def _detail(
    kind: InventoryKind,
    item: Mapping[str, PlistValue],
    members: Mapping[str, KeyFacts],
    path: str,
    faults: list[Fault],
) -> dict[str, JsonValue]:
    detail: dict[str, JsonValue] = {}
    for name, value in item.items():
        if name in NOT_KEPT:
            continue
        key = members.get(name)
        if key is not None and not is_of_kind(value, key.kind) and len(faults) < MAXIMUM_FAULTS:
            faults.append(_odd(f"{path}.{name}", value, key.kind))
        detail[_bounded(name, MAXIMUM_KEY_CHARACTERS)] = to_json(value)
    if kind is InventoryKind.CERTIFICATE_LIST:
        detail |= _certificate(item.get("Data"))
    return detail


def _certificate(data: PlistValue | None) -> dict[str, JsonValue]:
    """Say of a certificate what is asked of it; nothing of one that can't be read."""
    try:
        known = inspect_certificate(data if isinstance(data, bytes) else b"")
    except CryptoError:
        return {}
    return {"NotAfter": to_json(known.not_after), "Issuer": known.issuer, "Subject": known.subject}


def _first(detail: Detail, keys: tuple[str, ...]) -> str | None:
    """Return the first of *keys* that says something, as text."""
    for key in keys:
        value = detail.get(key)
        if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
            return str(value)[:MAXIMUM_NAME_CHARACTERS]
    return None


# --- words ------------------------------------------------------------------------------------------------------------


def _bounded(text: str, most: int) -> str:
    """Return *text*, or as much of it as fits together with the SHA-256 of the whole."""
    if len(text) <= most:
        return text
    return f"{text[: most - 65]} {hashlib.sha256(text.encode(errors='replace')).hexdigest()}"


def _missing(key: str, wanted: str) -> Fault:
    return Fault(key, f"is missing or no {wanted}")


def _odd(path: str, value: PlistValue, wanted: ValueKind) -> Fault:
    return Fault(path, f"is {_a(kind_of(value))} and should be {_a(wanted)}")


def _a(kind: ValueKind) -> str:
    return f"{'an' if kind in (ValueKind.ARRAY, ValueKind.INTEGER) else 'a'} {kind.value}"

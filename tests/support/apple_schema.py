"""Apple's device management schema, read for itself: what is built and answered is held against Apple's own words.

It shares nothing with the catalogue and its generator, so that a fault of theirs shows. The folder of the schema is
named by MUSTER_TEST_APPLE_SCHEMA; without it, or without PyYAML, tests that need it are skipped.
"""

import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from muster.protocol.plist import PlistValue

SCHEMA = "MUSTER_TEST_APPLE_SCHEMA"
Node = Mapping[str, Any]

_TYPES: dict[str, tuple[type, ...]] = {
    "<string>": (str,),
    "<boolean>": (bool,),
    "<integer>": (int,),
    "<real>": (int, float),
    "<date>": (datetime,),
    "<data>": (bytes,),
    "<array>": (list,),
    "<dictionary>": (dict,),
}


@cache
def apple_commands() -> Mapping[str, Node]:
    """The page of each command, by RequestType; skips the test where there is no schema."""
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    if SCHEMA not in os.environ:
        pytest.skip(f"{SCHEMA} does not name a folder of Apple's schema")
    files = sorted((Path(os.environ[SCHEMA]) / "mdm" / "commands").glob("*.yaml"))
    pages = [yaml.safe_load(file.read_text(encoding="utf-8")) for file in files]
    return {page["payload"]["requesttype"]: page for page in pages if "requesttype" in page["payload"]}


def objections_to_request(request_type: str, keys: Mapping[str, PlistValue]) -> list[str]:
    """What Apple's schema has against a request with these keys, by path."""
    return list(_dictionary("", apple_commands()[request_type].get("payloadkeys") or [], keys, None))


def objections_to_answer(request_type: str, keys: Mapping[str, PlistValue], family: str) -> list[str]:
    """What Apple's schema has against an answer with these keys by a device of *family*, by path."""
    return list(_dictionary("", apple_commands()[request_type].get("responsekeys") or [], keys, family))


def _dictionary(path: str, keys: list[Node], given: Mapping[str, PlistValue], family: str | None) -> Iterator[str]:
    named = {key["key"]: key for key in keys}
    anything = [key for name, key in named.items() if name.startswith("ANY") or name == "Category Name"]
    for name, key in named.items():
        if key in anything:
            continue
        if name in given:
            if family is not None and not _is_for(key, family):
                yield f"{path}.{name} is not for {family}"
            yield from _value(f"{path}.{name}", key, given[name], family)
        elif key.get("presence") == "required" and (family is None or _is_for(key, family)):
            yield f"{path}.{name} is missing"
    for name in given.keys() - named.keys():
        if anything:
            yield from _value(f"{path}.{name}", anything[0], given[name], family)
        elif named:  # of a dictionary that lists no keys nothing is known
            yield f"{path}.{name} is unknown"


def _value(path: str, key: Node, value: PlistValue, family: str | None) -> Iterator[str]:
    kind = key["type"]
    if kind == "<any>":
        return
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "<boolean>"):
        yield f"{path} is no {kind}"
        return
    subkeys = key.get("subkeys") or []
    allowed = key.get("rangelist")
    if allowed and value not in allowed:
        yield f"{path} is none of the values allowed"
    if isinstance(value, dict) and subkeys:
        yield from _dictionary(path, subkeys, value, family)
    if isinstance(value, list) and subkeys:
        for index, item in enumerate(value):
            yield from _item(f"{path}[{index}]", subkeys, item, family)


def _item(path: str, kinds: list[Node], item: PlistValue, family: str | None) -> Iterator[str]:
    """One item of an array: it must be of one of the kinds."""
    objections = [list(_value(path, kind, item, family)) for kind in kinds]
    yield from min(objections, key=len)


def _is_for(key: Node, family: str) -> bool:
    support = (key.get("supportedOS") or {}).get(family) or {}
    return support.get("introduced") != "n/a"

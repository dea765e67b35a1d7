"""Queries find in the database what they mean, on both engines."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.support.fleet import add_device, add_user
from tests.support.runner import NOW

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast
from muster.domain.os_versions import sortable
from muster.domain.queries.evaluation import Fact, Item, matches
from muster.domain.queries.fields import FIELDS, FieldKind
from muster.domain.queries.parser import parse_query
from muster.domain.queries.syntax import AllOf, AnyOf, IsMember, Not, Query
from muster.protocol.identifiers import ChannelId
from muster.storage import queries, schema
from muster.storage.engine import Engine, Transaction


def test_every_field_comes_from_somewhere() -> None:
    scalars = [one for one in FIELDS.values() if one.kind not in (FieldKind.LIST, FieldKind.GROUP)]
    lists = [one.name for one in FIELDS.values() if one.kind is FieldKind.LIST]

    assert [one.name for one in scalars if queries.column_of(one.name) is None] == []
    assert lists == list(queries.ITEM_KINDS)


# --- what is stored ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Device:
    """A device as it is stored. None: not known."""

    name: str | None = None
    serial: str | None = None
    platform: str | None = None
    os_version: str | None = None
    is_supervised: bool | None = None
    last_contact: datetime | None = None
    identity_expires: datetime | None = None
    verdict: tuple[ControlState, Reason, datetime, int, Forecast] | None = None
    apps: tuple[Item, ...] | None = None
    groups: tuple[str, ...] = ()

    def facts(self, device_id: str) -> Mapping[str, Fact]:
        """What the pure evaluation is given."""
        known: dict[str, Fact | None] = {
            "id": device_id,
            "state": "enrolled",
            "kind": "Device",
            "name": self.name,
            "serial": self.serial,
            "platform": self.platform,
            "os_version": self.os_version,
            "is_supervised": self.is_supervised,
            "last_contact": self.last_contact,
            "identity_expires": self.identity_expires,
            **dict(zip(("control", "reason", "control_since", "proof", "forecast"), self.verdict or (), strict=False)),
            "app": self.apps,
            "group": tuple(Item(one) for one in self.groups),
        }
        return {name: value for name, value in known.items() if value is not None}


def store(engine: Engine, devices: Mapping[str, Device]) -> None:
    """Store devices, and the groups that they are in, in one transaction."""
    rows: dict[sa.Table, list[dict[str, Any]]] = {
        table: []
        for table in (
            schema.authorities,
            schema.identities,
            schema.channels,
            schema.verdicts,
            schema.device_facts,
            schema.inventory,
            schema.inventory_items,
            schema.device_groups,
            schema.group_members,
        )
    }
    rows[schema.authorities].append(
        {"fingerprint": b"a", "certificate_der": b"", "key_sealed": b"", "created_at": NOW, "is_current": True}
    )
    for name in ("lab", "desk"):
        rows[schema.device_groups].append(
            {"id": name, "name": name, "name_key": name, "created_at": NOW, "created_by": "ana"}
        )
    for number, (id_, device) in enumerate(devices.items()):
        pin = None if device.identity_expires is None else number.to_bytes(32, "big")
        if pin is not None:
            rows[schema.identities].append(
                {
                    "fingerprint": pin,
                    "certificate_der": b"",
                    "authority": b"a",
                    "provenance": "link",
                    "issued_at": NOW,
                    "not_after": device.identity_expires,
                }
            )
        rows[schema.channels].append(
            {
                "id": id_,
                "device_id": id_,
                "kind": "Device",
                "state": "enrolled",
                "epoch": 1,
                "first_seen_at": NOW,
                "last_contact_at": device.last_contact,
                "pin": pin,
            }
        )
        if device.verdict is not None:
            rows[schema.verdicts].append(verdict_row(id_, *device.verdict))
        rows[schema.device_facts].append(
            {
                "channel_id": id_,
                "device_name": device.name,
                "serial_number": device.serial,
                "family": device.platform,
                "os_version": device.os_version,
                "os_version_key": sortable(device.os_version),
                "is_supervised": device.is_supervised,
                "learned_at": NOW,
            }
        )
        kind = queries.ITEM_KINDS["app"]
        if device.apps is not None:
            rows[schema.inventory].append(
                {"channel_id": id_, "kind": kind, "learned_at": NOW, "digest": b"", "facts": {}}
            )
        for item in {one.identifier: one for one in device.apps or ()}.values():
            rows[schema.inventory_items].append(
                {
                    "channel_id": id_,
                    "kind": kind,
                    "identifier": item.identifier,
                    "version": item.version,
                    "detail": {},
                    "since": NOW,
                    "changed_at": NOW,
                }
            )
        rows[schema.group_members] += [
            {"group_id": one, "device_id": id_, "added_at": NOW} for one in set(device.groups)
        ]

    def work(tx: Transaction) -> None:
        for table in reversed(rows):
            tx.connection.execute(sa.delete(table))
        for table, some in rows.items():
            if some:
                tx.connection.execute(sa.insert(table), some)

    engine.write(work)


def verdict_row(
    id_: str, state: ControlState, reason: Reason, since: datetime, proof: int, forecast: Forecast
) -> dict[str, Any]:
    said = {"state": state.value, "reason": reason.value, "since": since, "forecast": forecast.value}
    times = {"noticed_at": NOW, "judged_at": NOW, "proof_level": proof, "is_push_proved": False}
    texts = {"change_id": id_, "sentence": "", "next_step": ""}
    lists: dict[str, Any] = {"candidates": [], "evidence": [], "others": [], "notes": []}
    return {"channel_id": id_, **said, **times, **texts, **lists}


def found(engine: Engine, query: Query | str, **options: Any) -> list[str]:
    parsed = parse_query(query) if isinstance(query, str) else query
    return list(engine.read(lambda tx: queries.find(tx, parsed, NOW, **{"after": None, "limit": 1000, **options})))


# --- both mean the same -----------------------------------------------------------------------------------------------

TEXTS = st.sampled_from(["", "a", "A", "ab", "a%", "_b", "\\", "\u00c4", "\u00e4", "Ab", "b'a", "100%"])
VERSIONS = st.sampled_from(["26", "26.0", "26.1", "26.10", "26.9", "260", "0", "15.4.1", "beta"])
INSTANTS = st.integers(-3, 3).map(lambda days: NOW + timedelta(days=days))
IDENTIFIERS = st.sampled_from(["com.a", "com.A", "com.a.b", "com.b", "x%"])
ITEMS = st.lists(
    st.builds(Item, IDENTIFIERS, st.none() | VERSIONS), max_size=3, unique_by=lambda item: item.identifier
).map(tuple)
DEVICES = st.builds(
    Device,
    name=st.none() | TEXTS,
    serial=st.none() | TEXTS,
    platform=st.none() | st.sampled_from(["macOS", "iOS"]),
    os_version=st.none() | VERSIONS,
    is_supervised=st.none() | st.booleans(),
    last_contact=st.none() | INSTANTS,
    verdict=st.none()
    | st.tuples(
        st.sampled_from([ControlState.IN_CONTROL, ControlState.AT_RISK, ControlState.ENDED]),
        st.sampled_from([Reason.NONE, Reason.SILENT]),
        INSTANTS,
        st.integers(0, 4),
        st.sampled_from(Forecast),
    ),
    identity_expires=st.none() | INSTANTS,
    apps=st.none() | ITEMS,
    groups=st.lists(st.sampled_from(["lab", "desk"]), unique=True).map(tuple),
)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


SOME_TEXT = TEXTS.filter(bool).map(quoted)
SOME_VERSION = VERSIONS.filter(lambda one: one != "beta").map(quoted)
ORDER = st.sampled_from(["<", "<=", ">", ">="])
CONDITIONS = st.one_of(
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["name", "serial"]),
        st.sampled_from(["=", "!=", "contains", "not contains", "starts with", "not starts with"]),
        SOME_TEXT,
    ),
    st.builds("name in ({}, {})".format, SOME_TEXT, SOME_TEXT),
    st.builds("serial not in ({}, {})".format, SOME_TEXT, SOME_TEXT),
    st.builds("platform {} '{}'".format, st.sampled_from(["=", "!="]), st.sampled_from(["macOS", "iOS", "tvOS"])),
    st.builds(
        "control {} ('in_control', '{}')".format,
        st.sampled_from(["in", "not in"]),
        st.sampled_from(["at_risk", "ended"]),
    ),
    st.sampled_from(["reason = 'silent'", "reason != 'none'", "forecast != 'by_itself'"]),
    st.builds("proof {} {}".format, ORDER | st.sampled_from(["=", "!="]), st.integers(0, 4)),
    st.builds("os_version {} {}".format, ORDER | st.sampled_from(["=", "!=", "starts with"]), SOME_VERSION),
    st.builds("os_version in ({}, {})".format, SOME_VERSION, SOME_VERSION),
    st.sampled_from(["is_supervised", "is_supervised = false", "is_supervised != true"]),
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["last_contact", "identity_expires", "control_since"]),
        ORDER,
        st.sampled_from(["1 day ago", "now", "in 2 days", "'2026-11-23'", "monday", "today", "yesterday"]),
    ),
    st.builds(
        "app {} {}".format,
        st.sampled_from(["=", "!=", "contains", "not contains", "starts with"]),
        IDENTIFIERS.map(quoted),
    ),
    st.builds("app {} {} version {} {}".format, st.sampled_from(["=", "!=", "starts with"]), IDENTIFIERS.map(quoted),
              ORDER | st.sampled_from(["=", "starts with"]), SOME_VERSION),
    st.builds("app in ({}, {})".format, IDENTIFIERS.map(quoted), IDENTIFIERS.map(quoted)),
    st.builds(
        "{} is {}".format,
        st.sampled_from(["name", "os_version", "is_supervised", "last_contact", "app", "control", "proof", "way"]),
        st.sampled_from(["known", "unknown"]),
    ),
).map(parse_query)  # fmt: skip
QUERIES: st.SearchStrategy[Query] = st.recursive(
    CONDITIONS | st.builds(IsMember, st.sampled_from(["lab", "desk"])),
    lambda parts: st.one_of(
        st.builds(Not, parts),
        st.builds(AllOf, st.tuples(parts, parts)),
        st.builds(AnyOf, st.tuples(parts, parts)),
    ),
    max_leaves=5,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(devices=st.lists(DEVICES, min_size=1, max_size=6), asked=st.lists(QUERIES, min_size=1, max_size=8))
def test_database_finds_what_a_query_means(engine: Engine, devices: list[Device], asked: list[Query]) -> None:
    by_id = {f"D{number}": device for number, device in enumerate(devices)}
    store(engine, by_id)

    for query in asked:
        expected = [id_ for id_, device in by_id.items() if matches(query, device.facts(id_), NOW)]
        assert found(engine, query) == expected


# --- by name ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def fleet(engine: Engine) -> Engine:
    """A Mac with a user, an iPad, and one of which nothing is known."""
    add_device(engine, "MAC", name="Ada's Mac", os_version="25.9", contacts=[NOW], identity_not_after=NOW)
    add_user(engine, "MAC", "ADA", "ada")
    add_device(engine, "PAD", name="Front desk", os_version="26.1", state="ended")
    add_device(engine, "WHO")
    facts = schema.device_facts
    families = {"MAC": ("macOS", "000000025.000000009"), "PAD": ("iOS", "000000026.000000001")}

    def work(tx: Transaction) -> None:
        for id_, (family, key) in families.items():
            values = {"family": family, "os_version_key": key}
            tx.connection.execute(sa.update(facts).where(facts.c.channel_id == id_).values(values))

    engine.write(work)
    return engine


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("platform = 'macOS' and os_version < '26'", ["MAC"]),
        ("state = 'ended'", ["PAD"]),
        ("state is known", ["MAC", "PAD", "WHO"]),
        ("os_version is unknown", ["WHO"]),
        ("identity_expires <= now", ["MAC"]),
        ("kind = 'Device'", ["MAC", "PAD", "WHO"]),
        ("user = 'ada'", []),
    ],
)
def test_devices_are_found(fleet: Engine, text: str, expected: list[str]) -> None:
    assert found(fleet, text) == expected


def test_users_channels_are_found_by_their_devices_facts(fleet: Engine) -> None:
    assert found(fleet, "platform = 'macOS'", users=True) == ["MAC:ADA"]
    assert found(fleet, "user = 'ADA' and identity_expires is known", users=True) == ["MAC:ADA"]
    assert found(fleet, "platform = 'macOS'", users=None) == ["MAC", "MAC:ADA"]


def test_what_is_found_is_read_in_parts_and_counted(fleet: Engine) -> None:
    everything = parse_query("state is known")

    assert found(fleet, everything, limit=2) == ["MAC", "PAD"]
    assert found(fleet, everything, limit=2, after=ChannelId("PAD")) == ["WHO"]
    assert fleet.read(lambda tx: queries.count(tx, everything, NOW)) == 3
    assert fleet.read(lambda tx: queries.count(tx, everything, NOW, users=None)) == 4


@pytest.mark.parametrize(
    "text",
    [
        " or ".join(["app = 'x' version < 2"] * 100),
        " and ".join(["serial is known"] * 100),
        "not " * 20 + "is_supervised",
        "(" * 20 + "is_supervised" + ")" * 20,
        " or ".join("serial in (" + ",".join(["'A'"] * 999) + ")" for _ in range(10)),
    ],
)
def test_largest_queries_are_within_what_databases_take(fleet: Engine, text: str) -> None:
    assert found(fleet, text) == []


def test_most_nested_query_is_within_what_databases_take(fleet: Engine) -> None:
    query = parse_query("is_supervised")
    other = parse_query("os_version is known and name is known")
    for number in range(20):
        query = AnyOf((other, Not(query))) if number % 2 else AllOf((other, Not(query)))

    assert "PAD" in found(fleet, query)

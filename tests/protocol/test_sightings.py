"""What witnesses post: read as a whole or refused as a whole, every fault by its place."""

import contextlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from muster.protocol.sightings import (
    MAX_AGE,
    MAX_AHEAD,
    MAX_BODY_BYTES,
    MAX_DETAIL_CHARACTERS,
    MAX_DETAILS,
    MAX_FAULTS,
    MAX_IDENTIFIER_CHARACTERS,
    MAX_SIGHTINGS,
    MalformedSightings,
    Sighting,
    read_sightings,
)

NOW = datetime(2026, 11, 22, 14, 31, 7, tzinfo=UTC)
SERIAL = {"serial": "C02XK1LYJGH5"}


def seen(**keys: Any) -> dict[str, Any]:
    return {"device": SERIAL, "at": NOW.isoformat(), **keys}


def post(*items: Any) -> bytes:
    return json.dumps({"sightings": items}).encode()


@pytest.mark.parametrize(
    ("item", "sighting"),
    [
        (seen(), Sighting(NOW, serial_number="C02XK1LYJGH5")),
        (seen(device={"udid": "X"}), Sighting(NOW, udid="X")),
        (seen(at="2026-11-22T15:31:07+01:00"), Sighting(NOW, serial_number="C02XK1LYJGH5")),
        (seen(at=(NOW + MAX_AHEAD).isoformat()), Sighting(NOW, serial_number="C02XK1LYJGH5")),
        (seen(network="198.51.100.7"), Sighting(NOW, None, "C02XK1LYJGH5", "198.51.100.7")),
        (seen(network="2001:DB8::1", says_unmanaged=True), Sighting(NOW, None, "C02XK1LYJGH5", "2001:db8::1", True)),
        (
            seen(detail={"user": "ada", "uptime": 7, "is_locked": False}),
            Sighting(NOW, None, "C02XK1LYJGH5", detail={"user": "ada", "uptime": 7, "is_locked": False}),
        ),
    ],
)
def test_sighting_is_read(item: dict[str, Any], sighting: Sighting) -> None:
    assert read_sightings(post(item), NOW) == (sighting,)


def test_post_may_hold_as_many_as_said_and_none() -> None:
    assert len(read_sightings(post(*[seen()] * MAX_SIGHTINGS), NOW)) == MAX_SIGHTINGS
    assert read_sightings(post(), NOW) == ()


@pytest.mark.parametrize(
    ("item", "pointer"),
    [
        (7, "/sightings/1"),
        (seen(device=None), "/sightings/1/device"),
        (seen(device={}), "/sightings/1/device"),
        (seen(device={"udid": "X", "serial": "Y"}), "/sightings/1/device"),
        (seen(device={"serial": ""}), "/sightings/1/device"),
        (seen(device={"serial": "x" * (MAX_IDENTIFIER_CHARACTERS + 1)}), "/sightings/1/device"),
        (seen(device={"serial": "\0"}), "/sightings/1/device"),
        (seen(device={"serial": "\ud800"}), "/sightings/1/device"),
        (seen(device={"imei": "X"}), "/sightings/1/device"),
        (seen(at=None), "/sightings/1/at"),
        (seen(at=1763822467), "/sightings/1/at"),
        (seen(at="2026-11-22T14:31:07"), "/sightings/1/at"),
        (seen(at="yesterday"), "/sightings/1/at"),
        (seen(at="0001-01-01T00:00:00+23:59"), "/sightings/1/at"),
        (seen(at=(NOW - MAX_AGE - timedelta(seconds=1)).isoformat()), "/sightings/1/at"),
        (seen(at=(NOW + MAX_AHEAD + timedelta(seconds=1)).isoformat()), "/sightings/1/at"),
        (seen(network="the office"), "/sightings/1/network"),
        (seen(network=3325256711), "/sightings/1/network"),
        (seen(network="2001:db8::1%\0"), "/sightings/1/network"),
        (seen(says_unmanaged="no"), "/sightings/1/says_unmanaged"),
        (seen(detail=[]), "/sightings/1/detail"),
        (seen(detail={str(number): 1 for number in range(MAX_DETAILS + 1)}), "/sightings/1/detail"),
        (seen(detail={"a/b~c": {"deeper": 1}}), "/sightings/1/detail/a~1b~0c"),
        (seen(detail={"x": "x" * (MAX_DETAIL_CHARACTERS + 1)}), "/sightings/1/detail/x"),
        (seen(detail={"x": 1.5}), "/sightings/1/detail/x"),
        (seen(detail={"x": 2**53}), "/sightings/1/detail/x"),
        (seen(sayz_unmanaged=True), "/sightings/1/sayz_unmanaged"),
    ],
    ids=lambda value: repr(value)[:60],
)
def test_fault_is_told_by_its_place(item: Any, pointer: str) -> None:
    with pytest.raises(MalformedSightings) as raised:
        read_sightings(post(seen(), item), NOW)

    assert [fault.pointer for fault in raised.value.faults] == [pointer]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        (b"", ""),
        (b"{", ""),
        (b"[]", ""),
        (b"[" * 100_000, ""),
        (b'{"sightings": {}}', ""),
        (b'{"sightings": [], "more": 1}', ""),
        (b'{"sightings": [NaN]}', ""),
        (post(*[1] * (MAX_SIGHTINGS + 1)), "/sightings"),
        (b" " * (MAX_BODY_BYTES + 1), ""),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_body_that_is_no_post_is_refused(body: bytes, pointer: str) -> None:
    with pytest.raises(MalformedSightings) as raised:
        read_sightings(body, NOW)

    assert [fault.pointer for fault in raised.value.faults] == [pointer]


def test_so_many_faults_are_named_and_no_more() -> None:
    with pytest.raises(MalformedSightings) as raised:
        read_sightings(post(*range(MAX_FAULTS + 5)), NOW)

    assert len(raised.value.faults) == MAX_FAULTS


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["sightings", "device", "udid", "serial", "at", "network", "says_unmanaged", "detail"])
            | st.text(max_size=3),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=60) | _VALUES.map(lambda value: json.dumps({"sightings": [value]}).encode()))
def test_any_bytes_are_sightings_or_refused(body: bytes) -> None:
    with contextlib.suppress(MalformedSightings):
        assert all(NOW - MAX_AGE <= one.at <= NOW for one in read_sightings(body, NOW))

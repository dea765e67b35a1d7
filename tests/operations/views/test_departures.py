"""How it stands with letting a device go, in words."""

from datetime import timedelta

import pytest
from tests.support import fleet
from tests.support.instants import NOON

from muster.domain.letting_go import Departure, DepartureKind
from muster.operations.views.departures import departure_of, same_serial_as
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import departures
from muster.storage.engine import Engine

A = ChannelId("A")
LATER = NOON + timedelta(hours=1)


def add(engine: Engine, number: int, **fields: object) -> None:
    made = {
        "id": str(number),
        "device_id": DeviceId("A"),
        "kind": DepartureKind.REJECT,
        "epoch": 1,
        "ordered_at": NOON + timedelta(minutes=number),
        "ordered_by": "ana",
    } | fields
    engine.write(lambda tx: departures.add(tx, Departure(**made)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "It was rejected by ana on 2026-11-02 12:01 UTC; it has not come to be turned away yet."),
        ({"delivered_at": LATER}, "turned away at every contact, first on 2026-11-02 13:00 UTC."),
        ({"kind": DepartureKind.UNENROLL}, "it has not answered yet."),
        ({"kind": DepartureKind.UNENROLL, "failed_at": LATER}, "it answered that it can't, and stays enrolled."),
        ({"kind": DepartureKind.UNENROLL, "delivered_at": LATER}, "and done on 2026-11-02 13:00 UTC."),
    ],
)
def test_departure_is_told_in_a_sentence(engine: Engine, fields: dict[str, object], words: str) -> None:
    fleet.add_device(engine, "A")
    add(engine, 1, **fields)

    row = engine.read(lambda tx: departure_of(tx, A))

    assert row is not None
    assert row.words.endswith(words)


@pytest.mark.parametrize(
    "fields", [{"withdrawn_at": LATER}, {"epoch": 0}, {"kind": DepartureKind.ON_ENROLL}, {"device_id": DeviceId("B")}]
)
def test_what_does_not_stand_is_not_told(engine: Engine, fields: dict[str, object]) -> None:
    fleet.add_device(engine, "A")
    add(engine, 1, **fields)

    assert engine.read(lambda tx: departure_of(tx, A)) is None


def test_the_latest_that_stands_is_told(engine: Engine) -> None:
    fleet.add_device(engine, "A")
    add(engine, 1, ordered_by="ana")
    add(engine, 2, ordered_by="bea")
    add(engine, 3, ordered_by="cleo", withdrawn_at=LATER)

    row = engine.read(lambda tx: departure_of(tx, A))

    assert row is not None
    assert row.ordered_by == "bea"


def test_devices_with_one_serial_number_name_each_other(engine: Engine) -> None:
    for device_id, serial_number in (("A", "C02"), ("B", "C02"), ("C", None), ("D", "C03"), ("E", None)):
        fleet.add_device(engine, device_id, serial_number=serial_number)

    named = {name: engine.read(lambda tx, name=name: same_serial_as(tx, ChannelId(name))) for name in "ABCDE"}  # type: ignore[misc]

    assert named == {"A": ("B",), "B": ("A",), "C": (), "D": (), "E": ()}

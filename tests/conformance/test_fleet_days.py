"""The fleet's days are kept alike on both engines, once each."""

import sqlalchemy as sa
from tests.conformance.fleet import after, enroll, rows
from tests.support.instants import NOON

from muster.domain.control.contact import ContactDay
from muster.domain.control.fleet_activity import UNKNOWN_FLEET, FleetDay
from muster.domain.control.rhythm import fold_rhythm, read_rhythm
from muster.domain.enrollment import EndReason
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, fleet_days
from muster.storage.engine import Engine
from muster.storage.fleet_days import DAYS_KEPT
from muster.storage.schema import fleet_days as table

DAY = FleetDay(20_000, 40, 38, 37.5)
HOLIDAY = FleetDay(20_001, 40, 2, 37.5)


def keep(engine: Engine, *days: FleetDay) -> None:
    engine.write(lambda tx: fleet_days.keep(tx, days))


def test_nothing_measured_is_the_unknown_fleet(engine: Engine) -> None:
    keep(engine)

    assert engine.read(fleet_days.last_day) is None
    assert engine.read(lambda tx: fleet_days.activity(tx, DAY.day)) == UNKNOWN_FLEET


def test_kept_days_are_what_the_fleet_does(engine: Engine) -> None:
    keep(engine, DAY, HOLIDAY)

    activity = engine.read(lambda tx: fleet_days.activity(tx, HOLIDAY.day + 1))

    assert engine.read(fleet_days.last_day) == HOLIDAY.day
    assert activity.low == {HOLIDAY.day: 2 / 37.5}


def test_day_that_another_node_kept_stays_as_it_is(engine: Engine) -> None:
    keep(engine, DAY)

    keep(engine, FleetDay(DAY.day, 1, 1, 1.0), HOLIDAY)

    kept = [
        FleetDay(row.day, row.active, row.heard, row.expected)
        for row in rows(engine, sa.select(table).order_by(table.c.day))
    ]
    assert kept == [DAY, HOLIDAY]


def test_days_of_more_than_a_year_ago_go(engine: Engine) -> None:
    keep(engine, FleetDay(DAY.day - DAYS_KEPT, 1, 1, 1.0), FleetDay(DAY.day - DAYS_KEPT - 1, 1, 1, 1.0))

    keep(engine, DAY)

    assert [row.day for row in rows(engine, sa.select(table.c.day).order_by(table.c.day))] == [
        DAY.day - DAYS_KEPT,
        DAY.day,
    ]


def test_rhythms_are_those_of_enrolled_devices_that_were_heard(engine: Engine) -> None:
    enroll(engine, "A", "A:ada", "B", "C")
    for name in ("A", "A:ada", "C"):
        day = ContactDay(20_000, b"\x01")
        sketch = fold_rhythm(None, 20_000)
        engine.write(
            lambda tx, name=name, sketch=sketch, day=day: enrollments.touch(  # type: ignore[misc]
                tx, ChannelId(name), at=NOON, day=day, rhythm=sketch, source=None
            )
        )
    engine.write(
        lambda tx: enrollments.set_ended(tx, [ChannelId("C")], at=after(hours=1), reason=EndReason.CHECKED_OUT)
    )

    assert engine.read(fleet_days.rhythms) == [read_rhythm(fold_rhythm(None, 20_000))]

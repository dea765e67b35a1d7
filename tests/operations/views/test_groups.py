"""Groups are shown with whom they have and what is wrong with them; queries are tried; on both engines."""

import pytest
from tests.support.fleet import add_device
from tests.support.runner import NOW, InlineRunner

from muster.domain.errors import Refusal
from muster.operations.manage_groups import GroupOrder, create_groups
from muster.operations.views.groups import (
    TRIED_SHOWN,
    Tried,
    devices_named,
    list_groups,
    show_group,
    try_query,
)
from muster.storage import groups
from muster.storage.engine import Engine


@pytest.fixture
def fleet(engine: Engine) -> None:
    """Twelve devices, two of them with one serial number."""
    for number in range(12):
        add_device(engine, f"DEV-{number:02}", serial_number=f"C02X{max(number, 1)}")


def test_a_query_is_tried_and_some_are_named(engine: Engine, fleet: None) -> None:
    tried = engine.read(lambda tx: try_query(tx, "state = 'enrolled'", NOW))

    assert isinstance(tried, Tried)
    assert (tried.devices, len(tried.names), tried.names[0]) == (12, TRIED_SHOWN, "C02X1")
    assert engine.read(lambda tx: try_query(tx, "serial = 'NONE'", NOW)) == Tried(0, ())
    assert isinstance(engine.read(lambda tx: try_query(tx, "serial =", NOW)), Refusal)


def test_devices_are_named_by_serial_number_or_id(engine: Engine, fleet: None) -> None:
    named = ["c02x5", "DEV-03", "C02X1", "NOBODY", "DEV-03", "\x00"]

    found = engine.read(lambda tx: devices_named(tx, named))

    assert found == ("DEV-05", "DEV-03", "DEV-00", "DEV-01", "NOBODY", "\x00")


def test_one_group_is_shown_as_in_the_list(engine: Engine, fleet: None) -> None:
    context = InlineRunner(engine).context()
    engine.write(lambda tx: create_groups(tx, [GroupOrder("Mine", "serial = 'C02X1'"), GroupOrder("empty")], context))
    [group] = [one for one in engine.read(groups.read_all).values() if one.name == "empty"]

    listed = {row.name: row for row in engine.read(lambda tx: list_groups(tx, NOW))}
    shown = engine.read(lambda tx: show_group(tx, "mine", NOW))

    assert shown == listed["Mine"]
    assert (listed["Mine"].devices, listed["empty"].devices, group.query) == (2, 0, None)
    assert listed["not-in-control"].created_at is None
    assert engine.read(lambda tx: show_group(tx, "nobody's", NOW)) is None


def test_a_query_that_can_not_be_read_any_more_is_a_fault(engine: Engine) -> None:
    context = InlineRunner(engine).context()
    engine.write(lambda tx: create_groups(tx, [GroupOrder("old", "state = 'enrolled'")], context))
    [group] = [one for one in engine.read(groups.read_all).values() if one.name == "old"]
    engine.write(lambda tx: groups.set_query(tx, group.id, "colour = 'red'"))

    row = engine.read(lambda tx: show_group(tx, "old", NOW))

    assert row is not None
    assert (row.devices, row.fault.startswith("the query is wrong at column 1")) == (None, True)


def test_counting_stops_where_it_takes_too_long_and_the_rest_is_listed(engine: Engine, fleet: None) -> None:
    context = InlineRunner(engine).context()
    engine.write(lambda tx: create_groups(tx, [GroupOrder("zebras", "serial = 'C02X1'")], context))
    answers = iter([True])

    rows = engine.read(lambda tx: list_groups(tx, NOW, may_count=lambda: next(answers, False)))

    assert {row.name: row.devices for row in rows if row.devices is not None} == {"zebras": 2}
    assert [row.fault for row in rows] == [""] * len(rows)
    assert rows[-1].name == "zebras"

"""The list of devices and one device, on both engines."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support import fleet
from tests.support.runner import NOW
from tests.support.verdicts import hold

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.operations.views import device_lists
from muster.operations.views.device_lists import DeviceOrder, DeviceQuery, browse_devices, list_devices
from muster.operations.views.devices import show_device
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Engine


def _ids(engine: Engine, query: DeviceQuery) -> list[str]:
    return [row.id for row in engine.read(lambda tx: list_devices(tx, query)).rows]


def test_user_channels_are_no_devices(engine: Engine) -> None:
    fleet.add_device(engine, "A")
    fleet.add_user(engine, "A", "U1", "ana")

    page = engine.read(lambda tx: list_devices(tx, DeviceQuery()))

    assert [(row.id, row.user_channels) for row in page.rows] == [("A", 1)]
    assert page.total == 1


@pytest.mark.parametrize("order", DeviceOrder)
def test_pages_together_hold_every_device_once_and_in_order(engine: Engine, order: DeviceOrder) -> None:
    for number in range(7):
        # two were never in contact, two pairs at the same moment
        contacts = [NOW - timedelta(hours=number // 2)] if number < 5 else []
        fleet.add_device(engine, f"D{number}", contacts=contacts)

    whole = _ids(engine, DeviceQuery(order=order))
    pages: list[str] = []
    after: ChannelId | None = None
    while True:
        query = DeviceQuery(order=order, limit=3, after=after)
        page = engine.read(lambda tx, query=query: list_devices(tx, query))  # type: ignore[misc] # bound now
        pages += [row.id for row in page.rows]
        after = page.next_after
        if after is None:
            break

    assert pages == whole
    assert sorted(pages) == [f"D{number}" for number in range(7)]


@pytest.mark.parametrize(
    ("search", "few"), [("", 0), ("mac", 0), ("mac", 1000), ("name contains 'mac'", 1000), ("name contains 'mac'", 0)]
)
def test_pages_by_gravity_have_the_gravest_first_and_what_was_never_judged_last(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, search: str, few: int
) -> None:
    monkeypatch.setattr(device_lists, "FEW_FINDS", few)

    def browsed(query: DeviceQuery) -> list[str]:
        page, _ = engine.read(lambda tx: browse_devices(tx, query, NOW))
        return [row.id for row in page.rows]

    held = {
        "A": (ControlState.IN_CONTROL, Reason.NONE, 2),
        "B": (ControlState.OUT_OF_CONTROL, Reason.SILENT, 1),
        "C": (ControlState.AT_RISK, Reason.NOT_OBEYING, 1),
        "D": (ControlState.OUT_OF_CONTROL, Reason.SILENT, 3),
        "E": (ControlState.IN_CONTROL, Reason.NONE, 2),
    }
    for id_ in "ABCDEFG":
        fleet.add_device(engine, id_, name="Mac")
    for id_, (state, reason, days) in held.items():
        hold(engine, id_, state, reason, at=NOW - timedelta(days=days))

    gravest = DeviceQuery(search, order=DeviceOrder.GRAVITY)
    whole = browsed(gravest)
    after = {one: browsed(replace(gravest, after=ChannelId(one))) for one in whole}
    lost = replace(gravest, control=ControlState.OUT_OF_CONTROL)

    assert whole == ["D", "B", "C", "A", "E", "F", "G"]
    assert after == {one: whole[place + 1 :] for place, one in enumerate(whole)}
    page, counts = engine.read(lambda tx: browse_devices(tx, lost, NOW))
    assert ([row.id for row in page.rows], page.total) == (["D", "B"], 2)
    assert counts.by_control == {ControlState.IN_CONTROL: 2, ControlState.AT_RISK: 1, ControlState.OUT_OF_CONTROL: 2}
    found, _ = engine.read(lambda tx: browse_devices(tx, replace(lost, search="b", state="enrolled"), NOW))
    assert ([row.id for row in found.rows], found.total) == (["B"], 1)


def test_the_longest_silent_comes_first_when_asked_for(engine: Engine) -> None:
    fleet.add_device(engine, "A", contacts=[NOW])
    fleet.add_device(engine, "B", contacts=[NOW - timedelta(days=3)])
    fleet.add_device(engine, "C", contacts=[NOW - timedelta(days=1)])

    assert _ids(engine, DeviceQuery(order=DeviceOrder.SILENT)) == ["B", "C", "A"]
    assert _ids(engine, DeviceQuery(order=DeviceOrder.RECENT)) == ["A", "C", "B"]


@pytest.mark.parametrize("search", ["ABC-1", "abc-1", "dmpx", "ana's", "MacBook Air"])
def test_search_finds_id_serial_name_and_model_in_any_case(engine: Engine, search: str) -> None:
    fleet.add_device(engine, "ABC-1", name="Ana's Mac", serial_number="DMPX0", model_name="MacBook Air (2020)")
    fleet.add_device(engine, "OTHER", name="Ben", serial_number="C02", model_name="iPhone 13")

    assert _ids(engine, DeviceQuery(search)) == ["ABC-1"]


def test_search_finds_a_device_by_its_users(engine: Engine) -> None:
    fleet.add_device(engine, "A", name="Front desk")
    fleet.add_device(engine, "B", name="Back office")
    fleet.add_user(engine, "A", "U1", "Ana.Lima")
    fleet.add_user(engine, "A", "U2", "ana.souza")

    assert _ids(engine, DeviceQuery("ana.")) == ["A"]


@pytest.mark.parametrize("search", ["%", "_", "\\", "'", '"'])
def test_signs_of_the_search_language_stand_for_themselves(engine: Engine, search: str) -> None:
    fleet.add_device(engine, "A", name="plain")

    assert _ids(engine, DeviceQuery(search)) == []


def test_nothing_follows_a_device_that_is_not_there(engine: Engine) -> None:
    fleet.add_device(engine, "A", contacts=[NOW])

    assert _ids(engine, DeviceQuery(after=ChannelId("gone"), order=DeviceOrder.RECENT)) == []


def test_counts_are_by_state(engine: Engine) -> None:
    fleet.add_device(engine, "A", contacts=[NOW])
    fleet.add_device(engine, "B", contacts=[NOW - timedelta(days=8)])
    fleet.add_device(engine, "C", state="enrolling", contacts=[NOW - timedelta(days=8)])
    fleet.add_device(engine, "D", state="ended", contacts=[NOW - timedelta(days=8)])
    fleet.add_user(engine, "A", "U1", "ana")

    _, counts = engine.read(lambda tx: browse_devices(tx, DeviceQuery(state="ended"), NOW))

    assert counts.by_state == {"enrolling": 1, "enrolled": 2, "dormant": 0, "ended": 1}
    assert counts.total == 4


@pytest.mark.parametrize("few", [0, 1, 1000])
def test_a_search_finds_the_same_however_much_it_finds(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(device_lists, "FEW_FINDS", few)
    for number in range(4):
        fleet.add_device(
            engine, f"D{number}", name="mac" if number else "pad", state="ended" if number > 2 else "enrolled"
        )

    hold(engine, "D2", ControlState.QUIET, Reason.SILENT, at=NOW)
    for search in ("MAC", "name = 'mac'"):
        page, counts = engine.read(lambda tx, search=search: browse_devices(tx, DeviceQuery(search, "enrolled"), NOW))  # type: ignore[misc]

        assert [row.id for row in page.rows] == ["D1", "D2"]
        assert (page.total, counts.by_state["ended"], counts.total) == (2, 1, 3)
        assert counts.by_control == {ControlState.QUIET: 1}


def test_an_empty_fleet_counts_nothing(engine: Engine) -> None:
    page, counts = engine.read(lambda tx: browse_devices(tx, DeviceQuery(), NOW))

    assert (counts.total, page.rows, page.next_after) == (0, (), None)


def test_a_row_says_what_waits_and_what_apns_answered(engine: Engine) -> None:
    fleet.add_device(engine, "A", identity_not_after=NOW + timedelta(days=90))
    fleet.add_command(engine, "A", "c1")
    fleet.add_push_target(engine, "A", "accepted")

    [row] = engine.read(lambda tx: list_devices(tx, DeviceQuery())).rows

    assert row.commands_waiting == 1
    assert row.last_push_outcome == "accepted"
    assert row.identity_not_after == NOW + timedelta(days=90)


def test_a_device_is_shown_with_its_users_their_contacts_and_all_evidence(engine: Engine) -> None:
    fleet.add_device(engine, "A", contacts=[NOW - timedelta(days=2), NOW])
    user = fleet.add_user(engine, "A", "U1", "ana")
    fleet.add_evidence(engine, "A", "S7", "enrollment", last_at=NOW - timedelta(days=2))
    fleet.add_evidence(engine, user, "S5", "NotNow", last_at=NOW)
    fleet.add_evidence(engine, "B", "S5", "NotNow", last_at=NOW)

    details = engine.read(lambda tx: show_device(tx, ChannelId("A"), NOW))

    assert details is not None
    assert [channel.id for channel in details.channels] == ["A", "A:U1"]
    assert [(row.channel_id, row.signal) for row in details.evidence] == [("A:U1", "S5"), ("A", "S7")]
    assert len(details.contacts) == 2
    assert [len(days) for days in details.contact_days.values()] == [2]


def test_a_user_channel_or_a_stranger_is_not_shown_as_a_device(engine: Engine) -> None:
    fleet.add_device(engine, "A")
    user = fleet.add_user(engine, "A", "U1", "ana")

    assert engine.read(lambda tx: show_device(tx, user, NOW)) is None
    assert engine.read(lambda tx: show_device(tx, ChannelId("B"), NOW)) is None


def test_search_that_begins_as_a_query_is_one(engine: Engine) -> None:
    fleet.add_device(engine, "A", name="Front desk")
    fleet.add_device(engine, "B", name="name tag", state="ended")

    def browsed(search: str) -> tuple[list[str], int]:
        page, counts = engine.read(lambda tx: browse_devices(tx, DeviceQuery(search), NOW))
        return [row.id for row in page.rows], counts.total

    assert browsed("name = 'front desk'") == (["A"], 1)
    assert browsed("not (name contains 'desk')") == (["B"], 1)
    assert browsed("name") == (["B"], 1), "a word alone is searched for"
    assert browsed("front desk") == (["A"], 1)


def test_query_that_is_wrong_says_where(engine: Engine) -> None:
    fleet.add_device(engine, "A")

    page, counts = engine.read(lambda tx: browse_devices(tx, DeviceQuery("name = "), NOW))

    assert (page.rows, counts.total) == ((), 0)
    assert page.fault is not None
    assert "column" in page.fault.message

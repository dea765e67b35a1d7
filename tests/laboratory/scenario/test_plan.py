"""Chance is asked once: who, when, for how long; equal seeds give equal plans."""

from datetime import timedelta

import pytest
from tests.laboratory.scenario.texts import FLEET, with_event

from muster.laboratory.scenario.plan import Planned, make_plan, share_of
from muster.laboratory.scenario.reading import parse_scenario

DAY = timedelta(days=1)


def plan(*events: str, seed: int = 1) -> tuple[Planned, ...]:
    text = FLEET + "".join(f"\n[[event]]\n{event}\n" for event in events)
    return make_plan(parse_scenario(text), seed)


def devices(planned: tuple[Planned, ...], number: int = 0) -> set[str | None]:
    return {one.device for one in planned if one.number == number}


def test_each_device_is_befallen_for_itself_within_the_times() -> None:
    found = plan('do = "power_off"\non = "macs"\nbetween = ["10d", "20d"]\nfor = ["1d", "2d"]')

    assert devices(found) == {f"macs/{number}" for number in range(1, 6)}
    assert all(10 * DAY <= one.begins <= 20 * DAY for one in found)
    assert all(one.lasts is not None and DAY <= one.lasts <= 2 * DAY for one in found)
    assert len({one.begins for one in found}) == 5
    assert [one.begins for one in found] == sorted(one.begins for one in found)


def test_equal_seeds_give_equal_plans_and_others_others() -> None:
    event = 'do = "power_off"\non = "everybody"\nshare = 0.4\nbetween = ["10d", "20d"]'

    assert plan(event) == plan(event)
    assert plan(event) != plan(event, seed=2)


def test_one_more_event_changes_nothing_about_those_before() -> None:
    first, second = (
        'do = "power_off"\non = "macs"\ncount = 2\nbetween = ["1d", "9d"]',
        'do = "restart"\non = "macs"\nat = "2d"',
    )

    assert [one for one in plan(first, second) if one.number == 0] == list(plan(first))


def test_share_count_and_apart_choose() -> None:
    found = plan(
        'do = "power_off"\non = "macs"\nshare = 0.4\nat = "1d"',
        'do = "drop_identity"\non = "macs"\ncount = 3\napart = true\nat = "1d"',
        'do = "erase"\non = "macs"\ncount = 3\napart = true\nat = "1d"',
    )

    assert len(devices(found, 0)) == 2
    assert len(devices(found, 1)) == 3
    assert not devices(found, 0) & devices(found, 1)
    assert devices(found, 2) == set()


def test_what_goes_wrong_with_nobody_leaves_devices_apart() -> None:
    found = plan(
        'do = "send"\non = "macs"\nat = "1d"\ncommand = "ProfileList"',
        'do = "erase"\non = "macs"\ncount = 5\napart = true\nat = "1d"',
    )

    assert len(devices(found, 1)) == 5


def test_a_site_is_one_thing_to_what_befalls_sites_and_its_devices_to_the_rest() -> None:
    [blocked] = plan('do = "block_apns"\non = "school"\nat = "1d"')
    off = plan('do = "power_off"\non = "school"\nat = "1d"')

    assert (blocked.site, blocked.device) == ("school", None)
    assert devices(off) == {f"macs/{number}" for number in range(1, 6)}


def test_what_befalls_no_device_is_planned_once() -> None:
    [down] = plan('do = "server_down"\non = "server"\nat = "1d"\nfor = "2d"')
    [wrong] = plan('do = "clock_offset"\non = "server"\nat = "1d"\noffset = "1h"')

    assert (down.site, down.device, down.lasts) == (None, None, 2 * DAY)
    assert wrong.device is None


def test_events_come_again_until_the_end_or_so_often() -> None:
    assert len(plan('do = "restart"\non = "macs/1"\nat = "0d"\nevery = "7d"')) == 9
    assert len(plan('do = "restart"\non = "macs/1"\nat = "0d"\nevery = "7d"\ntimes = 2')) == 2


def test_names_overlap_without_doubling() -> None:
    assert (
        len(make_plan(parse_scenario(with_event('do = "restart"\non = ["macs", "macs/1", "school"]\nat = "1d"')), 1))
        == 5
    )


@pytest.mark.parametrize(("share", "of", "expected"), [(0, 5, 0), (0.01, 5, 1), (0.1, 5, 1), (0.5, 5, 3), (1, 5, 5)])
def test_share_of_few_is_rounded_and_one_at_least(share: float, of: int, expected: int) -> None:
    assert share_of(share, of) == expected

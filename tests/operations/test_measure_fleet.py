"""Each finished day of the fleet is measured once, from the sketches in its rows."""

from tests.support.site import IPAD, MAC, Site

from muster.domain.control.fleet_activity import FleetDay
from muster.domain.control.silence_clock import day_of
from muster.operations.measure_fleet import CAUGHT_UP, keep_fleet_days, measure_fleet


def measured(site: Site) -> tuple[FleetDay, ...]:
    return site.engine.read(lambda tx: measure_fleet(tx, site.now))


def test_finished_days_are_measured_once(site: Site) -> None:
    mac, _ = site.enroll(MAC), site.enroll(IPAD)
    first = day_of(site.now)
    site.do(keep_fleet_days, *measured(site))
    for _ in range(3):
        site.wait(days=1)
        site.connect(mac)

    days = measured(site)
    site.do(keep_fleet_days, *days)

    assert [(one.day - first, one.active, one.heard) for one in days] == [(0, 0, 0), (1, 2, 1), (2, 2, 1)]
    assert measured(site) == ()


def test_first_time_looks_back_a_few_weeks(site: Site) -> None:
    days = measured(site)

    today = day_of(site.now)
    assert [one.day for one in days] == list(range(today - CAUGHT_UP, today))


def test_nothing_but_what_sketches_know_is_measured_after_a_long_time(site: Site) -> None:
    site.do(keep_fleet_days, *measured(site))
    site.wait(days=100)

    assert len(measured(site)) == CAUGHT_UP

"""A test of our address proves a fault of ours where nobody is heard since it went wrong, and not by itself."""

from datetime import datetime, timedelta

import sqlalchemy as sa
from tests.support import fleet
from tests.support.runner import NOW
from tests.support.site import Site

from muster.domain.access import SERVER
from muster.domain.control.reasons import Reason
from muster.domain.control.self_watch import SILENT_AFTER_CHANGE, SILENT_AFTER_FAILURE
from muster.operations.note_self_tests import note_self_tests
from muster.operations.ports import PublicFace
from muster.storage import outages, self_tests
from muster.storage.schema import channels

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
FORMER, LATER = bytes(32), bytes(31) + b"1"
END = NOW + 300 * DAY


CLOCK = Reason.OWN_CLOCK_WRONG
"""Left out below where it is not meant: PostgreSQL has a clock of its own, which tells another time than tests have."""


def meet(site: Site, face: PublicFace, after: timedelta = timedelta(0), *, but: Reason | None = CLOCK) -> list[str]:
    """The reasons of the outages that are new by what is met *after* some time."""
    site.runner.time += after
    return [one.reason.value for one in site.do(note_self_tests, face, actor=SERVER)[0] if one.reason is not but]


def face(fingerprint: bytes = FORMER, not_after: datetime = END) -> PublicFace:
    return PublicFace("", fingerprint, not_after)


def add_fleet(site: Site, count: int = 4) -> None:
    for number in range(count):
        fleet.add_device(site.engine, f"device {number}", contacts=[NOW - number * HOUR])


def hear(site: Site) -> None:
    contact = sa.update(channels).where(channels.c.id == "device 1").values(last_contact_at=site.now)
    site.engine.write(lambda tx: tx.connection.execute(contact))


def lasting(site: Site, *, but: Reason | None = CLOCK) -> list[tuple[str, datetime]]:
    found = site.engine.read(outages.lasting)
    return [(one.reason.value, one.began_at) for one in found if one.reason is not but]


def test_what_was_met_is_noted(site: Site) -> None:
    meet(site, face())
    meet(site, PublicFace("no answer"), HOUR)
    meet(site, PublicFace("no answer still"), HOUR)
    failing = site.engine.read(lambda tx: self_tests.read(tx, "node"))
    meet(site, face(LATER), HOUR)
    again = site.engine.read(lambda tx: self_tests.read(tx, "node"))

    assert failing is not None
    assert again is not None
    assert (failing.fingerprint, failing.not_after, failing.failing_since) == (FORMER, END, NOW + HOUR)
    assert (failing.failure, failing.changed_at) == ("no answer still", None)
    assert (again.fingerprint, again.changed_at, again.failing_since) == (LATER, site.now, None)


def test_a_changed_certificate_after_which_nobody_is_heard_is_to_blame(site: Site) -> None:
    add_fleet(site)
    meet(site, face())
    changed = meet(site, face(LATER), HOUR)
    early = meet(site, face(LATER), SILENT_AFTER_CHANGE - HOUR)
    found = meet(site, face(LATER), HOUR)
    again = meet(site, face(LATER), HOUR)
    blamed = lasting(site)
    rolled_back = meet(site, face(), HOUR)
    still = lasting(site)
    site.wait(hours=1)
    hear(site)
    meet(site, face(), HOUR)

    assert (changed, early, found, again, rolled_back) == ([], [], ["own_tls_changed"], [], [])
    assert blamed == still == [("own_tls_changed", NOW + HOUR)]
    assert lasting(site) == []


def test_a_renewed_certificate_that_devices_take_is_nothing(site: Site) -> None:
    add_fleet(site)
    meet(site, face())
    meet(site, face(LATER), HOUR)
    site.wait(hours=1)
    hear(site)

    assert meet(site, face(LATER), 30 * DAY) == []


def test_a_fleet_that_was_silent_before_proves_nothing(site: Site) -> None:
    add_fleet(site)
    meet(site, face())
    meet(site, face(LATER), 3 * DAY)

    assert meet(site, face(LATER), DAY) == []


def test_an_expired_certificate_and_an_address_without_answer_are_to_blame_sooner(site: Site) -> None:
    add_fleet(site)
    meet(site, face(not_after=NOW + HOUR))

    early = meet(site, face(not_after=NOW + HOUR), SILENT_AFTER_FAILURE)
    expired = meet(site, PublicFace("connection refused"), HOUR)
    unreachable = meet(site, PublicFace("connection refused"), SILENT_AFTER_FAILURE)

    assert (early, expired, unreachable) == ([], ["own_tls_changed"], ["own_downtime"])
    assert lasting(site)[1] == ("own_downtime", NOW + SILENT_AFTER_FAILURE + HOUR)


def test_a_test_that_fails_while_devices_come_proves_nothing(site: Site) -> None:
    add_fleet(site)
    meet(site, PublicFace("it can't reach itself from inside"))
    site.wait(hours=1)
    hear(site)

    assert meet(site, PublicFace("it can't reach itself from inside"), DAY) == []


def test_a_clock_that_others_contradict_is_wrong_until_they_agree(site: Site) -> None:
    def clock(error: timedelta | None) -> list[str]:
        return meet(site, PublicFace(clock_error=error), HOUR, but=None)

    is_own_clock = site.engine.read(lambda tx: tx.database_now()) is None
    found = [clock(timedelta(minutes=4)), clock(-timedelta(days=1)), clock(timedelta(0))]

    if is_own_clock:
        assert found == [[], ["own_clock_wrong"], []]
        assert lasting(site, but=None) == []
    else:
        assert found == [["own_clock_wrong"], [], []]
        assert [reason for reason, _ in lasting(site, but=None)] == ["own_clock_wrong"]

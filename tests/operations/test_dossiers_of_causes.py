"""What many have in common reaches their dossiers: times in which we were deaf, silent sites, builds that hang."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.push_files import have_push_certificate
from tests.support.pushed_fleet import claim, record, wish_all
from tests.support.site import ADA, MAC, SOURCE, TOPIC, Site, id_of, token_update

from muster.domain.control.cohorts import HungBuild
from muster.domain.control.dossier import Dossier, SiteRecord
from muster.domain.control.own_side import CALLED_AGAIN_WITHIN, EVERYTHING, Outage, Scope, ScopeKind
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.operations.judge_channels import dossier_of, judge_channels
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import Identifiers
from muster.storage import cohorts, outages, schema, verdicts

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
MINE, OTHER = Scope(ScopeKind.TOPIC, TOPIC), Scope(ScopeKind.TOPIC, "com.apple.mgmt.External.other")


def dossier(site: Site, identifiers: Identifiers = MAC) -> Dossier:
    found = site.engine.read(lambda tx: dossier_of(tx, id_of(identifiers), site.runner.context()))
    assert found is not None
    return found


def be_deaf(site: Site, reason: Reason, scope: Scope, began: timedelta, ended: timedelta | None) -> None:
    """Store a fault of ours that began and ended so long after now."""
    ended_at = None if ended is None else site.now + ended
    outage = Outage(f"{reason} {scope}", reason, scope, site.now + began, ended_at, "it was us")
    site.engine.write(lambda tx: outages.open_one(tx, outage))


@pytest.mark.parametrize(
    ("reason", "scope", "began", "ended", "deaf"),
    [
        (Reason.OWN_DOWNTIME, EVERYTHING, DAY, 8 * DAY, 7 * DAY + CALLED_AGAIN_WITHIN),
        (Reason.OWN_DOWNTIME, EVERYTHING, -DAY, DAY, DAY + CALLED_AGAIN_WITHIN),
        (Reason.APNS_OUTAGE, MINE, DAY, None, 9 * DAY),
        (Reason.PUSH_CERTIFICATE_EXPIRED, MINE, DAY, 2 * DAY, DAY),
        (Reason.APNS_OUTAGE, OTHER, DAY, None, 0 * DAY),
        (Reason.OWN_CLOCK_WRONG, EVERYTHING, DAY, 2 * DAY, 0 * DAY),
        (Reason.OWN_ERRORS, Scope(ScopeKind.ENDPOINT, "/mdm@node"), DAY, 2 * DAY, DAY + CALLED_AGAIN_WITHIN),
        (Reason.OWN_ERRORS, Scope(ScopeKind.ENDPOINT, "/scep@node"), DAY, 2 * DAY, 0 * DAY),
        (Reason.OWN_TLS_CHANGED, EVERYTHING, -HOUR, 2 * DAY, 0 * DAY),  # it was heard since that began
    ],
)
def test_time_in_which_we_were_deaf_is_taken_out_of_a_silence(
    site: Site, reason: Reason, scope: Scope, began: timedelta, ended: timedelta | None, deaf: timedelta
) -> None:
    site.enroll()
    be_deaf(site, reason, scope, began, ended)
    site.wait(days=10)

    silence = dossier(site).silence

    assert (silence.deaf, silence.counted) == (deaf, 10 * DAY - deaf)


def test_faults_that_overlap_are_taken_out_once(site: Site) -> None:
    site.enroll()
    be_deaf(site, Reason.OWN_DOWNTIME, EVERYTHING, DAY, 3 * DAY)
    be_deaf(site, Reason.APNS_OUTAGE, MINE, 2 * DAY, 5 * DAY)
    site.wait(days=10)

    assert dossier(site).silence.counted == 6 * DAY


@pytest.mark.parametrize(("was_down", "is_lost"), [(True, False), (False, True)])
def test_a_week_in_which_we_were_down_makes_nobody_inactive(site: Site, was_down: bool, is_lost: bool) -> None:
    site.enroll()
    if was_down:
        be_deaf(site, Reason.OWN_DOWNTIME, EVERYTHING, HOUR, 8 * DAY)
    site.wait(days=8)
    context = site.runner.context()

    site.engine.write(lambda tx: judge_channels(tx, [id_of(MAC)], context))

    held = site.engine.read(lambda tx: verdicts.read(tx, [id_of(MAC)]))[id_of(MAC)].verdict
    assert (held.state is ControlState.INACTIVE) is is_lost


def test_a_device_has_the_site_it_was_heard_from_last_and_a_user_none(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    silent = SiteRecord(SOURCE, 6, 5, site.now, heard_elsewhere=1, unpushable=2, witnessed=3)
    site.engine.write(lambda tx: cohorts.store(tx, [silent, SiteRecord("203.0.113.99", 9, 9, site.now)], []))

    assert dossier(site).site == silent
    assert dossier(site, ADA).site is None


def test_a_device_knows_how_many_of_its_build_hang(site: Site) -> None:
    site.enroll()
    builds = [HungBuild("25A1", 4, site.now), HungBuild("25B2", 7, site.now)]
    site.engine.write(lambda tx: cohorts.store(tx, [], builds))
    facts = sa.update(schema.device_facts).where(schema.device_facts.c.channel_id == id_of(MAC))

    unknown = dossier(site).hung_alike
    site.engine.write(lambda tx: tx.connection.execute(facts.values(build_version="25A1")))

    assert (unknown, dossier(site).hung_alike) == (0, 4)


@pytest.mark.parametrize(("after", "read"), [(timedelta(seconds=10), 1), (timedelta(minutes=6), 3)])
def test_who_comes_minutes_after_a_push_may_have_come_by_itself_and_missed_others(
    site: Site, after: timedelta, read: int
) -> None:
    have_push_certificate(site)
    identity = site.enroll()
    for _ in range(3):
        site.wait(hours=12)
        wish_all(site, [id_of(MAC)])
        record(site, claim(site), OutcomeClass.ACCEPTED)
    site.wait(seconds=after.total_seconds())
    site.connect(identity)
    site.wait(minutes=20)

    way = dossier(site).push

    assert way is not None
    assert len(way.accepted) == read

"""What was done in the last day is counted, and nothing of the days before."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.fleet import add_device, add_push, add_push_certificate, add_user, insert
from tests.support.runner import NOW
from tests.support.site import Site
from tests.support.verdicts import hold

from muster.domain.access import SERVER
from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import Run
from muster.domain.control.states import ControlState
from muster.domain.queries.parser import parse_query
from muster.domain.queries.saved import SAVED
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.operations.views.expiring import ExpiringKind
from muster.operations.views.fleet_needs import fleet_needs
from muster.operations.views.last_day import LastDay, last_day, waiting
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId
from muster.storage import queries, recoveries, schema
from muster.storage.recoveries import Recovery

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
BEFORE = NOW - 25 * HOUR
NOTHING = LastDay(NOW, 0, 0, 0, 0, 0, 0, 0)
A = ChannelId("A")


@pytest.fixture
def fleet(site: Site) -> Site:
    """One device with a user."""
    add_device(site.engine, A)
    add_user(site.engine, A, "U", "ana")
    return site


def done(site: Site) -> LastDay:
    return site.engine.read(lambda tx: last_day(tx, NOW))


def test_nothing_was_done_on_a_new_server(site: Site) -> None:
    assert done(site) == NOTHING


def test_pushes_count_whatever_became_of_them(fleet: Site) -> None:
    for outcome, at in (("accepted", NOW), ("accepted", NOW - HOUR), ("accepted", BEFORE), ("unregistered", NOW)):
        add_push(fleet.engine, A, outcome, at)

    assert done(fleet) == replace(NOTHING, pushes=3)


def test_commands_of_people_and_questions_of_our_own_are_told_apart(fleet: Site) -> None:
    fleet.runner.time = BEFORE
    fleet.do(queue_commands, CommandOrder((A,), CommandRequest("SecurityInfo")))
    fleet.runner.time = NOW
    fleet.do(queue_commands, CommandOrder((A,), CommandRequest("ProfileList")))
    for request_type in ("CertificateList", "UserList"):
        fleet.do(queue_commands, CommandOrder((A,), CommandRequest(request_type), anyway=True), actor=SERVER)

    assert done(fleet) == replace(NOTHING, orders=1, questions=2)


def test_recoveries_count_that_began(fleet: Site) -> None:
    for at in (NOW, BEFORE):
        fleet.runner.time = at
        one = Recovery(fleet.runner.context().new_id(), A, Run(Reason.SILENT, at), closed_at=at)
        fleet.engine.write(lambda tx, one=one: recoveries.record(tx, [one]))  # type: ignore[misc]

    assert done(fleet) == replace(NOTHING, recoveries=1)


def test_a_device_counts_once_however_often_it_came_and_went_and_its_users_do_not(fleet: Site) -> None:
    quiet, well = (ControlState.QUIET, Reason.SILENT), (ControlState.IN_CONTROL, Reason.NONE)
    for ago, (state, reason) in ((30, well), (5, quiet), (4, well), (3, quiet), (2, well)):
        for channel_id in (A, "A:U"):
            hold(fleet.engine, channel_id, state, reason, at=NOW - ago * HOUR)

    assert done(fleet) == replace(NOTHING, came_back=1, lost=1)


def test_identities_count_that_were_renewed(fleet: Site) -> None:
    for number, (provenance, at) in enumerate([("renewal", NOW), ("renewal", BEFORE), ("link", NOW)]):
        values: dict[str, object] = {
            "fingerprint": bytes([number]),
            "certificate_der": b"",
            "authority": b"",
            "provenance": provenance,
        }
        values |= {"issued_at": at, "not_after": at + 365 * DAY}
        insert(fleet.engine, sa.insert(schema.identities).values(values))

    assert done(fleet) == replace(NOTHING, renewals=1)


def test_what_ends_soon_waits_for_a_person_and_what_ends_later_does_not(site: Site) -> None:
    add_push_certificate(site.engine, NOW + 12 * DAY, topic="soon")
    add_push_certificate(site.engine, NOW + 200 * DAY, topic="late")

    found = site.engine.read(lambda tx: waiting(tx, NOW))

    assert [(one.kind, one.name) for one in found.expiring] == [(ExpiringKind.PUSH, "soon")]
    assert found.needs.commands_held == 0


def test_identities_that_end_are_those_whom_the_group_finds(site: Site) -> None:
    for name, state, ends in (
        ("A", "enrolled", 5),
        ("B", "enrolled", 50),
        ("C", "ended", 5),
        ("D", "enrolled", -1),
        ("E", "enrolled", None),
        ("F", "enrolled", 30),
    ):
        add_device(site.engine, name, state=state, identity_not_after=None if ends is None else NOW + ends * DAY)
    add_user(site.engine, "A", "U", "ana")
    group = parse_query(SAVED["identity-expires-soon"].query or "")

    assert site.engine.read(lambda tx: fleet_needs(tx, NOW)).identities_ending == 2
    assert site.engine.read(lambda tx: queries.count(tx, group, NOW)) == 2

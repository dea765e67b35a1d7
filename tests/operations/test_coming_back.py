"""After a CheckOut, whatever the device says by its current pin shows that it is managed after all."""

from collections.abc import Callable
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support import renewing
from tests.support.site import ADA, MAC, NOT_AFTER, SOURCE, Site, authenticate, head, id_of, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.enrollment import EnrollmentState
from muster.operations.retry_deferred import CONNECT, Deferral, claim_deferred, defer_messages, process_deferred
from muster.protocol.checkin import (
    CheckOut,
    DeclarativeManagement,
    GetBootstrapToken,
    GetToken,
    SetBootstrapToken,
    UserAuthenticate,
)
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import resolve_channel
from muster.storage import schema

CHANNEL = resolve_channel(MAC)
ENROLLED, ENDED = EnrollmentState.ENROLLED, EnrollmentState.ENDED

Says = Callable[[Site, SignerIdentity], object]

SAYINGS: dict[str, Says] = {
    "connect": lambda site, identity: site.connect(identity),
    "the same TokenUpdate": lambda site, identity: site.check_in(token_update(), identity),
    "another TokenUpdate": lambda site, identity: site.check_in(token_update(push_magic="other"), identity),
    "SetBootstrapToken": lambda site, identity: site.check_in(SetBootstrapToken(MAC, CHANNEL, b"token"), identity),
    "GetBootstrapToken": lambda site, identity: site.check_in(GetBootstrapToken(MAC, CHANNEL), identity),
    "GetToken": lambda site, identity: site.check_in(GetToken(MAC, CHANNEL, "com.apple.maid"), identity),
    "declarations": lambda site, identity: site.check_in(DeclarativeManagement(MAC, CHANNEL, "status"), identity),
    "UserAuthenticate": lambda site, identity: site.check_in(UserAuthenticate(ADA, resolve_channel(ADA)), identity),
}


def check_out(site: Site, identity: SignerIdentity) -> None:
    site.check_in(CheckOut(MAC, CHANNEL), identity)
    assert site.enrollment().state is ENDED
    site.wait(minutes=1)


def returns(site: Site) -> int:
    return sum(observed == "returned" for _, observed, _ in site.evidence())


@pytest.mark.parametrize("say", [pytest.param(say, id=name) for name, say in SAYINGS.items()])
def test_message_by_the_current_pin_brings_the_device_back_with_evidence(site: Site, say: Says) -> None:
    identity = site.enroll()
    check_out(site, identity)

    say(site, identity)
    say(site, identity)

    assert (site.enrollment().state, site.enrollment().ended_reason) == (ENROLLED, None)
    assert site.enrollment().epoch == 1
    assert returns(site) == 1


def test_another_check_out_is_no_return(site: Site) -> None:
    identity = site.enroll()
    check_out(site, identity)

    check_out(site, identity)

    assert returns(site) == 0
    assert site.evidence().count(("S8", "checked_out", 1)) == 1


@pytest.mark.parametrize("say", [SAYINGS["connect"], SAYINGS["the same TokenUpdate"], SAYINGS["GetBootstrapToken"]])
def test_message_by_a_former_pin_is_no_return(site: Site, say: Says) -> None:
    former = site.enroll()
    renewed = site.identity(renewal_of=MAC)
    site.check_in(authenticate(), renewed)
    site.check_in(token_update(), renewed)
    check_out(site, renewed)

    say(site, former)

    assert site.enrollment().state is ENDED


def renewed(site: Site) -> tuple[SignerIdentity, SignerIdentity]:
    """A device's first identity, of a known profile, and the one that it was renewed with."""
    first = renewing.enroll(site)
    renewing.wait_until_due(site)
    renewing.review(site)
    later = renewing.obtain(site, renewing.fetch(site, first))
    renewing.check_in(site, token_update(), later)
    return first, later


@pytest.mark.parametrize("days", [1, 6, 8, 100])
@pytest.mark.parametrize("say", [SAYINGS["connect"], SAYINGS["another TokenUpdate"]])
def test_device_restored_from_a_backup_made_before_its_renewal_comes_back_and_is_renewed(
    site: Site, say: Says, days: int
) -> None:
    first, later = renewed(site)
    check_out(site, later)
    site.wait(days=days)

    say(site, first)
    came_back = site.enrollment().state
    site.wait(days=1)
    site.connect(first)
    site.wait(hours=1)
    renewing.review(site)

    assert (came_back, returns(site)) == (ENROLLED, 1)
    assert renewing.fetch(site, first).command_uuid


def test_device_restored_within_the_week_is_pushed_as_it_says_by_the_identity_it_has(site: Site) -> None:
    first, later = renewed(site)
    check_out(site, later)
    site.wait(days=2)

    site.check_in(token_update(push_magic="restored"), first)
    site.connect(first)

    assert site.enrollment().pins.current == print_of(first)
    assert site.rows(sa.select(schema.push_targets.c.push_magic)) == [("restored",)]


def test_device_that_comes_back_by_an_expired_identity_is_renewed(site: Site) -> None:
    identity = renewing.enroll(site)
    check_out(site, identity)
    site.runner.time = NOT_AFTER + timedelta(days=1)

    renewing.connect(site, identity)
    renewing.review(site)

    assert site.enrollment().state is ENROLLED
    assert renewing.fetch(site, identity).command_uuid


def test_report_that_came_before_the_end_and_is_processed_after_it_is_no_return(site: Site) -> None:
    identity = site.enroll()
    asked = head(MAC, "Acknowledged", "one")
    report = encode_report(Report(asked))
    came_at = site.now
    deferral = Deferral(CHANNEL, CONNECT, report, print_of(identity), SOURCE, "KeyError")
    site.do(defer_messages, deferral)
    site.wait(minutes=1)
    check_out(site, identity)

    (due,) = site.do(claim_deferred, None)
    site.do(process_deferred, *due.messages)

    assert due.messages[0].received_at == came_at
    assert site.enrollment().state is ENDED
    assert site.reports() == [("one", "Acknowledged")]


def test_renewal_that_completes_after_the_end_brings_the_device_back(site: Site) -> None:
    check_out(site, site.enroll())
    renewed = site.identity(renewal_of=MAC)

    site.check_in(authenticate(), renewed)
    waiting = site.enrollment().state
    site.check_in(token_update(), renewed)

    assert (waiting, site.enrollment().state) == (ENDED, ENROLLED)
    assert returns(site) == 1


def test_queue_of_a_device_that_comes_back_is_still_there(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    check_out(site, identity)

    site.connect(identity)

    assert site.queued() == ["one"]


def test_device_that_comes_back_is_looked_at_soon(site: Site) -> None:
    identity = site.enroll()
    check_out(site, identity)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.reviews)))

    site.connect(identity)

    assert site.rows(sa.select(schema.reviews.c.channel_id, schema.reviews.c.next_review_at)) == [
        (id_of(MAC), site.now)
    ]


def test_user_comes_back_beside_its_device(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    check_out(site, identity)

    site.connect(identity, ADA)

    assert (site.enrollment(ADA).state, site.enrollment().state) == (ENROLLED, ENDED)


@pytest.mark.parametrize("checked_out", [False, True])
def test_user_of_an_earlier_life_stays_ended_until_its_token_update(site: Site, *, checked_out: bool) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    if checked_out:
        check_out(site, identity)
    again = site.enroll()

    site.connect(again, ADA)
    connected = site.enrollment(ADA)
    site.check_in(token_update(ADA), again)

    assert (connected.state, connected.epoch) == (ENDED, 1)
    assert (site.enrollment(ADA).state, site.enrollment(ADA).epoch) == (ENROLLED, 2)

"""Users of a Shared iPad: one is logged in, the others are dormant until they are heard again."""

from dataclasses import replace

import pytest
from tests.support.push_files import have_push_certificate
from tests.support.site import ADA, IPAD, MAC, SOURCE, Site, head, id_of, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.enrollment import EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.push_policy import PushReason
from muster.operations.answer_connect import ConnectReply
from muster.operations.ask_for_push import ask_for_push
from muster.operations.push_devices import claim_pushes
from muster.operations.retry_deferred import CONNECT, Deferral, claim_deferred, defer_messages, process_deferred
from muster.operations.review_channels import review_channels
from muster.protocol.checkin import CheckOut, DeclarativeManagement
from muster.protocol.connect import Report, encode_report
from muster.protocol.identifiers import SHARED_IPAD_USER_ID, Identifiers, resolve_channel
from muster.storage import push

BEN = replace(IPAD, user_id=SHARED_IPAD_USER_ID, user_short_name="ben@school.example")
EVE = replace(IPAD, user_id=SHARED_IPAD_USER_ID, user_short_name="eve@school.example")
ENROLLED, DORMANT, ENDED = EnrollmentState.ENROLLED, EnrollmentState.DORMANT, EnrollmentState.ENDED


def log_in(site: Site, identity: SignerIdentity, *users: Identifiers) -> None:
    for user in users:
        token = user.user_short_name or ""
        site.check_in(token_update(user, token=token.encode().ljust(32, b".")), identity)
        site.wait(minutes=1)


def states(site: Site, *users: Identifiers) -> list[EnrollmentState]:
    return [site.enrollment(user).state for user in users]


def pushed(site: Site) -> list[str]:
    have_push_certificate(site)
    claimed = site.do(claim_pushes, 1000)[0]
    return [one.channel_id for one in claimed.pushes]


def test_login_of_another_user_makes_the_former_dormant_and_leaves_the_device(site: Site) -> None:
    identity = site.enroll(IPAD)

    log_in(site, identity, BEN, EVE)

    assert states(site, IPAD, BEN, EVE) == [ENROLLED, DORMANT, ENROLLED]


def test_users_of_a_mac_are_logged_in_side_by_side(site: Site) -> None:
    identity = site.enroll()
    other = replace(MAC, user_id="0B1B2C3D-0000-4000-8000-0A1B2C3D4E5F", user_short_name="bob")

    log_in(site, identity, ADA, other)

    assert states(site, ADA, other) == [ENROLLED, ENROLLED]


def test_commands_for_a_dormant_user_wait_unpushed_and_are_handed_out_at_the_next_login(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)
    site.queue("for-ben", BEN)
    site.wait(hours=7)
    site.do(review_channels, None)
    while_dormant = pushed(site)

    log_in(site, identity, BEN)
    site.do(review_channels, None)
    at_login = pushed(site)
    reply = site.connect(identity, BEN)

    assert id_of(BEN) not in while_dormant
    assert id_of(BEN) in at_login
    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid == "for-ben"
    assert states(site, BEN, EVE) == [ENROLLED, DORMANT]


def test_wish_for_a_user_who_logged_out_is_dropped(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)
    site.engine.write(lambda tx: push.wish(tx, [id_of(BEN)], reason=PushReason.ASKED_FOR, at=site.now, due_at=site.now))

    assert id_of(BEN) not in pushed(site)
    assert site.wish(BEN) is None


def test_connect_wakes_a_dormant_user(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)
    site.queue("for-ben", BEN)

    reply = site.connect(identity, BEN)
    site.do(review_channels, None)

    assert isinstance(reply, ConnectReply)
    assert reply.command_uuid == "for-ben"
    assert states(site, BEN, EVE) == [ENROLLED, ENROLLED]
    assert site.wish(BEN) is not None


def test_check_in_wakes_a_dormant_user(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)

    site.check_in(DeclarativeManagement(BEN, resolve_channel(BEN), "tokens"), identity)

    assert states(site, BEN) == [ENROLLED]


def test_report_that_is_processed_belatedly_wakes_nobody(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN)
    report = encode_report(Report(head(BEN, "Acknowledged", "one")))
    site.do(defer_messages, Deferral(resolve_channel(BEN), CONNECT, report, print_of(identity), SOURCE, "KeyError"))
    log_in(site, identity, EVE)

    (due,) = site.do(claim_deferred, None)
    site.do(process_deferred, *due.messages)

    assert site.reports(BEN) == [("one", "Acknowledged")]
    assert states(site, BEN) == [DORMANT]


def test_stranger_wakes_nobody(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)

    refused = site.connect(site.identity(), BEN)

    assert isinstance(refused, Refusal)
    assert states(site, BEN) == [DORMANT]


def test_users_of_an_earlier_life_of_the_device_end_dormant_or_not(site: Site) -> None:
    log_in(site, site.enroll(IPAD), BEN, EVE)
    again = site.enroll(IPAD)
    ended = states(site, BEN, EVE)

    log_in(site, again, BEN)

    assert ended == [ENDED, ENDED]
    assert states(site, BEN, EVE) == [ENROLLED, ENDED]


def test_check_out_ends_dormant_users_too(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)

    site.check_in(CheckOut(IPAD, resolve_channel(IPAD)), identity)

    assert states(site, BEN, EVE) == [ENDED, ENDED]


@pytest.mark.parametrize(("user", "is_refused"), [(BEN, True), (EVE, False)])
def test_only_the_user_who_is_logged_in_can_be_pushed_on_request(
    site: Site, user: Identifiers, is_refused: bool
) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)

    outcome = site.do(ask_for_push, id_of(user))[0]

    assert (isinstance(outcome, Refusal) and outcome.code is RefusalCode.NOT_ENROLLED) == is_refused

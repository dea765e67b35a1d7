"""An administrator has identities renewed before their time, and never two renewals at once."""

from datetime import timedelta

import sqlalchemy as sa
from tests.support import renewing
from tests.support.renewing import check_in, connect, fetch, obtain, review
from tests.support.site import ADA, IPAD, MAC, NOT_AFTER, Site, id_of, token_update

from muster.domain.errors import Refusal, RefusalCode
from muster.operations.ask_for_renewals import AskedRenewal, AskOutcome, ask_for_renewals
from muster.protocol.checkin import CheckOut
from muster.protocol.identifiers import ChannelId, Identifiers, resolve_channel
from muster.storage import schema


def ask(site: Site, identifiers: Identifiers = MAC) -> AskOutcome:
    return site.do(ask_for_renewals, id_of(identifiers))[0]


def code(outcome: AskOutcome) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def test_what_is_asked_for_is_sent_by_the_next_review_and_is_in_the_log(site: Site) -> None:
    identity = renewing.enroll(site)
    review(site)

    outcome = ask(site)

    assert outcome == AskedRenewal(id_of(MAC), is_waiting=False)
    assert review(site) == 1
    assert renewing.row(site)["reason"] == "asked_for"
    check_in(site, token_update(push_magic="new"), obtain(site, fetch(site, identity)))
    assert renewing.row(site)["closed_because"] == "used"
    assert site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject)) == [("identity.renew", id_of(MAC))]


def test_renewal_that_waits_is_pushed_again_and_not_made_twice(site: Site) -> None:
    renewing.enroll(site)
    site.hold_proved()
    ask(site)
    review(site)
    site.wait(hours=1)

    outcome = ask(site)

    assert outcome == AskedRenewal(id_of(MAC), is_waiting=True)
    assert review(site) == 0
    wish = site.wish()
    assert wish is not None
    assert wish[0] == "asked_for"


def test_failed_renewal_is_tried_again_at_once_when_asked_for(site: Site) -> None:
    identity = renewing.enroll(site)
    ask(site)
    review(site)
    site.wait(seconds=1)
    connect(site, identity, "Error", site.queued()[0])
    tried_by_itself = review(site)

    ask(site)

    assert (tried_by_itself, review(site), review(site)) == (0, 1, 0)


def test_asking_is_refused_for_what_cannot_be_renewed(site: Site) -> None:
    renewing.enroll(site, terms=None)
    left = renewing.enroll(site, IPAD)
    check_in(site, CheckOut(IPAD, resolve_channel(IPAD)), left)

    assert code(ask(site)) is RefusalCode.RENEWAL_IMPOSSIBLE
    assert code(ask(site, IPAD)) is RefusalCode.NOT_ENROLLED
    assert code(ask(site, ADA)) is RefusalCode.NOT_FOUND
    assert code(site.do(ask_for_renewals, ChannelId("nobody"))[0]) is RefusalCode.NOT_FOUND


def test_identity_beyond_the_lane_cannot_be_renewed(site: Site) -> None:
    renewing.enroll(site)
    site.runner.time = NOT_AFTER + timedelta(days=90)

    assert code(ask(site)) is RefusalCode.RENEWAL_IMPOSSIBLE

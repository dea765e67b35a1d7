"""What is said of pushing is what the worker then does, step by step through the life of a push."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.operations.test_push_devices import answer, claim, claim_one
from tests.support.push_files import have_push_certificate
from tests.support.site import MAC, Site, id_of

from muster.domain.push_policy import NoPush
from muster.domain.push_standing import Standing
from muster.operations.views.pushing import ChannelPushing, explain_pushing
from muster.protocol.apns import OutcomeClass
from muster.storage import schema


def _explained(site: Site) -> ChannelPushing:
    (one,) = site.engine.read(lambda tx: explain_pushing(tx, id_of(MAC), site.now))
    return one


def _stands(site: Site) -> tuple[Standing, NoPush | None]:
    verdict = _explained(site).verdict
    return verdict.standing, verdict.because


@pytest.fixture
def site(site: Site) -> Site:
    """A site that has the push certificate of its devices' topic."""
    have_push_certificate(site)
    return site


def test_an_enrolled_device_is_pushed_awaited_and_answers(site: Site) -> None:
    identity = site.enroll()
    assert _stands(site) == (Standing.PUSH_NOW, None)

    claimed = claim_one(site)
    assert _stands(site) == (Standing.UNDER_WAY, None)

    answer(site, claimed, OutcomeClass.ACCEPTED)
    assert _stands(site) == (Standing.PUSHED, None)

    site.wait(seconds=1)
    site.connect(identity)
    assert _stands(site) == (Standing.ANSWERED, NoPush.MET)

    site.wait(seconds=9)
    assert claim(site).pushes == ()
    assert _stands(site) == (Standing.NOT_WANTED, None)


def test_a_queued_command_has_its_second_before_it_is_pushed(site: Site) -> None:
    identity = site.enroll()
    answer(site, claim_one(site), OutcomeClass.ACCEPTED)
    site.wait(seconds=20)
    site.connect(identity)
    claim(site)

    site.queue("one")

    assert _stands(site) == (Standing.PUSH_LATER, None)
    site.wait(seconds=1)
    assert _stands(site) == (Standing.PUSH_NOW, None)
    assert len(claim(site).pushes) == 1


def test_a_push_without_an_answer_is_tried_again_when_it_was_said(site: Site) -> None:
    site.enroll()
    answer(site, claim_one(site), OutcomeClass.NO_ANSWER, 0, "connection refused")

    one = _explained(site)

    assert one.verdict.standing is Standing.RETRYING
    assert one.words.endswith("APNs gave no answer to a push (connection refused).")
    assert one.verdict.next_at is not None
    site.wait(seconds=(one.verdict.next_at - site.now).total_seconds())
    assert len(claim(site).pushes) == 1


def test_a_refused_token_is_explained_until_a_contact_revives_it(site: Site) -> None:
    identity = site.enroll()
    since = site.now + timedelta(seconds=1)
    site.wait(minutes=1)
    answer(site, claim_one(site), OutcomeClass.TOKEN_UNREGISTERED, 410, "Unregistered", unregistered_at=since)
    site.wait(minutes=1)
    site.queue("one")
    assert _stands(site) == (Standing.NOT_PUSHED, NoPush.TOKEN_REFUSED)
    assert "(410 Unregistered since " in _explained(site).words

    site.connect(identity)
    assert _stands(site) == (Standing.WAITING, NoPush.TOKEN_REFUSED)
    revived_at = _explained(site).verdict.next_at
    assert revived_at is not None

    site.wait(seconds=(revived_at - site.now).total_seconds())
    assert len(claim(site).pushes) == 1


def test_a_wish_without_a_certificate_is_held_and_no_attempt_is_counted(site: Site) -> None:
    site.enroll()
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.push_certificates)))

    assert claim(site).pushes == ()
    one = _explained(site)

    assert (one.verdict.standing, one.verdict.because) == (Standing.HELD, NoPush.NO_CERTIFICATE)
    assert one.known.wish is not None
    assert (one.known.wish.attempts, one.known.wish.held_because) == (0, NoPush.NO_CERTIFICATE)

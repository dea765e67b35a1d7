"""Pushes that can't be sent by no fault of their devices: held, tried by few, and let go when they work again."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.push_files import have_push_certificate
from tests.support.pushed_fleet import (
    add_fleet,
    breaker,
    claim,
    due_times,
    hear,
    queue_on,
    record,
    refused,
    wish_all,
    wishes,
)
from tests.support.site import TOPIC, Site

from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import make_push_certificate
from muster.crypto.keys import private_key_pem
from muster.domain.errors import Refusal
from muster.domain.push_breaker import FAILURES_TO_OPEN, PAUSES, PROBE_PATIENCE, PROBES, BreakerCause
from muster.domain.push_outcomes import Consequence
from muster.domain.push_policy import PushReason
from muster.operations.ports import PushReceipt
from muster.operations.push_devices import PushResult, claim_pushes, record_push_outcomes
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.apns import OutcomeClass, PushOutcome
from muster.protocol.identifiers import ChannelId
from muster.simulator.keys.published import published_keys
from muster.storage import push, schema
from muster.storage.push import RELEASED_PER_SECOND

LOST, BUSY, ACCEPTED = OutcomeClass.NO_ANSWER, OutcomeClass.APNS_UNAVAILABLE, OutcomeClass.ACCEPTED
BAD, MISMATCH, GONE = OutcomeClass.TOKEN_BAD, OutcomeClass.TOPIC_MISMATCH, OutcomeClass.TOKEN_UNREGISTERED
CERTIFICATE_REFUSED = OutcomeClass.CERTIFICATE_REFUSED
LONG = timedelta(days=36_500)
"""The lifetime of a certificate that ends later than the one before."""
HELD = ("breaker_open", 0, 0)


@pytest.fixture
def site(site: Site) -> Site:
    """A site that has the push certificate of its devices' topic."""
    have_push_certificate(site)
    return site


def lose_certificate(site: Site) -> None:
    """Have the site be without one."""
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.push_certificates)))


def outage(site: Site, outcome_class: OutcomeClass = LOST, count: int = FAILURES_TO_OPEN) -> list[ChannelId]:
    """Let the pushes of a fleet of *count* fail together, so that the breaker opens."""
    ids = add_fleet(site, count)
    wish_all(site, ids)
    record(site, claim(site), outcome_class, 503)
    opened = breaker(site)
    assert opened is not None
    assert opened.is_open
    return ids


def until_probe(site: Site) -> None:
    """Wait until the next probe may be sent."""
    waiting = breaker(site)
    assert waiting is not None
    assert waiting.retry_at is not None
    site.wait(seconds=(waiting.retry_at - site.now).total_seconds())


# --- held -------------------------------------------------------------------------------------------------------------


def test_wishes_of_an_open_breaker_are_held_and_no_attempt_is_counted(site: Site) -> None:
    failed = outage(site)
    others = add_fleet(site, 3, name="B")
    queue_on(site, others)

    assert claim(site) == []
    assert wishes(site) == dict.fromkeys([*failed, *others], HELD)


def test_late_failures_of_what_was_under_way_are_held_too(site: Site) -> None:
    ids = add_fleet(site, FAILURES_TO_OPEN + 2)
    wish_all(site, ids)
    claimed = claim(site)
    record(site, claimed[:FAILURES_TO_OPEN], LOST)
    record(site, claimed[FAILURES_TO_OPEN:], LOST)

    assert wishes(site) == dict.fromkeys(ids, HELD)


def test_other_topics_are_pushed_meanwhile(site: Site) -> None:
    have_push_certificate(site, "com.apple.mgmt.External.other")
    others = add_fleet(site, 2, name="O", topic="com.apple.mgmt.External.other")
    outage(site)
    wish_all(site, others)

    assert [one.channel_id for one in claim(site)] == others


# --- probes -----------------------------------------------------------------------------------------------------------


def test_one_push_is_let_through_as_a_probe_and_no_second_one_before_its_outcome(site: Site) -> None:
    outage(site)
    assert claim(site) == []
    until_probe(site)

    probes = claim(site)

    assert len(probes) == 1
    assert claim(site) == []
    site.wait(minutes=4)
    assert claim(site) == []


def test_nodes_that_look_at_one_time_send_one_probe_together(site: Site) -> None:
    outage(site, count=40)
    until_probe(site)
    site.wait(hours=2)  # all that is held is due by itself, too

    with ThreadPoolExecutor(4) as pool:
        claimed = list(pool.map(lambda _: claim(site), range(4)))

    assert sum(map(len, claimed)) == 1


def test_probe_whose_node_died_is_followed_by_another(site: Site) -> None:
    outage(site)
    until_probe(site)
    lost = claim(site)
    site.wait(minutes=5)

    again = claim(site)

    assert len(lost) == len(again) == 1


def test_claim_tells_when_the_next_probe_is_due(site: Site) -> None:
    outage(site)
    waiting = breaker(site)
    assert waiting is not None

    claimed = site.do(claim_pushes, 1000)[0]

    assert claimed.next_due_at == waiting.retry_at


def test_probe_that_fails_is_held_again_and_the_next_waits_longer(site: Site) -> None:
    ids = outage(site, BUSY)
    until_probe(site)
    record(site, claim(site), BUSY, 503)

    failed = breaker(site)
    assert failed is not None
    assert failed.retry_at is not None
    first, _ = PAUSES[BreakerCause.APNS_UNAVAILABLE]
    assert failed.retry_at - site.now >= first * 2
    assert claim(site) == []
    assert wishes(site) == dict.fromkeys(ids, HELD)


def test_probe_that_is_accepted_releases_what_is_held_at_its_pace(site: Site) -> None:
    ids = outage(site, count=30)
    until_probe(site)
    (probe,) = claim(site)

    (recorded,) = record(site, [probe], ACCEPTED)

    assert recorded.closed is not None
    assert breaker(site) is None
    others = [id_ for id_ in ids if id_ != probe.channel_id]
    due = due_times(site)
    pace = timedelta(seconds=1) / RELEASED_PER_SECOND
    assert [due[id_] for id_ in others] == [site.now + pace * number for number in range(len(others))]
    site.wait(seconds=1)
    assert [one.channel_id for one in claim(site)] == others


def test_candidates_that_need_no_push_any_more_do_not_use_the_probe_up(site: Site) -> None:
    """More of them than are looked at together: the claim says that there is more to do.

    Which are looked at first is the database's to choose.
    """
    ids = outage(site, count=45)
    until_probe(site)
    hear(site, ids[:44])

    claims = [site.do(claim_pushes, 1000)[0] for _ in range(3)]

    pushed = [[one.channel_id for one in claimed.pushes] for claimed in claims]
    probed = pushed.index([ids[44]])
    assert [one for some in pushed for one in some] == [ids[44]]
    assert [claimed.more for claimed in claims[: probed + 1]] == [True] * probed + [False]


def test_where_nobody_wants_a_push_somebody_is_probed_with_all_the_same(site: Site) -> None:
    ids = outage(site)
    until_probe(site)
    hear(site, ids)
    assert claim(site) == []

    (probe,) = claim(site)
    record(site, [probe], ACCEPTED)

    assert probe.reason is PushReason.PUSHES_WORK_AGAIN
    assert breaker(site) is None


def test_where_nobody_is_left_to_probe_with_the_breaker_is_looked_at_now_and_then(site: Site) -> None:
    ids = outage(site)
    until_probe(site)
    site.engine.write(lambda tx: push.drop_wishes(tx, ids))
    site.engine.write(lambda tx: tx.connection.execute(sa.update(schema.channels).values(state="ended")))

    claimed = site.do(claim_pushes, 1000)[0]

    assert (claimed.pushes, claimed.more) == ((), False)
    assert claimed.next_due_at == site.now + PROBE_PATIENCE


# --- refused tokens ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome_class", [BAD, MISMATCH])
@pytest.mark.parametrize("together", [25, 19, 1])
def test_a_fleet_whose_tokens_are_all_refused_loses_none_however_the_answers_come(
    site: Site, outcome_class: OutcomeClass, together: int
) -> None:
    ids = add_fleet(site, 25)
    queue_on(site, ids)
    claimed = claim(site)

    for first in range(0, 25, together):
        record(site, claimed[first : first + together], outcome_class, 400)
    site.wait(seconds=1)

    opened = breaker(site)
    assert opened is not None
    assert (opened.cause, opened.is_open) == (BreakerCause.TOKENS_REFUSED, True)
    assert refused(site) == []
    assert claim(site) == []
    assert wishes(site) == dict.fromkeys(ids, HELD)


def test_probes_of_refused_tokens_cost_none_either(site: Site) -> None:
    ids = add_fleet(site, 25)
    wish_all(site, ids)
    record(site, claim(site), BAD, 400)
    for _ in range(3):
        until_probe(site)
        probes = claim(site)
        assert len(probes) == PROBES[BreakerCause.TOKENS_REFUSED]
        record(site, probes, BAD, 400)

    assert refused(site) == []
    until_probe(site)
    record(site, claim(site), ACCEPTED)
    site.wait(seconds=1)
    assert len(claim(site)) == 20


def test_a_few_refused_tokens_are_refused_and_a_certificate_that_is_uploaded_revives_them(site: Site) -> None:
    ids = add_fleet(site, 3)
    wish_all(site, ids)
    record(site, claim(site), MISMATCH, 400)
    queue_on(site, ids)
    assert claim(site) == []
    assert refused(site) == ids

    have_push_certificate(site)
    site.wait(seconds=1)

    assert refused(site) == []
    assert [one.channel_id for one in claim(site)] == ids


def test_unregistered_tokens_stay_refused_whatever_is_uploaded(site: Site) -> None:
    ids = add_fleet(site, 3)
    wish_all(site, ids)
    record(site, claim(site), GONE, 410)

    have_push_certificate(site)
    queue_on(site, ids)

    assert refused(site) == ids
    assert claim(site) == []


# --- the certificate --------------------------------------------------------------------------------------------------


def have_certificate_for(site: Site, lifetime: timedelta, serial_number: int) -> None:
    """Upload a push certificate that is good for *lifetime* from now on."""
    key = published_keys()[0]
    made = make_push_certificate(TOPIC, key, now=site.now, lifetime=lifetime, serial_number=serial_number)
    outcome = site.do(upload_push_certificates, UploadedPushCertificate(pem_from_der([made]), private_key_pem(key)))[0]
    assert not isinstance(outcome, Refusal), outcome


def test_wishes_wait_for_a_certificate_and_its_upload_pushes_everybody_once(site: Site) -> None:
    lose_certificate(site)
    ids = add_fleet(site, 5)
    queue_on(site, ids[:2])
    assert claim(site) == []
    assert wishes(site) == dict.fromkeys(ids[:2], ("no_certificate", 0, 0))

    have_push_certificate(site)
    site.wait(seconds=1)

    claimed = claim(site)
    assert sorted(one.channel_id for one in claimed) == ids
    assert [one.reason for one in claimed].count(PushReason.PUSHES_WORK_AGAIN) == 3
    assert claim(site) == []


def test_wishes_wait_while_the_certificate_is_expired_and_the_renewed_one_pushes_everybody(site: Site) -> None:
    lose_certificate(site)
    have_certificate_for(site, timedelta(days=30), 1)
    ids = add_fleet(site, 5)
    site.wait(days=31)
    queue_on(site, ids[:2])
    assert claim(site) == []
    assert wishes(site) == dict.fromkeys(ids[:2], ("certificate_expired", 0, 0))

    have_certificate_for(site, timedelta(days=365), 2)
    site.wait(seconds=1)

    assert sorted(one.channel_id for one in claim(site)) == ids


def test_a_certificate_renewed_in_time_pushes_nobody_who_needs_no_push(site: Site) -> None:
    add_fleet(site, 5)

    have_certificate_for(site, LONG, 2)
    site.wait(seconds=1)

    assert claim(site) == []


def test_a_certificate_renewed_in_an_outage_of_apns_pushes_those_who_wait_and_no_others(site: Site) -> None:
    ids = outage(site)
    add_fleet(site, 5, name="B")

    have_certificate_for(site, LONG, 2)
    site.wait(seconds=1)

    assert breaker(site) is None
    assert [one.channel_id for one in claim(site)] == ids


def test_a_certificate_that_was_refused_is_followed_by_pushing_everybody(site: Site) -> None:
    ids = add_fleet(site, 4)
    wish_all(site, ids[:1])
    record(site, claim(site), CERTIFICATE_REFUSED, 403, reason="BadCertificate")
    assert wishes(site) == {ids[0]: HELD}

    have_certificate_for(site, LONG, 2)
    site.wait(seconds=1)

    assert sorted(one.channel_id for one in claim(site)) == ids


@pytest.mark.parametrize(
    ("outcome_class", "status"), [(CERTIFICATE_REFUSED, 403), (MISMATCH, 400), (BAD, 400), (LOST, 0)]
)
def test_what_was_answered_under_a_certificate_that_was_replaced_is_held_against_nobody(
    site: Site, outcome_class: OutcomeClass, status: int
) -> None:
    ids = add_fleet(site, 25)
    wish_all(site, ids)
    former = claim(site)
    have_certificate_for(site, LONG, 2)

    record(site, former, outcome_class, status)

    assert breaker(site) is None
    assert refused(site) == []
    site.wait(hours=1)
    assert sorted(one.channel_id for one in claim(site)) == ids


# --- outcomes twice ---------------------------------------------------------------------------------------------------


def test_outcome_whose_recording_may_have_come_through_is_recorded_once(site: Site) -> None:
    ids = add_fleet(site, 3)
    wish_all(site, ids)
    claimed = claim(site)
    outcome = PushOutcome(LOST, 0)
    results = [PushResult(one, PushReceipt(one.push.apns_id, outcome, 0.1), may_be_recorded=True) for one in claimed]
    site.do(record_push_outcomes, *results[:2])

    recorded = site.do(record_push_outcomes, *results)

    assert [one.consequence for one in recorded] == [Consequence.TRIED_AGAIN] * 3
    assert len(site.rows(sa.select(schema.pushes.c.apns_id))) == 3
    assert wishes(site) == dict.fromkeys(ids, (None, 0, 1))
    failing = breaker(site)
    assert failing is not None
    assert failing.failures == 3

"""Pushes claimed, sent and recorded: one for many commands, never one for an answer that came too late."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.simulator.apns_pki import TOPIC as PUSH_TOPIC
from tests.simulator.apns_pki import push_certificate
from tests.support.push_files import have_push_certificate
from tests.support.site import IPAD, MAC, TOPIC, Site, authenticate, id_of, token_update

from muster.crypto.certificates import fingerprint
from muster.crypto.keys import load_private_key
from muster.domain.access import SERVER
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.ask_for_push import ask_for_push
from muster.operations.load_push_credentials import load_push_credentials
from muster.operations.ports import PushReceipt
from muster.operations.push_devices import (
    ClaimedPush,
    ClaimedPushes,
    PushResult,
    RecordedOutcome,
    claim_pushes,
    record_push_outcomes,
)
from muster.operations.upload_push_certificate import UploadedPushCertificate, upload_push_certificates
from muster.protocol.apns import OutcomeClass, PushOutcome
from muster.protocol.identifiers import ChannelId
from muster.storage import pushes, schema


def claim(site: Site) -> ClaimedPushes:
    return site.do(claim_pushes, 1000)[0]


def claim_one(site: Site) -> ClaimedPush:
    (claimed,) = claim(site).pushes
    return claimed


def answer(
    site: Site,
    claimed: ClaimedPush,
    outcome_class: OutcomeClass,
    status: int = 200,
    reason: str | None = None,
    *,
    unregistered_at: datetime | None = None,
) -> RecordedOutcome:
    outcome = PushOutcome(outcome_class, status, reason, unregistered_at, claimed.push.apns_id)
    receipt = PushReceipt(claimed.push.apns_id, outcome, 0.1)
    (recorded,) = site.do(record_push_outcomes, PushResult(claimed, receipt))
    return recorded


def target(site: Site) -> tuple[str | None, bool]:
    columns = schema.push_targets.c
    ((outcome, refused_at),) = site.rows(sa.select(columns.last_outcome, columns.refused_at))
    return outcome, refused_at is not None


def log_of(site: Site) -> list[tuple[str, str, str]]:
    read = site.engine.read(lambda tx: pushes.of_channel(tx, id_of(MAC), since=site.now - timedelta(days=30), limit=9))
    return [(one.wanted.value, one.outcome.outcome_class.value, one.consequence.value) for one in reversed(read)]


@pytest.fixture
def site(site: Site) -> Site:
    """A site that has the push certificate of its devices' topic."""
    have_push_certificate(site)
    return site


def test_enrolled_device_is_pushed_with_what_its_token_update_said(site: Site) -> None:
    site.enroll()

    claimed = claim_one(site)

    assert claimed.channel_id == id_of(MAC)
    push = claimed.push
    assert (push.topic, push.token, push.push_magic) == (TOPIC, b"\x01" * 32, "magic")
    assert push.expiration == int((site.now + timedelta(days=30)).timestamp())


def test_claimed_push_is_left_alone_until_its_lease_ends(site: Site) -> None:
    site.enroll()
    claim_one(site)

    assert claim(site).pushes == ()
    assert claim(site).next_due_at == site.now + site.runner.policy.push_lease
    site.wait(minutes=5)
    assert claim_one(site).channel_id == id_of(MAC)


def test_claim_of_nothing_makes_nothing_due(site: Site) -> None:
    context = site.runner.context(SERVER)

    due = site.engine.write(lambda tx: (claim_pushes(tx, [10], context), tx.due)[1])

    assert due == {}


def test_accepted_push_is_repeated_later_as_long_as_it_is_unanswered(site: Site) -> None:
    site.enroll()
    claimed = claim_one(site)

    answer(site, claimed, OutcomeClass.ACCEPTED)

    assert target(site) == ("accepted", False)
    assert site.wish() == ("enrolled", site.now + timedelta(seconds=10), 1)
    assert log_of(site) == [("enrolled", "accepted", "pushed")]


def test_wish_is_dropped_when_the_device_was_heard_and_nothing_waits(site: Site) -> None:
    identity = site.enroll()
    answer(site, claim_one(site), OutcomeClass.ACCEPTED)
    site.wait(seconds=1)
    site.connect(identity)
    site.wait(seconds=9)

    assert claim(site).pushes == ()
    assert site.wish() is None


def test_new_command_is_pushed_though_the_answer_to_an_older_push_comes_late(site: Site) -> None:
    site.enroll()
    older = claim_one(site)
    site.wait(seconds=5)
    site.queue("one")

    answer(site, older, OutcomeClass.ACCEPTED)

    assert site.wish() == ("command_queued", site.now + timedelta(seconds=1), 0)


def test_two_outcomes_of_one_channel_that_come_together_are_both_in_the_log_and_the_later_claim_counts(
    site: Site,
) -> None:
    site.enroll()
    lost = claim_one(site)
    site.wait(minutes=5)
    second = claim_one(site)
    refused = PushOutcome(OutcomeClass.TOKEN_UNREGISTERED, 410, "Unregistered", site.now, lost.push.apns_id)
    accepted = PushOutcome(OutcomeClass.ACCEPTED, 200, apns_id=second.push.apns_id)
    receipts = [
        PushResult(second, PushReceipt(second.push.apns_id, accepted, 0.1)),
        PushResult(lost, PushReceipt(lost.push.apns_id, refused, 300.0)),
    ]

    recorded = site.do(record_push_outcomes, *receipts)

    assert [one.consequence.value for one in recorded] == ["pushed", "stopped"]
    assert sorted(log_of(site)) == [
        ("enrolled", "accepted", "pushed"),
        ("enrolled", "token_unregistered", "stopped"),
    ]
    assert target(site) == ("accepted", False)
    assert site.wish() == ("enrolled", second.sent.next_at, 2)


def test_outcome_of_a_claim_that_was_lost_settles_nothing(site: Site) -> None:
    site.enroll()
    lost = claim_one(site)
    site.wait(minutes=5)
    second = claim_one(site)
    assert second.fence > lost.fence

    answer(site, lost, OutcomeClass.ACCEPTED)

    assert site.wish() == ("enrolled", site.now + site.runner.policy.push_lease, 2)


@pytest.mark.parametrize(
    ("outcome_class", "status", "reason"),
    [
        (OutcomeClass.TOKEN_UNREGISTERED, 410, "Unregistered"),
        (OutcomeClass.TOKEN_BAD, 400, "BadDeviceToken"),
        (OutcomeClass.TOPIC_MISMATCH, 400, "DeviceTokenNotForTopic"),
    ],
)
def test_token_refused_for_good_is_pushed_no_more_until_a_token_update(
    site: Site, outcome_class: OutcomeClass, status: int, reason: str
) -> None:
    identity = site.enroll()
    answer(site, claim_one(site), outcome_class, status, reason)
    site.queue("one")
    site.wait(minutes=5)

    assert target(site) == (outcome_class.value, True)
    assert claim(site).pushes == ()
    assert site.wish() is None
    site.check_in(token_update(token=b"\x02" * 32), identity)
    site.queue("two")
    site.wait(minutes=5)
    assert claim_one(site).push.token == b"\x02" * 32


@pytest.mark.parametrize(
    "outcome_class",
    [
        OutcomeClass.THROTTLED,
        OutcomeClass.APNS_UNAVAILABLE,
        OutcomeClass.CERTIFICATE_REFUSED,
        OutcomeClass.OUR_FAULT,
        OutcomeClass.NO_ANSWER,
    ],
)
def test_every_other_outcome_says_nothing_of_the_token(site: Site, outcome_class: OutcomeClass) -> None:
    site.enroll()

    answer(site, claim_one(site), outcome_class, 503)

    assert target(site) == (outcome_class.value, False)
    assert site.wish() is not None


def test_answer_for_a_token_that_was_replaced_meanwhile_is_evidence_only(site: Site) -> None:
    identity = site.enroll()
    claimed = claim_one(site)
    site.check_in(token_update(token=b"\x02" * 32), identity)

    answer(site, claimed, OutcomeClass.TOKEN_UNREGISTERED, 410, "Unregistered")

    assert target(site) == (None, False)
    assert log_of(site) == [("enrolled", "token_unregistered", "stopped")]


def test_device_that_is_still_enrolling_is_not_pushed(site: Site) -> None:
    site.check_in(authenticate(), site.identity())

    assert claim(site) == ClaimedPushes((), None, more=False)


def test_administrators_push_is_due_at_once_and_audited(site: Site) -> None:
    identity = site.enroll()
    answer(site, claim_one(site), OutcomeClass.ACCEPTED)
    site.wait(seconds=2)
    site.connect(identity)

    outcomes = site.do(ask_for_push, id_of(MAC))

    assert outcomes == [None]
    assert site.wish() == ("asked_for", site.now, 0)
    claim_one(site)
    assert ("push.send", id_of(MAC)) in site.rows(sa.select(schema.audit.c.act, schema.audit.c.subject))


def test_administrators_push_is_refused_where_nobody_can_be_pushed(site: Site) -> None:
    site.check_in(authenticate(IPAD), site.identity())

    outcomes = site.do(ask_for_push, id_of(IPAD), ChannelId("nobody"))

    codes = [outcome.code for outcome in outcomes if isinstance(outcome, Refusal)]
    assert codes == [RefusalCode.NOT_ENROLLED, RefusalCode.NOT_FOUND]


def test_credentials_are_those_of_the_certificate_in_use(site: Site) -> None:
    former, pem = push_certificate(serial_number=8), push_certificate(serial_number=9)
    for one in (former, pem):
        site.do(upload_push_certificates, UploadedPushCertificate(one.certificate_pem, one.key_pem))
        site.wait(seconds=1)

    credentials, unused = site.do(load_push_credentials, fingerprint(pem.certificate_der), b"another")

    assert credentials is not None
    assert unused is None
    assert (credentials.topic, credentials.certificate_pem) == (PUSH_TOPIC, pem.certificate_pem)
    assert load_private_key(credentials.key_pem).private_numbers() == load_private_key(pem.key_pem).private_numbers()

"""Identities are renewed long before they end, by the values of the enrollment, until the new one was used."""

from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support import renewing
from tests.support.renewing import TERMS, check_in, connect, fetch, obtain, review, state, wait_until_due
from tests.support.site import (
    IPAD,
    MAC,
    NOT_AFTER,
    Site,
    authenticate,
    authority,
    print_of,
    token_update,
)

from muster.crypto.certificates import inspect_certificate
from muster.crypto.cms.signing import SignerIdentity
from muster.crypto.pkcs12 import read_pkcs12
from muster.domain.access import IdentityKind
from muster.domain.enrollment import EnrollmentState, Pins
from muster.domain.errors import Refusal
from muster.domain.renewal import CHALLENGE_LIFETIME, RENDER_AGAIN_AFTER, RenewalReason, RenewalState, renewal_state
from muster.domain.renewal_failures import RenewalFailure
from muster.operations.answer_connect import ConnectReply
from muster.operations.checkin import CheckinAnswer
from muster.operations.review_channels import REVIEW_GRAIN, REVIEW_INTERVAL
from muster.protocol.checkin import CheckOut
from muster.protocol.connect import ErrorItem
from muster.protocol.identifiers import resolve_channel
from muster.protocol.profile import Pkcs12Payload, ScepPayload
from muster.storage import schema

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
SCEP_FAILED = (ErrorItem(4001, "MCInstallationErrorDomain"), ErrorItem(22013, "MCSCEPErrorDomain", "No certificate"))


def state_of(site: Site) -> RenewalState:
    return renewal_state(state(site).situation, site.now, site.runner.policy)


def due(site: Site) -> SignerIdentity:
    """A device whose renewal was just queued."""
    identity = renewing.enroll(site)
    wait_until_due(site)
    assert review(site) == 1
    return identity


# --- what is sent, and when


def test_renewal_says_what_the_device_was_enrolled_with(site: Site) -> None:
    identity = due(site)

    profile = fetch(site, identity).profile

    scep = profile.identity
    assert isinstance(scep, ScepPayload)
    assert (profile.payload_identifier, profile.topic) == (TERMS.payload_identifier, TERMS.topic)
    assert (profile.server_url, profile.check_in_url, scep.url) == (
        TERMS.server_url,
        TERMS.check_in_url,
        TERMS.scep_url,
    )
    assert (profile.access_rights, profile.server_capabilities) == (TERMS.access_rights, TERMS.capabilities)
    assert [(anchor.display_name, anchor.certificate_der) for anchor in profile.trust_anchors] == list(
        TERMS.trust_anchors
    )
    assert profile.is_removal_disallowed
    common_name = inspect_certificate(identity.certificate_der).common_name
    assert scep.subject == (("O", "Example"), ("CN", common_name))


def test_nothing_is_sent_before_it_is_due(site: Site) -> None:
    renewing.enroll(site)
    wait_until_due(site)
    site.wait(minutes=-1)

    assert review(site) == 0
    assert site.queued() == []


def test_renewal_is_pushed_and_goes_before_other_commands(site: Site) -> None:
    identity = renewing.enroll(site)
    site.queue("other", MAC, priority=100)
    wait_until_due(site)

    review(site)

    wish = site.wish()
    assert wish is not None
    assert wish[1] <= site.now
    assert fetch(site, identity).command_uuid == site.queued()[0]


def test_the_secret_of_a_renewal_rests_sealed(site: Site) -> None:
    identity = due(site)
    handed = fetch(site, identity)

    stored = site.rows(sa.select(schema.commands.c.body, schema.commands.c.is_sealed))

    assert [is_sealed for _, is_sealed in stored] == [True]
    assert handed.challenge.encode() not in stored[0][0]


def test_reviews_are_no_more_frequent_for_a_renewal_that_waits(site: Site) -> None:
    due(site)
    review(site)

    assert renewing.next_review(site) - site.now >= timedelta(hours=5)


def test_review_comes_earlier_when_a_renewal_is_due_before_it(site: Site) -> None:
    renewing.enroll(site)
    review(site)
    wait_until_due(site)
    due_at = site.now
    site.wait(hours=-2)
    review(site)

    assert due_at <= renewing.next_review(site) <= due_at + timedelta(minutes=5)


def test_second_review_sends_no_second_renewal(site: Site) -> None:
    due(site)
    site.wait(days=1)

    assert review(site) == 0
    assert len(site.queued()) == 1


def test_device_with_an_unknown_profile_is_not_renewed_and_it_shows(site: Site) -> None:
    renewing.enroll(site, terms=None)
    wait_until_due(site)

    assert review(site) == 0
    assert state_of(site) is RenewalState.IMPOSSIBLE


def test_ended_enrollment_is_not_renewed(site: Site) -> None:
    identity = renewing.enroll(site)
    check_in(site, CheckOut(MAC, resolve_channel(MAC)), identity)
    wait_until_due(site)

    assert review(site) == 0


def test_unanswered_renewal_is_made_anew_before_its_challenge_ends(site: Site) -> None:
    identity = due(site)
    first = fetch(site, identity)
    connected_at = site.now
    site.runner.time = connected_at + RENDER_AGAIN_AFTER

    assert review(site) == 1
    second = fetch(site, identity)
    assert second.challenge != first.challenge
    assert site.queued() == [second.command_uuid]
    assert (first.command_uuid, "closed") in site.reports()
    assert connected_at + RENDER_AGAIN_AFTER < connected_at + CHALLENGE_LIFETIME


def test_making_it_anew_pushes_a_silent_device_no_more_than_before(site: Site) -> None:
    due(site)
    site.engine.write(
        lambda tx: tx.connection.execute(sa.update(schema.push_wishes).values(due_at=site.now + 33 * DAY, attempts=7))
    )
    before = site.wish()
    site.wait(days=28)

    assert review(site) == 1
    assert site.wish() == before


def test_renewal_whose_queue_entry_vanished_is_sent_again(site: Site) -> None:
    due(site)
    site.engine.write(lambda tx: tx.connection.execute(sa.delete(schema.queue)))
    site.runner.time += REVIEW_INTERVAL + REVIEW_GRAIN

    assert review(site) == 1


# --- how it is completed


@pytest.mark.parametrize("acknowledged", ["old identity first", "new identity after", "never"])
@pytest.mark.parametrize("with_authenticate", [True, False])
def test_renewal_is_closed_by_its_use_alone_and_purges_nothing(
    site: Site, acknowledged: str, with_authenticate: bool
) -> None:
    identity = due(site)
    site.queue("other", MAC)
    handed = fetch(site, identity)
    new = obtain(site, handed)
    if acknowledged == "old identity first":
        connect(site, identity, "Acknowledged", handed.command_uuid)
    assert renewing.row(site)["closed_at"] is None
    if with_authenticate:
        check_in(site, authenticate(), new)
    epoch = site.enrollment().epoch

    completed = check_in(site, token_update(push_magic="new"), new)

    assert isinstance(completed, CheckinAnswer)
    assert completed.signal == "renewed"
    if acknowledged == "new identity after":
        connect(site, new, "Acknowledged", handed.command_uuid)
    assert (renewing.row(site)["closed_because"], site.enrollment().epoch) == ("used", epoch)
    assert site.enrollment().pins == Pins(print_of(new), print_of(identity), site.now + timedelta(days=7))
    assert "other" in site.queued()
    assert state_of(site) is RenewalState.NOT_DUE
    site.wait(days=2)
    assert review(site) == 0
    outcome = connect(site, new)
    assert isinstance(outcome, ConnectReply)
    assert outcome.command_uuid == "other"
    assert site.queued() == ["other"]


def test_the_identity_after_is_renewed_in_its_turn(site: Site) -> None:
    new = obtain(site, fetch(site, due(site)))
    check_in(site, token_update(push_magic="new"), new)
    wait_until_due(site)

    assert review(site) == 1
    assert fetch(site, new).profile.server_url == TERMS.server_url


def test_failed_installation_rolls_back_and_the_old_identity_goes_on(site: Site) -> None:
    identity = due(site)
    handed = fetch(site, identity)
    new = obtain(site, handed)
    check_in(site, authenticate(), new)

    connect(site, identity, "Error", handed.command_uuid, errors=SCEP_FAILED)
    site.queue("other", MAC)

    outcome = connect(site, identity)
    assert isinstance(outcome, ConnectReply)
    assert outcome.command_uuid == "other"
    assert isinstance(check_in(site, token_update(token=b"\x03" * 32), identity), CheckinAnswer)
    assert site.enrollment().state is EnrollmentState.ENROLLED
    assert site.enrollment().pins.current == print_of(identity)


@pytest.mark.parametrize("tells_by", ["token update", "error"])
def test_device_that_went_back_after_using_its_new_identity_is_renewed_again_at_a_slowing_pace(
    site: Site, tells_by: str
) -> None:
    identity = due(site)
    waited = []
    for number in range(3):
        handed = fetch(site, identity)
        check_in(site, token_update(push_magic=f"new {number}"), obtain(site, handed))
        if tells_by == "token update":
            check_in(site, token_update(push_magic="old"), identity)
        connect(site, identity, "Error", handed.command_uuid)
        gone_back_at = site.now
        while review(site) == 0:
            site.runner.time = renewing.next_review(site)
        waited.append(round((site.now - gone_back_at) / HOUR))

    assert waited == [1, 6, 24]
    assert state_of(site) is RenewalState.SENT
    assert site.enrollment().pins.current == print_of(identity)
    new = obtain(site, fetch(site, identity))
    assert isinstance(check_in(site, token_update(push_magic="at last"), new), CheckinAnswer)
    site.wait(days=2)
    assert review(site) == 0


def test_renewal_of_a_life_that_ended_is_closed(site: Site) -> None:
    due(site)

    renewing.enroll(site)

    assert renewing.row(site)["closed_because"] == "ended"
    assert site.queued() == []


def test_renewal_of_a_device_that_left_is_closed(site: Site) -> None:
    identity = due(site)
    check_in(site, CheckOut(MAC, resolve_channel(MAC)), identity)

    review(site)

    assert renewing.row(site)["closed_because"] == "ended"


def test_one_devices_renewal_is_not_anothers(site: Site) -> None:
    identity = due(site)
    renewing.enroll(site, IPAD)
    new = obtain(site, fetch(site, identity))

    outcome = check_in(site, authenticate(IPAD), new)

    assert isinstance(outcome, Refusal)


# --- failures


def test_failure_is_classified_kept_and_tried_again_ever_more_rarely(site: Site) -> None:
    identity = due(site)
    waited = []
    for _ in range(4):
        connect(site, identity, "Error", site.queued()[0], errors=SCEP_FAILED)
        failed_at = site.now
        while review(site) == 0:
            site.runner.time = renewing.next_review(site)
        waited.append(round((site.now - failed_at) / HOUR))

    assert waited == [1, 6, 24, 24]
    assert state(site).failure is RenewalFailure.SCEP_REFUSED
    assert state(site).failure_text == "No certificate (MCSCEPErrorDomain 22013)"
    assert ("S5", "renewal_failed", 4) in [
        (signal, observed, count) for signal, observed, count in merged(site.evidence())
    ]


def merged(evidence: list[tuple[str, str, int]]) -> list[tuple[str, str, int]]:
    counts: dict[tuple[str, str], int] = {}
    for signal, observed, count in evidence:
        counts[signal, observed] = counts.get((signal, observed), 0) + count
    return [(signal, observed, count) for (signal, observed), count in counts.items()]


def test_not_now_is_no_failure(site: Site) -> None:
    identity = due(site)
    handed = fetch(site, identity)

    connect(site, identity, "NotNow", handed.command_uuid)

    assert state_of(site) is RenewalState.SENT
    assert site.queued() == [handed.command_uuid]


def test_renewal_acknowledged_and_not_used_within_a_day_failed(site: Site) -> None:
    identity = due(site)
    connect(site, identity, "Acknowledged", fetch(site, identity).command_uuid)
    acknowledged = state_of(site)
    site.wait(days=1)

    review(site)

    assert acknowledged is RenewalState.ACKNOWLEDGED
    assert (state_of(site), state(site).failure) == (RenewalState.FAILED, RenewalFailure.NOT_USED)
    site.wait(hours=1)
    assert review(site) == 1


def test_scep_refusal_of_a_renewals_challenge_is_evidence_of_its_device(site: Site) -> None:
    handed = fetch(site, due(site))
    site.wait(days=36)

    outcome = renewing.ask(site, handed.challenge)
    renewing.ask(site, handed.challenge)

    assert isinstance(outcome, Refusal)
    assert ("S13", "renewal_refused", 2) in site.evidence()
    assert (state_of(site), state(site).failure) == (RenewalState.FAILED, RenewalFailure.CHALLENGE_EXPIRED)


def test_what_we_know_better_than_the_device_is_kept(site: Site) -> None:
    identity = due(site)
    handed = fetch(site, identity)
    obtain(site, handed)
    renewing.ask(site, handed.challenge)

    connect(site, identity, "Error", handed.command_uuid, errors=SCEP_FAILED)

    assert state(site).failure is RenewalFailure.CHALLENGE_USED
    assert renewing.row(site)["failures"] == 1


def test_refused_challenge_of_a_link_is_nobodys_evidence(site: Site) -> None:
    renewing.enroll(site)

    renewing.ask(site, "made up")

    assert not [one for one in site.evidence() if one[0] == "S13"]


# --- lanes


def test_expired_device_gets_its_renewal_and_comes_back(site: Site) -> None:
    identity = renewing.enroll(site)
    site.runner.time = NOT_AFTER + 80 * DAY

    assert review(site) == 1
    assert renewing.row(site)["reason"] == RenewalReason.EXPIRED
    new = obtain(site, fetch(site, identity))
    completed = check_in(site, token_update(push_magic="new"), new)
    assert isinstance(completed, CheckinAnswer)
    assert completed.signal == "renewed"


def test_device_restored_from_an_older_backup_is_renewed_at_once(site: Site) -> None:
    first = renewing.enroll(site)
    wait_until_due(site)
    review(site)
    check_in(site, token_update(push_magic="second"), obtain(site, fetch(site, first)))
    site.wait(days=8)
    review(site)

    restored = check_in(site, token_update(push_magic="first"), first)

    assert isinstance(restored, CheckinAnswer)
    assert restored.signal == "restored"
    assert review(site) == 1
    assert renewing.row(site)["reason"] == RenewalReason.SUPERSEDED
    third = obtain(site, fetch(site, first))
    check_in(site, token_update(push_magic="third"), third)
    assert site.enrollment().pins.current == print_of(third)


# --- identities that come with the profile


def test_pkcs12_identity_is_renewed_with_a_key_of_its_own(site: Site) -> None:
    renewing.give_pkcs12_authority(site)
    identity = renewing.enroll(site, terms=replace(TERMS, identity_kind=IdentityKind.PKCS12))
    wait_until_due(site)
    review(site)

    payload = fetch(site, identity).profile.identity

    assert isinstance(payload, Pkcs12Payload)
    bag = read_pkcs12(payload.content, payload.password)
    new = SignerIdentity(bag.certificate_der, bag.key)
    assert isinstance(check_in(site, token_update(push_magic="new"), new), CheckinAnswer)
    assert site.enrollment().pins.current == print_of(new)
    assert renewing.row(site)["closed_because"] == "used"


# --- events


def subscribe(site: Site) -> None:
    site.engine.write(
        lambda tx: tx.connection.execute(
            sa.insert(schema.subscriptions).values(id="one", name="one", created_at=site.now)
        )
    )


def events(site: Site) -> list[tuple[str, object]]:
    rows = site.rows(sa.select(schema.outbox.c.event_type, schema.outbox.c.detail).order_by(schema.outbox.c.sequence))
    return [(kind, detail.get("days_left")) for kind, detail in rows if "identity_expir" in kind]


def test_expiry_is_told_at_30_7_and_1_days_and_at_the_end_once_each(site: Site) -> None:
    renewing.enroll(site)
    subscribe(site)
    site.runner.time = NOT_AFTER - 31 * DAY
    while site.now < NOT_AFTER + 2 * DAY:
        review(site)
        site.wait(hours=6)

    assert events(site) == [
        ("device.identity_expiring", 30),
        ("device.identity_expiring", 7),
        ("device.identity_expiring", 1),
        ("device.identity_expired", 0),
    ]


def test_nothing_is_told_of_an_identity_that_was_renewed(site: Site) -> None:
    identity = due(site)
    subscribe(site)
    check_in(site, token_update(push_magic="new"), obtain(site, fetch(site, identity)))
    site.runner.time = NOT_AFTER - DAY

    review(site)

    assert events(site) == []


# --- rotation


def test_after_a_rotation_the_fleet_is_renewed_at_its_pace(site: Site) -> None:
    identity = renewing.enroll(site)
    renewing.rotate(site, authority(1))
    site.wait(days=31)

    sent = review(site)

    assert sent == 1
    assert renewing.row(site)["reason"] == RenewalReason.AUTHORITY_ROTATED
    assert fetch(site, identity).profile.server_url == TERMS.server_url

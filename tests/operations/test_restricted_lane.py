"""Identities that expired, were replaced, or are still to be introduced: what they get, and what they don't."""

from datetime import datetime, timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import (
    ADA,
    IPAD,
    MAC,
    NOT_AFTER,
    SOURCE,
    Site,
    authenticate,
    head,
    id_of,
    print_of,
    token_update,
)

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import DEVICE
from muster.domain.command_queue import RENEWAL_PRIORITY, QueuePurpose
from muster.domain.enrollment import EnrollmentState, Pins
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.renewal import RenewalReason
from muster.operations.answer_checkin import AnyCheckin, answer_checkins
from muster.operations.answer_connect import ConnectOutcome, ConnectReply, ConnectRequest, answer_connects
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, CheckinRequest
from muster.protocol.checkin import CheckinMessage, CheckOut, GetBootstrapToken, SetBootstrapToken, encode_checkin
from muster.protocol.identifiers import CommandUUID, DeviceId, Identifiers, resolve_channel
from muster.storage import commands, queues, renewals, schema
from muster.storage.engine import Engine, Transaction
from muster.storage.renewals import ClosedBecause

LANE = timedelta(days=90)


@pytest.fixture
def site(engine: Engine) -> Site:
    return Site(engine)


def connect(
    site: Site,
    identity: SignerIdentity,
    *,
    not_after: datetime = NOT_AFTER,
    status: str = "Idle",
    command_uuid: str | None = None,
    beside: bytes | None = None,
    identifiers: Identifiers = MAC,
) -> ConnectOutcome:
    asked = head(identifiers, status, command_uuid)
    request = ConnectRequest(asked, print_of(identity), b"<plist/>", SOURCE, not_after, beside)
    return site.do(answer_connects, request, actor=DEVICE)[0]


def check_in(
    site: Site, message: CheckinMessage, identity: SignerIdentity, *, not_after: datetime = NOT_AFTER
) -> CheckinOutcome:
    request: AnyCheckin = CheckinRequest(message, print_of(identity), encode_checkin(message), SOURCE, not_after)
    return site.do(answer_checkins, request, actor=DEVICE)[0]


def queue_renewal(site: Site, command_uuid: str = "renewal", *, secret: bytes = b"secret profile") -> None:
    def store(tx: Transaction) -> None:
        uuid = CommandUUID(command_uuid)
        sealed = site.runner.context().seal(secret, table="commands", column="body", row=uuid)
        commands.add(tx, commands.NewCommand(uuid, "InstallProfile", sealed, "muster", is_sealed=True), site.now)
        queues.enqueue(
            tx,
            uuid,
            [(id_of(MAC), 1)],
            priority=RENEWAL_PRIORITY,
            at=site.now,
            purpose=QueuePurpose.RENEWAL,
        )

    site.engine.write(store)


def handed(outcome: ConnectOutcome) -> str | None:
    assert isinstance(outcome, ConnectReply), outcome
    return outcome.command_uuid


def refused(outcome: object) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def expired(site: Site) -> datetime:
    return site.now - timedelta(days=3)


def test_renewal_goes_first_and_its_sealed_body_reaches_the_device_in_clear(site: Site) -> None:
    identity = site.enroll()
    site.queue("older", MAC)
    queue_renewal(site)

    outcome = connect(site, identity)

    assert handed(outcome) == "renewal"
    assert isinstance(outcome, ConnectReply)
    assert outcome.body == b"secret profile"
    stored = site.rows(sa.select(schema.commands.c.body).where(schema.commands.c.command_uuid == "renewal"))[0][0]
    assert b"secret" not in stored


def test_expired_identity_is_handed_its_renewal_and_nothing_else(site: Site) -> None:
    identity = site.enroll()
    site.queue("other", MAC)

    before = handed(connect(site, identity, not_after=expired(site)))
    queue_renewal(site)
    with_renewal = handed(connect(site, identity, not_after=expired(site)))
    after = handed(connect(site, identity, not_after=expired(site), status="Acknowledged", command_uuid="renewal"))

    assert (before, with_renewal, after) == (None, "renewal", None)
    assert site.queued() == ["other"]


def test_report_of_an_expired_identity_is_taken_and_proves_nothing(site: Site) -> None:
    identity = site.enroll()
    site.queue("one", MAC)
    connect(site, identity)

    outcome = connect(site, identity, not_after=expired(site), status="Acknowledged", command_uuid="one")

    assert handed(outcome) is None
    assert site.queued() == []
    assert site.rows(sa.select(schema.channels.c.last_proof_at)) == [(None,)]


def test_restricted_contact_is_evidence_and_no_contact(site: Site) -> None:
    identity = site.enroll()
    before = site.rows(sa.select(schema.channels.c.last_contact_at))
    site.wait(days=1)

    connect(site, identity, not_after=expired(site))

    assert site.rows(sa.select(schema.channels.c.last_contact_at)) == before
    assert ("S2", "identity_expired", 1) in site.evidence()


def test_restricted_contact_has_the_device_reviewed_at_once(site: Site) -> None:
    identity = site.enroll()
    site.engine.write(
        lambda tx: tx.connection.execute(sa.update(schema.reviews).values(next_review_at=site.now + LANE))
    )

    connect(site, identity, not_after=expired(site))

    assert site.rows(sa.select(schema.reviews.c.next_review_at)) == [(site.now,)]


def test_identity_expired_longer_than_the_lane_is_refused(site: Site) -> None:
    identity = site.enroll()
    long_ago = site.now - LANE

    assert refused(connect(site, identity, not_after=long_ago)) is RefusalCode.IDENTITY_EXPIRED
    assert handed(connect(site, identity, not_after=long_ago + timedelta(seconds=1))) is None


def test_expired_identity_gets_no_secret_and_gives_none(site: Site) -> None:
    identity = site.enroll()
    mac = resolve_channel(MAC)
    check_in(site, SetBootstrapToken(MAC, mac, b"bootstrap"), identity)

    asked = check_in(site, GetBootstrapToken(MAC, mac), identity, not_after=expired(site))
    given = check_in(site, SetBootstrapToken(MAC, mac, b"new"), identity, not_after=expired(site))

    assert (refused(asked), refused(given)) == (RefusalCode.IDENTITY_EXPIRED, RefusalCode.IDENTITY_EXPIRED)


def test_expired_identity_may_say_where_it_is_pushed_and_that_it_leaves(site: Site) -> None:
    identity = site.enroll()
    new_token = token_update(token=b"\x02" * 32)

    updated = check_in(site, new_token, identity, not_after=expired(site))
    left = check_in(site, CheckOut(MAC, resolve_channel(MAC)), identity, not_after=expired(site))

    assert isinstance(updated, CheckinAnswer)
    assert isinstance(left, CheckinAnswer)
    assert site.rows(sa.select(schema.push_targets.c.token)) == [(b"\x02" * 32,)]
    assert site.enrollment().state is EnrollmentState.ENDED


# --- renewals that come without Authenticate


def test_renewal_without_authenticate_is_completed_by_its_token_update(site: Site) -> None:
    identity = site.enroll()
    site.queue("one", MAC)
    renewed = site.identity(renewal_of=MAC)

    outcome = check_in(site, token_update(push_magic="new"), renewed)

    assert isinstance(outcome, CheckinAnswer)
    assert outcome.signal == "renewed"
    assert site.enrollment().pins == Pins(print_of(renewed), print_of(identity), site.now + timedelta(days=7))
    assert site.queued() == ["one"]


def test_report_under_the_identity_to_come_is_heard_and_handed_nothing(site: Site) -> None:
    identity = site.enroll()
    queue_renewal(site)
    connect(site, identity)
    site.queue("other", MAC)

    outcome = connect(site, site.identity(renewal_of=MAC), status="Acknowledged", command_uuid="renewal")

    assert handed(outcome) is None
    assert site.queued() == ["other"]
    assert site.enrollment().pins.current == print_of(identity)


@pytest.mark.parametrize("is_introduced", [True, False])
def test_device_that_connects_by_its_renewal_for_a_day_is_handed_commands_without_a_token_update(
    site: Site, *, is_introduced: bool
) -> None:
    first = site.enroll()
    to_come = site.identity(renewal_of=MAC)
    if is_introduced:
        check_in(site, authenticate(), to_come)
    site.queue("one", MAC)
    connect(site, to_come)
    site.wait(hours=23)
    connect(site, to_come)
    before = site.enrollment().pins.current
    site.wait(hours=1)

    connect(site, to_come)

    assert (before, site.enrollment().pins.former) == (print_of(first), print_of(first))
    assert site.enrollment().pins.current == print_of(to_come)
    assert handed(connect(site, to_come)) == "one"
    assert ("S6", "moved_on", 1) in site.evidence()


def test_another_devices_renewal_speaks_for_nobody_here(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)
    of_ipad = site.identity(renewal_of=IPAD)

    assert refused(connect(site, of_ipad)) is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE
    assert refused(check_in(site, token_update(), of_ipad)) is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE


def test_of_two_renewals_the_device_may_use_the_one_after_the_other(site: Site) -> None:
    site.enroll()
    first, second = site.identity(renewal_of=MAC), site.identity(renewal_of=MAC)
    check_in(site, token_update(), first)

    outcome = check_in(site, token_update(push_magic="second"), second)

    assert isinstance(outcome, CheckinAnswer)
    assert outcome.signal == "renewed"
    assert site.enrollment().pins.current == print_of(second)


def test_renewal_is_used_although_its_device_went_back_to_the_former_identity_before(site: Site) -> None:
    first, _ = renewed(site)
    to_come = site.identity(renewal_of=MAC)
    check_in(site, token_update(), first)

    check_in(site, token_update(push_magic="new"), to_come)

    assert site.enrollment().pins.current == print_of(to_come)


@pytest.mark.parametrize("is_renewal", [True, False])
def test_introduced_renewal_is_used_although_another_authenticate_came_between(site: Site, *, is_renewal: bool) -> None:
    site.enroll()
    site.queue("one", MAC)
    introduced = site.identity(renewal_of=MAC)
    check_in(site, authenticate(), introduced)
    check_in(site, authenticate(), site.identity(renewal_of=MAC if is_renewal else None))

    check_in(site, token_update(push_magic="new"), introduced)

    assert (site.enrollment().epoch, site.enrollment().pins.current) == (1, print_of(introduced))
    assert site.queued() == ["one"]


def test_authenticate_by_a_renewal_of_an_earlier_life_begins_another(site: Site) -> None:
    site.enroll()
    of_old_life = site.identity(renewal_of=MAC)
    site.enroll()

    outcome = check_in(site, authenticate(), of_old_life)

    assert isinstance(outcome, CheckinAnswer)
    assert (outcome.signal, site.enrollment().provisional_epoch) == ("enrollment", 3)


def test_renewal_of_an_earlier_life_does_not_take_the_new_one_over(site: Site) -> None:
    site.enroll()
    of_old_life = site.identity(renewal_of=MAC)
    site.enroll()

    assert refused(check_in(site, token_update(), of_old_life)) is RefusalCode.IDENTITY_NOT_PINNED


# --- rolled back after the renewal was used


def renewed(site: Site) -> tuple[SignerIdentity, SignerIdentity]:
    """A device's first identity and the one it has just been renewed with, by a renewal of the server's."""
    first = site.enroll()
    queue_renewal(site)
    device_id, reason = DeviceId(id_of(MAC)), RenewalReason.EXPIRING

    def begin(tx: Transaction) -> None:
        renewals.open_if_none(tx, device_id, epoch=1, reason=reason, at=site.now)
        uuid = CommandUUID("renewal")
        renewals.note_sent(tx, device_id, reason=reason, command_uuid=uuid, challenge_hash=None, at=site.now)

    site.engine.write(begin)
    connect(site, first)
    site.wait(hours=1)
    second = site.identity(renewal_of=MAC)
    check_in(site, token_update(push_magic="new"), second)
    return first, second


def magic(site: Site) -> str:
    (found,) = site.rows(sa.select(schema.push_targets.c.push_magic))[0]
    assert isinstance(found, str)
    return found


def failures(site: Site) -> list[tuple[int, str | None, bool]]:
    columns = schema.renewals.c
    return [
        (count, what, closed is None)
        for count, what, closed in site.rows(sa.select(columns.failures, columns.failure, columns.closed_at))
    ]


def test_token_update_under_the_former_identity_takes_the_renewal_back(site: Site) -> None:
    first, second = renewed(site)
    site.wait(hours=1)

    outcome = check_in(site, token_update(), first)

    assert isinstance(outcome, CheckinAnswer)
    assert outcome.signal == "went_back"
    assert site.enrollment().pins == Pins(print_of(first), print_of(second), site.now + timedelta(days=7))
    assert failures(site) == [(1, "rolled_back", True)]


def test_error_of_the_renewal_by_the_former_identity_takes_it_back(site: Site) -> None:
    first, second = renewed(site)

    connect(site, first, status="Error", command_uuid="renewal")

    assert site.enrollment().pins.current == print_of(first)
    assert site.enrollment().pins.former == print_of(second)
    assert failures(site)[0][2]
    assert magic(site) == "magic"


def test_acknowledgement_by_the_former_identity_takes_nothing_back(site: Site) -> None:
    first, second = renewed(site)

    connect(site, first, status="Acknowledged", command_uuid="renewal")
    connect(site, first)

    assert site.enrollment().pins.current == print_of(second)
    assert failures(site) == [(0, None, False)]


def test_device_that_speaks_on_under_its_former_identity_has_gone_back(site: Site) -> None:
    first, _ = renewed(site)
    site.wait(hours=23)
    connect(site, first)
    before = site.enrollment().pins.current == print_of(first)
    site.wait(hours=2)

    connect(site, first)

    assert not before
    assert site.enrollment().pins.current == print_of(first)
    assert magic(site) == "magic"
    assert failures(site) == [(1, "rolled_back", True)]


def test_device_that_speaks_on_while_an_authenticate_is_undecided_leaves_no_trail_of_evidence(site: Site) -> None:
    first, second = renewed(site)
    site.wait(days=2)
    check_in(site, authenticate(), site.identity())

    for _ in range(3):
        connect(site, first)

    assert site.enrollment().pins.current == print_of(second)
    assert [seen for seen in site.evidence() if seen[:2] == ("S6", "went_back")] == []


def test_device_that_comes_to_use_its_renewal_after_all_has_it_as_its_pin(site: Site) -> None:
    first, second = renewed(site)
    check_in(site, token_update(), first)
    site.wait(days=1)

    check_in(site, token_update(push_magic="new"), second)

    assert site.enrollment().pins.current == print_of(second)
    assert failures(site) == [(1, "rolled_back", False)]


def test_restored_device_whose_renewal_fails_is_not_renewed_in_the_same_breath(site: Site) -> None:
    first = superseded(site)
    check_in(site, token_update(), first)
    site.engine.write(lambda tx: renewals.close(tx, DeviceId(id_of(MAC)), ClosedBecause.USED, site.now))

    connect(site, first)

    assert failures(site) == [(1, "rolled_back", True)]


# --- restored from an older backup


def superseded(site: Site) -> SignerIdentity:
    """A device's first identity, its renewal used and the week over in which it stayed good."""
    first = site.enroll()
    check_in(site, token_update(), site.identity(renewal_of=MAC))
    site.wait(days=8)
    return first


def test_device_restored_from_an_older_backup_is_stored_and_renewed(site: Site) -> None:
    first = superseded(site)
    pins = site.enrollment().pins
    site.queue("other", MAC)
    queue_renewal(site)

    outcome = check_in(site, token_update(token=b"\x07" * 32), first)

    assert isinstance(outcome, CheckinAnswer)
    assert outcome.signal == "restored"
    assert site.enrollment().pins == pins
    assert site.rows(sa.select(schema.push_targets.c.token)) == [(b"\x07" * 32,)]
    assert handed(connect(site, first)) == "renewal"
    assert ("S2", "identity_superseded", 2) in site.evidence()


def test_identity_of_an_earlier_life_is_refused(site: Site) -> None:
    first = site.enroll()
    site.enroll()

    assert refused(connect(site, first)) is RefusalCode.IDENTITY_OF_EARLIER_LIFE
    assert refused(check_in(site, token_update(), first)) is RefusalCode.IDENTITY_OF_EARLIER_LIFE
    assert ("S2", "identity_of_earlier_life", 2) in site.evidence()


# --- a second certificate on the connection


def test_message_over_another_devices_connection_is_refused(site: Site) -> None:
    identity, other = site.enroll(), site.enroll(IPAD)

    assert refused(connect(site, identity, beside=print_of(other))) is RefusalCode.IDENTITY_MISMATCH
    assert handed(connect(site, identity, beside=b"?" * 32)) is None


def test_message_over_a_connection_of_the_devices_other_identity_is_heard(site: Site) -> None:
    first = site.enroll()
    renewed = site.identity(renewal_of=MAC)

    assert handed(connect(site, first, beside=print_of(renewed))) is None
    check_in(site, token_update(), renewed)
    assert handed(connect(site, renewed, beside=print_of(first))) is None


# --- whom an identity was made for


def test_authenticate_of_a_user_channel_identity_is_no_matter_of_users(site: Site) -> None:
    identity = site.enroll()

    assert isinstance(check_in(site, token_update(ADA), identity, not_after=expired(site)), CheckinAnswer)
    assert handed(connect(site, identity, identifiers=ADA, not_after=expired(site))) is None


def test_authenticate_again_with_the_renewal_stays_a_renewal(site: Site) -> None:
    site.enroll()
    renewed = site.identity(renewal_of=MAC)

    answers = [check_in(site, authenticate(), renewed) for _ in range(2)]

    assert [answer.signal for answer in answers if isinstance(answer, CheckinAnswer)] == ["renewal", "renewal"]


def test_claim_to_be_a_device_cuts_off_no_user_of_it(site: Site) -> None:
    rightful = site.enroll()
    check_in(site, token_update(ADA), rightful)
    site.queue("for Ada", ADA)
    claimed = site.identity()
    check_in(site, authenticate(), claimed)

    early = check_in(site, token_update(ADA, push_magic="stolen"), claimed)

    assert refused(early) is RefusalCode.DEVICE_NOT_YET_ENROLLED
    assert handed(connect(site, rightful, identifiers=ADA)) == "for Ada"


def test_user_of_a_device_that_enrolled_anew_comes_after_it(site: Site) -> None:
    rightful = site.enroll()
    check_in(site, token_update(ADA), rightful)
    anew = site.identity()
    check_in(site, authenticate(), anew)
    check_in(site, token_update(), anew)

    assert isinstance(check_in(site, token_update(ADA), anew), CheckinAnswer)
    assert site.enrollment(ADA).epoch == 2


def test_renewal_that_was_used_is_not_handed_out_again_and_its_answer_is_still_taken(site: Site) -> None:
    _, second = renewed(site)

    asked = handed(connect(site, second))
    connect(site, second, status="Acknowledged", command_uuid="renewal")

    assert asked is None
    assert site.queued() == []

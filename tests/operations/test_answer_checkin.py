"""Authenticate, TokenUpdate, CheckOut and the rest: what each keeps, closes, and refuses."""

import json
from dataclasses import replace
from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.support.site import (
    ADA,
    IPAD,
    MAC,
    TOPIC,
    Site,
    authenticate,
    id_of,
    identity_of,
    print_of,
    token_update,
)

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.enrollment import EndReason, EnrollmentState, Pins
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, DeclarationUnknown
from muster.protocol.checkin import (
    CheckOut,
    DeclarativeManagement,
    GetBootstrapToken,
    GetToken,
    ReturnToService,
    SetBootstrapToken,
)
from muster.protocol.checkin_replies import read_bootstrap_token_reply
from muster.protocol.identifiers import SHARED_IPAD_USER_ID, ChannelKind, Identifiers, resolve_channel
from muster.protocol.plist import read_plist
from muster.storage import schema

SHARED = replace(IPAD, user_id=SHARED_IPAD_USER_ID, user_short_name="ada@example.org")
BYOD = Identifiers(enrollment_id="4F2E7A10-9C3B-4E55-8D21-6A7B8C9D0E1F")
BYOD_ADA = replace(BYOD, enrollment_user_id="1B2C3D4E-0000-4000-8000-1B2C3D4E5F60")


def signal(outcome: CheckinOutcome) -> str:
    assert isinstance(outcome, CheckinAnswer), outcome
    return outcome.signal


def code(outcome: CheckinOutcome) -> RefusalCode:
    assert isinstance(outcome, Refusal), outcome
    return outcome.code


def check_out(identifiers: Identifiers = MAC) -> CheckOut:
    return CheckOut(identifiers, resolve_channel(identifiers), TOPIC)


def keep_token(site: Site, identity: SignerIdentity, token: bytes | None) -> str:
    return signal(site.check_in(SetBootstrapToken(MAC, resolve_channel(MAC), token), identity))


def bootstrap_token(site: Site, identity: SignerIdentity) -> bytes | None:
    outcome = site.check_in(GetBootstrapToken(MAC, resolve_channel(MAC)), identity)
    assert isinstance(outcome, CheckinAnswer)
    return read_bootstrap_token_reply(outcome.body)


def target(site: Site, identifiers: Identifiers = MAC) -> tuple[bytes, str]:
    columns = schema.push_targets.c
    (found,) = site.rows(sa.select(columns.token, columns.push_magic).where(columns.channel_id == id_of(identifiers)))
    return found[0], found[1]


def epochs(site: Site) -> list[tuple[int, bool, str | None]]:
    """Number, whether it was ever current, and why it was closed."""
    columns = schema.epochs.c
    rows = site.rows(
        sa.select(columns.number, columns.current_from, columns.closed_reason)
        .where(columns.device_id == id_of(MAC))
        .order_by(columns.number)
    )
    return [(number, current_from is not None, reason) for number, current_from, reason in rows]


# Enrolling


def test_authenticate_alone_is_not_yet_an_enrollment(site: Site) -> None:
    identity = site.identity()

    outcome = site.check_in(authenticate(), identity)

    assert signal(outcome) == "enrollment"
    enrollment = site.enrollment()
    assert (enrollment.state, enrollment.epoch, enrollment.provisional_epoch) == (EnrollmentState.ENROLLING, 0, 1)
    assert enrollment.pins == Pins(provisional=print_of(identity))
    assert site.wish() is None


def test_token_update_completes_the_enrollment_and_wishes_a_push(site: Site) -> None:
    identity = site.enroll()

    enrollment = site.enrollment()
    assert (enrollment.state, enrollment.epoch, enrollment.provisional_epoch) == (EnrollmentState.ENROLLED, 1, None)
    assert enrollment.pins == Pins(current=print_of(identity))
    assert site.wish() == ("enrolled", site.now, 0)
    assert epochs(site) == [(1, True, None)]


def test_authenticate_said_again_opens_the_same_epoch(site: Site) -> None:
    identity = site.identity()
    site.check_in(authenticate(), identity)

    site.check_in(authenticate(), identity)

    assert epochs(site) == [(1, False, None)]
    assert site.enrollment().provisional_epoch == 1


def test_serial_number_is_learned_and_not_forgotten_when_it_is_left_out(site: Site) -> None:
    site.check_in(authenticate(), site.identity())

    site.check_in(authenticate(serial_number=None), site.identity())

    assert site.rows(sa.select(schema.device_facts.c.serial_number)) == [("C02XK1LYJGH5",)]


def test_identity_that_is_not_ours_enrolls_nobody(site: Site) -> None:
    outcome = site.check_in(authenticate(), identity_of(1, 1))

    assert code(outcome) is RefusalCode.IDENTITY_UNKNOWN
    assert not site.is_known()
    assert site.rumours() == [(id_of(MAC), "identity_unknown", 1)]


def test_clone_is_refused_with_evidence_of_the_device_whose_identity_it_has(site: Site) -> None:
    identity = site.enroll()

    outcome = site.check_in(authenticate(IPAD), identity)

    assert code(outcome) is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE
    assert not site.is_known(IPAD)
    assert ("S2", "identity_of_another_device", 1) in site.evidence()


def test_token_update_without_authenticate_is_refused(site: Site) -> None:
    assert code(site.check_in(token_update(), site.identity())) is RefusalCode.CHANNEL_UNKNOWN


def test_token_update_under_another_identity_leaves_the_token_alone(site: Site) -> None:
    site.enroll()

    outcome = site.check_in(token_update(token=b"\x66" * 32), site.identity())

    assert code(outcome) is RefusalCode.IDENTITY_NOT_PINNED
    assert target(site) == (b"\x01" * 32, "magic")


# Token updates


def test_token_update_said_again_is_a_contact_and_nothing_else(site: Site) -> None:
    identity = site.enroll()
    before = site.evidence()

    outcome = site.check_in(token_update(), identity)

    assert signal(outcome) == "unchanged"
    assert site.evidence() == before


def test_new_token_is_stored_and_everything_else_stays(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")

    outcome = site.check_in(token_update(token=b"\x02" * 32, push_magic="other"), identity)

    assert signal(outcome) == "token_changed"
    assert target(site) == (b"\x02" * 32, "other")
    assert site.queued() == ["one"]
    assert site.enrollment().epoch == 1


def unlock_tokens(site: Site) -> list[tuple[int, bool]]:
    columns = schema.escrow.c
    rows = site.rows(sa.select(columns.epoch, columns.archived_at).order_by(columns.epoch, columns.stored_at))
    return [(epoch, archived_at is not None) for epoch, archived_at in rows]


def test_absent_unlock_token_keeps_the_one_before(site: Site) -> None:
    identity = site.identity()
    site.check_in(authenticate(), identity)
    site.check_in(token_update(unlock_token=b"secret"), identity)

    site.check_in(token_update(token=b"\x02" * 32), identity)

    assert unlock_tokens(site) == [(1, False)]


def test_same_unlock_token_is_kept_once_and_a_new_one_archives_it(site: Site) -> None:
    identity = site.identity()
    site.check_in(authenticate(), identity)
    for secret in (b"secret", b"secret", b"newer"):
        site.check_in(token_update(unlock_token=secret), identity)
        site.wait(minutes=1)

    assert unlock_tokens(site) == [(1, True), (1, False)]
    assert b"secret" not in b"".join(sealed for (sealed,) in site.rows(sa.select(schema.escrow.c.sealed)))


# Enrolling again


def test_re_enrollment_closes_the_queue_archives_escrow_and_loses_neither(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    keep_token(site, identity, b"bootstrap")
    site.wait(days=1)

    again = site.enroll()

    assert site.queued() == []
    assert site.reports() == [("one", "closed")]
    assert bootstrap_token(site, again) is None
    assert unlock_tokens(site) == [(1, True)]
    assert epochs(site) == [(1, True, "re_enrolled"), (2, True, None)]
    assert code(site.check_in(token_update(), identity)) is RefusalCode.IDENTITY_OF_EARLIER_LIFE


def test_until_its_token_update_a_re_enrollment_changes_nothing(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    keep_token(site, identity, b"bootstrap")
    again = site.identity()

    site.check_in(authenticate(), again)
    keep_token(site, again, b"of the new epoch")

    assert site.queued() == ["one"]
    assert bootstrap_token(site, identity) == b"bootstrap"
    assert bootstrap_token(site, again) == b"of the new epoch"
    assert site.enrollment().pins.current == print_of(identity)


def test_secret_handed_over_before_the_token_update_is_in_force_after_it(site: Site) -> None:
    keep_token(site, site.enroll(), b"old")
    again = site.identity()
    site.check_in(authenticate(), again)
    keep_token(site, again, b"new")

    site.check_in(token_update(), again)

    assert bootstrap_token(site, again) == b"new"


def test_enrollment_that_was_never_completed_is_closed_as_such(site: Site) -> None:
    site.enroll()
    site.check_in(authenticate(), site.identity())

    site.enroll()

    assert epochs(site) == [(1, True, "re_enrolled"), (2, False, "never_completed"), (3, True, None)]


def test_renewal_keeps_queue_escrow_and_users_and_the_old_pin_for_a_week(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    site.queue("one")
    keep_token(site, identity, b"bootstrap")
    renewed = site.identity(renewal_of=MAC)

    answers = [signal(site.check_in(message, renewed)) for message in (authenticate(), token_update())]

    assert answers == ["renewal", "renewed"]
    assert site.queued() == ["one"]
    assert bootstrap_token(site, renewed) == b"bootstrap"
    assert site.enrollment(ADA).state is EnrollmentState.ENROLLED
    assert site.enrollment().pins == Pins(print_of(renewed), print_of(identity), site.now + timedelta(days=7))
    assert epochs(site) == [(1, True, None)]
    site.wait(days=7)
    assert signal(site.check_in(token_update(), identity)) == "restored"


def test_device_rolled_back_by_a_failed_renewal_goes_on_as_before(site: Site) -> None:
    identity = site.enroll()
    site.check_in(authenticate(), site.identity(renewal_of=MAC))

    outcome = site.check_in(token_update(), identity)

    assert signal(outcome) == "unchanged"
    assert site.enrollment().pins.current == print_of(identity)


def test_renewal_issued_for_another_device_is_refused(site: Site) -> None:
    site.enroll()
    site.enroll(IPAD)

    outcome = site.check_in(authenticate(IPAD), site.identity(renewal_of=MAC))

    assert code(outcome) is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE


def test_renewal_of_a_device_that_had_checked_out_brings_it_back(site: Site) -> None:
    identity = site.enroll()
    renewed = site.identity(renewal_of=MAC)
    site.check_in(check_out(), identity)

    site.check_in(authenticate(), renewed)
    site.check_in(token_update(), renewed)

    assert site.enrollment().state is EnrollmentState.ENROLLED


# Users


@pytest.mark.parametrize(
    ("device", "user", "kind", "user_id"),
    [
        (MAC, ADA, ChannelKind.USER, f"{MAC.udid}:{ADA.user_id}"),
        (IPAD, SHARED, ChannelKind.SHARED_IPAD, f"{IPAD.udid}:ada@example.org"),
        (BYOD, BYOD_ADA, ChannelKind.USER_ENROLLMENT_USER, f"{BYOD.enrollment_id}:{BYOD_ADA.enrollment_user_id}"),
    ],
)
def test_user_of_every_kind_enrolls_beside_its_device(
    site: Site, device: Identifiers, user: Identifiers, kind: ChannelKind, user_id: str
) -> None:
    identity = site.enroll(device)

    outcome = site.check_in(token_update(user, token=b"\x05" * 32), identity)

    assert signal(outcome) == "enrolled"
    assert site.enrollment(user).channel.kind is kind
    assert id_of(user) == user_id
    assert target(site, user)[0] == b"\x05" * 32
    assert target(site, device)[0] == b"\x01" * 32
    assert site.wish(user) == ("enrolled", site.now, 0)


def test_user_logging_in_again_is_a_retransmission(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)

    assert signal(site.check_in(token_update(ADA), identity)) == "unchanged"


def test_user_of_an_unknown_device_is_refused(site: Site) -> None:
    assert code(site.check_in(token_update(ADA), site.identity())) is RefusalCode.CHANNEL_UNKNOWN
    assert not site.is_known(ADA)


def test_re_enrollment_ends_users_until_they_log_in_again(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    site.queue("for Ada", ADA)

    again = site.enroll()
    ended = site.enrollment(ADA)
    site.check_in(token_update(ADA), again)

    assert (ended.state, ended.ended_reason) == (EnrollmentState.ENDED, EndReason.RE_ENROLLED)
    assert site.reports(ADA) == [("for Ada", "closed")]
    assert (site.enrollment(ADA).state, site.enrollment(ADA).epoch) == (EnrollmentState.ENROLLED, 2)


# Leaving and coming back


def test_number_of_an_epoch_that_a_renewal_put_aside_is_not_given_again(site: Site) -> None:
    site.enroll()
    site.check_in(authenticate(), site.identity())
    site.check_in(authenticate(), site.identity(renewal_of=MAC))

    site.enroll()

    assert site.enrollment().epoch == 3


def test_check_out_ends_the_device_and_its_users_and_keeps_what_is_known(site: Site) -> None:
    identity = site.enroll()
    site.check_in(token_update(ADA), identity)
    keep_token(site, identity, b"bootstrap")
    site.queue("one")

    outcome = site.check_in(check_out(), identity)

    assert signal(outcome) == "checked_out"
    for channel in (MAC, ADA):
        assert (site.enrollment(channel).state, site.enrollment(channel).ended_reason) == (
            EnrollmentState.ENDED,
            EndReason.CHECKED_OUT,
        )
        assert site.wish(channel) is None
    assert site.queued() == ["one"]
    assert unlock_tokens(site) == [(1, False)]
    assert ("S8", "checked_out", 1) in site.evidence()


def test_device_that_checked_out_and_enrolls_again_begins_anew(site: Site) -> None:
    identity = site.enroll()
    site.queue("one")
    site.check_in(check_out(), identity)

    site.enroll()

    assert site.enrollment().state is EnrollmentState.ENROLLED
    assert site.enrollment().epoch == 2
    assert site.reports() == [("one", "closed")]


def test_token_update_after_check_out_brings_the_device_back(site: Site) -> None:
    identity = site.enroll()
    site.check_in(check_out(), identity)

    site.check_in(token_update(), identity)

    assert site.enrollment().state is EnrollmentState.ENROLLED


def test_check_out_of_who_only_claims_to_be_the_device_leaves_its_enrollment_in_force(site: Site) -> None:
    identity = site.enroll()
    claimant = site.identity()
    site.check_in(authenticate(), claimant)

    outcome = site.check_in(check_out(), claimant)

    assert signal(outcome) == "provisional"
    assert site.enrollment().state is EnrollmentState.ENROLLED
    assert site.enrollment().pins == Pins(print_of(identity))
    assert ("S8", "provisional", 1) in site.evidence()


def test_check_out_by_an_introduced_renewal_is_the_devices_own(site: Site) -> None:
    site.enroll()
    renewed = site.identity(renewal_of=MAC)
    site.check_in(authenticate(), renewed)

    site.check_in(check_out(), renewed)

    assert site.enrollment().state is EnrollmentState.ENDED


def test_users_commands_are_closed_when_the_device_enrolls_anew(site: Site) -> None:
    site.check_in(token_update(ADA), site.enroll())
    site.queue("one", ADA)

    site.enroll()

    assert site.queued(ADA) == []
    assert site.reports(ADA) == [("one", "closed")]


def test_check_out_of_a_device_we_do_not_know_is_accepted(site: Site) -> None:
    assert signal(site.check_in(check_out(), site.identity())) == "unknown"


def test_check_out_under_a_strange_identity_ends_nothing(site: Site) -> None:
    site.enroll()

    assert code(site.check_in(check_out(), site.identity())) is RefusalCode.IDENTITY_NOT_PINNED
    assert site.enrollment().state is EnrollmentState.ENROLLED


# Bootstrap tokens


def test_bootstrap_token_comes_back_to_its_device_only(site: Site) -> None:
    mac, ipad = site.enroll(), site.enroll(IPAD)

    assert keep_token(site, mac, b"bootstrap") == "kept"
    assert bootstrap_token(site, mac) == b"bootstrap"
    assert (
        code(site.check_in(GetBootstrapToken(MAC, resolve_channel(MAC)), ipad))
        is RefusalCode.IDENTITY_OF_ANOTHER_DEVICE
    )


def test_bootstrap_token_is_kept_and_given_after_a_late_copy_of_the_authenticate(site: Site) -> None:
    identity = site.enroll()
    keep_token(site, identity, b"bootstrap")
    site.check_in(authenticate(), identity)

    assert bootstrap_token(site, identity) == b"bootstrap"
    keep_token(site, identity, b"rotated")
    site.connect(identity)
    assert bootstrap_token(site, identity) == b"rotated"


@pytest.mark.parametrize("nothing", [None, b""])
def test_absent_or_empty_bootstrap_token_puts_the_stored_one_out_of_force(site: Site, nothing: bytes | None) -> None:
    identity = site.enroll()
    keep_token(site, identity, b"bootstrap")

    assert keep_token(site, identity, nothing) == "archived"
    assert bootstrap_token(site, identity) is None
    assert unlock_tokens(site) == [(1, True)]


def test_device_without_a_bootstrap_token_is_told_so(site: Site) -> None:
    assert bootstrap_token(site, site.enroll()) is None


# Questions


def test_unknown_token_service_is_refused(site: Site) -> None:
    outcome = site.check_in(GetToken(MAC, resolve_channel(MAC), "com.apple.maid"), site.enroll())

    assert code(outcome) is RefusalCode.SERVICE_UNKNOWN


def test_return_to_service_never_enables_it(site: Site) -> None:
    outcome = site.check_in(ReturnToService(IPAD, resolve_channel(IPAD)), site.enroll(IPAD))

    assert isinstance(outcome, CheckinAnswer)
    assert read_plist(outcome.body) == {"ReturnToService": {"Enabled": False}}


def test_device_without_declarations_is_told_so(site: Site) -> None:
    identity = site.enroll()

    def ask(endpoint: str) -> CheckinOutcome:
        return site.check_in(DeclarativeManagement(MAC, resolve_channel(MAC), endpoint), identity)

    tokens, items = ask("tokens"), ask("declaration-items")
    assert isinstance(tokens, CheckinAnswer)
    assert isinstance(items, CheckinAnswer)
    assert json.loads(tokens.body)["SyncTokens"]["DeclarationsToken"] == json.loads(items.body)["DeclarationsToken"]
    assert signal(ask("status")) == "status"
    assert ask("declaration/configuration/none") == DeclarationUnknown()


@pytest.mark.parametrize("is_known", [False, True])
def test_question_under_a_strange_identity_is_not_answered(site: Site, *, is_known: bool) -> None:
    if is_known:
        site.enroll()

    outcome = site.check_in(ReturnToService(MAC, resolve_channel(MAC)), site.identity())

    assert code(outcome) is (RefusalCode.IDENTITY_NOT_PINNED if is_known else RefusalCode.CHANNEL_UNKNOWN)

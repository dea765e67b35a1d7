"""Network users who log in to a Mac: declined, let in, or asked for their password."""

from dataclasses import replace

import pytest
from tests.support.site import ADA, MAC, NOT_AFTER, SOURCE, Site, id_of, print_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.access import DEVICE
from muster.domain.enrollment import EnrollmentState
from muster.domain.enrollment_users import ATTEMPT_WINDOW, FAILURES_PER_ADDRESS, FAILURES_PER_USER
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.standing_policies import PolicyName
from muster.domain.user_login import CHALLENGE_LIFETIME
from muster.operations.answer_checkin import AnyCheckin, answer_checkins
from muster.operations.answer_connect import ConnectOutcome, ConnectReply, ConnectRequest, answer_connects
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, CheckinRequest, UserNotManaged
from muster.operations.set_policy import PolicyOrder, set_policies
from muster.protocol.checkin import UserAuthenticate, encode_checkin
from muster.protocol.checkin_replies import UserAuthenticateReply, read_user_authenticate_reply
from muster.protocol.connect import Report, ReportHead, Status, encode_report
from muster.protocol.identifiers import CommandUUID, Identifiers, resolve_channel
from muster.protocol.user_digest import digest_key, make_digest_answer

PASSWORD = "correct horse"
BEN = replace(MAC, user_id="0B1B2C3D-0000-4000-8000-0A1B2C3D4E5F", user_short_name="ben")


def set_policy(site: Site, value: str) -> None:
    outcome = site.do(set_policies, PolicyOrder(PolicyName.NETWORK_USERS.value, value))[0]
    assert not isinstance(outcome, Refusal)


def step(
    site: Site, identity: SignerIdentity, answer: str | None = None, user: Identifiers = ADA, *, known: bool = True
) -> CheckinOutcome:
    """One step of UserAuthenticate; the directory knows the user, or not."""
    message = UserAuthenticate(user, resolve_channel(user), answer)
    key = digest_key(user.user_short_name or "", "muster", PASSWORD) if known and answer is not None else None
    request: AnyCheckin = CheckinRequest(
        message, print_of(identity), encode_checkin(message), SOURCE, NOT_AFTER, password_key=key
    )
    return site.do(answer_checkins, request, actor=DEVICE)[0]


def said(outcome: CheckinOutcome) -> UserAuthenticateReply:
    assert isinstance(outcome, CheckinAnswer), outcome
    return read_user_authenticate_reply(outcome.body)


def challenge_of(site: Site, identity: SignerIdentity, user: Identifiers = ADA) -> str:
    challenge = said(step(site, identity, user=user)).digest_challenge
    assert challenge
    return challenge


def log_in(site: Site, identity: SignerIdentity, user: Identifiers = ADA, password: str = PASSWORD) -> str | None:
    """Both steps; the AuthToken."""
    challenge = challenge_of(site, identity, user)
    answer = make_digest_answer(challenge, user.user_short_name or "", password)
    return said(step(site, identity, answer, user)).auth_token


def connect(
    site: Site,
    identity: SignerIdentity,
    auth_token: str | None,
    status: Status = Status.IDLE,
    command_uuid: str | None = None,
) -> ConnectOutcome:
    uuid = None if command_uuid is None else CommandUUID(command_uuid)
    head = ReportHead(resolve_channel(ADA), ADA, status, status.value, uuid, auth_token=auth_token)
    request = ConnectRequest(head, print_of(identity), encode_report(Report(head)), SOURCE, NOT_AFTER)
    return site.do(answer_connects, request, actor=DEVICE)[0]


def handed(outcome: ConnectOutcome) -> str | None:
    assert isinstance(outcome, ConnectReply), outcome
    return outcome.command_uuid


def questions(site: Site, identifiers: Identifiers = MAC) -> list[str]:
    return [observed for signal, observed, _ in site.evidence(identifiers) if signal == "S17"]


def test_network_user_is_declined_until_a_policy_has_them_managed(site: Site) -> None:
    identity = site.enroll()

    assert step(site, identity) == UserNotManaged()
    assert questions(site) == ["user_declined"]


def test_empty_challenge_lets_a_user_in_without_a_password_of_ours(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "accept")

    first = said(step(site, identity))
    second = step(site, identity, "x")

    assert first == UserAuthenticateReply(digest_challenge="")
    assert second == CheckinAnswer(b"", signal="user_let_in")


def test_password_opens_the_users_channel_which_carries_the_token_from_then_on(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")

    token = log_in(site, identity)
    site.check_in(replace(token_update(ADA), auth_token=token), identity)
    site.queue("one", ADA)

    assert token
    assert site.enrollment(ADA).state is EnrollmentState.ENROLLED
    assert handed(connect(site, identity, token)) == "one"
    assert questions(site, ADA) == []


@pytest.mark.parametrize("known", [True, False])
def test_wrong_password_and_unknown_user_get_the_same_empty_token(site: Site, *, known: bool) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    answer = make_digest_answer(challenge_of(site, identity), "ada", "wrong" if known else PASSWORD)

    reply = said(step(site, identity, answer, known=known))

    assert reply == UserAuthenticateReply(auth_token="")
    assert "user_password_wrong" in questions(site)


def test_challenge_is_answered_once(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    answer = make_digest_answer(challenge_of(site, identity), "ada", PASSWORD)
    first = said(step(site, identity, answer)).auth_token

    again = said(step(site, identity, answer)).auth_token

    assert (bool(first), again) == (True, "")
    assert "user_challenge_stale" in questions(site)


def test_challenge_ends(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    answer = make_digest_answer(challenge_of(site, identity), "ada", PASSWORD)
    site.wait(seconds=CHALLENGE_LIFETIME.total_seconds())

    assert said(step(site, identity, answer)).auth_token == ""


def test_challenge_of_one_user_is_no_use_to_another(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    challenge = challenge_of(site, identity, ADA)
    challenge_of(site, identity, BEN)

    reply = said(step(site, identity, make_digest_answer(challenge, "ben", PASSWORD), BEN))

    assert reply.auth_token == ""


def test_password_of_one_user_does_not_open_anothers_channel(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    answer = make_digest_answer(challenge_of(site, identity), "ben", PASSWORD)
    message = UserAuthenticate(ADA, resolve_channel(ADA), answer)
    key = digest_key("ben", "muster", PASSWORD)
    request: AnyCheckin = CheckinRequest(message, print_of(identity), b"", SOURCE, NOT_AFTER, password_key=key)

    assert said(site.do(answer_checkins, request, actor=DEVICE)[0]).auth_token == ""


@pytest.mark.parametrize("answer", ["x", "Digest nonsense", 'Digest username="ada"'])
def test_answer_that_cannot_be_read_is_a_wrong_one(site: Site, answer: str) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    challenge_of(site, identity)

    assert said(step(site, identity, answer)).auth_token == ""
    assert "user_digest_malformed" in questions(site)


@pytest.mark.parametrize(("token", "observed"), [(None, "auth_token_missing"), ("other", "auth_token_wrong")])
def test_without_the_token_a_report_is_kept_and_nothing_is_handed_out(
    site: Site, token: str | None, observed: str
) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    good = log_in(site, identity)
    site.check_in(replace(token_update(ADA), auth_token=good), identity)
    site.queue("one", ADA)
    site.queue("two", ADA)
    connect(site, identity, good)

    outcome = connect(site, identity, token, Status.ACKNOWLEDGED, "one")

    assert outcome == ConnectReply()
    assert site.reports(ADA) == [("one", "Acknowledged")]
    assert site.queued(ADA) == ["two"]
    assert questions(site, ADA) == [observed]
    assert handed(connect(site, identity, good)) == "two"


def test_token_ends_with_the_next_login(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    former = log_in(site, identity)
    site.check_in(replace(token_update(ADA), auth_token=former), identity)
    site.queue("one", ADA)

    token = log_in(site, identity)

    assert handed(connect(site, identity, former)) is None
    assert handed(connect(site, identity, token)) == "one"


def test_token_update_without_the_token_is_heard(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    log_in(site, identity)

    outcome = site.check_in(token_update(ADA), identity)

    assert isinstance(outcome, CheckinAnswer)
    assert site.enrollment(ADA).state is EnrollmentState.ENROLLED
    assert questions(site, ADA) == ["auth_token_missing"]


def test_user_who_is_let_in_without_a_password_needs_no_token_any_more(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    token = log_in(site, identity)
    site.check_in(replace(token_update(ADA), auth_token=token), identity)
    site.queue("one", ADA)
    set_policy(site, "accept")
    step(site, identity)

    assert handed(connect(site, identity, None)) == "one"


def test_local_user_needs_no_token(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    site.check_in(token_update(ADA), identity)
    site.queue("one", ADA)

    assert handed(connect(site, identity, None)) == "one"


def test_device_that_enrolls_again_forgets_the_logins_of_its_users(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    token = log_in(site, identity)
    site.check_in(replace(token_update(ADA), auth_token=token), identity)

    again = site.enroll()
    site.check_in(token_update(ADA), again)
    site.queue("one", ADA)

    assert handed(connect(site, again, None)) == "one"


def test_guessing_is_limited_for_a_user_and_costs_nobody_anything(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    for _ in range(FAILURES_PER_USER):
        assert log_in(site, identity, password="guess") == ""

    challenge = challenge_of(site, identity)
    limited = step(site, identity, make_digest_answer(challenge, "ada", PASSWORD))
    site.wait(seconds=ATTEMPT_WINDOW.total_seconds())

    assert isinstance(limited, Refusal)
    assert limited.code is RefusalCode.SIGN_IN_LIMITED
    assert log_in(site, identity)


def test_guessing_is_limited_for_a_mac_whatever_names_it_gives(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")
    for number in range(FAILURES_PER_ADDRESS):
        step(site, identity, user=replace(ADA, user_id=f"user-{number}", user_short_name=f"u{number}"))

    limited = step(site, identity)

    assert isinstance(limited, Refusal)
    assert limited.code is RefusalCode.SIGN_IN_LIMITED


def test_right_passwords_are_no_attempts(site: Site) -> None:
    identity = site.enroll()
    set_policy(site, "digest")

    assert all(log_in(site, identity) for _ in range(FAILURES_PER_ADDRESS + 1))


def test_same_user_on_two_macs_has_two_channels_and_two_logins(site: Site) -> None:
    first, other_mac = site.enroll(), Identifiers(udid="9D7C1F63-0B7A-5E60-9E4B-1F0D2A3C4B5D")
    second = site.enroll(other_mac)
    there = replace(ADA, udid=other_mac.udid)
    set_policy(site, "digest")

    here_token, there_token = log_in(site, first, ADA), log_in(site, second, there)
    site.check_in(replace(token_update(ADA), auth_token=here_token), first)
    site.queue("one", ADA)

    assert id_of(ADA) != id_of(there)
    assert here_token != there_token
    assert handed(connect(site, first, there_token)) is None
    assert handed(connect(site, first, here_token)) == "one"


def test_stranger_authenticates_nobody(site: Site) -> None:
    site.enroll()
    set_policy(site, "digest")

    assert isinstance(step(site, site.identity()), Refusal)

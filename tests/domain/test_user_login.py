"""Logins to a Mac: which token is good, in which phase a report is, and what may be handed out in it."""

from datetime import timedelta

import pytest
from tests.support.runner import NOW
from tests.support.site import ADA, head

from muster.domain.command_queue import QueueEntry, QueuePurpose
from muster.domain.user_login import (
    PASSCODE_PAYLOAD,
    PHASE_LIFETIME,
    SET_UP_LIMIT,
    SYNC_LIMIT,
    LoginPhase,
    TokenStanding,
    UserLogin,
    begins_anew,
    may_follow,
    phase_of,
    sets_passwords,
    stays_queued,
    token_standing,
)
from muster.protocol.connect import ReportHead, Status
from muster.protocol.identifiers import CommandUUID, resolve_channel
from muster.protocol.plist import write_plist

IDLE = head(ADA)
ANSWER = head(ADA, "Acknowledged", "one")
A_MOMENT_AGO = NOW - timedelta(seconds=1)
LONG_AGO = NOW - PHASE_LIFETIME
PASSCODE = write_plist({"PayloadType": "Configuration", "PayloadContent": [{"PayloadType": PASSCODE_PAYLOAD}]})
WIFI = write_plist({"PayloadType": "Configuration", "PayloadContent": [{"PayloadType": "com.apple.wifi.managed"}]})


def flagged(
    status: Status = Status.IDLE, *, needs_sync: bool = False, is_user_configuration: bool = False
) -> ReportHead:
    return ReportHead(resolve_channel(ADA), ADA, status, status.value, None, None, needs_sync, is_user_configuration)


def entry(request_type: str = "ProfileList", purpose: QueuePurpose = QueuePurpose.COMMAND) -> QueueEntry:
    return QueueEntry(CommandUUID("one"), request_type, b"", 1, NOW, 0, 0, None, purpose)


@pytest.mark.parametrize(
    ("login", "shown", "standing"),
    [
        (UserLogin(), None, TokenStanding.GOOD),
        (UserLogin(), b"any", TokenStanding.GOOD),
        (UserLogin(requires_token=True), None, TokenStanding.MISSING),
        (UserLogin(requires_token=True), b"any", TokenStanding.WRONG),
        (UserLogin(requires_token=True, token_hash=b"own"), b"own", TokenStanding.GOOD),
        (UserLogin(requires_token=True, token_hash=b"own"), b"any", TokenStanding.WRONG),
        (UserLogin(requires_token=True, token_hash=b"own"), None, TokenStanding.MISSING),
    ],
)
def test_token_is_good_that_was_given_where_one_was(
    login: UserLogin, shown: bytes | None, standing: TokenStanding
) -> None:
    assert token_standing(login, shown) is standing


@pytest.mark.parametrize(
    ("began_at", "report", "phase"),
    [
        (None, IDLE, None),
        (None, ANSWER, None),
        (None, flagged(needs_sync=True), LoginPhase.SYNC),
        (None, flagged(is_user_configuration=True), LoginPhase.SET_UP),
        (A_MOMENT_AGO, ANSWER, LoginPhase.SYNC),
        (A_MOMENT_AGO, flagged(Status.NOT_NOW), LoginPhase.SYNC),
        (A_MOMENT_AGO, IDLE, None),
        (LONG_AGO, ANSWER, None),
        (A_MOMENT_AGO, flagged(is_user_configuration=True), LoginPhase.SET_UP),
    ],
)
def test_phase_goes_on_until_the_user_asks_anew(began_at: object, report: ReportHead, phase: LoginPhase | None) -> None:
    login = UserLogin() if began_at is None else UserLogin(phase=LoginPhase.SYNC, phase_began_at=A_MOMENT_AGO)
    if began_at is LONG_AGO:
        login = UserLogin(phase=LoginPhase.SYNC, phase_began_at=LONG_AGO)

    assert phase_of(login, report, NOW) is phase


def test_phase_begins_with_its_idle_and_goes_on_with_answers() -> None:
    under_way = UserLogin(phase=LoginPhase.SYNC, phase_began_at=A_MOMENT_AGO)

    assert begins_anew(UserLogin(), LoginPhase.SYNC, IDLE, NOW)
    assert begins_anew(under_way, LoginPhase.SYNC, flagged(needs_sync=True), NOW)
    assert begins_anew(under_way, LoginPhase.SET_UP, ANSWER, NOW)
    assert not begins_anew(under_way, LoginPhase.SYNC, flagged(Status.ACKNOWLEDGED, needs_sync=True), NOW)


def test_nobody_waits_at_the_login_window_for_our_own_questions_or_without_end() -> None:
    question = entry(purpose=QueuePurpose.INVENTORY)

    assert may_follow(LoginPhase.SYNC, entry(), None, SYNC_LIMIT - 1)
    assert not may_follow(LoginPhase.SYNC, entry(), None, SYNC_LIMIT)
    assert not may_follow(LoginPhase.SYNC, question, None, 0)


@pytest.mark.parametrize(
    ("request_type", "payload", "handed_out", "may"),
    [
        ("InstallProfile", PASSCODE, 0, True),
        ("InstallProfile", PASSCODE, SET_UP_LIMIT, False),
        ("InstallProfile", WIFI, 0, False),
        ("InstallProfile", b"junk", 0, False),
        ("InstallProfile", None, 0, False),
        ("ProfileList", None, 0, False),
        ("DeviceConfigured", None, 0, True),
    ],
)
def test_account_that_is_made_gets_policies_of_passwords_only(
    request_type: str, payload: bytes | None, handed_out: int, *, may: bool
) -> None:
    assert may_follow(LoginPhase.SET_UP, entry(request_type), payload, handed_out) is may


def test_what_was_installed_before_there_was_an_account_stays_queued() -> None:
    assert stays_queued(LoginPhase.SET_UP, "InstallProfile")
    assert not stays_queued(LoginPhase.SET_UP, "DeviceConfigured")
    assert not stays_queued(LoginPhase.SYNC, "InstallProfile")
    assert not stays_queued(None, "InstallProfile")
    assert sets_passwords(PASSCODE)

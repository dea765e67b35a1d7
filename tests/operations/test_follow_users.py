"""Users come and go: lists of users, deletions and log-outs are followed, and never against what was heard since."""

from dataclasses import replace

import pytest
from tests.support.site import ADA, IPAD, MAC, Site, id_of, token_update

from muster.crypto.cms.signing import SignerIdentity
from muster.domain.enrollment import EndReason, EnrollmentState
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import SHARED_IPAD_USER_ID, Identifiers
from muster.protocol.plist import PlistValue

BEN = replace(IPAD, user_id=SHARED_IPAD_USER_ID, user_short_name="ben@school.example")
EVE = replace(IPAD, user_id=SHARED_IPAD_USER_ID, user_short_name="Eve@school.example")
BOB = replace(MAC, user_id="0B1B2C3D-0000-4000-8000-0A1B2C3D4E5F", user_short_name="bob")
ENROLLED, DORMANT, ENDED = EnrollmentState.ENROLLED, EnrollmentState.DORMANT, EnrollmentState.ENDED


def log_in(site: Site, identity: SignerIdentity, *users: Identifiers) -> None:
    for user in users:
        site.check_in(token_update(user, token=(user.user_short_name or "").encode().ljust(32, b".")), identity)
        site.wait(minutes=1)


def states(site: Site, *users: Identifiers) -> list[EnrollmentState]:
    return [site.enrollment(user).state for user in users]


def listed(name: str | None, *, is_logged_in: bool | None = False, guid: str | None = None) -> PlistValue:
    keys = {"UserName": name, "IsLoggedIn": is_logged_in, "UserGUID": guid}
    return {key: value for key, value in keys.items() if value is not None}


def list_users(site: Site, identity: SignerIdentity, device: Identifiers, *users: PlistValue) -> None:
    site.answers(identity, CommandRequest("UserList"), {"Users": list(users)}, device)


def test_user_whom_a_shared_ipad_has_no_more_is_ended_and_comes_back_by_logging_in(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)
    site.queue("for-ben", BEN)

    list_users(site, identity, IPAD, listed("eve@school.example", is_logged_in=True))
    ended = states(site, BEN, EVE)
    reason = site.enrollment(BEN).ended_reason
    log_in(site, identity, BEN)

    assert (ended, reason) == ([ENDED, ENROLLED], EndReason.USER_EVICTED)
    assert ("S5", "user_evicted", 1) in site.evidence(BEN)
    assert states(site, BEN, EVE) == [ENROLLED, DORMANT]
    assert site.queued(BEN) == ["for-ben"]


def test_list_tells_who_is_logged_in(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN, EVE)

    list_users(
        site,
        identity,
        IPAD,
        listed("ben@school.example", is_logged_in=True),
        listed("eve@school.example", is_logged_in=False),
    )

    assert states(site, BEN, EVE) == [ENROLLED, DORMANT]


def test_user_of_a_mac_sleeps_when_the_list_has_him_logged_out_and_wakes_when_it_has_him_in(site: Site) -> None:
    identity = site.enroll()
    log_in(site, identity, ADA, BOB)
    guid = (ADA.user_id or "").lower()

    list_users(site, identity, MAC, listed("ada", guid=guid, is_logged_in=False))
    out = states(site, ADA, BOB)
    list_users(site, identity, MAC, listed("ada", guid=guid, is_logged_in=True))

    assert out == [DORMANT, ENROLLED]
    assert states(site, ADA, BOB) == [ENROLLED, ENROLLED]
    assert site.wish(BOB) is not None


@pytest.mark.parametrize(
    "users", ["none", [listed(None)], [listed("eve@school.example"), 7], [{"UserName": ["ben"]}], None]
)
def test_list_that_cannot_be_read_whole_ends_nobody_and_is_flagged(site: Site, users: PlistValue | None) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN)

    site.answers(identity, CommandRequest("UserList"), {} if users is None else {"Users": users}, IPAD)

    assert states(site, BEN) == [ENROLLED]
    assert ("S5", "faulty_answer", 1) in site.evidence(IPAD)


def test_list_that_was_refused_says_nothing(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN)

    site.answers(identity, CommandRequest("UserList"), None, IPAD, status="Error")

    assert states(site, BEN) == [ENROLLED]


def test_whoever_was_heard_after_the_list_was_made_is_there(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN)
    site.queue("list", IPAD, request_type="UserList")
    site.connect(identity, IPAD)
    site.connect(identity, IPAD, "Acknowledged", "list", answer={"Users": []})
    site.wait(seconds=1)
    site.connect(identity, BEN)

    site.read_answers()

    assert states(site, BEN) == [ENROLLED]


def test_list_of_an_earlier_life_says_nothing_of_this_one(site: Site) -> None:
    identity = site.enroll(IPAD)
    site.queue("list", IPAD, request_type="UserList")
    site.connect(identity, IPAD)
    site.connect(identity, IPAD, "Acknowledged", "list", answer={"Users": []})
    again = site.enroll(IPAD)
    log_in(site, again, BEN)

    site.read_answers()

    assert states(site, BEN) == [ENROLLED]


@pytest.mark.parametrize(("device", "user", "name"), [(IPAD, BEN, "Ben@School.example"), (MAC, ADA, "ada")])
def test_deleted_user_is_ended(site: Site, device: Identifiers, user: Identifiers, name: str) -> None:
    identity = site.enroll(device)
    log_in(site, identity, user)

    site.answers(identity, CommandRequest("DeleteUser", {"UserName": name}), None, device)

    assert site.enrollment(user).ended_reason is EndReason.USER_DELETED
    assert site.enrollment(device).state is ENROLLED
    assert site.wish(user) is None


def test_deletion_that_was_refused_ends_nobody(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN)
    request = CommandRequest("DeleteUser", {"UserName": "ben@school.example"})

    site.answers(identity, request, None, IPAD, status="Error")

    assert states(site, BEN) == [ENROLLED]


def test_who_is_left_after_the_deletion_of_all_is_asked(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN)

    site.answers(identity, CommandRequest("DeleteUser", {"DeleteAllUsers": True, "ForceDeletion": True}), None, IPAD)
    [question] = site.queued(IPAD)
    site.connect(identity, IPAD)
    site.connect(identity, IPAD, "Acknowledged", question, answer={"Users": []})
    site.read_answers()

    assert site.enrollment(BEN).ended_reason is EndReason.USER_EVICTED


def test_user_who_is_logged_out_by_command_sleeps(site: Site) -> None:
    identity = site.enroll(IPAD)
    log_in(site, identity, BEN)

    site.answers(identity, CommandRequest("LogOutUser"), None, IPAD)

    assert states(site, BEN) == [DORMANT]
    assert site.wish(BEN) is None
    assert id_of(BEN) == f"{IPAD.udid}:ben@school.example"

"""A person signs in to enroll with the right password, a bounded number of tries, and for half an hour."""

import pytest
import sqlalchemy as sa
from tests.support.site import Site

from muster.crypto.passwords import NOBODYS_PASSWORD
from muster.domain.enrollment_users import FAILURES_PER_ADDRESS, FAILURES_PER_USER, EnrollmentUser
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.enrollment_users import UserOrder, add_enrollment_users, disable_users, set_passwords
from muster.operations.sign_in_to_enroll import (
    CheckedSignIn,
    EnrollmentSignIn,
    PasswordToCheck,
    SignedIn,
    admit_sign_ins,
    check_password_of,
    find_enrollment_session,
    sign_in_to_enroll,
)
from muster.storage import schema

PASSWORD = "correct horse"
SOURCE = "198.51.100.7"


@pytest.fixture
def site(site: Site) -> Site:
    site.do(add_enrollment_users, UserOrder("Ada@example.org", PASSWORD))
    return site


def attempt(user_name: str = "ada@example.org", password: str = PASSWORD, source: str = SOURCE) -> EnrollmentSignIn:
    return EnrollmentSignIn(user_name, password, source)


def sign_in(site: Site, tried: EnrollmentSignIn) -> SignedIn | Refusal:
    [admitted] = site.do(admit_sign_ins, tried)
    if not isinstance(admitted, PasswordToCheck):
        return admitted
    return site.do(sign_in_to_enroll, check_password_of(admitted))[0]


def fail(site: Site, tried: EnrollmentSignIn, times: int = 1) -> None:
    """What a wrong password does, without the time to hash it."""
    for _ in range(times):
        [admitted] = site.do(admit_sign_ins, tried)
        assert isinstance(admitted, PasswordToCheck)
        site.do(sign_in_to_enroll, CheckedSignIn(tried, is_right=False))


def whose(site: Site, token: str) -> EnrollmentUser | None:
    return site.engine.read(lambda tx: find_enrollment_session(tx, token, site.now))


def code(outcome: object) -> RefusalCode | None:
    return outcome.code if isinstance(outcome, Refusal) else None


@pytest.mark.parametrize("user_name", ["ada@example.org", " ADA@Example.org"])
def test_right_password_opens_a_session_for_half_an_hour(site: Site, user_name: str) -> None:
    signed_in = sign_in(site, attempt(user_name))
    assert isinstance(signed_in, SignedIn)

    user = whose(site, signed_in.token)
    site.wait(minutes=30)

    assert user == signed_in.user
    assert signed_in.user.user_name == "ada@example.org"
    assert whose(site, signed_in.token) is None


@pytest.mark.parametrize(
    "tried",
    [
        attempt(password="wrong horse"),
        attempt("ben@example.org"),
        attempt(""),
        attempt("x" * 300),
        attempt(password="x" * 300),
    ],
    ids=["password", "user", "no name", "long name", "long password"],
)
def test_wrong_user_and_wrong_password_are_told_alike(site: Site, tried: EnrollmentSignIn) -> None:
    outcome = sign_in(site, tried)

    assert isinstance(outcome, Refusal)
    assert (outcome.code, outcome.message) == (RefusalCode.SIGN_IN_WRONG, "the user name or the password is wrong")


def test_unknown_and_disabled_users_are_checked_against_nobodys_password(site: Site) -> None:
    site.do(disable_users, "ada@example.org")

    admitted = [site.do(admit_sign_ins, attempt(name))[0] for name in ("ada@example.org", "ben@example.org")]

    assert [one.password_hash for one in admitted if isinstance(one, PasswordToCheck)] == [NOBODYS_PASSWORD] * 2


def test_user_disabled_while_the_password_was_checked_is_refused(site: Site) -> None:
    site.do(admit_sign_ins, attempt())
    site.do(disable_users, "ada@example.org")

    assert code(site.do(sign_in_to_enroll, CheckedSignIn(attempt(), is_right=True))[0]) is RefusalCode.SIGN_IN_WRONG


def test_new_password_is_the_only_one_and_lets_the_disabled_in_again(site: Site) -> None:
    site.do(disable_users, "ada@example.org")
    site.do(set_passwords, UserOrder("ada@example.org", "another horse"))

    assert code(sign_in(site, attempt())) is RefusalCode.SIGN_IN_WRONG
    assert isinstance(sign_in(site, attempt(password="another horse")), SignedIn)


@pytest.mark.parametrize("user_name", ["ada@example.org", "nobody@example.org"])
def test_too_many_attempts_on_a_user_are_limited_from_wherever_be_there_one_or_not(site: Site, user_name: str) -> None:
    for number in range(FAILURES_PER_USER):
        fail(site, attempt(user_name, source=f"198.51.100.{number}"))

    assert code(sign_in(site, attempt(user_name))) is RefusalCode.SIGN_IN_LIMITED
    site.wait(minutes=15)
    assert code(site.do(admit_sign_ins, attempt(user_name))[0]) is None


def test_too_many_attempts_from_an_address_are_limited_whoever_they_are_for(site: Site) -> None:
    for number in range(FAILURES_PER_ADDRESS):
        fail(site, attempt(f"user{number}@example.org"))

    assert code(sign_in(site, attempt())) is RefusalCode.SIGN_IN_LIMITED
    assert isinstance(sign_in(site, attempt(source="203.0.113.1")), SignedIn)


def test_an_address_that_is_refused_shuts_no_user_and_leaves_no_trace_of_more(site: Site) -> None:
    for number in range(FAILURES_PER_ADDRESS):
        fail(site, attempt(f"user{number}@example.org"))
    count = sa.select(sa.func.count()).select_from(schema.sign_in_attempts)
    before = site.rows(count)

    for number in range(FAILURES_PER_USER + 1):
        site.do(admit_sign_ins, attempt(), attempt(f"another{number}@example.org"))

    assert site.rows(count) == before
    assert isinstance(sign_in(site, attempt(source="203.0.113.1")), SignedIn)


def test_attempts_under_way_are_counted_before_their_passwords_are_checked(site: Site) -> None:
    outcomes = site.do(admit_sign_ins, *[attempt()] * (FAILURES_PER_USER + 1))

    assert [code(outcome) for outcome in outcomes] == [None] * FAILURES_PER_USER + [RefusalCode.SIGN_IN_LIMITED]


def test_signing_in_is_no_failure_however_often(site: Site) -> None:
    for _ in range(FAILURES_PER_ADDRESS + 1):
        site.do(admit_sign_ins, attempt())
        site.do(sign_in_to_enroll, CheckedSignIn(attempt(), is_right=True))

    assert isinstance(sign_in(site, attempt()), SignedIn)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (UserOrder("ada@example.org", PASSWORD), RefusalCode.CONFLICT),
        (UserOrder("ADA@example.org", PASSWORD), RefusalCode.CONFLICT),
        (UserOrder("ada", PASSWORD), RefusalCode.USER_NAME_UNFIT),
        (UserOrder("ben@example.org", "short"), RefusalCode.PASSWORD_UNFIT),
    ],
)
def test_unfit_and_taken_users_are_not_added(site: Site, order: UserOrder, expected: RefusalCode) -> None:
    assert code(site.do(add_enrollment_users, order)[0]) is expected


@pytest.mark.parametrize(
    "operation",
    [lambda site: site.do(disable_users, "x@y"), lambda site: site.do(set_passwords, UserOrder("x@y", PASSWORD))],
)
def test_unknown_users_can_not_be_changed(site: Site, operation: object) -> None:
    assert callable(operation)
    assert code(operation(site)[0]) is RefusalCode.NOT_FOUND


def test_no_secret_is_stored_shown_or_audited(site: Site) -> None:
    signed_in = sign_in(site, attempt())
    assert isinstance(signed_in, SignedIn)

    everything = str([site.rows(sa.select(table)) for table in schema.metadata.sorted_tables])
    assert PASSWORD not in everything + repr(attempt()) + repr(UserOrder("a", PASSWORD))
    assert signed_in.token not in everything + repr(signed_in)
    acts = site.rows(sa.select(schema.audit.c.act, schema.audit.c.actor_kind).order_by(schema.audit.c.sequence))
    assert acts == [("enrollment_user.add", "administrator"), ("enrollment_user.sign_in", "enrollment_user")]

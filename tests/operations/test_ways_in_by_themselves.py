"""Devices that fetch their profile by themselves, on either engine: challenges kept few, tokens used by one device."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.edges.device.ways_in_site import LINK_ID, PHONE, TOKEN, add_link, upload_push
from tests.support.site import Site

from muster.domain.access import LinkKind
from muster.domain.enrollment_tokens import TOKEN_LIFETIME
from muster.domain.enrollment_users import EnrollmentUser
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.enroll_automatically import (
    UNUSED_CHALLENGES_PER_DEVICE,
    AutomatedOutcome,
    DeviceAsks,
    enroll_automatically,
)
from muster.operations.enroll_by_account import (
    AccountAsks,
    AccountOutcome,
    SignInAgain,
    TokenOrder,
    enroll_by_account,
    issue_enrollment_tokens,
)
from muster.operations.enrollment_profiles import EnrollmentTerms
from muster.operations.enrollment_users import UserOrder, add_enrollment_users
from muster.protocol.profile import EnrollmentProfile, ScepPayload
from muster.storage import identities, schema

TERMS = EnrollmentTerms("https://mdm.example.org", None, "Example")
ADA = "ada@example.org"
DEVICE, OTHER = b"d" * 32, b"o" * 32


@pytest.fixture(autouse=True)
def _prepared(site: Site) -> None:
    upload_push(site)
    site.do(add_enrollment_users, UserOrder(ADA, "correct horse"))


def token(site: Site) -> str:
    issued = site.do(issue_enrollment_tokens, TokenOrder(LINK_ID, EnrollmentUser(ADA, site.now)))[0]
    assert isinstance(issued, str)
    return issued


def ask(site: Site, token: str | None, device: bytes = DEVICE) -> AccountOutcome:
    return site.do(enroll_by_account, AccountAsks(LINK_ID, token, device, TERMS))[0]


def introduce(site: Site) -> AutomatedOutcome:
    return site.do(enroll_automatically, DeviceAsks(TOKEN, PHONE, TERMS, "203.0.113.9"))[0]


def challenges(site: Site) -> int:
    return len(site.rows(sa.select(schema.challenges.c.secret_hash)))


def test_first_device_that_uses_a_token_is_the_only_one(site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    adas = token(site)

    outcomes = [ask(site, adas), ask(site, adas, OTHER), ask(site, adas)]

    assert [type(outcome) for outcome in outcomes] == [EnrollmentProfile, SignInAgain, EnrollmentProfile]
    stored = site.rows(sa.select(schema.enrollment_tokens.c.used_by, schema.enrollment_tokens.c.used_at))
    assert stored == [(DEVICE, site.now)]


def test_sign_in_once_more_serves_the_next_device(site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    ask(site, token(site))

    assert isinstance(ask(site, token(site), OTHER), EnrollmentProfile)


def test_unused_tokens_go_when_they_have_expired_and_used_ones_stay(site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER)
    ask(site, token(site))
    token(site)
    site.wait(seconds=TOKEN_LIFETIME.total_seconds())

    token(site)

    assert len(site.rows(sa.select(schema.enrollment_tokens.c.token_hash))) == 2


def test_token_is_not_issued_for_a_link_that_closed_meanwhile(site: Site) -> None:
    add_link(site, LinkKind.ACCOUNT_USER, expires_at=site.now)

    refused = site.do(issue_enrollment_tokens, TokenOrder(LINK_ID, EnrollmentUser(ADA, site.now)))[0]

    assert isinstance(refused, Refusal)
    assert refused.code is RefusalCode.LINK_EXPIRED


def test_latest_challenges_of_a_device_are_those_that_are_kept(site: Site) -> None:
    add_link(site, LinkKind.ADE)
    asked = []
    for _ in range(UNUSED_CHALLENGES_PER_DEVICE + 3):
        site.wait(seconds=1)
        asked.append(introduce(site))

    since = site.rows(sa.select(sa.func.min(schema.challenges.c.created_at)))
    assert challenges(site) == UNUSED_CHALLENGES_PER_DEVICE
    assert since[0][0] == site.now - timedelta(seconds=UNUSED_CHALLENGES_PER_DEVICE - 1)
    assert all(isinstance(one, EnrollmentProfile) for one in asked)


def test_challenge_that_was_used_is_never_dropped(site: Site) -> None:
    add_link(site, LinkKind.ADE)
    profile = introduce(site)
    assert isinstance(profile, EnrollmentProfile)
    assert isinstance(profile.identity, ScepPayload)
    [(used,)] = site.rows(sa.select(schema.challenges.c.secret_hash))
    site.engine.write(lambda tx: identities.use_challenge(tx, used, key=b"k" * 32, identity=b"i" * 32, at=site.now))

    for _ in range(UNUSED_CHALLENGES_PER_DEVICE + 3):
        introduce(site)

    assert challenges(site) == UNUSED_CHALLENGES_PER_DEVICE + 1

"""Which links open, and what a challenge buys."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.instants import NOON

from muster.domain.access import (
    ALL_ACCESS_RIGHTS,
    MAXIMUM_SERIAL_NUMBERS,
    Challenge,
    EnrollmentLink,
    Grant,
    IdentityKind,
    IssueAgain,
    LinkKind,
    check_link,
    may_use_challenge,
    may_use_link,
)
from muster.domain.enrollment import Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.protocol.identifiers import DeviceId

DAY = timedelta(days=1)
KEY, OTHER_KEY, IDENTITY = b"k" * 32, b"o" * 32, b"i" * 32
LINK = EnrollmentLink("1", NOON, NOON + DAY, 2, 0, None, ALL_ACCESS_RIGHTS, "")
CHALLENGE = Challenge(b"h" * 32, Grant(Provenance.LINK, "1"), NOON + DAY, None, None, None)
USED = replace(CHALLENGE, used_at=NOON, used_for_key=KEY, identity_fingerprint=IDENTITY)


def code(verdict: object) -> RefusalCode | None:
    assert verdict is None or isinstance(verdict, Refusal)
    return None if verdict is None else verdict.code


def test_link_opens_until_it_expires() -> None:
    assert code(may_use_link(LINK, NOON + DAY - timedelta(microseconds=1))) is None
    assert code(may_use_link(LINK, NOON + DAY)) is RefusalCode.LINK_EXPIRED


@pytest.mark.parametrize(
    ("link", "refused"),
    [
        (None, RefusalCode.LINK_UNKNOWN),
        (replace(LINK, uses=2), RefusalCode.LINK_USED_UP),
        (replace(LINK, uses=3), RefusalCode.LINK_USED_UP),
        (replace(LINK, uses=1), None),
        (replace(LINK, uses=10_000, uses_allowed=None), None),
        (replace(LINK, revoked_at=NOON), RefusalCode.LINK_REVOKED),
        (replace(LINK, revoked_at=NOON, uses=2, expires_at=NOON), RefusalCode.LINK_REVOKED),
    ],
)
def test_link_opens_or_says_why_not(link: EnrollmentLink | None, refused: RefusalCode | None) -> None:
    assert code(may_use_link(link, NOON)) is refused


def test_fresh_challenge_buys_a_certificate() -> None:
    assert may_use_challenge(CHALLENGE, LINK, KEY, NOON) is None


def test_challenge_of_a_renewal_needs_no_link() -> None:
    assert (
        may_use_challenge(
            replace(CHALLENGE, made_for=Grant(Provenance.RENEWAL, renewal_of=DeviceId("A"))), None, KEY, NOON
        )
        is None
    )


@pytest.mark.parametrize(
    ("challenge", "link", "at", "refused"),
    [
        (None, LINK, NOON, RefusalCode.CHALLENGE_UNKNOWN),
        (CHALLENGE, LINK, NOON + DAY, RefusalCode.CHALLENGE_EXPIRED),
        (CHALLENGE, replace(LINK, uses=2), NOON, RefusalCode.LINK_USED_UP),
        (CHALLENGE, replace(LINK, revoked_at=NOON), NOON, RefusalCode.LINK_REVOKED),
        (CHALLENGE, None, NOON, RefusalCode.LINK_UNKNOWN),
    ],
)
def test_challenge_says_why_it_buys_nothing(
    challenge: Challenge | None, link: EnrollmentLink | None, at: object, refused: RefusalCode
) -> None:
    assert code(may_use_challenge(challenge, link, KEY, at)) is refused  # type: ignore[arg-type]


def test_used_challenge_gives_the_same_key_the_same_certificate_whatever_became_of_its_link() -> None:
    for link in (LINK, replace(LINK, uses=2), replace(LINK, revoked_at=NOON), None):
        assert may_use_challenge(USED, link, KEY, NOON + 2 * DAY) == IssueAgain(IDENTITY)


def test_used_challenge_buys_nothing_for_another_key() -> None:
    assert code(may_use_challenge(USED, LINK, OTHER_KEY, NOON)) is RefusalCode.CHALLENGE_USED


@given(
    uses=st.integers(0, 5),
    allowed=st.none() | st.integers(1, 5),
    expires=st.integers(-3, 3),
    is_revoked=st.booleans(),
)
def test_link_opens_exactly_when_nothing_speaks_against_it(
    uses: int, allowed: int | None, expires: int, is_revoked: bool
) -> None:
    link = replace(
        LINK,
        uses=uses,
        uses_allowed=allowed,
        expires_at=NOON + expires * DAY,
        revoked_at=NOON if is_revoked else None,
    )

    may = (allowed is None or uses < allowed) and expires > 0 and not is_revoked
    assert (may_use_link(link, NOON) is None) is may


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"access_rights": 3}, None),
        ({"access_rights": 1}, "could never be renewed"),
        ({"access_rights": 8190}, "could never be renewed"),
        ({"access_rights": 0}, "1 to 8191"),
        ({"access_rights": 8192}, "1 to 8191"),
        ({"access_rights": 3 + 128}, "requires 64"),
        ({"access_rights": 3 + 192}, None),
        ({"identity_kind": IdentityKind.PKCS12}, "not allowed here"),
        ({"required_os_version": "18.0"}, "Automated Device Enrollment"),
        ({"kind": LinkKind.ADE, "required_os_version": "18.0", "required_build_version": "22A1"}, None),
        ({"required_build_version": "22A1"}, "version of the OS"),
        ({"kind": LinkKind.ADE, "required_os_version": "latest"}, "no version of an OS"),
        ({"kind": LinkKind.ADE, "required_os_version": ""}, "no version of an OS"),
        ({"kind": LinkKind.ADE, "required_os_version": "18", "required_build_version": "22"}, "no build of an OS"),
        ({"serial_numbers": frozenset({"C02XK1LYJGH5"})}, None),
        ({"serial_numbers": frozenset[str]()}, "one at least"),
        ({"serial_numbers": frozenset({"x" * 65})}, "no serial number"),
        ({"serial_numbers": frozenset({"a b"})}, "no serial number"),
        ({"serial_numbers": frozenset(f"S{n}" for n in range(MAXIMUM_SERIAL_NUMBERS + 1))}, "at most"),
        ({"kind": LinkKind.ACCOUNT_USER, "serial_numbers": frozenset({"C02XK1LYJGH5"})}, "to themselves"),
    ],
)
def test_link_that_would_strand_its_devices_is_unfit(change: dict[str, Any], reason: str | None) -> None:
    refusal = check_link(replace(LINK, **change), allows_pkcs12=False)

    assert (refusal is None) is (reason is None)
    assert refusal is None or (refusal.code is RefusalCode.LINK_UNFIT and (reason or "") in refusal.message)


@pytest.mark.parametrize(("kind", "is_fit"), [(LinkKind.PROFILE, True), (LinkKind.ADE, True), (LinkKind.OTA, False)])
def test_identity_made_here_is_for_ways_that_prove_nothing_by_scep(kind: LinkKind, is_fit: bool) -> None:
    link = replace(LINK, kind=kind, identity_kind=IdentityKind.PKCS12)

    assert (check_link(link, allows_pkcs12=True) is None) is is_fit

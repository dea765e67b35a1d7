"""A sign-in's token is good for one device, at one link, for an hour."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.access import EnrollmentLink, LinkKind
from muster.domain.enrollment_tokens import (
    MODES,
    TOKEN_LIFETIME,
    VERSIONS,
    EnrollmentToken,
    link_for,
    may_use_token,
)
from muster.domain.errors import RefusalCode
from muster.protocol.account_driven import ModelFamily

LINK = EnrollmentLink("link", NOON, NOON + timedelta(days=1), None, 0, None, 8191, "", LinkKind.ACCOUNT_USER)
TOKEN = EnrollmentToken("ada@example.org", "link", NOON + TOKEN_LIFETIME, None)
DEVICE, OTHER = b"d" * 32, b"o" * 32
LAST_MOMENT = TOKEN_LIFETIME - timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("token", "after", "code"),
    [
        (TOKEN, timedelta(0), None),
        (TOKEN, LAST_MOMENT, None),
        (TOKEN, TOKEN_LIFETIME, RefusalCode.BEARER_EXPIRED),
        (replace(TOKEN, used_by=DEVICE), LAST_MOMENT, None),
        (replace(TOKEN, used_by=DEVICE), TOKEN_LIFETIME, RefusalCode.BEARER_EXPIRED),
        (replace(TOKEN, used_by=OTHER), timedelta(0), RefusalCode.BEARER_USED),
        (replace(TOKEN, link_id="other"), timedelta(0), RefusalCode.BEARER_UNKNOWN),
        (None, timedelta(0), RefusalCode.BEARER_UNKNOWN),
    ],
)
def test_token_is_good_for_one_device_and_its_retries(
    token: EnrollmentToken | None, after: timedelta, code: RefusalCode | None
) -> None:
    refusal = may_use_token(token, LINK, DEVICE, NOON + after)

    assert (None if refusal is None else refusal.code) is code


@pytest.mark.parametrize(
    ("policy", "family", "link"),
    [
        ({"Mac": "m", "default": "d"}, ModelFamily.MAC, "m"),
        ({"Mac": "m", "default": "d"}, ModelFamily.IPAD, "d"),
        ({"Mac": "m", "default": "d"}, None, "d"),
        ({"Mac": "m"}, ModelFamily.IPHONE, None),
        ({"Mac": "m"}, None, None),
        ({}, ModelFamily.MAC, None),
    ],
)
def test_link_is_that_of_the_kind_of_device(policy: dict[str, str], family: ModelFamily | None, link: str) -> None:
    assert link_for(policy, family) == link


def test_profile_and_service_discovery_name_the_same_way_in() -> None:
    assert MODES.keys() == VERSIONS.keys()
    assert all(VERSIONS[kind].value == f"mdm-{mode.value.lower()}" for kind, mode in MODES.items())

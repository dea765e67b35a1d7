"""What a device in Setup Assistant gets at a link."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.instants import NOON

from muster.domain.access import EnrollmentLink, LinkKind
from muster.domain.automated_enrollment import (
    Admission,
    Admitted,
    NotListed,
    SignInFirst,
    UpdateFirst,
    admit,
)
from muster.domain.os_versions import build_key, version_key
from muster.protocol.machine_info import MachineInfo

LINK = EnrollmentLink("link", NOON, NOON + timedelta(days=1), None, 0, None, 8191, "", LinkKind.ADE)
PHONE = MachineInfo("iPhone16,1", "21E219", "UDID", "SERIAL", os_version="17.4", can_request_software_update=True)


@pytest.mark.parametrize(
    ("running", "build", "required", "required_build", "is_older"),
    [
        ("17.9", "21A1", "17.10", None, True),
        ("17.10", "21A1", "17.9", None, False),
        ("17.4", "21E219", "17.4", None, False),
        ("17.4", "21E219", "17.4.0", None, False),
        ("17.4", "21E219", "17.4.1", None, True),
        ("9.3", "13E1", "17", None, True),
        ("17.4", "21E219", "17.4", "21E236", True),
        ("17.4", "21E236", "17.4", "21E219", False),
        ("17.4", "21E236", "17.4", "21E236", False),
        ("17.5", "21E1", "17.4", "21E236", False),
        ("17.4", "?", "17.4", "21E236", False),
        ("seventeen", "21E219", "17.4", None, False),
        (None, "21E219", "17.4", None, False),
        ("17.4", "21E219", "latest", None, False),
    ],
)
def test_older_device_updates_first(
    running: str | None, build: str, required: str, required_build: str | None, is_older: bool
) -> None:
    link = replace(LINK, required_os_version=required, required_build_version=required_build)
    machine = replace(PHONE, os_version=running, version=build)

    expected = UpdateFirst(required, required_build) if is_older else Admitted()
    assert admit(link, machine, is_signed_in=False) == expected


def test_device_that_does_not_say_it_can_update_is_never_asked_to() -> None:
    link = replace(LINK, required_os_version="99")

    assert admit(link, replace(PHONE, can_request_software_update=False), is_signed_in=False) == Admitted()


@pytest.mark.parametrize(
    ("link", "is_signed_in", "expected"),
    [
        (replace(LINK, serial_numbers=frozenset({"SERIAL"})), False, Admitted()),
        (replace(LINK, serial_numbers=frozenset({"serial"})), False, NotListed()),
        (replace(LINK, serial_numbers=frozenset()), False, NotListed()),
        (replace(LINK, requires_sign_in=True), False, SignInFirst()),
        (replace(LINK, requires_sign_in=True), True, Admitted()),
        (replace(LINK, requires_sign_in=True, serial_numbers=frozenset()), False, NotListed()),
        (replace(LINK, requires_sign_in=True, required_os_version="18"), False, UpdateFirst("18", None)),
    ],
)
def test_links_policies_are_asked_in_order(link: EnrollmentLink, is_signed_in: bool, expected: Admission) -> None:
    assert admit(link, PHONE, is_signed_in=is_signed_in) == expected


@given(st.text(max_size=30))
def test_whatever_a_device_calls_its_version_is_compared_or_left_alone(text: str) -> None:
    assert version_key(text) is None or all(number >= 0 for number in version_key(text) or ())
    build_key(text)

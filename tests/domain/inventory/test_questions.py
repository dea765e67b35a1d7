"""A device is asked what it can answer: the catalogue has nothing to say against any question of ours."""

from itertools import product

import pytest

from muster.domain.command_findings import CommandTarget, Finding, FindingCode
from muster.domain.command_validation import check_command
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.inventory.questions import FIRST_QUERIES, NOT_ASKED, questions_for
from muster.protocol.os_family import OsFamily

VERSIONS = {
    OsFamily.IOS: ("9.3", "12.5", "15.8", "16.0", "17.4", "26.0", "27.0"),
    OsFamily.MACOS: ("10.11", "10.13.6", "10.15", "11.0", "13.3", "15.5", "26.0", "27.0"),
    OsFamily.TVOS: ("10.2", "16.0", "26.0"),
    OsFamily.VISIONOS: ("1.0", "1.1", "2.0"),
    OsFamily.WATCHOS: ("10.0", "11.0"),
}
FLAGS = (None, False, True)

TARGETS = [
    CommandTarget(family, version, is_user, supervised, is_user_enrollment, automated, shared, rights)
    for family, versions in VERSIONS.items()
    for version, is_user, supervised, is_user_enrollment, automated, shared, rights in product(
        versions, (False, True), FLAGS, (False, True), FLAGS, FLAGS, (None, 8191, 0)
    )
]


def held_against(found: tuple[Finding, ...]) -> list[Finding]:
    allowed = (FindingCode.DEPRECATED, "IsActivationLockEnabled")
    return [one for one in found if not (one.code is allowed[0] and allowed[1] in one.message)]


@pytest.mark.parametrize("family", OsFamily)
def test_nothing_is_asked_that_a_device_can_not_answer(family: OsFamily) -> None:
    targets = [target for target in TARGETS if target.family is family]

    for target in targets[::3]:
        for request in questions_for(target).values():
            assert held_against(check_command(request, [target])[target]) == [], (request, target)


def test_mac_is_asked_for_all_but_what_macs_lack() -> None:
    target = CommandTarget(OsFamily.MACOS, "15.5", is_user_channel=False, is_supervised=True)

    assert questions_for(target).keys() == set(InventoryKind) - {InventoryKind.RESTRICTIONS}


def test_iphone_that_is_not_supervised_is_not_asked_for_updates_and_users() -> None:
    asked = questions_for(CommandTarget(OsFamily.IOS, "18.5", is_user_channel=False))

    missing = {InventoryKind.AVAILABLE_OS_UPDATES, InventoryKind.USER_LIST}
    assert asked.keys() == set(InventoryKind) - missing


def test_queries_are_those_of_the_system() -> None:
    mac = questions_for(CommandTarget(OsFamily.MACOS, "15.5", is_user_channel=False))
    phone = questions_for(CommandTarget(OsFamily.IOS, "18.5", is_user_channel=False))

    of_mac, of_phone = (one[InventoryKind.DEVICE_INFORMATION].keys["Queries"] for one in (mac, phone))
    assert isinstance(of_mac, list)
    assert isinstance(of_phone, list)
    assert "LocalHostName" in of_mac
    assert "LocalHostName" not in of_phone
    assert "IMEI" not in of_phone, "deprecated, for each subscription has its own"
    assert "ServiceSubscriptions" in of_phone
    assert not NOT_ASKED & {str(one) for one in (*of_mac, *of_phone)}


def test_users_are_asked_what_differs_from_their_device() -> None:
    user = CommandTarget(OsFamily.MACOS, "15.5", is_user_channel=True)

    assert questions_for(user).keys() == {InventoryKind.PROFILE_LIST, InventoryKind.CERTIFICATE_LIST}


@pytest.mark.parametrize("target", [CommandTarget(is_user_channel=False), CommandTarget(OsFamily.IOS)])
def test_device_of_unknown_system_is_asked_what_it_is(target: CommandTarget) -> None:
    (request,) = questions_for(target).values()

    assert request.keys["Queries"] == list(FIRST_QUERIES)


def test_user_of_a_device_of_unknown_system_is_asked_nothing() -> None:
    assert questions_for(CommandTarget(is_user_channel=True)) == {}


def test_right_that_was_not_granted_is_not_used() -> None:
    asked = questions_for(CommandTarget(OsFamily.IOS, "18.5", is_user_channel=False, access_rights=16))

    assert asked.keys() == {InventoryKind.DEVICE_INFORMATION}

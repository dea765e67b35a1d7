"""What simulated devices answer is what Apple's schema says of each command's answer.

Every command is asked of every platform that knows it, once with the requests below, which succeed, and once with
every key that the catalogue has.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache

import pytest
from tests.simulator.fake_server import authority
from tests.simulator.play import Play, play
from tests.support.apple_schema import objections_to_answer
from tests.support.valid_commands import full_request

from muster.protocol.catalogue.commands import find_command
from muster.protocol.connect import Report, Status
from muster.protocol.plist import PlistValue, write_plist
from muster.simulator.contents import Application, Keys
from muster.simulator.device import SimulatedDevice
from muster.simulator.facts import INTEL_MAC, PRODUCTS, Platform, Product, User
from muster.simulator.responders import RESPONDERS

APP = "org.example.app"
ANOTHER = "org.example.another"
PERSON = User("0A1B2C3D-0000-4000-8000-0A1B2C3D4E5F", "ada", "Ada")
FORMER = User("0A1B2C3D-0000-4000-8000-0A1B2C3D4E60", "ben", "Ben")
WIFI: Keys = {
    "PayloadType": "Configuration",
    "PayloadIdentifier": "org.example.restrictions",
    "PayloadUUID": "R",
    "PayloadVersion": 1,
    "PayloadContent": [
        {
            "PayloadType": "com.apple.applicationaccess",
            "PayloadVersion": 1,
            "PayloadIdentifier": "org.example.restrictions.1",
            "PayloadUUID": "R1",
            "allowCamera": False,
            "ratingApps": 100,
            "blockedAppBundleIDs": ["a"],
        }
    ],
}


def requests(device: SimulatedDevice) -> dict[str, Keys]:
    """Requests that *device* obeys, where it is not for others."""
    contents = device.contents
    token = device.unlock_token()
    return {
        "AccountConfiguration": {"AutoSetupAdminAccounts": [{"shortName": "admin", "passwordHash": b"hash"}]},
        "ApplyRedemptionCode": {"Identifier": APP, "RedemptionCode": "X"},
        "ClearPasscode": {"UnlockToken": token},
        "DeleteUser": {"UserName": FORMER.short_name},
        "DeviceInformation": {"Queries": _queries()},
        "DeviceLock": {"PIN": "123456"} if device.facts.platform is Platform.MAC else {"Message": "Call"},
        "EnableLostMode": {"Message": "Call"},
        "InstallApplication": {"iTunesStoreID": 361309726},
        "InstallEnterpriseApplication": {"ManifestURL": "https://mdm.example/tool.plist"},
        "InstallMedia": {"MediaType": "Book", "iTunesStoreID": 7},
        "InstallProfile": {"Payload": write_plist(WIFI)},
        "InstallProvisioningProfile": {"ProvisioningProfile": write_plist({"UUID": "U", "Name": "Team"})},
        "InviteToProgram": {"ProgramID": "com.apple.cloudvpp", "InvitationURL": "https://vpp.example/"},
        "LOMDeviceRequest": {
            "RequestList": [
                {
                    "DeviceRequestType": "PowerON",
                    "DeviceRequestUUID": "D",
                    "DeviceDNSName": "mini.example",
                    "PrimaryIPv6AddressList": ["fe80::1"],
                    "SecondaryIPv6AddressList": [],
                    "LOMProtocolVersion": 1,
                }
            ]
        },
        "ManagedApplicationAttributes": {"Identifiers": [APP]},
        "ManagedApplicationConfiguration": {"Identifiers": [APP]},
        "ManagedApplicationFeedback": {"Identifiers": [APP]},
        "RefreshCellularPlans": {"eSIMServerURL": "https://esim.example/"},
        "RemoveApplication": {"Identifier": ANOTHER},
        "RemoveMedia": {"MediaType": "Book", "iTunesStoreID": "7"},
        "RemoveProfile": {"Identifier": "org.example.restrictions"},
        "RemoveProvisioningProfile": {"UUID": "U"},
        "RequestMirroring": {"DestinationName": "Screen"},
        "Restrictions": {"ProfileRestrictions": True},
        "RotateFileVaultKey": {
            "KeyType": "personal",
            "FileVaultUnlock": {"Password": contents.account_password},
            "ReplyEncryptionCertificate": authority().certificate_der,
        },
        "ScheduleOSUpdate": {"Updates": [{"InstallAction": "DownloadOnly"}]},
        "SetAutoAdminPassword": {"GUID": "G", "passwordHash": b"hash"},
        "SetFirmwarePassword": {"NewPassword": "secret"},
        "SetRecoveryLock": {"NewPassword": "secret"},
        "Settings": {"Settings": [{"Item": "DeviceName", "DeviceName": "Front desk"}]},
        "UnlockUserAccount": {"UserName": PERSON.short_name},
        "VerifyFirmwarePassword": {"Password": "secret"},
        "VerifyRecoveryLock": {"Password": "secret"},
    }


LAST = ("DisableLostMode", "DeviceLock", "RestartDevice", "ShutDownDevice", "EraseDevice")
"""What the others would suffer from."""
FIRST = ("EnableLostMode", "AccountConfiguration", "InstallProfile", "InstallProvisioningProfile", "SetRecoveryLock")


def _queries() -> list[PlistValue]:
    facts = find_command("DeviceInformation")
    assert facts is not None
    return [query.name for query in facts.request[0].members[0].members]


def order(request_type: str) -> tuple[int, str]:
    return (-1 if request_type in FIRST else LAST.index(request_type) + 1 if request_type in LAST else 0), request_type


@dataclass(frozen=True)
class Case:
    """A channel to ask on: a device of a platform, with several people or without, or one of them."""

    platform: Platform
    is_user: bool = False
    has_people: bool = False
    product: Product | None = None

    def __str__(self) -> str:
        product = self.product.product_name if self.product else self.platform.value
        return f"{product}{' of a user' if self.is_user else ' with people' if self.has_people else ''}"


CASES = [
    Case(Platform.MAC, has_people=True),
    Case(Platform.MAC, is_user=True, has_people=True),
    Case(Platform.MAC, product=INTEL_MAC),
    Case(Platform.MAC, product=next(one for one in PRODUCTS[Platform.MAC] if one.model_name == "Mac mini")),
    Case(Platform.IPHONE),
    Case(Platform.IPAD),
    Case(Platform.IPAD, has_people=True),
    Case(Platform.IPAD, is_user=True, has_people=True),
    Case(Platform.APPLE_TV),
]
EVERY_CASE = pytest.mark.parametrize("case", CASES, ids=str)


@cache
def answered(case: Case, *, is_full: bool) -> Mapping[str, Report]:
    """What a device answers to every command, on its channel or that of its user."""

    async def scene(p: Play) -> dict[str, Report]:
        device = p.device
        _furnish(device, case)
        await device.enroll(p.server.mobileconfig(access_rights=8191), awaits_configuration=True)
        user = PERSON if case.is_user else None
        if user is not None:
            await device.log_in(user)
        reports: dict[str, Report] = {}
        for request_type in sorted(RESPONDERS, key=order):
            assert device.enrollment is not None
            line = device.enrollment.device_line if user is None else device.enrollment.user_lines[user]
            facts = find_command(request_type)
            assert facts is not None
            keys = full_request(facts).keys if is_full else requests(device).get(request_type, {})
            uuid = p.server.queue(line.channel.id, request_type, **keys)
            await device.connect(user)
            reports[request_type] = p.server.answers(uuid)[0]
            if device.contents.lock_pin is not None:
                device.enter_pin(device.contents.lock_pin)
            device.power_on()
        return reports

    return play(scene, case.platform, seed=3)


def _furnish(device: SimulatedDevice, case: Case) -> None:
    """Give *device* something to tell of."""
    contents = device.contents
    contents.is_disk_encrypted = True
    contents.recovery_key = "ABCD-ABCD-ABCD-ABCD-ABCD-ABCD"
    contents.bypass_code = bytes(16)
    contents.auto_admins["G", "admin"] = b"hash"
    contents.organization_info = {"OrganizationName": "Example"}
    for name in (APP, ANOTHER):
        contents.applications[name] = Application(
            name, name, "1.0", 1, is_managed=True, configuration={"server": "x"}, feedback={"state": "ready"}
        )
    if case.product is not None:
        device.facts = replace(device.facts, product=case.product)
    device.users = {PERSON: True, FORMER: False} if case.has_people else {}


NOT_AS_THE_SCHEMA_HAS_IT = {
    "Settings": "the schema has one dictionary, devices send an array of them",
    "ManagedApplicationList": "the schema requires UnusedRedemptionCode, which devices leave out",
}


@pytest.mark.parametrize("is_full", [False, True])
@EVERY_CASE
def test_answer_is_as_the_schema_has_it(case: Case, is_full: bool) -> None:
    objections = {
        request_type: found
        for request_type, report in answered(case, is_full=is_full).items()
        if report.head.status is Status.ACKNOWLEDGED and request_type not in NOT_AS_THE_SCHEMA_HAS_IT
        if (found := objections_to_answer(request_type, _told(report), case.platform.family.value))
    }

    assert objections == {}


def _told(report: Report) -> dict[str, PlistValue]:
    return {key: value for key, value in report.answer.items() if key != "RequestType"}


def test_simulated_devices_obey_every_command_that_they_know() -> None:
    obeyed = {
        request_type
        for case in CASES
        for request_type, report in answered(case, is_full=False).items()
        if report.head.status is Status.ACKNOWLEDGED
    }

    assert set(RESPONDERS) - obeyed == set()
    assert len(obeyed) >= 40


@EVERY_CASE
def test_error_has_a_chain_and_nothing_else_has(case: Case) -> None:
    for report in answered(case, is_full=True).values():
        assert (report.head.status is Status.ERROR) == bool(report.error_chain)

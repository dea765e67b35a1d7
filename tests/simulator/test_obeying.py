"""What a simulated device was told changes it: later answers tell of it, and what it forbids is refused."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.simulator.fake_server import authority
from tests.simulator.play import Play, play

from muster.crypto.cms.enveloped_data import open_envelope
from muster.protocol.connect import ErrorItem, Report, Status
from muster.protocol.plist import PlistValue, write_plist
from muster.simulator.escrow import BYPASS_ALPHABET, bypass_code_text
from muster.simulator.facts import RELEASES, Platform, User, make_facts
from muster.simulator.session import SessionEnd

PAGES = 361309726
ESCROW: dict[str, PlistValue] = {
    "PayloadType": "Configuration",
    "PayloadIdentifier": "org.example.escrow",
    "PayloadUUID": "E",
    "PayloadVersion": 1,
    "PayloadContent": [
        {
            "PayloadType": "com.apple.security.FDERecoveryKeyEscrow",
            "PayloadIdentifier": "org.example.escrow.1",
            "PayloadUUID": "E1",
            "PayloadVersion": 1,
            "EncryptCertPayloadUUID": "E2",
            "DeviceKey": "key of ours",
        },
        {
            "PayloadType": "com.apple.security.pkcs1",
            "PayloadIdentifier": "org.example.escrow.2",
            "PayloadUUID": "E2",
            "PayloadVersion": 1,
            "PayloadContent": authority().certificate_der,
        },
    ],
}


async def ask(p: Play, request_type: str, user: User | None = None, **keys: PlistValue) -> Report:
    """One command and its answer."""
    assert p.device.enrollment is not None
    line = p.device.enrollment.device_line if user is None else p.device.enrollment.user_lines[user]
    uuid = p.server.queue(line.channel.id, request_type, **keys)
    await p.device.connect(user)
    return p.server.answers(uuid)[-1]


def managed(report: Report) -> dict[str, PlistValue]:
    """The status of each managed application."""
    listed = report.answer["ManagedApplicationList"]
    assert isinstance(listed, dict)
    return {name: entry["Status"] for name, entry in listed.items() if isinstance(entry, dict)}


def test_a_locked_mac_is_heard_again_once_its_pin_is_entered() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        await ask(p, "DeviceLock", PIN="123456")
        p.device.power_on()
        locked = await p.device.connect()
        wrong, right = p.device.enter_pin("654321"), p.device.enter_pin("123456")
        unlocked = await p.device.connect()

        assert (locked.end, wrong, right, unlocked.end) == (SessionEnd.SILENT, False, True, SessionEnd.EMPTY)

    play(scene, Platform.MAC)


def test_a_device_tells_where_it_is_while_it_is_lost_only() -> None:
    async def scene(p: Play) -> list[Status | None]:
        await p.enroll()
        commands: list[tuple[str, dict[str, PlistValue]]] = [
            ("DeviceLocation", {}),
            ("PlayLostModeSound", {}),
            ("EnableLostMode", {"Message": "Call us"}),
            ("DeviceLocation", {}),
            ("PlayLostModeSound", {}),
            ("DisableLostMode", {}),
            ("DeviceLocation", {}),
        ]
        return [(await ask(p, name, None, **keys)).head.status for name, keys in commands]

    error, done = Status.ERROR, Status.ACKNOWLEDGED
    assert play(scene) == [error, error, done, done, done, done, error]


def test_an_application_takes_its_time_to_be_installed() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.contents.applications.clear()
        begun = await ask(p, "InstallApplication", iTunesStoreID=PAGES)
        at_once = managed(await ask(p, "ManagedApplicationList"))
        again = await ask(p, "InstallApplication", iTunesStoreID=PAGES)
        await asyncio.sleep(timedelta(minutes=5).total_seconds())
        later = managed(await ask(p, "ManagedApplicationList"))

        assert begun.answer["State"] == at_once["com.apple.Pages"] == "Installing"
        assert again.answer["RejectionReason"] == "AppAlreadyQueued"
        assert later == {"com.apple.Pages": "Managed"}

    play(scene)


@pytest.mark.parametrize(
    ("accepts", "outcome"), [(True, "Managed"), (False, "UserRejected"), (None, "Prompting")], ids=str
)
def test_whoever_owns_the_device_is_asked_about_an_application(accepts: bool | None, outcome: str) -> None:
    async def scene(p: Play) -> None:
        p.device.facts = make_facts(Platform.IPHONE, Random(1), is_supervised=False)
        p.device.contents.applications.clear()
        p.device.behaviour.accepts_prompts = accepts
        await p.enroll()
        asked = await ask(p, "InstallApplication", iTunesStoreID=PAGES)
        meanwhile = await ask(p, "InstallApplication", iTunesStoreID=PAGES)
        await asyncio.sleep(timedelta(hours=1).total_seconds())

        assert asked.answer["State"] == "Prompting"
        assert meanwhile.error_chain[0].error_code == 1407
        assert managed(await ask(p, "ManagedApplicationList")) == {"com.apple.Pages": outcome}

    play(scene)


def test_configuration_of_an_application_is_told_again() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.contents.applications.clear()
        await ask(p, "InstallApplication", iTunesStoreID=PAGES)
        item: PlistValue = {
            "Item": "ApplicationConfiguration",
            "Identifier": "com.apple.Pages",
            "Configuration": {"server": "x"},
        }
        await ask(p, "Settings", Settings=[item])
        told = await ask(p, "ManagedApplicationConfiguration", Identifiers=["com.apple.Pages"])

        assert told.answer["ApplicationConfigurations"] == [
            {"Identifier": "com.apple.Pages", "Configuration": {"server": "x"}}
        ]

    play(scene)


def test_an_update_is_downloaded_and_installed_at_a_contact_after_that() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        newest = RELEASES[Platform.IPHONE][0]
        offered = await ask(p, "AvailableOSUpdates")
        await ask(p, "ScheduleOSUpdate", Updates=[{"InstallAction": "Default"}])
        under_way = await ask(p, "OSUpdateStatus")
        token = p.line.token
        await asyncio.sleep(timedelta(hours=1).total_seconds())
        await p.device.connect()
        nothing = await ask(p, "AvailableOSUpdates")

        assert offered.head.status is Status.ACKNOWLEDGED
        assert under_way.answer["OSUpdateStatus"] != []
        assert (p.device.facts.os_version, p.device.facts.build_version) == newest
        assert p.line.token != token
        assert nothing.error_chain[0].error_code == 2213

    old = next(seed for seed in range(50) if _release(seed) != RELEASES[Platform.IPHONE][0])
    play(scene, seed=old)


def _release(seed: int) -> tuple[str, str]:
    facts = make_facts(Platform.IPHONE, Random(f"{seed} 0"))
    return facts.os_version, facts.build_version


def test_recovery_key_is_escrowed_once_a_profile_says_to_whom_and_rotated_by_its_owner() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        contents = p.device.contents
        contents.is_disk_encrypted, contents.recovery_key = True, "ABCD"
        before = await ask(p, "SecurityInfo")
        await ask(p, "InstallProfile", Payload=write_plist(ESCROW))
        after = await ask(p, "SecurityInfo")
        refused = await rotate(p, "wrong")
        rotated = await rotate(p, "ABCD")

        assert "FDE_PersonalRecoveryKeyCMS" not in security(before)
        assert opened(security(after)["FDE_PersonalRecoveryKeyCMS"]) == "ABCD"
        assert security(after)["FDE_PersonalRecoveryKeyDeviceKey"] == "key of ours"
        assert refused.head.status is Status.ERROR
        result = rotated.answer["RotateResult"]
        assert isinstance(result, dict)
        assert opened(result["EncryptedNewRecoveryKey"]) == contents.recovery_key != "ABCD"

    play(scene, Platform.MAC)


async def rotate(p: Play, password: str) -> Report:
    return await ask(
        p,
        "RotateFileVaultKey",
        KeyType="personal",
        FileVaultUnlock={"Password": password},
        ReplyEncryptionCertificate=authority().certificate_der,
    )


def security(report: Report) -> dict[str, PlistValue]:
    info = report.answer["SecurityInfo"]
    assert isinstance(info, dict)
    return info


def opened(cms: PlistValue) -> str:
    assert isinstance(cms, bytes)
    return open_envelope(cms, authority().key, allow_legacy=False).content.decode()


def test_recovery_lock_is_changed_by_who_knows_it() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        first = await ask(p, "SetRecoveryLock", NewPassword="one")
        blind = await ask(p, "SetRecoveryLock", NewPassword="two")
        checked = await ask(p, "VerifyRecoveryLock", Password="one")
        cleared = await ask(p, "SetRecoveryLock", CurrentPassword="one", NewPassword="")

        statuses = [report.head.status for report in (first, blind, cleared)]
        assert statuses == [Status.ACKNOWLEDGED, Status.ERROR, Status.ACKNOWLEDGED]
        assert checked.answer["PasswordVerified"] is True
        assert p.device.contents.recovery_lock is None

    play(scene, Platform.MAC)


def test_bypass_code_is_gone_once_it_is_cleared() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        told = await ask(p, "ActivationLockBypassCode")
        await ask(p, "ClearActivationLockBypassCode")
        gone = await ask(p, "ActivationLockBypassCode")

        raw = make_bypass_code(str(told.answer["ActivationLockBypassCode"]))
        assert len(raw) == 16
        assert gone.head.status is Status.ERROR

    play(scene)


def make_bypass_code(text: str) -> bytes:
    """The bytes that a code's text stands for."""
    number = 0
    for character in text.replace("-", ""):
        number = number << 5 | BYPASS_ALPHABET.index(character)
    return (number >> 2).to_bytes(16)


@given(st.binary(min_size=16, max_size=16))
def test_bypass_code_is_26_characters_in_groups_that_stand_for_its_bytes(raw: bytes) -> None:
    text = bypass_code_text(raw)

    assert [len(group) for group in text.split("-")] == [5, 5, 4, 4, 4, 4]
    assert make_bypass_code(text) == raw


def test_restrictions_of_profiles_are_put_together_the_stricter_first() -> None:
    def profile(name: str, **restrictions: PlistValue) -> bytes:
        payload: dict[str, PlistValue] = {
            "PayloadType": "com.apple.applicationaccess",
            "PayloadIdentifier": f"{name}.1",
            "PayloadUUID": f"{name}1",
            "PayloadVersion": 1,
        }
        whole: dict[str, PlistValue] = {
            "PayloadType": "Configuration",
            "PayloadIdentifier": name,
            "PayloadUUID": name,
            "PayloadVersion": 1,
            "PayloadContent": [payload | restrictions],
        }
        return write_plist(whole)

    async def scene(p: Play) -> None:
        await p.enroll()
        await ask(p, "InstallProfile", Payload=profile("a", allowCamera=True, ratingApps=200))
        await ask(p, "InstallProfile", Payload=profile("b", allowCamera=False, forcePIN=True))
        told = await ask(p, "Restrictions", ProfileRestrictions=True)

        together = told.answer["GlobalRestrictions"]
        assert isinstance(together, dict)
        assert together["restrictedBool"] == {"allowCamera": {"value": False}, "forcePIN": {"value": True}}
        by_profile = told.answer["ProfileRestrictions"]
        assert isinstance(by_profile, dict)
        assert by_profile.keys() == {"a", "b"}

    play(scene)


def test_a_setting_that_is_not_for_the_device_fails_alone() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        items: list[PlistValue] = [
            {"Item": "HostName", "HostName": "front-desk"},
            {"Item": "TimeZone", "TimeZone": "Asia/Tokyo"},
            {"Item": "Bluetooth"},
            {"Item": "NoSuchItem"},
            "no item",
        ]
        report = await ask(p, "Settings", Settings=items)
        told = await ask(p, "DeviceInformation", Queries=["TimeZone"])

        statuses = report.answer["Settings"]
        assert isinstance(statuses, list)
        said = [status["Status"] for status in statuses if isinstance(status, dict)]
        assert said == ["Error", "Acknowledged", "Error", "Error", "Error"]
        assert told.answer["QueryResponses"] == {"TimeZone": "Asia/Tokyo"}

    play(scene)


def test_a_user_who_is_logged_in_is_not_deleted() -> None:
    ada, ben = User("A", "ada", "Ada"), User("B", "ben", "Ben")

    async def scene(p: Play) -> None:
        p.device.users = {ada: True, ben: False}
        await p.enroll()
        refused = await ask(p, "DeleteUser", UserName="ada")
        nobody = await ask(p, "DeleteUser", UserName="eve")
        await ask(p, "DeleteUser", UserName="ben")

        assert (refused.head.status, nobody.head.status) == (Status.ERROR, Status.ERROR)
        assert p.device.users == {ada: True}

    play(scene, Platform.MAC)


def test_accounts_are_configured_in_setup_assistant_only() -> None:
    async def scene(p: Play) -> None:
        admins: PlistValue = [{"shortName": "admin", "passwordHash": b"hash"}]
        await p.device.enroll(p.server.mobileconfig(), awaits_configuration=True)
        made = await ask(p, "AccountConfiguration", AutoSetupAdminAccounts=admins)
        told = await ask(p, "DeviceInformation", Queries=["AutoSetupAdminAccounts"])
        ((guid, name),) = p.device.contents.auto_admins
        changed = await ask(p, "SetAutoAdminPassword", GUID=guid, passwordHash=b"another")
        await ask(p, "DeviceConfigured")
        late = await ask(p, "AccountConfiguration", AutoSetupAdminAccounts=admins)

        statuses = [report.head.status for report in (made, changed, late)]
        assert statuses == [Status.ACKNOWLEDGED, Status.ACKNOWLEDGED, Status.ERROR]
        assert told.answer["QueryResponses"] == {"AutoSetupAdminAccounts": [{"GUID": guid, "shortName": name}]}
        assert p.device.contents.auto_admins[guid, name] == b"another"

    play(scene, Platform.MAC)


def test_what_only_supervised_devices_do_others_refuse() -> None:
    async def scene(p: Play) -> Report:
        p.device.facts = make_facts(Platform.IPHONE, Random(1), is_supervised=False)
        await p.enroll()
        return await ask(p, "RestartDevice")

    report = play(scene)

    assert report.head.status is Status.ERROR
    assert "supervised" in str(report.error_chain[0].localized_description)


def test_a_command_of_the_other_channel_is_not_known() -> None:
    async def scene(p: Play) -> list[int]:
        await p.enroll()
        (user,) = p.device.users
        reports = [await ask(p, "ActiveNSExtensions"), await ask(p, "UserList", user)]
        assert (await ask(p, "ActiveNSExtensions", user)).head.status is Status.ACKNOWLEDGED
        return [report.error_chain[0].error_code for report in reports]

    assert play(scene, Platform.MAC) == [12021, 12021]


def test_profiles_of_a_user_wait_for_an_open_keychain() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        (user,) = p.device.users
        p.device.behaviour.is_keychain_locked = True
        put_off = await ask(p, "InstallProfile", user, Payload=write_plist(ESCROW))
        p.device.behaviour.is_keychain_locked = False
        await p.device.connect(user)

        assert put_off.head.status is Status.NOT_NOW
        assert "org.example.escrow" in p.device.contents.profiles

    play(scene, Platform.MAC)


def test_scripted_answers_are_given_instead() -> None:
    chain = (ErrorItem(1, "Domain", "Outer"), ErrorItem(2, "Domain", "Inner"))

    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.behaviour.failing |= {"SecurityInfo": chain, "ProfileList": ()}
        p.device.behaviour.put_off.add("CertificateList")

        assert (await ask(p, "SecurityInfo")).error_chain == chain
        assert (await ask(p, "ProfileList")).head.status is Status.COMMAND_FORMAT_ERROR
        assert (await ask(p, "CertificateList")).head.status is Status.NOT_NOW

    play(scene)


def test_an_answer_that_is_forgotten_leaves_its_command_done() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.behaviour.forgotten.add("EnableLostMode")
        uuid = p.server.queue(p.line.channel.id, "EnableLostMode", Message="Call us")
        session = await p.device.connect()

        assert session.end is SessionEnd.UNANSWERED
        assert p.server.answers(uuid) == []
        assert p.device.contents.is_lost

    play(scene)

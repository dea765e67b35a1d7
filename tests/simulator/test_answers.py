"""A simulated device's answers have the keys, the gaps and the errors of real ones."""

from collections.abc import Mapping
from random import Random

import pytest
from tests.simulator.fake_server import authority
from tests.simulator.play import Play, play

from muster.crypto.certificates import is_issued_by
from muster.protocol.catalogue.commands import all_commands
from muster.protocol.catalogue.facts import Mode
from muster.protocol.connect import Report, Status
from muster.protocol.os_family import OsFamily
from muster.protocol.plist import PlistValue
from muster.simulator.facts import DeviceFacts, Platform, User, make_facts, user_identifiers
from muster.simulator.responders import RESPONDERS

EVERYWHERE = list(Platform)


def ask(
    request_type: str,
    platform: Platform = Platform.IPHONE,
    *,
    rights: int | None = 8191,
    is_user_enrollment: bool = False,
    seed: int = 1,
    **keys: PlistValue,
) -> Report:
    """What an enrolled device answers to one command on its device channel."""

    async def scene(p: Play) -> Report:
        await p.device.enroll(p.server.mobileconfig(access_rights=None if is_user_enrollment else rights))
        uuid = p.server.queue(p.line.channel.id, request_type, **keys)
        await p.device.connect()
        return p.server.answers(uuid)[0]

    return play(scene, platform, is_user_enrollment=is_user_enrollment, seed=seed)


def dictionary(report: Report, key: str) -> Mapping[str, PlistValue]:
    value = report.answer[key]
    assert isinstance(value, dict)
    return value


def entries(report: Report, key: str) -> list[Mapping[str, PlistValue]]:
    value = report.answer[key]
    assert isinstance(value, list)
    return [entry for entry in value if isinstance(entry, dict)]


@pytest.mark.parametrize("platform", EVERYWHERE)
def test_device_information_answers_what_was_asked_and_leaves_out_the_rest(platform: Platform) -> None:
    report = ask("DeviceInformation", platform, Queries=["UDID", "OSVersion", "NoSuchQuery", "SerialNumber"])

    assert dictionary(report, "QueryResponses").keys() == {"UDID", "OSVersion", "SerialNumber"}


@pytest.mark.parametrize(
    ("rights", "told"),
    [(0x1FFF, {"UDID", "OSVersion", "WiFiMAC"}), (16, {"UDID", "OSVersion"}), (32, {"UDID", "WiFiMAC"}), (1, {"UDID"})],
)
def test_device_information_tells_what_its_rights_allow(rights: int, told: set[str]) -> None:
    report = ask("DeviceInformation", rights=rights, Queries=["UDID", "OSVersion", "WiFiMAC"])

    assert dictionary(report, "QueryResponses").keys() == told


def test_device_information_in_a_user_enrollment_hides_who_the_device_is() -> None:
    queries: list[PlistValue] = ["UDID", "SerialNumber", "IMEI", "WiFiMAC", "OSVersion"]
    report = ask("DeviceInformation", is_user_enrollment=True, Queries=queries)

    assert dictionary(report, "QueryResponses").keys() == {"OSVersion"}


def test_security_info_speaks_of_disks_on_a_mac_and_of_passcodes_elsewhere() -> None:
    mac = dictionary(ask("SecurityInfo", Platform.MAC), "SecurityInfo")
    iphone = dictionary(ask("SecurityInfo"), "SecurityInfo")

    assert "FDE_Enabled" in mac
    assert "PasscodePresent" not in mac
    assert "PasscodePresent" in iphone
    assert "FDE_Enabled" not in iphone


@pytest.mark.parametrize("platform", EVERYWHERE)
def test_profile_list_shows_the_enrollment_profile_with_its_payloads(platform: Platform) -> None:
    (entry,) = entries(ask("ProfileList", platform), "ProfileList")

    content = entry["PayloadContent"]
    assert isinstance(content, list)
    types = {payload["PayloadType"] for payload in content if isinstance(payload, dict)}
    assert entry["PayloadIdentifier"] == "org.example.enrollment"
    assert types == {"com.apple.mdm", "com.apple.security.scep", "com.apple.security.root"}
    assert ("IsManaged" in entry) is (platform is not Platform.MAC)


def test_certificate_list_shows_the_identity_first_and_the_anchors_after_it() -> None:
    identity, anchor = entries(ask("CertificateList"), "CertificateList")

    assert isinstance(identity["Data"], bytes)
    assert identity["IsIdentity"] is True
    assert is_issued_by(identity["Data"], authority().certificate_der)
    assert anchor == {"CommonName": "Test", "IsIdentity": False, "Data": authority().certificate_der}


@pytest.mark.parametrize("platform", [Platform.MAC, Platform.IPAD])
def test_installed_applications_can_be_asked_for_by_name(platform: Platform) -> None:
    everything = entries(ask("InstalledApplicationList", platform), "InstalledApplicationList")
    wanted = everything[0]["Identifier"]
    one = entries(ask("InstalledApplicationList", platform, Identifiers=[wanted]), "InstalledApplicationList")

    assert len(everything) > 1
    assert one == [everything[0]]


def test_a_user_enrollment_shows_no_application_that_is_not_managed() -> None:
    assert entries(ask("InstalledApplicationList", is_user_enrollment=True), "InstalledApplicationList") == []


def test_an_application_is_installed_listed_and_removed() -> None:
    async def scene(p: Play) -> list[Report]:
        await p.enroll()
        channel = p.line.channel.id
        uuids = [
            p.server.queue(channel, "InstallApplication", Identifier="org.example.app"),
            p.server.queue(channel, "ManagedApplicationList"),
            p.server.queue(channel, "RemoveApplication", Identifier="org.example.app"),
            p.server.queue(channel, "ManagedApplicationList"),
            p.server.queue(channel, "RemoveApplication", Identifier="org.example.app"),
        ]
        await p.device.connect()
        return [p.server.answers(uuid)[0] for uuid in uuids]

    installed, listed, removed, gone, refused = play(scene)

    assert installed.answer["State"] == "Installing"
    assert dictionary(listed, "ManagedApplicationList").keys() == {"org.example.app"}
    assert removed.head.status is Status.ACKNOWLEDGED
    assert dictionary(gone, "ManagedApplicationList") == {}
    assert refused.head.status is Status.ERROR


def test_user_list_names_the_users_of_a_mac() -> None:
    (user,) = entries(ask("UserList", Platform.MAC), "Users")

    assert user["UID"] == 501
    assert user["IsLoggedIn"] is True


@pytest.mark.parametrize(
    ("platform", "request_type"),
    [
        (Platform.MAC, "Restrictions"),
        (Platform.MAC, "ClearPasscode"),
        (Platform.IPHONE, "UserList"),
        (Platform.APPLE_TV, "DeviceLock"),
        (Platform.IPHONE, "NoSuchCommand"),
    ],
)
def test_what_a_platform_does_not_know_is_error_12021(platform: Platform, request_type: str) -> None:
    report = ask(request_type, platform)

    assert report.head.status is Status.ERROR
    assert report.error_chain[0].error_code == 12021


def ask_everything(platform: Platform, rights: int) -> dict[str, Report]:
    """What one device answers to every command it could know, without keys; enrolled again when one ended that."""

    async def scene(p: Play) -> dict[str, Report]:
        reports = {}
        for request_type in RESPONDERS:
            if p.device.enrollment is None:
                await p.device.enroll(p.server.mobileconfig(access_rights=rights))
            uuid = p.server.queue(p.line.channel.id, request_type)
            p.device.power_on()
            await p.device.connect()
            (reports[request_type],) = p.server.answers(uuid)
        return reports

    return play(scene, platform)


def test_without_rights_only_what_takes_none_is_obeyed() -> None:
    refused = {
        request_type
        for request_type, report in ask_everything(Platform.IPHONE, 2**13).items()
        if report.error_chain and report.error_chain[0].error_code == 12007
    }

    assert refused == {
        command.request_type
        for command in all_commands()
        if command.request_type in RESPONDERS
        and not RESPONDERS[command.request_type].waives_right
        and (support := command.support[OsFamily.IOS]) is not None
        and support.access_right
        and support.shared_ipad is not Mode.REQUIRED
    }


@pytest.mark.parametrize("platform", EVERYWHERE)
def test_every_command_is_answered_even_without_its_keys(platform: Platform) -> None:
    reports = ask_everything(platform, 8191)

    assert reports.keys() == RESPONDERS.keys()
    assert {report.head.status for report in reports.values()} <= {
        Status.ACKNOWLEDGED,
        Status.ERROR,
        Status.COMMAND_FORMAT_ERROR,
    }


def test_a_missing_key_is_named_by_macs_only() -> None:
    mac = ask("RemoveProfile", Platform.MAC)
    iphone = ask("RemoveProfile", Platform.IPHONE)

    assert mac.error_chain[0].error_domain == "MDMClientError"
    assert iphone.head.status is Status.COMMAND_FORMAT_ERROR
    assert iphone.error_chain == ()


def test_macs_echo_the_request_type() -> None:
    assert ask("SecurityInfo", Platform.MAC).answer["RequestType"] == "SecurityInfo"
    assert "RequestType" not in ask("SecurityInfo").answer


@pytest.mark.parametrize(("pin", "status"), [("123456", Status.ACKNOWLEDGED), ("1234", Status.ERROR)])
def test_a_mac_wants_six_digits_to_lock(pin: str, status: Status) -> None:
    assert ask("DeviceLock", Platform.MAC, PIN=pin).head.status is status


def test_an_iphone_says_whether_it_could_lock() -> None:
    assert ask("DeviceLock").answer["MessageResult"] in ("Success", "NoPasscodeSet")


def test_a_passcode_is_cleared_by_the_devices_own_token_only() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.contents.has_passcode = True
        channel = p.line.channel.id
        wrong = p.server.queue(channel, "ClearPasscode", UnlockToken=b"wrong")
        assert p.device.contents.unlock_token is not None
        right = p.server.queue(channel, "ClearPasscode", UnlockToken=p.device.contents.unlock_token)
        await p.device.connect()

        assert p.server.answers(wrong)[0].head.status is Status.ERROR
        assert p.server.answers(right)[0].head.status is Status.ACKNOWLEDGED
        assert not p.device.contents.has_passcode

    play(scene)


def test_settings_answer_each_item() -> None:
    report = ask("Settings", Settings=[{"Item": "DeviceName", "DeviceName": "Front desk"}, {"Item": "Wallpaper"}])

    assert [item["Status"] for item in entries(report, "Settings")] == ["Acknowledged", "Error"]


@pytest.mark.parametrize("platform", EVERYWHERE)
def test_equal_generators_make_equal_devices(platform: Platform) -> None:
    assert make_facts(platform, Random(4)) == make_facts(platform, Random(4))
    assert make_facts(platform, Random(4)) != make_facts(platform, Random(5))


def test_udids_have_the_form_of_their_platform() -> None:
    mac, iphone = make_facts(Platform.MAC, Random(1)), make_facts(Platform.IPHONE, Random(1))

    assert [len(part) for part in mac.udid.split("-")] == [8, 4, 4, 4, 12]
    assert [len(part) for part in iphone.udid.split("-")] == [8, 16]
    assert len(mac.serial_number) == len(iphone.serial_number) == 10


@pytest.mark.parametrize(
    "facts",
    [
        make_facts(Platform.IPHONE, Random(1)),
        make_facts(Platform.APPLE_TV, Random(1)),
        make_facts(Platform.IPAD, Random(1), is_user_enrollment=True),
    ],
    ids=lambda facts: facts.platform.value,
)
def test_devices_without_users_have_no_user_channels(facts: DeviceFacts) -> None:
    with pytest.raises(ValueError, match="no users"):
        user_identifiers(facts, User("G", "u", "U"))

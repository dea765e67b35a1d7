"""Users of Macs and Shared iPads, whole: they log in and out, wait, show passwords, and go."""

from datetime import timedelta

import pytest

from muster.domain.user_login import PASSCODE_PAYLOAD
from muster.edges.directory.password_file import PasswordFile
from muster.laboratory.report import ChannelReport, DeviceReport
from muster.laboratory.world import Inhabitant, World, play
from muster.protocol.plist import PlistValue, write_plist
from muster.simulator.enrollment import Line
from muster.simulator.facts import Platform, User

A_WHILE = timedelta(minutes=30)
ADA = User("0A1B2C3D-0000-4000-8000-0A1B2C3D4E5F", "ada", "Ada")
BEN = User("0B1B2C3D-0000-4000-8000-0A1B2C3D4E5F", "ben", "Ben")

QUESTIONS = ("ProfileList", "CertificateList", "InstalledApplicationList")


async def enroll(world: World, platform: Platform = Platform.MAC) -> Inhabitant:
    inhabitant = world.add_device(platform)
    await inhabitant.device.open_link(await world.server.make_link(1))
    await world.sleep(A_WHILE)
    return inhabitant


async def logged_in(world: World, inhabitant: Inhabitant, user: User) -> Line:
    line = await inhabitant.device.log_in(user)
    assert line is not None
    await world.sleep(A_WHILE)
    return line


def channel_of(device: DeviceReport, user: User) -> ChannelReport:
    name = user.short_name if "@" in user.short_name else user.guid
    [found] = [channel for channel in device.channels if channel.id.endswith(f":{name}")]
    return found


def answers(channel: ChannelReport) -> list[tuple[str | None, str | None]]:
    return [(command.request_type, command.status) for command in channel.commands]


def seen(device: DeviceReport, observed: str) -> int:
    return device.evidence.get(f"S17 {observed}", 0)


@pytest.mark.parametrize(
    ("policy", "password", "observed"),
    [
        ("decline", "secret", "user_declined"),
        ("accept", "whatever", "user_let_in"),
        ("digest", "secret", "user_signed_in"),
        ("digest", "wrong", "user_password_wrong"),
    ],
)
def test_network_user_is_managed_as_the_policy_has_it(policy: str, password: str, observed: str) -> None:
    is_managed = policy == "accept" or (policy, password) == ("digest", "secret")

    async def scene(world: World) -> None:
        settings = world.server.service.settings
        PasswordFile(settings.directory_path, settings.directory_realm).set_password("ada", "secret")
        await world.server.set_policy("network_users", policy)
        inhabitant = await enroll(world)
        inhabitant.device.network_users[ADA] = password
        line = await inhabitant.device.log_in(ADA)
        assert (line is not None) is is_managed
        if line is not None:
            await world.server.send_command([line.channel.id], "ProfileList")
        await world.sleep(A_WHILE)

    [device] = play(scene, seed=3).devices
    assert device.is_enrolled
    assert seen(device, observed) == 1
    if is_managed:
        assert answers(channel_of(device, ADA)) == [("ProfileList", "Acknowledged")]
    else:
        assert not [channel for channel in device.channels if channel.id.endswith(ADA.guid)]


def test_user_who_waits_at_the_login_window_finds_everything_done() -> None:
    async def scene(world: World) -> None:
        inhabitant = await enroll(world)
        device = inhabitant.device
        line = await logged_in(world, inhabitant, ADA)
        device.log_out(ADA)
        for question in QUESTIONS:
            await world.server.send_command([line.channel.id], question)
            await world.sleep(timedelta(seconds=1))  # what is queued at one instant has no order
        await world.sleep(A_WHILE)
        device.behaviour.waits_at_login = True
        await device.log_in(ADA)
        session = await device.connect(ADA)
        assert [one.request_type for one in session.answered] == list(QUESTIONS)
        assert not line.waits_at_login

    [device] = play(scene, seed=4).devices
    assert sorted(answers(channel_of(device, ADA))) == sorted((one, "Acknowledged") for one in QUESTIONS)
    assert seen(device, "waits_at_login") >= 1


def test_account_that_setup_assistant_makes_gets_its_policy_of_passwords_now_and_for_good() -> None:
    payload: PlistValue = {
        "PayloadType": PASSCODE_PAYLOAD,
        "PayloadVersion": 1,
        "PayloadIdentifier": "org.example.passcode.policy",
        "PayloadUUID": "7D4A0F0E-2B5C-4C57-9F6D-5B0A7E0C1D2E",
        "minLength": 10,
    }
    profile = write_plist(
        {
            "PayloadType": "Configuration",
            "PayloadVersion": 1,
            "PayloadIdentifier": "org.example.passcode",
            "PayloadUUID": "6D4A0F0E-2B5C-4C57-9F6D-5B0A7E0C1D2E",
            "PayloadContent": [payload],
        }
    )

    async def scene(world: World) -> None:
        inhabitant = await enroll(world)
        device = inhabitant.device
        line = await logged_in(world, inhabitant, ADA)
        device.log_out(ADA)
        await world.server.send_command([line.channel.id], "ProfileList")
        await world.server.send_command([line.channel.id], "InstallProfile", {"Payload": profile})
        line.is_open = line.makes_account = True
        in_set_up = await device.connect(ADA)
        assert [one.request_type for one in in_set_up.answered] == ["InstallProfile"]
        await device.log_in(ADA)
        await world.sleep(A_WHILE)

    [device] = play(scene, seed=5).devices
    assert sorted(answers(channel_of(device, ADA))) == [
        ("InstallProfile", "Acknowledged"),
        ("ProfileList", "Acknowledged"),
    ]
    assert seen(device, "account_set_up") == 1


def test_two_users_of_a_mac_are_served_side_by_side() -> None:
    async def scene(world: World) -> None:
        inhabitant = await enroll(world)
        lines = [await logged_in(world, inhabitant, user) for user in (ADA, BEN)]
        assert [line.is_at_console for line in lines] == [False, True]
        await world.server.send_command([line.channel.id for line in lines], "ProfileList")
        await world.sleep(A_WHILE)

    [device] = play(scene, seed=6).devices
    for user in (ADA, BEN):
        assert answers(channel_of(device, user)) == [("ProfileList", "Acknowledged")]
        assert channel_of(device, user).state == "enrolled"


def test_users_of_a_shared_ipad_are_logged_out_listed_and_deleted() -> None:
    first, second = User("G", "first@school.example", "First"), User("H", "second@school.example", "Second")

    async def scene(world: World) -> None:
        inhabitant = await enroll(world, Platform.IPAD)
        device = inhabitant.device
        for user in (first, second):
            await logged_in(world, inhabitant, user)
        await world.server.send_command([inhabitant.channel_id], "LogOutUser")
        await world.sleep(A_WHILE)
        device.delete_user(first)  # evicted, for the iPad needed room
        await world.server.send_command([inhabitant.channel_id], "UserList")
        await world.sleep(A_WHILE)

    [device] = play(scene, seed=8).devices
    assert (channel_of(device, first).state, channel_of(device, second).state) == ("ended", "dormant")

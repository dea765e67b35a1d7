"""Each way in, whole: a device comes through the real doors, is managed, and answers a command."""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from muster.domain.access import IdentityKind, LinkKind
from muster.laboratory.report import DeviceReport
from muster.laboratory.server import ADMINISTRATOR, PUBLIC_URL
from muster.laboratory.world import Inhabitant, World, play
from muster.operations.enrollment_links import LinkOrder
from muster.operations.queue_command import QueuedCommand
from muster.operations.return_to_service import ReturnOrder, ReturnPolicyOrder, return_devices, set_return_policies
from muster.protocol.identifiers import ChannelKind, DeviceId
from muster.protocol.plist import PlistValue
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform, User
from muster.simulator.web_view import Credentials
from muster.storage.return_to_service import ReturnSetUp

A_WHILE = timedelta(minutes=30)
A_DAY = timedelta(days=1)
WHO = Credentials("noor@muster.example", "correct horse battery")

Enter = Callable[[World, Inhabitant], Awaitable[None]]


def enrolled_by(enter: Enter, platform: Platform = Platform.IPHONE, **settings: object) -> DeviceReport:
    """Have a device come in by *enter*, ask it something, and report on it; it has obeyed."""

    async def scene(world: World) -> None:
        inhabitant = world.add_device(platform)
        await enter(world, inhabitant)
        await world.sleep(A_WHILE)
        await world.server.send_command([inhabitant.channel_id], "ProfileList")
        await world.sleep(A_WHILE)

    [device] = play(scene, seed=7, settings=settings).devices
    answers = [command.status for command in device.channel.commands if command.request_type == "ProfileList"]
    assert answers == ["Acknowledged"]
    assert [epoch.closed_reason for epoch in device.epochs] == [None]
    return device


async def open_way(world: World, kind: LinkKind, *, requires_sign_in: bool = False) -> str:
    """A link of *kind*, good for one device; its token."""
    order = LinkOrder(1, A_DAY, kind=kind, requires_sign_in=requires_sign_in)
    return (await world.server.open_way(order)).token


@pytest.mark.parametrize("requires_sign_in", [False, True])
def test_by_the_enrollment_page(*, requires_sign_in: bool) -> None:
    async def enter(world: World, inhabitant: Inhabitant) -> None:
        await world.server.add_person(WHO)
        token = await open_way(world, LinkKind.PROFILE, requires_sign_in=requires_sign_in)
        await inhabitant.device.open_page(f"{PUBLIC_URL}/enroll/{token}", WHO if requires_sign_in else None)

    enrolled_by(enter)


@pytest.mark.parametrize("platform", [Platform.IPHONE, Platform.MAC])
def test_over_the_air(platform: Platform) -> None:
    async def enter(world: World, inhabitant: Inhabitant) -> None:
        token = await open_way(world, LinkKind.OTA)
        await inhabitant.device.enroll_over_the_air(f"{PUBLIC_URL}/ota/{token}")

    enrolled_by(enter, platform)


@pytest.mark.parametrize("platform", [Platform.IPAD, Platform.MAC, Platform.APPLE_TV])
def test_by_setup_assistant_which_waits_until_it_is_let_go(platform: Platform) -> None:
    async def enter(world: World, inhabitant: Inhabitant) -> None:
        token = await open_way(world, LinkKind.ADE)
        await inhabitant.device.set_up(f"{PUBLIC_URL}/ade/{token}")

    device = enrolled_by(enter, platform)
    assert "DeviceConfigured" in {command.request_type for command in device.channel.commands}


def test_by_setup_assistant_with_a_web_view_and_a_sign_in() -> None:
    async def enter(world: World, inhabitant: Inhabitant) -> None:
        await world.server.add_person(WHO)
        url = f"{PUBLIC_URL}/ade/{await open_way(world, LinkKind.ADE, requires_sign_in=True)}"
        await inhabitant.device.set_up(url, web_url=f"{url}/web", credentials=WHO)

    enrolled_by(enter)


def test_by_setup_assistant_after_the_update_that_the_link_asks_for() -> None:
    async def enter(world: World, inhabitant: Inhabitant) -> None:
        order = LinkOrder(1, A_DAY, kind=LinkKind.ADE, required_os_version="26.1", required_build_version="23B5044")
        token = (await world.server.open_way(order)).token
        inhabitant.device.behaviour.seconds_per_update = 1200
        await inhabitant.device.set_up(f"{PUBLIC_URL}/ade/{token}")
        assert inhabitant.device.facts.os_version == "26.1"

    enrolled_by(enter)


def test_a_device_that_the_link_does_not_list_is_turned_away() -> None:
    async def scene(world: World) -> None:
        inhabitant = world.add_device(Platform.IPAD)
        order = LinkOrder(1, A_DAY, kind=LinkKind.ADE, serial_numbers=frozenset({"C02XXXXXXXXX"}))
        token = (await world.server.open_way(order)).token
        with pytest.raises(EnrollmentFailed, match=r"MachineInfo: com\.apple\.unrecognized\.device"):
            await inhabitant.device.set_up(f"{PUBLIC_URL}/ade/{token}")

    assert play(scene, seed=7).devices[0].channels == ()


def test_with_an_identity_in_the_profile() -> None:
    async def enter(world: World, inhabitant: Inhabitant) -> None:
        order = LinkOrder(1, A_DAY, identity_kind=IdentityKind.PKCS12)
        token = (await world.server.open_way(order)).token
        await inhabitant.device.open_link(f"{PUBLIC_URL}/enroll/{token}")

    enrolled_by(enter, allow_pkcs12_identities=True)


def test_users_of_a_shared_ipad_take_turns() -> None:
    first, second = User("G", "first@school.example", "First"), User("H", "second@school.example", "Second")

    async def enter(world: World, inhabitant: Inhabitant) -> None:
        device = inhabitant.device
        await device.open_link(await world.server.make_link(1))
        item: PlistValue = {"Item": "SharedDeviceConfiguration", "AwaitUserConfiguration": {"Enabled": True}}
        await world.server.send_command([inhabitant.channel_id], "Settings", {"Settings": [item]})
        await world.sleep(A_WHILE)
        lines = []
        for user in (first, second):
            line = await device.log_in(user)
            assert line is not None
            lines.append(line)
            await world.sleep(A_WHILE)
            assert not line.is_awaiting_configuration
        away = lines[0]
        pushes = away.pushes_seen
        await world.server.send_command([away.channel.id], "ProfileList")
        await world.sleep(A_WHILE)
        await device.log_in(first)
        assert away.pushes_seen == pushes  # APNs kept none, for none was sent

    device = enrolled_by(enter, Platform.IPAD)
    states = {channel.id.rpartition(":")[2]: channel.state for channel in device.channels[1:]}
    assert states == {"first@school.example": "enrolled", "second@school.example": "dormant"}
    [of_first] = [channel for channel in device.channels if channel.id.endswith(":first@school.example")]
    assert {command.status for command in of_first.commands} == {"Acknowledged"}


@pytest.mark.parametrize(
    ("kind", "platform", "chosen_by"),
    [
        (LinkKind.ACCOUNT_USER, Platform.IPHONE, "default"),
        (LinkKind.ACCOUNT_USER, Platform.MAC, "Mac"),
        (LinkKind.ACCOUNT_DEVICE, Platform.IPAD, "iPad"),
    ],
)
def test_by_an_account(kind: LinkKind, platform: Platform, chosen_by: str) -> None:
    async def enter(world: World, inhabitant: Inhabitant) -> None:
        await offer_accounts(world, kind, chosen_by)
        with pytest.raises(EnrollmentFailed, match="sign-in"):
            await inhabitant.device.sign_in_to_account(Credentials(WHO.user_name, "guessed wrongly"))
        await inhabitant.device.sign_in_to_account(WHO)

    device = enrolled_by(enter, platform)
    assert (device.channel.kind == ChannelKind.USER_ENROLLMENT_DEVICE.value) is (kind is LinkKind.ACCOUNT_USER)


def test_an_account_that_is_offered_nothing_finds_no_server() -> None:
    async def scene(world: World) -> None:
        inhabitant = world.add_device(Platform.MAC)
        await offer_accounts(world, LinkKind.ACCOUNT_USER, "iPhone")
        with pytest.raises(EnrollmentFailed, match="discovery"):
            await inhabitant.device.sign_in_to_account(WHO)

    assert play(scene, seed=7).devices[0].channels == ()


def test_a_device_of_an_account_renews_its_identity() -> None:
    async def enter(world: World, inhabitant: Inhabitant) -> None:
        await offer_accounts(world, LinkKind.ACCOUNT_USER, "default")
        await inhabitant.device.sign_in_to_account(WHO)
        first = inhabitant.device.back_up().identity
        await world.sleep(timedelta(days=75))
        assert inhabitant.device.back_up().identity != first

    enrolled_by(enter, identity_lifetime_days=60, renew_before_days=20)


async def offer_accounts(world: World, kind: LinkKind, chosen_by: str) -> None:
    """Have devices of the family *chosen_by* enroll by a link of *kind* where WHO signs in."""
    await world.server.add_person(WHO)
    link = (await world.server.open_way(LinkOrder(1, A_DAY, kind=kind))).link
    await world.server.set_policy("account_driven", json.dumps({chosen_by: link.id}))


def returned_by(erase: Enter) -> DeviceReport:
    """Have an iPhone be erased by *erase*, and report on it; it has come back by itself and obeys."""

    async def scene(world: World) -> None:
        inhabitant = world.add_device(Platform.IPHONE)
        await inhabitant.device.open_link(await world.server.make_link(1))
        await world.sleep(A_WHILE)
        await erase(world, inhabitant)
        await world.sleep(A_WHILE)
        await world.server.send_command([inhabitant.channel_id], "ProfileList")
        await world.sleep(A_WHILE)

    [device] = play(scene, seed=7).devices
    assert [command.status for command in device.channel.commands][-1] == "Acknowledged"
    assert [epoch.closed_reason for epoch in device.epochs] == ["re_enrolled", None]
    return device


def test_a_device_that_is_erased_by_command_returns_to_service() -> None:
    async def erase(world: World, inhabitant: Inhabitant) -> None:
        order = ReturnOrder(DeviceId(inhabitant.device.facts.udid))
        [queued] = await world.server.service.runner.write(return_devices, [order], ADMINISTRATOR)
        assert isinstance(queued, QueuedCommand)

    device = returned_by(erase)
    assert [command.request_type for command in device.channel.commands] == ["EraseDevice", "ProfileList"]


def test_a_device_that_somebody_erases_returns_to_service_where_that_is_allowed() -> None:
    async def erase(world: World, inhabitant: Inhabitant) -> None:
        order = ReturnPolicyOrder(None, is_enabled=True)
        [set_up] = await world.server.service.runner.write(set_return_policies, [order], ADMINISTRATOR)
        assert isinstance(set_up, ReturnSetUp)
        await inhabitant.device.erase_locally()

    returned_by(erase)


def test_a_device_that_somebody_erases_stays_erased_otherwise() -> None:
    async def scene(world: World) -> None:
        inhabitant = world.add_device(Platform.IPHONE)
        await inhabitant.device.open_link(await world.server.make_link(1))
        await inhabitant.device.erase_locally()

    assert not play(scene, seed=7).devices[0].is_enrolled

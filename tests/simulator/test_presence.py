"""When a simulated device hears APNs, and what APNs learns of it."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from tests.simulator.play import Play, play

from muster.protocol.checkin import TokenUpdate
from muster.protocol.profile import EnrollmentMode
from muster.simulator.facts import Platform, User
from muster.simulator.presence import Network
from muster.simulator.session import SessionEnd

HOUR = 3600.0
DAY = 24 * HOUR
COLLEAGUE = User("5D2A3C8E-0000-4000-8000-000000000001", "mei", "Mei Tanaka")


def lived(scene: Callable[[Play], Awaitable[None]], platform: Platform = Platform.IPHONE) -> None:
    """Play *scene* with an enrolled device that lives in the background."""

    async def background(p: Play) -> None:
        await p.enroll()
        life = asyncio.create_task(p.device.live())
        try:
            await scene(p)
        finally:
            life.cancel()

    play(background, platform)


@pytest.mark.parametrize("network", [Network.NONE, Network.WITHOUT_APNS])
def test_a_push_waits_until_apns_is_reached_again(network: Network) -> None:
    async def scene(p: Play) -> None:
        p.device.change_network(network)
        assert p.push(p.line) == p.push(p.line) == "accepted"
        await asyncio.sleep(DAY)
        assert (p.statuses(), p.line.pushes_seen) == ([], 0)
        p.device.change_network(Network.WHOLE)
        await asyncio.sleep(5)

        assert (p.statuses(), p.line.pushes_seen) == (["Idle"], 1)

    lived(scene)


def test_a_network_that_comes_back_is_no_reason_to_connect() -> None:
    async def scene(p: Play) -> None:
        p.device.change_network(Network.NONE)
        p.device.change_network(Network.WHOLE)
        await asyncio.sleep(DAY)

        assert p.statuses() == []

    lived(scene)


def test_what_it_wanted_without_a_network_is_done_when_there_is_one() -> None:
    async def scene(p: Play) -> None:
        p.device.change_network(Network.NONE)
        p.device.want_connect(p.line)
        await asyncio.sleep(DAY)
        assert p.statuses() == []
        p.device.change_network(Network.WITHOUT_APNS)
        await asyncio.sleep(5)

        assert p.statuses() == ["Idle"]

    lived(scene)


def test_without_a_network_nothing_leaves_it() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.change_network(Network.NONE)

        assert (await p.device.connect()).end is SessionEnd.SILENT

    play(scene)


def test_behind_a_firewall_that_blocks_apns_it_still_connects() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        p.device.change_network(Network.WITHOUT_APNS)

        assert (await p.device.connect()).end is SessionEnd.EMPTY

    play(scene)


def test_power_alone_does_not_bring_a_device_without_a_network_to_apns() -> None:
    async def scene(p: Play) -> None:
        p.device.change_network(Network.NONE)
        p.device.power_off()
        p.push(p.line)
        p.device.power_on()
        await asyncio.sleep(HOUR)
        assert p.line.pushes_seen == 0
        p.device.change_network(Network.WHOLE)

        assert p.line.pushes_seen == 1

    lived(scene)


def test_a_network_alone_does_not_bring_a_device_that_is_off_to_apns() -> None:
    async def scene(p: Play) -> None:
        p.device.power_off()
        p.device.change_network(Network.WHOLE)
        p.push(p.line)

        assert p.line.pushes_seen == 0

    lived(scene)


def test_a_profile_removed_without_a_network_is_known_to_apns_when_the_device_is_back() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        line = p.line
        p.device.change_network(Network.NONE)
        await p.device.remove_profile()
        assert p.push(line) == "accepted"
        p.device.change_network(Network.WHOLE)

        assert p.push(line) == "Unregistered"

    play(scene)


def test_an_erased_device_that_is_switched_on_again_is_known_to_apns() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        line = p.line
        p.device.erase()
        p.device.power_off()
        assert p.push(line) == "accepted"
        p.device.power_on()

        assert p.push(line) == "Unregistered"

    play(scene)


def test_a_restored_device_ends_its_former_tokens() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        former = replace(p.line)
        await p.device.restore(p.device.back_up())

        assert p.push(former) == "Unregistered"
        assert p.push(p.line) == "accepted"

    play(scene)


def test_a_backup_restored_elsewhere_leaves_the_first_devices_token_alone() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        await p.others[0].restore(p.device.back_up())
        other = p.others[0].enrolled().device_line

        assert other.token != p.line.token
        assert p.push(p.line) == p.push(other) == "accepted"

    play(scene, devices=2)


def test_an_os_update_gives_every_line_a_new_token_and_says_so() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        former = [replace(line) for line in p.device.enrolled().lines]
        await p.device.update_os("26.0", "25A354")

        lines = p.device.enrolled().lines
        told = [message for message in p.server.messages[-2:] if isinstance(message, TokenUpdate)]
        assert [message.token for message in told] == [line.token for line in lines]
        assert [p.push(line) for line in former] == ["Unregistered"] * 2
        assert [p.push(line) for line in lines] == ["accepted"] * 2
        assert [line.push_magic for line in lines] == [line.push_magic for line in former]
        assert (p.device.facts.os_version, p.device.facts.build_version) == ("26.0", "25A354")

    play(scene, Platform.MAC)


def test_a_user_who_is_logged_out_tells_the_new_token_at_the_next_login() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        line = await p.device.log_in(COLLEAGUE)
        assert line is not None
        p.device.log_out(COLLEAGUE)
        former = replace(line)
        await p.device.update_os("26.0", "25A354")
        told = len(p.server.messages)
        assert p.push(former) == "Unregistered"
        p.push(line)
        assert line.pushes_seen == 0
        await p.device.log_in(COLLEAGUE)

        (update,) = p.server.messages[told:]
        assert isinstance(update, TokenUpdate)
        assert update.token == line.token != former.token
        assert line.pushes_seen == 1

    play(scene, Platform.MAC)


def test_the_version_of_an_os_update_outlives_a_user_enrollment() -> None:
    async def scene(p: Play) -> None:
        outside = p.device.facts
        await p.device.enroll(p.server.mobileconfig(enrollment_mode=EnrollmentMode.BYOD, access_rights=None))
        assert p.device.facts.is_user_enrollment
        await p.device.update_os("26.0", "23A341")
        assert p.device.facts.os_version == "26.0"
        await p.device.remove_profile()

        assert p.device.facts == replace(outside, os_version="26.0", build_version="23A341")

    play(scene)


def test_every_token_it_was_issued_is_known_by_its_channel() -> None:
    async def scene(p: Play) -> None:
        await p.enroll()
        channel_id, first = p.line.channel.id, p.line.token
        await p.device.rotate_token()

        assert p.device.presence.tokens == {first: channel_id, p.line.token: channel_id}

    play(scene)


def test_a_network_lost_while_it_enrolls_keeps_the_first_push_for_later() -> None:
    async def scene(p: Play) -> None:
        original = p.server.answer

        def answer(path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
            if b"TokenUpdate" in body:
                p.device.change_network(Network.WITHOUT_APNS)
            return original(path, query, headers, body)

        p.server.answer = answer  # type: ignore[method-assign]  # the fake is ours to script
        await p.enroll()
        p.push(p.line)
        assert p.line.pushes_seen == 0
        p.device.change_network(Network.WHOLE)

        assert p.line.pushes_seen == 1

    play(scene)

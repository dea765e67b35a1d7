"""Devices carry out what they were sent, and their answers are lost: their lists tell that it is done."""

from datetime import timedelta

import pytest
from tests.laboratory.stories import enroll_one

from muster.laboratory.report import ChannelReport
from muster.laboratory.world import World, play
from muster.protocol.plist import write_plist
from muster.simulator.facts import Platform

PROFILE = write_plist(
    {
        "PayloadType": "Configuration",
        "PayloadIdentifier": "org.example.lost",
        "PayloadUUID": "LOST-1",
        "PayloadVersion": 1,
        "PayloadContent": [],
    }
)


async def _answers_are_lost(world: World) -> None:
    """An iPad installs a profile and never says so, an iPhone does not even install it; both are asked other things."""
    url = await world.server.make_link(2)
    ipad = await enroll_one(world, Platform.IPAD, url)
    iphone = await enroll_one(world, Platform.IPHONE, url)
    await world.sleep(timedelta(hours=1))
    ipad.device.behaviour.forgotten.add("InstallProfile")
    iphone.device.behaviour.unanswered.add("InstallProfile")
    here = [ipad.channel_id, iphone.channel_id]
    await world.server.send_command(here, "InstallProfile", {"Payload": PROFILE})
    for _ in range(8):
        await world.sleep(timedelta(days=1))
        await world.server.send_command(here, "DeviceInformation", {"Queries": ["DeviceName"]})
    await world.sleep(timedelta(days=1))


@pytest.fixture(scope="module")
def statuses() -> dict[str, str]:
    report = play(_answers_are_lost, seed=5)
    channels: dict[str, ChannelReport] = {device.name: device.channels[0] for device in report.devices}
    return {
        name: next(one.status for one in channel.commands if one.request_type == "InstallProfile")
        for name, channel in channels.items()
    }


def test_command_that_was_carried_out_is_verified_by_the_list(statuses: dict[str, str]) -> None:
    assert statuses["001 iPad"] == "verified"


def test_command_that_was_not_carried_out_is_not_taken_for_done(statuses: dict[str, str]) -> None:
    assert statuses["002 iPhone"] != "verified"

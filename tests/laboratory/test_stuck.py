"""A command that makes a device's MDM client hang is parked, and everything else goes on."""

from datetime import timedelta

import pytest
from tests.laboratory.stories import enroll_one

from muster.domain.command_queue import MAXIMUM_UNANSWERED
from muster.laboratory.report import ChannelReport, Report
from muster.laboratory.world import World, play
from muster.simulator.facts import Platform

HANGS = "CertificateList"
QUERIES = ("UDID", "DeviceName", "OSVersion", "BuildVersion", "ModelName", "Model", "ProductName", "SerialNumber")
"""One a day, none of which covers another: all of them are answered in the end."""


async def _one_command_hangs(world: World) -> None:
    """An iPhone never answers one command; questions come every day, and wait behind it at first."""
    url = await world.server.make_link(1)
    iphone = await enroll_one(world, Platform.IPHONE, url)
    await world.sleep(timedelta(hours=1))
    iphone.device.behaviour.unanswered.add(HANGS)
    await world.server.send_command([iphone.channel_id], HANGS)
    for number in range(len(QUERIES)):
        await world.sleep(timedelta(seconds=5))
        await world.server.send_command([iphone.channel_id], "DeviceInformation", {"Queries": [QUERIES[number]]})
        await world.sleep(timedelta(days=1))


@pytest.fixture(scope="module")
def channel() -> ChannelReport:
    report: Report = play(_one_command_hangs, seed=5)
    (only,) = report.device("001 iPhone").channels
    return only


def test_the_command_is_handed_out_so_often_and_no_more(channel: ChannelReport) -> None:
    (stuck,) = [one for one in channel.commands if one.request_type == HANGS]

    assert stuck.times_handed_out == MAXIMUM_UNANSWERED
    assert stuck.wire_answered == 0


def test_everything_else_is_answered(channel: ChannelReport) -> None:
    asked = [one for one in channel.commands if one.request_type == "DeviceInformation"]

    assert len(asked) == len(QUERIES)
    assert {one.status for one in asked} == {"Acknowledged"}

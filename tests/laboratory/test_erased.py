"""A device that is erased and enrolls again begins a new life: what the old one left unanswered is not its business."""

from collections import Counter
from datetime import timedelta

import pytest
from tests.laboratory.stories import enroll_one

from muster.laboratory.report import ChannelReport, DeviceReport, Report
from muster.laboratory.world import World, play
from muster.simulator.facts import Platform

A_WHILE = timedelta(hours=1)


async def _erased_and_enrolled_again(world: World) -> None:
    """A Mac is erased by its user, an iPhone by command; commands wait for both before and after it."""
    url = await world.server.make_link(4)
    mac, iphone = [await enroll_one(world, platform, url) for platform in (Platform.MAC, Platform.IPHONE)]
    await world.sleep(A_WHILE)
    everybody = [*mac.channel_ids, *iphone.channel_ids]
    await world.server.send_command(everybody, "SecurityInfo")
    await world.sleep(A_WHILE)

    mac.device.erase()
    mac.device.power_off()
    await world.server.send_command([iphone.channel_id], "EraseDevice", priority=10)
    await world.server.send_command(everybody, "ProfileList")  # behind the EraseDevice of the iPhone
    await world.sleep(A_WHILE)
    await world.server.send_command(everybody, "DeviceInformation", {"Queries": ["UDID"]})  # nobody is there
    await world.sleep(A_WHILE)
    mac.device.power_on()

    for inhabitant in (mac, iphone):
        await inhabitant.device.open_link(url)
    await world.sleep(A_WHILE)
    await world.server.send_command([*mac.channel_ids, *iphone.channel_ids], "CertificateList")
    await world.sleep(timedelta(days=2))


@pytest.fixture(scope="module")
def report() -> Report:
    return play(_erased_and_enrolled_again, seed=3)


@pytest.fixture(params=["001 Mac", "002 iPhone"])
def device(request: pytest.FixtureRequest, report: Report) -> DeviceReport:
    return report.device(request.param)


def of_type(channel: ChannelReport, request_type: str) -> str:
    """The one command of *request_type* on *channel*: its status."""
    (status,) = {command.status for command in channel.commands if command.request_type == request_type}
    return status


def test_the_device_has_two_epochs_of_which_the_second_is_current(device: DeviceReport) -> None:
    assert [(epoch.number, epoch.closed_reason) for epoch in device.epochs] == [(1, "re_enrolled"), (2, None)]
    assert {(channel.state, channel.epoch) for channel in device.channels} == {("enrolled", 2)}
    assert device.is_enrolled


def test_what_the_old_epoch_left_unanswered_is_closed_and_not_handed_out_in_the_new_one(device: DeviceReport) -> None:
    began_at = device.epochs[1].opened_at
    for channel in device.channels:
        closed = channel.commands_with("closed")

        assert {command.request_type for command in closed} == {"ProfileList", "DeviceInformation"}
        assert {(command.epoch, command.wire_answered) for command in closed} == {(1, 0)}
        for command in closed:
            assert command.times_handed_out == command.wire_handed_out
            assert command.handed_out_at is None or command.handed_out_at < began_at


def test_commands_of_each_epoch_were_answered_in_it(device: DeviceReport) -> None:
    for channel in device.channels:
        answered = {(c.request_type, c.epoch) for c in channel.commands_with("Acknowledged")}

        assert {("SecurityInfo", 1), ("CertificateList", 2)} <= answered


def test_nothing_waits_any_more_and_nobody_was_refused(report: Report) -> None:
    statuses = Counter(c.status for device in report.devices for channel in device.channels for c in channel.commands)

    assert statuses.keys() == {"Acknowledged", "closed"}
    assert (report.rumours, report.complaints) == ({}, {})


def test_the_user_channel_of_the_mac_begins_anew_too(report: Report) -> None:
    user = report.device("001 Mac").channels[1]

    assert user.epoch == 2
    assert of_type(user, "CertificateList") == "Acknowledged"


def test_the_iphone_was_erased_by_one_hand_out(report: Report) -> None:
    (erase,) = [c for c in report.device("002 iPhone").channel.commands if c.request_type == "EraseDevice"]

    assert (erase.status, erase.wire_handed_out, erase.epoch) == ("Acknowledged", 1, 1)

"""Devices over real sockets against a real server: they enroll, are pushed, and answer."""

import pytest
from tests.service.conftest import Site
from tests.service.stage import Stage, acknowledged, answer, together

from muster.simulator.device import SimulatedDevice
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform

FLEET = 16


def test_a_fleet_of_devices_enrolls_through_one_link_and_acknowledges_their_commands(site: Site, stage: Stage) -> None:
    url = site.muster.link(uses=FLEET)
    devices = [stage.device(list(Platform)[number % 4]) for number in range(FLEET)]
    stage.play(together([device.open_link(url) for device in devices]))
    sent = {
        device.facts.udid: site.muster.send(device.facts.udid, "DeviceInformation", "--set", "Queries[]=UDID,OSVersion")
        for device in devices
    }

    answered = stage.play(together([answer(device, sent[device.facts.udid]) for device in devices]))

    assert [acknowledged(one) for one in answered] == [{sent[device.facts.udid]} for device in devices]
    some = devices[0].facts.udid
    assert site.muster.statuses(some)[sent[some]] == "Acknowledged"
    listed = {row["id"]: row for row in site.muster("devices", "list")}
    assert all(listed[udid]["state"] == "enrolled" for udid in sent)


def test_a_link_of_one_use_enrolls_one_device(site: Site, stage: Stage) -> None:
    url = site.muster.link()
    stage.play(stage.device().open_link(url))

    with pytest.raises(EnrollmentFailed, match="download: 403"):
        stage.play(stage.device().open_link(url))


def test_commands_leave_in_the_order_they_were_sent_except_for_priority(site: Site, stage: Stage) -> None:
    device = enrolled(site, stage)
    first = site.muster.send(device.facts.udid, "SecurityInfo")
    second = site.muster.send(device.facts.udid, "ProfileList")
    urgent = site.muster.send(device.facts.udid, "DeviceInformation", "--priority", "10", "--set", "Queries[]=UDID")

    answered = stage.play(answer(device, urgent, first, second))

    assert [one.command_uuid for one in answered] == [urgent, first, second]


def test_a_user_of_a_mac_gets_commands_on_a_channel_of_its_own(site: Site, stage: Stage) -> None:
    device = enrolled(site, stage, Platform.MAC)
    assert device.enrollment is not None
    (line,) = device.enrollment.user_lines.values()
    assert line.user is not None
    sent = site.muster.send(line.channel.id, "ProfileList")

    answered = stage.play(answer(device, sent, user=line.user))

    assert acknowledged(answered) == {sent}
    assert site.muster.statuses(line.channel.id)[sent] == "Acknowledged"
    assert sent not in site.muster.statuses(device.facts.udid)
    shown = site.muster("devices", "show", device.facts.udid)
    assert {channel["id"] for channel in shown["channels"]} == {device.facts.udid, line.channel.id}


def test_push_send_wakes_a_device_for_which_nothing_waits(site: Site, stage: Stage) -> None:
    device = enrolled(site, stage)
    assert device.enrollment is not None
    seen = device.enrollment.device_line.pushes_seen

    site.muster("push", "send", device.facts.udid)
    stage.play(one_more_push(device, seen))

    assert device.enrollment.device_line.pushes_seen > seen


def enrolled(site: Site, stage: Stage, platform: Platform = Platform.IPHONE) -> SimulatedDevice:
    device = stage.device(platform)
    stage.play(device.open_link(site.muster.link()))
    return device


async def one_more_push(device: SimulatedDevice, seen: int) -> None:
    assert device.enrollment is not None
    while device.enrollment.device_line.pushes_seen <= seen:
        await device.wanted.wait()
        device.wanted.clear()

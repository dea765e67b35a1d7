"""A network that loses requests and replies costs time, never a command or a result."""

from collections import Counter
from datetime import timedelta

import pytest
from tests.laboratory.stories import PLATFORMS, all_channels, enroll_one

from muster.laboratory.happenings import daily_commands
from muster.laboratory.report import Report
from muster.laboratory.world import World, play

DAYS = 14


async def _bad_network(world: World) -> None:
    """A fortnight in which a fifth of all replies and a tenth of all requests are lost, then a good day."""
    url = await world.server.make_link(8)
    for platform in PLATFORMS * 2:
        inhabitant = await enroll_one(world, platform, url)
        inhabitant.device.behaviour.not_now_share = 0.1
        inhabitant.faults.lost_replies = 0.2
        inhabitant.faults.lost_requests = 0.1
    await daily_commands(world, lambda: all_channels(world), days=DAYS)
    for inhabitant in world.inhabitants:
        inhabitant.faults.lost_replies = inhabitant.faults.lost_requests = 0.0
        inhabitant.device.behaviour.not_now_share = 0.0
    await world.sleep(timedelta(days=2))


@pytest.fixture(scope="module")
def report() -> Report:
    return play(_bad_network, seed=5)


def test_the_network_was_bad(report: Report) -> None:
    told = [command for device in report.devices for channel in device.channels for command in channel.commands]

    assert min(device.lost_replies for device in report.devices) > 0
    assert sum(device.lost_replies for device in report.devices) > 50
    assert sum(device.lost_requests for device in report.devices) > 25
    assert sum(command.wire_answered > 1 for command in told) > 10, "some results were said twice"
    assert sum(command.wire_handed_out > 1 + command.wire_not_now for command in told) > 10


def test_every_command_was_answered_and_its_result_stored_exactly_once(report: Report) -> None:
    for device in report.devices:
        for channel in device.channels:
            stored = Counter(command.command_uuid for command in channel.commands)

            assert set(stored.values()) == {1}
            assert len(stored) == DAYS
            assert {command.status for command in channel.commands} == {"Acknowledged"}


def test_nothing_was_handed_out_after_its_answer_was_stored(report: Report) -> None:
    for device in report.devices:
        for channel in device.channels:
            assert {command.wire_handed_out_after_answer for command in channel.commands} == {0}


def test_a_result_said_twice_is_no_evidence_and_nobody_is_refused(report: Report) -> None:
    for device in report.devices:
        assert not {"S5 unknown_command", "S5 late_answer"} & device.evidence.keys()
        assert set(device.statuses) == {"200"}
    assert (report.rumours, report.complaints) == ({}, {})

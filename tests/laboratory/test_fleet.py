"""A fleet lives for a month with the real server, and both agree on what happened."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from tests.laboratory.stories import ordinary_weeks

from muster.laboratory.report import ChannelReport, CommandReport, DeviceReport, Report
from muster.laboratory.world import World, play

DAYS = 30
ROOT = Path(__file__).parents[2]


async def _a_month(world: World) -> None:
    await ordinary_weeks(world, devices=12, days=DAYS)


@pytest.fixture(scope="module")
def month() -> Report:
    return play(_a_month, seed=1)


def channels(report: Report) -> Iterator[tuple[DeviceReport, ChannelReport]]:
    for device in report.devices:
        for channel in device.channels:
            yield device, channel


def commands(report: Report) -> Iterator[tuple[DeviceReport, CommandReport]]:
    for device, channel in channels(report):
        for command in channel.commands:
            yield device, command


def assert_nobody_was_lost(report: Report) -> None:
    for device, channel in channels(report):
        assert device.is_enrolled
        assert [(epoch.number, epoch.closed_at) for epoch in device.epochs] == [(1, None)]
        assert (channel.state, channel.epoch) == ("enrolled", 1)


def assert_nobody_was_refused(report: Report) -> None:
    assert report.rumours == {}
    # an outage of APNs is part of some stories, and a push certificate nears its end in those of a year; both are told
    assert ("pushes" in report.complaints) == (report.pushes.keys() > {"accepted"})
    assert report.complaints.get("push_breaker_opened") == report.complaints.get("push_breaker_closed")
    assert set(report.complaints) <= {
        "pushes",
        "push_breaker_opened",
        "push_breaker_closed",
        "push_certificate_expiring",
    }
    for device in report.devices:
        assert set(device.statuses) == {"200"}
        assert not [kind for kind in device.evidence if kind.startswith("S2 ")]


def assert_every_command_was_answered_once(report: Report, days: int) -> None:
    for device, channel in channels(report):
        assert len({command.command_uuid for command in channel.commands}) == len(channel.commands) == days
        for command in channel.commands:
            if command.status == "waiting":
                assert not device.is_powered
                assert command.wire_answered == 0
            elif command.status == "superseded":  # a newer one of its kind took its place before the device was back
                assert (command.wire_answered, command.wire_handed_out) == (0, 0)
            else:
                assert (command.status, command.wire_answered) == ("Acknowledged", 1)
            assert command.times_handed_out == command.wire_handed_out
            assert command.wire_handed_out_after_answer == 0


def test_after_a_month_every_device_is_enrolled_as_on_the_first_day(month: Report) -> None:
    assert len(month.devices) == 12
    assert_nobody_was_lost(month)


def test_in_a_month_no_contact_was_refused_and_nothing_failed(month: Report) -> None:
    assert_nobody_was_refused(month)


def test_in_a_month_every_command_was_answered_exactly_once_or_waits_for_a_device_that_is_off(month: Report) -> None:
    assert_every_command_was_answered_once(month, DAYS)


def test_the_month_had_its_troubles(month: Report) -> None:
    told = [command for _, command in commands(month)]
    delays = [c.reported_at - c.queued_at for c in told if c.reported_at is not None and c.queued_at is not None]

    assert month.pushes["apns_unavailable"] > 0
    assert sum(command.wire_not_now for command in told) > 10
    assert max(delays) > timedelta(hours=20), "the outage kept a command back"
    # the restart came between the command and its push
    assert any(timedelta(minutes=10) < delay < timedelta(minutes=11) for delay in delays)
    assert [device.name for device, command in commands(month) if command.status == "waiting"] == ["001 Mac"] * 2
    assert {device.platform for device in month.devices} == {"Mac", "iPhone", "iPad", "Apple TV"}


@cache
def _first_days(seed: int) -> str:
    async def scene(world: World) -> None:
        await ordinary_weeks(world, devices=4, days=3)

    return play(scene, seed=seed).to_json()


def test_the_same_seed_gives_the_same_report_in_any_process() -> None:
    code = "import sys; from tests.laboratory.test_fleet import _first_days; sys.stdout.write(_first_days(7))"

    here = _first_days(7)
    elsewhere = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        # sets of strings are ordered by it
        env={"PYTHONHASHSEED": "4711", "PYTHONPATH": f"{ROOT}:{ROOT / 'src'}"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert elsewhere == here


def test_another_seed_gives_another_report() -> None:
    assert _first_days(7) != _first_days(8)

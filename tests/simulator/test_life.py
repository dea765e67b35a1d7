"""A simulated device's days: pushes wake it, and it comes back by itself where real ones do."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.simulator.play import Play, play

from muster.protocol.connect import Status
from muster.simulator.behaviour import Habits
from muster.simulator.facts import Platform

HOUR = 3600.0
DAY = 24 * HOUR


def lived(
    scene: Callable[[Play], Awaitable[None]], habits: Habits | None = None, platform: Platform = Platform.IPHONE
) -> None:
    """Play *scene* with an enrolled device that lives in the background."""

    async def background(p: Play) -> None:
        await p.enroll()
        life = asyncio.create_task(p.device.live(habits))
        try:
            await scene(p)
        finally:
            life.cancel()

    play(background, platform)


def test_a_push_wakes_it_within_seconds() -> None:
    async def scene(p: Play) -> None:
        await asyncio.sleep(DAY)
        p.push(p.line)
        await asyncio.sleep(3.0)

        assert p.statuses() == ["Idle"]

    lived(scene)


def test_a_push_with_another_magic_is_ignored_in_silence() -> None:
    async def scene(p: Play) -> None:
        assert p.push(p.line, push_magic="another") == "accepted"
        await asyncio.sleep(DAY)

        assert p.statuses() == []
        assert p.line.pushes_seen == 1

    lived(scene)


def test_a_broken_push_path_leaves_its_own_contacts() -> None:
    async def scene(p: Play) -> None:
        p.device.behaviour.ignores_pushes = True
        p.push(p.line)
        await asyncio.sleep(HOUR)
        assert p.statuses() == []
        await asyncio.sleep(10 * HOUR)

        assert 1 <= len(p.statuses()) <= 5

    lived(scene, Habits(own_connects=(2 * HOUR, 6 * HOUR)))


def test_a_stored_push_is_delivered_when_it_is_switched_on_again() -> None:
    async def scene(p: Play) -> None:
        p.device.power_off()
        assert p.push(p.line) == "accepted"
        await asyncio.sleep(3 * DAY)
        assert p.statuses() == []
        p.device.power_on()
        await asyncio.sleep(5)

        assert p.statuses() == ["Idle"]
        assert p.line.pushes_seen == 1

    lived(scene)


def test_booting_is_a_reason_to_connect_without_a_push() -> None:
    async def scene(p: Play) -> None:
        p.device.power_off()
        p.device.power_on()
        await asyncio.sleep(5)

        assert p.statuses() == ["Idle"]

    lived(scene)


def test_it_comes_back_by_itself_after_not_now() -> None:
    async def scene(p: Play) -> None:
        uuid = p.server.queue(p.line.channel.id, "SecurityInfo")
        p.device.behaviour.not_now_share = 1.0
        p.push(p.line)
        await asyncio.sleep(60)
        assert p.statuses() == ["Idle", "NotNow"]
        p.device.behaviour.not_now_share = 0.0
        await asyncio.sleep(2 * HOUR)

        assert [report.head.status for report in p.server.answers(uuid)] == [Status.NOT_NOW, Status.ACKNOWLEDGED]

    lived(scene)


def test_it_does_not_come_back_by_itself_after_an_ordinary_session() -> None:
    async def scene(p: Play) -> None:
        p.push(p.line)
        await asyncio.sleep(30 * DAY)

        assert p.statuses() == ["Idle"]

    lived(scene)


@pytest.mark.parametrize("status", [503, 0])
def test_it_comes_back_with_a_result_it_could_not_deliver(status: int) -> None:
    async def scene(p: Play) -> None:
        uuid = p.server.queue(p.line.channel.id, "SecurityInfo")
        p.device.behaviour.seconds_per_command = 1.0
        p.push(p.line)
        with _failing_after_first_report(p, status):
            await asyncio.sleep(30)
        assert p.server.answers(uuid) == []
        await asyncio.sleep(2 * HOUR)

        assert [report.head.status for report in p.server.answers(uuid)] == [Status.ACKNOWLEDGED]

    lived(scene)


def test_a_restart_takes_its_time_and_ends_in_a_connect() -> None:
    async def scene(p: Play) -> None:
        p.server.queue(p.line.channel.id, "RestartDevice")
        p.push(p.line)
        await asyncio.sleep(10)
        assert p.statuses() == ["Idle", "Acknowledged"]
        power = [p.device.is_powered]
        await asyncio.sleep(300)
        power.append(p.device.is_powered)

        assert power == [False, True]
        assert p.device.contents.restarts == 1
        assert p.statuses() == ["Idle", "Acknowledged", "Idle"]

    lived(scene)


def test_a_push_to_a_user_wakes_that_users_channel_alone() -> None:
    async def scene(p: Play) -> None:
        assert p.device.enrollment is not None
        (line,) = p.device.enrollment.user_lines.values()
        p.push(line)
        await asyncio.sleep(HOUR)

        assert [report.head.channel for report in p.server.reports] == [line.channel]

    lived(scene, platform=Platform.MAC)


def test_an_unenrolled_device_lives_on_in_silence_and_can_enroll_again() -> None:
    async def scene(p: Play) -> None:
        await p.device.remove_profile()
        await asyncio.sleep(30 * DAY)
        sent = len(p.server.requests)
        await p.enroll()
        p.push(p.line)
        await asyncio.sleep(10)

        assert p.statuses() == ["Idle"]
        assert sent < len(p.server.requests)

    lived(scene, Habits(own_connects=(HOUR, 2 * HOUR)))


def test_a_device_that_is_off_keeps_its_own_rhythm_without_spinning() -> None:
    async def scene(p: Play) -> None:
        p.device.power_off()
        await asyncio.sleep(30 * DAY)

        assert p.statuses() == []

    lived(scene, Habits(own_connects=(60.0, 120.0)))


@contextmanager
def _failing_after_first_report(p: Play, status: int) -> Iterator[None]:
    """Let one Idle through, then answer everything on the command channel with *status*."""
    original = p.server.answer

    def answer(path: str, query: dict[str, str], headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        if path == "/mdm" and b"Idle" not in body:
            return status, "", b""
        return original(path, query, headers, body)

    p.server.answer = answer  # type: ignore[method-assign]  # the fake is ours to script
    yield
    p.server.answer = original  # type: ignore[method-assign]

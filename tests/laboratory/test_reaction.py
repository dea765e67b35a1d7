"""The server acts when it should: nothing polls in virtual time, so whoever makes something due wakes the worker."""

from datetime import timedelta

import pytest
from tests.laboratory.stories import enroll_one

from muster.laboratory.world import World, play
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform


def test_a_command_is_answered_within_seconds() -> None:
    async def scene(world: World) -> None:
        inhabitant = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        await world.sleep(timedelta(days=1))
        await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.sleep(timedelta(seconds=5))

    report = play(scene, seed=1)

    (command,) = report.devices[0].channel.commands
    assert command.status == "Acknowledged"


def test_a_new_device_that_does_not_hear_is_pushed_again_and_again() -> None:
    seen_after: list[int] = []

    async def scene(world: World) -> None:
        inhabitant = world.add_device(Platform.IPHONE)
        inhabitant.device.behaviour.ignores_pushes = True
        await inhabitant.device.open_link(await world.server.make_link(1))
        enrollment = inhabitant.device.enrollment
        assert enrollment is not None
        enrolled_at = world.now()
        for seconds in (5, 15, 45, 165):
            await world.until(enrolled_at + timedelta(seconds=seconds))
            seen_after.append(enrollment.device_line.pushes_seen)

    play(scene, seed=1)

    assert seen_after == [1, 2, 3, 4]


def test_what_was_due_while_the_server_was_down_is_done_when_it_is_up() -> None:
    async def scene(world: World) -> None:
        inhabitant = await enroll_one(world, Platform.APPLE_TV, await world.server.make_link(1))
        await world.sleep(timedelta(hours=1))
        await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.server.stop()
        await world.sleep(timedelta(hours=12))
        await world.server.start()
        await world.sleep(timedelta(seconds=5))

    report = play(scene, seed=1)

    (command,) = report.devices[0].channel.commands
    assert command.status == "Acknowledged"


def test_a_device_that_never_finished_enrolling_is_noticed_when_patience_ends() -> None:
    async def scene(world: World) -> None:
        inhabitant = world.add_device(Platform.IPHONE)
        inhabitant.faults.cut_after = 5  # the profile, three of SCEP, Authenticate
        with pytest.raises(EnrollmentFailed, match="TokenUpdate"):
            await inhabitant.device.open_link(await world.server.make_link(1))
        await world.sleep(timedelta(minutes=16))

    report = play(scene, seed=1)

    assert report.devices[0].evidence == {"S7 enrollment": 1, "S7 token_update_missing": 1}

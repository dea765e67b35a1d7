"""A clock that is wrong is told by the signatures of its device, and nobody else's is doubted for it."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from tests.laboratory.stories import enroll_one

from muster.laboratory.world import Inhabitant, World, play
from muster.simulator.facts import Platform
from muster.storage.schema import verdicts

DAY = timedelta(days=1)


def _held(world: World, who: Inhabitant) -> tuple[str, str, str]:
    columns = (verdicts.c.state, verdicts.c.reason, verdicts.c.sentence)
    held = sa.select(*columns).where(verdicts.c.channel_id == who.channel_id)
    row = world.server.service.runner.read_now(lambda tx: tx.connection.execute(held).one())
    return row.state, row.reason, row.sentence


def test_device_whose_clock_is_wrong_is_at_risk_until_it_is_set_right() -> None:
    async def scene(world: World) -> None:
        link = await world.server.make_link(3)
        wrong, right, silent_on_time = [
            await enroll_one(world, platform, link) for platform in (Platform.IPAD, Platform.IPHONE, Platform.MAC)
        ]
        everybody = [one.channel_id for one in (wrong, right, silent_on_time)]
        await world.sleep(DAY)
        right.device.behaviour.signs_time = wrong.device.behaviour.signs_time = True
        wrong.device.behaviour.clock_error = -3.1 * DAY

        await world.server.send_command(everybody, "SecurityInfo")
        await world.sleep(DAY / 24)
        state, reason, sentence = _held(world, wrong)
        assert (state, reason) == ("at_risk", "device_clock_wrong")
        assert "3 days behind" in sentence
        assert [_held(world, one)[:2] for one in (right, silent_on_time)] == [("in_control", "none")] * 2

        wrong.device.behaviour.clock_error = timedelta(0)
        await world.sleep(DAY / 6)
        await world.server.send_command(everybody, "SecurityInfo")
        await world.sleep(DAY / 48)
        assert _held(world, wrong)[:2] == ("in_control", "none")

    report = play(scene, seed=5)

    assert {status for one in report.devices for status in one.statuses} == {"200"}


@pytest.mark.parametrize("error", [DAY / 4, -DAY / 4])
def test_clock_of_ours_is_nobody_elses_fault(error: timedelta) -> None:
    """What nobody but devices tells: the test of the public address is off."""
    held: list[set[tuple[str, str]]] = []

    async def scene(world: World) -> None:
        link = await world.server.make_link(4)
        everybody = [await enroll_one(world, Platform.IPHONE, link) for _ in range(4)]
        ids = [one.channel_id for one in everybody]
        for one in everybody:
            one.device.behaviour.signs_time = True
        await world.sleep(DAY)
        for is_wrong in (True, False):
            await world.server.turn_clock(error if is_wrong else timedelta(0))
            await world.server.send_command(ids, "SecurityInfo")
            await world.sleep(DAY / 8)
            held.append({_held(world, one)[:2] for one in everybody})
        await world.sleep(abs(error))
        await world.server.send_command(ids, "SecurityInfo")
        await world.sleep(DAY / 8)
        held.append({_held(world, one)[:2] for one in everybody})

    play(scene, seed=7, settings={"self_test_minutes": 0})

    assert held[0] == {("unknown", "own_clock_wrong")}
    assert ("at_risk", "device_clock_wrong") not in held[1]
    assert held[2] == {("in_control", "none")}

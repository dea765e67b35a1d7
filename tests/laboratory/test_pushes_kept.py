"""What APNs keeps for a device that is away, and what it says of one that has gone."""

from datetime import datetime, timedelta

import pytest
from tests.laboratory.stories import enroll_one

from muster.laboratory.world import Inhabitant, World, play
from muster.simulator.apns import Arrival, Refusal
from muster.simulator.facts import Platform
from muster.simulator.presence import Network

DAY = timedelta(days=1)
A_MINUTE = timedelta(minutes=1)


async def _enrolled_for_a_day(world: World) -> Inhabitant:
    inhabitant = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
    await world.sleep(DAY)
    return inhabitant


def test_a_device_away_for_twenty_days_gets_the_last_push_and_no_other() -> None:
    sent: list[Arrival] = []
    seen: list[int] = []

    async def scene(world: World) -> None:
        inhabitant = await _enrolled_for_a_day(world)
        line = inhabitant.device.enrolled().device_line
        inhabitant.device.change_network(Network.NONE)
        left_at, before = world.now(), line.pushes_seen
        await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.sleep(20 * DAY)
        sent.extend(one for one in world.pushes_to(inhabitant.channel_id) if one.at > left_at)
        inhabitant.device.change_network(Network.WHOLE)
        await world.sleep(timedelta(seconds=1))
        seen.append(line.pushes_seen - before)
        await world.sleep(A_MINUTE)

    report = play(scene, seed=1)

    assert len(sent) > 1
    assert {arrival.refusal for arrival in sent} == {None}
    assert seen == [1]
    (command,) = report.devices[0].channel.commands
    assert command.status == "Acknowledged"


def test_a_device_away_for_forty_days_finds_nothing_kept_and_the_next_push_brings_it() -> None:
    """The server is down meanwhile: it would else have sent again, and APNs had kept that."""
    seen: list[int] = []

    async def scene(world: World) -> None:
        inhabitant = await _enrolled_for_a_day(world)
        line = inhabitant.device.enrolled().device_line
        before = line.pushes_seen
        inhabitant.device.change_network(Network.NONE)
        await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.sleep(A_MINUTE)
        await world.server.stop()
        await world.sleep(40 * DAY)
        inhabitant.device.change_network(Network.WHOLE)
        await world.sleep(DAY)
        seen.append(line.pushes_seen - before)
        await world.server.start()
        await world.sleep(A_MINUTE)
        seen.append(line.pushes_seen - before)

    report = play(scene, seed=1)

    assert seen == [0, 1]
    (command,) = report.devices[0].channel.commands
    assert command.status == "Acknowledged"


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(hours=2)])
def test_a_device_that_left_without_a_word_is_told_by_apns_with_the_time_it_went(delay: timedelta) -> None:
    went_at: list[datetime] = []
    answers: list[Arrival] = []

    async def scene(world: World) -> None:
        world.apns.reports_end_after = delay
        inhabitant = await _enrolled_for_a_day(world)
        inhabitant.device.behaviour.loses_check_out = True
        channel_id = inhabitant.channel_id
        await inhabitant.device.remove_profile()
        went_at.append(world.now())
        await world.server.send_command([channel_id], "SecurityInfo")
        await world.sleep(2 * DAY)
        answers.extend(one for one in world.pushes_to(channel_id) if one.at > went_at[0])

    report = play(scene, seed=1)

    refused = [answer for answer in answers if answer.refusal is not None]
    assert [answer.refusal for answer in refused] == [Refusal("Unregistered", went_at[0])]
    assert all(answer.at - went_at[0] < delay for answer in answers if answer.refusal is None)
    assert refused[0].at >= went_at[0] + delay
    assert report.pushes["token_unregistered"] == 1


def test_a_device_that_enrolled_again_is_pushed_by_its_new_token_while_the_old_one_is_dead() -> None:
    answers: list[Refusal | None] = []

    async def scene(world: World) -> None:
        url = await world.server.make_link(2)
        inhabitant = await enroll_one(world, Platform.IPHONE, url)
        old = inhabitant.device.enrolled().device_line.token
        inhabitant.device.erase()
        await world.sleep(DAY)
        erased_at = world.now()
        await inhabitant.device.open_link(url)
        await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.sleep(A_MINUTE)
        answers.extend(one.refusal for one in world.pushes_to(inhabitant.channel_id) if one.at >= erased_at)
        assert old in inhabitant.device.presence.tokens
        assert inhabitant.device.enrolled().device_line.token != old

    report = play(scene, seed=1)

    assert answers
    assert set(answers) == {None}
    (command,) = report.devices[0].channel.commands
    assert command.status == "Acknowledged"

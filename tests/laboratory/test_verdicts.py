"""Verdicts over weeks: a device that is away and comes back, one that leaves, one whose identity runs out."""

from datetime import timedelta

from tests.laboratory.stories import enroll_one

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, ProofLevel
from muster.laboratory.world import Inhabitant, World, play
from muster.simulator.facts import Platform
from muster.storage import verdicts
from muster.storage.verdicts import HeldVerdict, Step

ASKED_DAILY = {"inventory_hours": 24}
"""Devices are pushed and asked every day, and so have a rhythm."""


async def story_of(world: World, inhabitant: Inhabitant) -> tuple[Step, ...]:
    """The steps of a device's story, the first one first."""
    channel_id = inhabitant.channel_id
    steps = await world.server.service.runner.read(lambda tx: verdicts.story(tx, channel_id, limit=100))
    return steps[::-1]


async def held_of(world: World, inhabitant: Inhabitant) -> HeldVerdict:
    """What is held of a device now."""
    channel_id = inhabitant.channel_id
    return (await world.server.service.runner.read(lambda tx: verdicts.read(tx, [channel_id])))[channel_id]


def states(steps: tuple[Step, ...]) -> list[ControlState]:
    """The states of a story, each once in a row."""
    found = [step.after.state for step in steps]
    return [state for at, state in enumerate(found) if at == 0 or found[at - 1] is not state]


def test_device_that_is_off_for_weeks_is_given_up_step_by_step_and_proves_itself_when_it_is_back() -> None:
    steps: list[Step] = []
    found: list[HeldVerdict] = []

    async def scene(world: World) -> None:
        inhabitant = await enroll_one(world, Platform.MAC, await world.server.make_link(1))
        await world.sleep(timedelta(days=10))
        inhabitant.device.power_off()
        off_at = world.now()
        await world.sleep(timedelta(days=25))
        found.append(await held_of(world, inhabitant))
        inhabitant.device.power_on()
        await world.sleep(timedelta(minutes=30))
        found.append(await held_of(world, inhabitant))
        steps.extend(step for step in await story_of(world, inhabitant) if step.at >= off_at - timedelta(hours=1))

    play(scene, seed=11, settings=ASKED_DAILY)

    assert states(tuple(steps)) == [
        ControlState.QUIET,
        ControlState.INACTIVE,
        ControlState.OUT_OF_CONTROL,
        ControlState.IN_CONTROL,
    ]
    assert {step.after.reason for step in steps[:-1]} == {Reason.SILENT}
    lost, back = found
    assert lost.verdict.state is ControlState.OUT_OF_CONTROL
    assert timedelta(days=20) < steps[2].at - steps[2].after.since < timedelta(days=22)
    assert back.verdict.proof_level is ProofLevel.OBEYED
    assert back.noticed_at - steps[-2].at < timedelta(days=5)


def test_device_that_checks_out_is_ended_within_minutes() -> None:
    found: list[HeldVerdict] = []

    async def scene(world: World) -> None:
        inhabitant = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        channel_id = inhabitant.channel_id
        await world.sleep(timedelta(days=2))
        await inhabitant.device.leave()
        await world.sleep(timedelta(minutes=5))
        read = world.server.service.runner.read
        found.append((await read(lambda tx: verdicts.read(tx, [channel_id])))[channel_id])

    play(scene, seed=12)

    (ended,) = found
    assert (ended.verdict.state, ended.verdict.reason) == (ControlState.ENDED, Reason.PROFILE_REMOVED)


def test_device_that_comes_back_with_an_expired_identity_is_told_so_renewed_and_in_control() -> None:
    steps: list[Step] = []

    async def scene(world: World) -> None:
        inhabitant = await enroll_one(world, Platform.MAC, await world.server.make_link(1))
        await world.sleep(timedelta(days=7))
        inhabitant.device.power_off()
        await world.sleep(timedelta(days=18))
        inhabitant.device.power_on()
        await world.sleep(timedelta(days=1))
        steps.extend(await story_of(world, inhabitant))

    play(scene, seed=13, settings=ASKED_DAILY | {"identity_lifetime_days": 20, "renew_before_days": 5})

    reasons = [step.after.reason for step in steps]
    assert Reason.IDENTITY_EXPIRED in reasons
    assert steps[-1].after.state is ControlState.IN_CONTROL

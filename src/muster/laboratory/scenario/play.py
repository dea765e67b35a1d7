"""Playing a scenario: its plan happens in a world in virtual time, against the real server, and is taken down."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.laboratory.scenario.actor import Actor
from muster.laboratory.scenario.acts.table import ACTS, PRELUDES
from muster.laboratory.scenario.model import SERVER, Scenario
from muster.laboratory.scenario.plan import Planned, make_plan
from muster.laboratory.scenario.played import Played, PlayedDevice
from muster.laboratory.scenario.primitives.forms import Lasts
from muster.laboratory.scenario.primitives.table import PRIMITIVES
from muster.laboratory.scenario.stage import Deed, Stage
from muster.laboratory.scenario.taken_down import take_down
from muster.laboratory.server import PUSH_CERTIFICATE_LIFETIME
from muster.laboratory.world import World, play
from muster.protocol.identifiers import ChannelId

SHORTEST_LIFETIME: Final = timedelta(minutes=1)
"""Of a push certificate: the server takes none that has ended."""
SETTINGS: Final[Mapping[str, object]] = {"inventory_hours": 24, "inventory_others_every": 7}
"""Of the server, unless the scenario says otherwise: stories of verdicts need to be asked about themselves."""

BEAT: Final = timedelta(hours=1)
"""How often the server says that it lives: weeks of it are most of what a small fleet costs."""
LARGE: Final = 100
"""Fleets of so many devices are played in steps of time, which is many times faster."""


def play_scenario(
    scenario: Scenario,
    *,
    seed: int | None = None,
    duration: timedelta | None = None,
    directory: Path | None = None,
    watch: Callable[[Stage], None] | None = None,
    keeps_to_grain: bool | None = None,
) -> Played:
    """Play *scenario* and take down what came of it. *seed* and *duration* are used instead of its own.

    *keeps_to_grain*: whether time passes in steps; None: in large fleets only.

    *directory* is the server's data directory; absent, a temporary one. *watch* is given the stage once it is built,
    for whoever wants to look closer. Equal seeds give equal runs. Raises whatever is raised in the world.
    """
    seed = scenario.seed if seed is None else seed
    if duration is not None:
        scenario = replace(scenario, duration=min(duration, scenario.duration))
    plan = make_plan(scenario, seed)
    expiries = [one.begins for one in plan if one.primitive == "push_certificate_expires"]
    finished: list[Played] = []

    async def scene(world: World) -> None:
        stage = Stage(scenario, world)
        stage.expiries = expiries
        stage.build()
        if watch is not None:
            watch(stage)
        await _act(stage, plan)
        finished.append(_taken_down(stage, seed))

    report = play(
        scene,
        seed=seed,
        directory=directory,
        start=scenario.begins_at,
        settings={**SETTINGS, **scenario.settings},
        control=ControlPolicy(**scenario.control),  # type: ignore[arg-type]  # the reader checked each
        push_certificate_lifetime=max(
            SHORTEST_LIFETIME, min(expiries, default=scenario.duration + PUSH_CERTIFICATE_LIFETIME)
        ),
        keeps_to_grain=len(scenario.devices) >= LARGE if keeps_to_grain is None else keeps_to_grain,
        beat=BEAT,
    )
    return replace(finished[0], report=report)


async def _act(stage: Stage, plan: tuple[Planned, ...]) -> None:
    """Let everything happen, and return at the end with the server running."""
    world, scenario = stage.world, stage.scenario
    for name, text in scenario.policies.items():
        await world.server.set_policy(name, text)
    await stage.open_ways()
    world.background(stage.ade_sync.keep_up())
    for planned in plan:
        age = planned.value("age")
        if planned.primitive in PRELUDES and isinstance(age, timedelta):
            world.background(_prepare(stage, planned, age))
    at_once = [planned for planned in plan if planned.begins <= timedelta(0)]
    for planned in at_once:  # before anybody enrolls
        world.background(_perform(stage, planned))
    for actor in list(stage.actors.values()):
        world.background(_enroll(stage, actor))
    for planned in plan[len(at_once) :]:
        await world.until(scenario.begins_at + planned.begins)
        world.background(_perform(stage, planned))
    await world.until(scenario.begins_at + scenario.duration)
    if not world.server.is_running:
        await world.server.start()
    stage.read_changes()


async def _enroll(stage: Stage, actor: Actor) -> None:
    span = actor.cohort.enrolls
    if span is None:
        return
    seconds = stage.world.rng(f"{actor.name} enrolls").uniform(span.first.total_seconds(), span.last.total_seconds())
    await stage.world.until(stage.scenario.begins_at + timedelta(seconds=seconds))
    await stage.enroll(actor)


def _deed(stage: Stage, planned: Planned) -> Deed:
    return Deed(
        planned=planned,
        actor=None if planned.device is None else stage.actors[planned.device],
        site=None if planned.site is None else stage.sites[planned.site],
        rng=stage.world.rng(f"deed {planned.number} {planned.device or planned.site or SERVER} {planned.begins}"),
        began_at=stage.world.now(),
    )


async def _prepare(stage: Stage, planned: Planned, age: timedelta) -> None:
    at = stage.scenario.begins_at + max(timedelta(0), planned.begins - age)
    await stage.world.until(at)
    await PRELUDES[planned.primitive](stage, _deed(stage, planned))


async def _perform(stage: Stage, planned: Planned) -> None:
    """Play one event: begin it, and undo it when its time is over."""
    deed = _deed(stage, planned)
    stage.deeds.append(deed)
    undo = await ACTS[planned.primitive](stage, deed)
    if undo is None:
        lasts = PRIMITIVES[planned.primitive].lasts is Lasts.A_WHILE and not deed.notes
        if not deed.goes_on and not lasts:
            deed.ended_at = stage.world.now()
        return
    if planned.lasts is None:
        return
    await stage.world.until(deed.began_at + planned.lasts)
    await undo()
    deed.ended_at = stage.world.now()


def _taken_down(stage: Stage, seed: int) -> Played:
    records = stage.world.server.service.runner.read_now(take_down)
    return Played(
        scenario=stage.scenario,
        seed=seed,
        began_at=stage.scenario.begins_at,
        ended_at=stage.world.now(),
        devices=tuple(_device(actor) for actor in stage.actors.values()),
        episodes=tuple(deed.episode() for deed in stage.deeds),
        changes=stage.changes,
        report=None,
        heard=records.heard,
        identities=records.identities,
        proofs=records.proofs,
    )


def _device(actor: Actor) -> PlayedDevice:
    has_users = actor.cohort.has_user_channel and not actor.device.facts.is_user_enrollment
    users: dict[int, ChannelId] = {}
    if has_users:
        users = {number: actor.user_channel(number) for number in range(1, len(actor.users) + 1)}
    return PlayedDevice(
        name=actor.name,
        cohort=actor.cohort.name,
        serial_number=actor.device.facts.serial_number,
        channel_ids=tuple(actor.channel_ids) or (actor.inhabitant.channel_id,),
        users=users,
        enrolled_at=actor.enrolled_at,
        rests=tuple(actor.rests),
        sites=tuple(actor.sites),
        is_guest=actor.is_guest,
        tokens_at=tuple(actor.tokens_at),
    )

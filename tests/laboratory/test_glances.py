"""Whoever is plainly well at a glance, in weeks of a fleet's life, the judge finds well too."""

from dataclasses import replace
from datetime import timedelta

from tests.laboratory.stories import all_channels, ordinary_weeks

from muster.domain.control.glance import glance_again_at, is_plainly_well, verdict_on
from muster.domain.control.review_schedule import judge_again_at
from muster.domain.policy import Policy
from muster.laboratory.world import World, play
from muster.operations.context import Reading
from muster.operations.control_policies import policies_for
from muster.operations.judge_channels import reason_about
from muster.storage import dossiers, renewals
from muster.storage.dossiers import glances
from muster.storage.engine import Transaction

DEVICES = 6
DAYS = 12
EVERY = timedelta(hours=7)


def compare(tx: Transaction, world: World) -> tuple[int, int]:
    """Look at every channel both ways; returns how many there are, and how many of them are plainly well."""
    present, ids = Reading(world.now(), Policy()), all_channels(world)
    policies = policies_for(tx, ids, present)
    read = glances.read_glances(
        tx, ids, renewals.read(tx, ids), dossiers.read_around(tx, present.now), present.now, present.policy
    )
    well = 0
    for id_ in () if read is None else read.rows:
        assert read is not None
        seen, policy = glances.glance(read, id_).seen, policies[id_]
        if not is_plainly_well(seen, policy, present.now):
            continue
        well += 1
        reasoning = reason_about(tx, id_, present)
        assert reasoning is not None
        verdict = reasoning.judgement.verdict
        by_glance = verdict_on(seen, policy, present.now)
        assert replace(verdict, look_again_at=None, since=by_glance.since) == replace(by_glance, look_again_at=None)
        again_at = judge_again_at(reasoning.dossier, verdict, policy, present.now)
        assert again_at == glance_again_at(seen, policy, present.now)
    return len(ids), well


def test_judge_agrees_with_every_glance_at_a_fleet_over_weeks() -> None:
    found: list[tuple[int, int]] = []

    async def look(world: World) -> None:
        while True:
            await world.sleep(EVERY)
            found.append(world.server.service.runner.read_now(lambda tx: compare(tx, world)))

    async def scene(world: World) -> None:
        world.background(look(world))
        await ordinary_weeks(world, devices=DEVICES, days=DAYS)

    play(scene, seed=5, settings={"inventory_hours": 24})

    channels, well = (sum(some) for some in zip(*found, strict=True))
    assert well > channels / 3, "most of them are well at most times"

"""A fleet whose identities are renewed, each device in a way of its own, and whose authority is rotated."""

from datetime import timedelta

import pytest
from tests.laboratory.stories import PLATFORMS, enroll_one
from tests.laboratory.test_fleet import assert_nobody_was_lost, assert_nobody_was_refused

from muster.crypto.certificates import is_issued_by
from muster.laboratory.world import World, play
from muster.operations.rotate_authority import rotate_authorities
from muster.operations.views.identities import IdentityQuery, IdentityRow, list_identities
from muster.simulator.behaviour import RenewalReport, Step

pytestmark = pytest.mark.lab


async def identities_of(world: World) -> tuple[IdentityRow, ...]:
    policy, now = world.server.service.settings.policy(), world.now()
    page = await world.server.service.runner.read(lambda tx: list_identities(tx, IdentityQuery(), now, policy))
    return page.rows


def test_a_year_and_a_rotation_cost_no_device_whatever_way_it_renews() -> None:
    after_renewal: list[IdentityRow] = []
    after_rotation: list[IdentityRow] = []

    async def scene(world: World) -> None:
        url = await world.server.make_link(8)
        for number in range(8):
            inhabitant = await enroll_one(world, PLATFORMS[number % len(PLATFORMS)], url)
            behaviour = inhabitant.device.behaviour
            behaviour.renews_without_authenticate = number % 2 == 1
            behaviour.renewal_report = tuple(RenewalReport)[number % len(RenewalReport)]
            behaviour.rolls_back_after = tuple(Step)[-1] if number == 5 else None
        await world.sleep(timedelta(days=250))
        world.inhabitants[5].device.behaviour.rolls_back_after = None
        await world.sleep(timedelta(days=20))
        after_renewal.extend(await identities_of(world))
        await world.server.service.runner.write(rotate_authorities, ["Example"])
        world.server.service.wake()
        await world.sleep(timedelta(days=35))
        after_rotation.extend(await identities_of(world))
        for inhabitant in world.inhabitants:
            identity = inhabitant.device.enrollment
            assert identity is not None
            current = world.server.service.authorities.all()[0]
            assert is_issued_by(identity.identity.certificate_der, current.certificate_der)

    report = play(scene, seed=7)

    assert_nobody_was_lost(report)
    assert_nobody_was_refused(report)
    assert len(after_renewal) == len(after_rotation) == 8
    assert min(row.days_left for row in after_renewal) > 300
    assert all(row.is_of_current_authority for row in after_rotation)
    assert {device.epochs[-1].number for device in report.devices} == {1}

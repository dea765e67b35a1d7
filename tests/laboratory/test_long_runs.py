"""The same fleet for a quarter, many times larger: `make lab`."""

import pytest
from tests.laboratory.stories import ordinary_weeks
from tests.laboratory.test_fleet import (
    assert_every_command_was_answered_once,
    assert_nobody_was_lost,
    assert_nobody_was_refused,
)

from muster.laboratory.world import World, play

pytestmark = pytest.mark.lab

DAYS = 90


def test_a_quarter_with_two_hundred_devices_loses_nothing() -> None:
    async def scene(world: World) -> None:
        await ordinary_weeks(world, devices=200, days=DAYS)

    report = play(scene, seed=1)

    assert len(report.devices) == 200
    assert_nobody_was_lost(report)
    assert_nobody_was_refused(report)
    assert_every_command_was_answered_once(report, DAYS)


@pytest.mark.parametrize("seed", range(10, 20))
def test_a_month_loses_nothing_whatever_the_seed(seed: int) -> None:
    async def scene(world: World) -> None:
        await ordinary_weeks(world, devices=16, days=30)

    report = play(scene, seed=seed)

    assert_nobody_was_lost(report)
    assert_nobody_was_refused(report)
    assert_every_command_was_answered_once(report, 30)

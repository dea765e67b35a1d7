"""Devices that are let go remove their management, each by the reply that it understands; and others stay."""

from datetime import timedelta

import pytest
from tests.laboratory.stories import enroll_one

from muster.domain.access import SERVER
from muster.laboratory.report import Report
from muster.laboratory.world import Inhabitant, World, play
from muster.operations.let_go import DepartureOrder, DeparturesOrdered, reject_devices, unenroll_devices
from muster.protocol.identifiers import DeviceId
from muster.simulator.behaviour import Habits
from muster.simulator.facts import Platform

A_WHILE = timedelta(hours=1)
OFTEN = Habits(own_connects=(timedelta(hours=2).total_seconds(), timedelta(hours=5).total_seconds()))


@pytest.fixture(scope="module")
def played() -> tuple[Report, dict[str, bool]]:
    """Of three that enrolled one is unenrolled and one rejected; the report, and who has a profile at the end."""
    has_profile: dict[str, bool] = {}

    async def scene(world: World) -> None:
        url = await world.server.make_link(3)
        unenrolled = await enroll_one(world, Platform.MAC, url)
        rejected = world.add_device(Platform.IPHONE, OFTEN)
        await rejected.device.open_link(url)
        stays = await enroll_one(world, Platform.IPAD, url)
        await world.sleep(A_WHILE)

        def order(inhabitant: Inhabitant) -> DepartureOrder:
            return DepartureOrder((DeviceId(inhabitant.channel_id),))

        runner = world.server.service.runner
        ordered = await runner.write(unenroll_devices, [order(unenrolled)], SERVER)
        ordered += await runner.write(reject_devices, [order(rejected)], SERVER)
        assert all(isinstance(one, DeparturesOrdered) for one in ordered)
        await world.sleep(timedelta(days=2))
        for name, inhabitant in (("unenrolled", unenrolled), ("rejected", rejected), ("stays", stays)):
            has_profile[name] = inhabitant.device.enrollment is not None

    return play(scene, seed=11), has_profile


def test_those_let_go_have_no_profile_any_more_and_the_other_has(played: tuple[Report, dict[str, bool]]) -> None:
    assert played[1] == {"unenrolled": False, "rejected": False, "stays": True}


def test_their_channels_are_ended_and_stay_so(played: tuple[Report, dict[str, bool]]) -> None:
    states = [{channel.state for channel in device.channels} for device in played[0].devices]

    assert states == [{"ended"}, {"ended"}, {"enrolled"}]

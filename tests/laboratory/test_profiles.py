"""Profiles on devices: installed, replaced, lost by hand, removed; the list tells how each stands."""

from datetime import timedelta

import pytest
from tests.laboratory.stories import enroll_one

from muster.domain.access import SERVER
from muster.laboratory.world import World, play
from muster.operations.install_profiles import (
    ProfileOrder,
    ProfileRemovalOrder,
    ProfileSent,
    install_profiles,
    remove_profiles,
)
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.views.profiles import list_profiles
from muster.protocol.command import CommandRequest
from muster.protocol.plist import write_plist
from muster.simulator.facts import Platform

A_WHILE = timedelta(hours=1)


def profile(identifier: str, revision: int = 1) -> bytes:
    keys = {"PayloadType": "Configuration", "PayloadIdentifier": identifier, "PayloadUUID": f"{identifier}-{revision}"}
    return write_plist({**keys, "PayloadVersion": 1, "PayloadContent": []})


@pytest.mark.parametrize("platform", [Platform.MAC, Platform.IPHONE])
def test_profiles_are_installed_replaced_missed_and_removed(platform: Platform) -> None:
    seen: list[tuple[str, str | None, str]] = []
    on_the_device: set[str] = set()

    async def scene(world: World) -> None:
        inhabitant = await enroll_one(world, platform, await world.server.make_link(1))
        await world.sleep(A_WHILE)
        here, runner = inhabitant.channel_id, world.server.service.runner
        for revision in (1, 2):
            orders = [ProfileOrder((here,), profile(name, revision)) for name in ("kept", "lost", "removed")]
            sent = await runner.write(install_profiles, orders, SERVER)
            assert all(isinstance(one, ProfileSent) for one in sent), sent
            await world.sleep(A_WHILE)
        del inhabitant.device.contents.profiles["lost"]
        removed = await runner.write(remove_profiles, [ProfileRemovalOrder((here,), "removed")], SERVER)
        asked = await runner.write(queue_commands, [CommandOrder((here,), CommandRequest("ProfileList"))], SERVER)
        assert isinstance(removed[0], QueuedCommand)
        assert isinstance(asked[0], QueuedCommand)
        await world.sleep(A_WHILE)
        rows = await runner.read(lambda tx: list_profiles(tx, here, history=True))
        seen.extend((one.identifier, one.payload_uuid, one.state.value) for one in rows or ())
        on_the_device.update({"kept", "lost", "removed"} & inhabitant.device.contents.profiles.keys())

    play(scene, seed=5)

    assert seen == [
        ("kept", "kept-2", "installed"),
        ("kept", "kept-1", "replaced"),
        ("lost", "lost-2", "missing"),
        ("lost", "lost-1", "replaced"),
        ("removed", "removed-2", "removed"),
        ("removed", "removed-1", "replaced"),
    ]
    assert on_the_device == {"kept"}

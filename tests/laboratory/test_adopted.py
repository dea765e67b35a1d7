"""Devices that came from another server are renewed, once it is known with which profile they were enrolled."""

from dataclasses import replace
from datetime import timedelta

import sqlalchemy as sa
from tests.laboratory.stories import enroll_one
from tests.laboratory.test_fleet import assert_nobody_was_lost, assert_nobody_was_refused

from muster.crypto.certificates import fingerprint
from muster.domain.errors import Refusal
from muster.domain.inventory.kinds import InventoryKind
from muster.laboratory.server import PUBLIC_URL
from muster.laboratory.world import Inhabitant, World, play
from muster.operations.adopt_profiles import AdoptedProfile, ProfileAdopted, adopt_profiles
from muster.operations.ask_for_inventory import InventoryOrder, ask_now
from muster.operations.ask_for_renewals import ask_for_renewals
from muster.protocol.identifiers import DeviceId
from muster.protocol.profile import encode_enrollment_profile
from muster.simulator.contents import read_profile
from muster.simulator.facts import Platform
from muster.storage import schema

THEIRS = "com.github.micromdm.nanomdm"
PARTS = (("mdm", "com.github.micromdm.nanomdm.mdm-payload"), ("scep", "com.github.micromdm.scep"))


async def _came_from_elsewhere(world: World, inhabitant: Inhabitant) -> bytes:
    """Have a device be as one that another server enrolled: with that one's profile, which nobody here has seen.

    Returns the profile.
    """
    device = inhabitant.device
    enrollment = device.enrollment
    assert enrollment is not None
    ours = enrollment.profile.payload_identifier
    enrollment.profile = replace(enrollment.profile, payload_identifier=THEIRS, part_identifiers=PARTS)
    profile_xml = encode_enrollment_profile(enrollment.profile)
    del device.contents.profiles[ours]
    device.contents.profiles[THEIRS] = read_profile(profile_xml)
    pin = schema.identities.c.fingerprint == fingerprint(enrollment.identity.certificate_der)
    unknown = sa.update(schema.identities).where(pin).values(profile_id=None, provenance="adopted")
    await world.server.service.runner.write(lambda tx, _items, _ctx: [tx.connection.execute(unknown)], [None])
    return profile_xml


def test_adopted_device_renews_once_its_profile_is_supplied() -> None:
    told: list[object] = []

    async def scene(world: World) -> None:
        url = await world.server.make_link(2)
        for platform in (Platform.MAC, Platform.IPHONE):
            inhabitant = await enroll_one(world, platform, url)
            runner, device = world.server.service.runner, inhabitant.channel_id
            profile_xml = await _came_from_elsewhere(world, inhabitant)
            await runner.write(ask_now, [InventoryOrder(device, (InventoryKind.PROFILE_LIST,))])
            world.server.service.wake()
            await world.sleep(timedelta(hours=1))
            before = inhabitant.device.enrollment
            assert before is not None
            former = before.identity
            supplied = AdoptedProfile((DeviceId(device),), profile_xml, PUBLIC_URL)
            told.append((await runner.write(ask_for_renewals, [device]))[0])
            told.append((await runner.write(adopt_profiles, [supplied]))[0])
            await runner.write(ask_for_renewals, [device])
            world.server.service.wake()
            await world.sleep(timedelta(hours=2))
            after = inhabitant.device.enrollment
            assert after is not None
            assert after.identity != former
            assert after.profile.payload_identifier == THEIRS
            assert after.profile.part_identifiers == PARTS
            assert sorted(inhabitant.device.contents.profiles) == [THEIRS]

    report = play(scene, seed=3)

    assert_nobody_was_lost(report)
    assert_nobody_was_refused(report)
    assert [type(one) for one in told] == [Refusal, ProfileAdopted] * 2
    assert [len(one.device_ids) for one in told if isinstance(one, ProfileAdopted)] == [1, 1]
    assert {device.epochs[-1].number for device in report.devices} == {1}

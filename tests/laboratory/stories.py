"""Scenes that several tests play."""

from datetime import time, timedelta

from muster.laboratory.happenings import daily_commands, next_time_of_day, nights, push_outage, restart
from muster.laboratory.world import Inhabitant, World
from muster.protocol.identifiers import ChannelId
from muster.simulator.facts import Platform

PLATFORMS = tuple(Platform)


async def enroll_one(world: World, platform: Platform, url: str) -> Inhabitant:
    """A new device opens the link."""
    inhabitant = world.add_device(platform)
    await inhabitant.device.open_link(url)
    return inhabitant


def all_channels(world: World) -> list[ChannelId]:
    """Every channel that is open on some device."""
    return [channel_id for inhabitant in world.inhabitants for channel_id in inhabitant.channel_ids]


async def ordinary_weeks(world: World, *, devices: int, days: int) -> None:
    """Devices of all platforms enroll through one link and are sent a query every morning.

    Some are off at night, some answer NotNow. A third into it APNs is out for a day, half-way the server is restarted
    just when commands wait for their push. On the last day one device goes off before the command and stays off.
    """
    url = await world.server.make_link(devices)
    for number in range(devices):
        inhabitant = await enroll_one(world, PLATFORMS[number % len(PLATFORMS)], url)
        if number % 3 == 1:
            inhabitant.device.behaviour.not_now_share = 0.3
        if number % 2 == 0 and number > 0:
            world.background(nights(world, inhabitant, share=0.5))
        await world.sleep(timedelta(seconds=inhabitant.rng.uniform(1, 120)))
    first = next_time_of_day(world.now(), time(9))
    world.background(push_outage(world, begins_at=first + timedelta(days=days // 3, hours=-1), lasts=timedelta(days=1)))
    half_way = first + timedelta(days=days // 2, milliseconds=500)
    world.background(restart(world, at=half_way, down_for=timedelta(minutes=10)))
    last_evening = first + timedelta(days=days - 2, hours=14)
    world.background(_off_for_good(world, world.inhabitants[0], last_evening - world.now()))
    await daily_commands(world, lambda: all_channels(world), days=days)
    await world.sleep(timedelta(hours=9))


async def _off_for_good(world: World, inhabitant: Inhabitant, after: timedelta) -> None:
    await world.sleep(after)
    inhabitant.device.power_off()

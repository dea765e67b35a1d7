"""What happens in a world beside the scene: nights, outages, restarts, an administrator's daily work."""

from collections.abc import Callable, Sequence
from datetime import datetime, time, timedelta

from muster.laboratory.world import Inhabitant, World
from muster.protocol.identifiers import ChannelId
from muster.protocol.plist import PlistValue
from muster.simulator.apns_weather import Condition, Refuse

HARMLESS: tuple[tuple[str, dict[str, PlistValue]], ...] = (
    ("DeviceInformation", {"Queries": ["UDID", "SerialNumber", "OSVersion", "DeviceName", "AvailableDeviceCapacity"]}),
    ("SecurityInfo", {}),
    ("ProfileList", {}),
    ("CertificateList", {}),
    ("InstalledApplicationList", {}),
)
"""Queries that change nothing, with their keys."""


def next_time_of_day(now: datetime, time_of_day: time) -> datetime:
    """The next instant after *now* at which it is *time_of_day* (UTC)."""
    today = datetime.combine(now.date(), time_of_day, now.tzinfo)
    return today if today > now else today + timedelta(days=1)


async def nights(world: World, inhabitant: Inhabitant, *, share: float) -> None:
    """Switch a device off in a *share* of the evenings and on again in the morning, for ever."""
    device, rng = inhabitant.device, inhabitant.rng
    while True:
        evening = next_time_of_day(world.now(), time(18)) + timedelta(hours=rng.uniform(0, 4))
        await world.until(evening)
        if rng.random() >= share or not device.is_powered:
            continue
        device.power_off()
        await world.sleep(timedelta(hours=rng.uniform(8, 16)))
        device.power_on()


async def push_outage(world: World, *, begins_at: datetime, lasts: timedelta) -> None:
    """Have APNs refuse everything for a while."""
    await world.until(begins_at)
    world.apns.weather.add(Condition(Refuse("ServiceUnavailable"), begins_at, begins_at + lasts))


async def restart(world: World, *, at: datetime, down_for: timedelta) -> None:
    """Stop the server at *at* and start it again on the same data."""
    await world.until(at)
    await world.server.stop()
    await world.sleep(down_for)
    await world.server.start()


async def daily_commands(
    world: World, channel_ids: Callable[[], Sequence[ChannelId]], *, days: int, at: time = time(9)
) -> None:
    """Send one of the HARMLESS, in turn, to *channel_ids* every day at *at* for so many days.

    The server is up then, and each channel is enrolled.
    """
    for day in range(days):
        await world.until(next_time_of_day(world.now(), at))
        request_type, keys = HARMLESS[day % len(HARMLESS)]
        await world.server.send_command(channel_ids(), request_type, keys)

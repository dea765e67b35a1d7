"""What becomes of pushes when APNs is out, the certificate ends, devices are away or gone, and the server stops."""

from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from tests.laboratory.stories import all_channels, enroll_one

from muster.domain.push_breaker import PAUSES, REFUSALS_TO_OPEN, BreakerCause
from muster.domain.push_policy import STANDING
from muster.laboratory.report import Report
from muster.laboratory.server import TOPIC
from muster.laboratory.world import Inhabitant, World, play
from muster.protocol.identifiers import ChannelId
from muster.simulator.apns_weather import Condition, Effect, Refuse, Unreachable
from muster.simulator.facts import Platform
from muster.simulator.presence import Network
from muster.storage import push_breakers

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
OUTAGE = 6 * HOUR
FLEET = 12
"""More than it takes to open a breaker."""
A_FEW_MINUTES = 3 * MINUTE
"""For the sender to notice, the pace, and the devices to answer."""


async def enroll_fleet(world: World, count: int) -> list[ChannelId]:
    """Enroll so many devices and leave them alone for a day."""
    url = await world.server.make_link(count)
    for _ in range(count):
        await enroll_one(world, Platform.IPHONE, url)
    await world.sleep(DAY)
    return all_channels(world)


def arrivals(world: World, since: datetime, until: datetime | None = None) -> Counter[bytes]:
    """How often each token was pushed in a time, as APNs saw it."""
    return Counter(one.push.token for one in world.arrivals if since <= one.at and (until is None or one.at < until))


def all_answered(report: Report) -> bool:
    """Whether every command of every device was acknowledged, or a newer one of its kind in its place."""
    commands = [command for device in report.devices for command in device.channel.commands]
    return {command.status for command in commands} - {"superseded"} == {"Acknowledged"}


def answered_by(report: Report) -> datetime:
    """When the last command was answered."""
    return max(
        command.reported_at for device in report.devices for command in device.channel.commands if command.reported_at
    )


def longest_pause(cause: BreakerCause) -> timedelta:
    """Between two probes, with the most that is added so that topics keep apart."""
    return PAUSES[cause][1] * 1.25


async def begin_trouble(world: World, effect: Effect, ids: list[ChannelId], lasts: timedelta = OUTAGE) -> datetime:
    """Let *effect* hold from now on, and send everybody a command in it; returns its end."""
    ends_at = world.now() + lasts
    world.set_weather([Condition(effect, world.now(), ends_at)])
    await world.server.send_command(ids, "SecurityInfo")
    return ends_at


async def nothing(_world: World) -> None:
    """Happens in the trouble."""


async def restart_in_it(world: World) -> None:
    """The server is restarted two hours into the trouble."""
    await world.sleep(2 * HOUR)
    await world.server.stop()
    await world.sleep(10 * MINUTE)
    await world.server.start()


@pytest.mark.parametrize("meanwhile", [nothing, restart_in_it])
@pytest.mark.parametrize(
    ("effect", "cause"),
    [
        (Refuse("ServiceUnavailable"), BreakerCause.APNS_UNAVAILABLE),
        (Refuse("InternalServerError"), BreakerCause.APNS_UNAVAILABLE),
        (Unreachable(), BreakerCause.APNS_UNREACHABLE),
        (Unreachable(is_silent=True), BreakerCause.APNS_UNREACHABLE),
    ],
)
def test_an_outage_of_apns_costs_no_token_and_is_over_for_everybody_soon_after_its_end(
    effect: Effect, cause: BreakerCause, meanwhile: Callable[[World], Awaitable[None]]
) -> None:
    times: list[datetime] = []
    arrived: list[int] = []

    async def scene(world: World) -> None:
        ids = await enroll_fleet(world, FLEET)
        began_at = world.now()
        ends_at = await begin_trouble(world, effect, ids)
        await meanwhile(world)
        await world.until(ends_at)
        arrived.append(arrivals(world, began_at).total())
        times.append(ends_at)
        await world.sleep(2 * HOUR)
        assert world.server.service.runner.read_now(push_breakers.read_all) == {}

    report = play(scene, seed=1)

    assert all_answered(report)
    assert answered_by(report) - times[0] <= longest_pause(cause) + A_FEW_MINUTES
    assert report.pushes.keys() <= {"accepted", "apns_unavailable", "no_answer"}
    probes = OUTAGE // PAUSES[cause][1] + 6  # six until the pause is at its longest
    assert arrived[0] <= (0 if isinstance(effect, Unreachable) else FLEET + probes)


def test_a_site_too_small_for_a_breaker_loses_no_push_in_an_outage_either() -> None:
    times: list[datetime] = []

    async def scene(world: World) -> None:
        times.append(await begin_trouble(world, Refuse("ServiceUnavailable"), await enroll_fleet(world, 2)))
        await world.until(times[0] + 2 * HOUR)

    report = play(scene, seed=1)

    assert all_answered(report)
    assert answered_by(report) - times[0] <= 1.5 * HOUR + A_FEW_MINUTES


@pytest.mark.parametrize("reason", ["DeviceTokenNotForTopic", "BadDeviceToken"])
def test_a_storm_of_refused_tokens_costs_none_of_them(reason: str) -> None:
    times: list[datetime] = []

    async def scene(world: World) -> None:
        ids = await enroll_fleet(world, REFUSALS_TO_OPEN + 5)
        times.append(await begin_trouble(world, Refuse(reason), ids, DAY))
        await world.until(times[0] + 2 * HOUR)

    report = play(scene, seed=1)

    assert all_answered(report)
    assert answered_by(report) - times[0] <= longest_pause(BreakerCause.TOKENS_REFUSED) + A_FEW_MINUTES


def test_an_expired_push_certificate_is_renewed_and_everybody_is_pushed_once() -> None:
    pushed: list[Counter[bytes]] = []
    tokens: list[set[bytes]] = []

    async def scene(world: World) -> None:
        ids = await enroll_fleet(world, 6)
        await world.sleep(9 * DAY)
        await world.server.send_command(ids[:2], "SecurityInfo")
        expired_at = world.now()
        await world.sleep(3 * DAY)
        pushed.append(arrivals(world, expired_at))
        await world.server.upload_push_certificate()
        renewed_at = world.now()
        await world.sleep(A_FEW_MINUTES)
        pushed.append(arrivals(world, renewed_at))
        tokens.append({inhabitant.device.enrolled().device_line.token for inhabitant in world.inhabitants})

    report = play(scene, seed=1, push_certificate_lifetime=10 * DAY)

    assert pushed == [Counter(), Counter(dict.fromkeys(tokens[0], 1))]
    answered = [command.status for device in report.devices for command in device.channel.commands]
    assert answered == ["Acknowledged"] * 2


def test_devices_go_on_under_the_topic_they_enrolled_by_when_another_takes_its_place() -> None:
    other = "com.apple.mgmt.External.11111111-1111-4111-8111-111111111111"
    topics: list[set[str]] = []

    async def scene(world: World) -> None:
        await enroll_fleet(world, 2)
        await world.server.upload_push_certificate(topic=other)
        await enroll_fleet(world, 1)
        for inhabitant in world.inhabitants:
            await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.sleep(MINUTE)
        topics.extend({one.push.topic for one in world.pushes_to(channel)} for channel in all_channels(world))

    report = play(scene, seed=1)

    assert topics == [{TOPIC}, {TOPIC}, {other}]
    assert all_answered(report)
    assert report.pushes.keys() == {"accepted"}


@pytest.mark.lab
def test_a_silent_device_is_kept_under_a_stored_push_though_commands_are_queued_every_day() -> None:
    sent: list[timedelta] = []
    seen: list[int] = []

    async def scene(world: World) -> None:
        (channel_id,) = await enroll_fleet(world, 1)
        device = world.inhabitants[0].device
        device.change_network(Network.NONE)
        left_at, before = world.now(), device.enrolled().device_line.pushes_seen
        for _ in range(60):
            await world.server.send_command([channel_id], "SecurityInfo")
            await world.sleep(DAY)
        sent.extend(one.at - left_at for one in world.pushes_to(channel_id) if one.at > left_at)
        device.change_network(Network.WHOLE)
        await world.sleep(5 * MINUTE)
        seen.append(device.enrolled().device_line.pushes_seen - before)

    report = play(scene, seed=1)

    assert all_answered(report)
    assert seen == [2]  # the one that APNs kept for it, and one for the inventory that it owes since
    first = timedelta(seconds=1)
    stored = first + 5 * HOUR
    assert [timedelta(seconds=round(one.total_seconds())) for one in sent] == [
        first,
        first + HOUR,
        stored,
        stored + 3 * DAY,
        *(stored + 6 * DAY + number * STANDING for number in range(8)),
    ]


def test_a_device_whose_profile_went_while_it_was_away_is_left_alone_until_it_enrolls_again() -> None:
    before_it: list[str] = []
    after_it: list[str] = []

    async def scene(world: World) -> None:
        (channel_id,) = await enroll_fleet(world, 1)
        inhabitant: Inhabitant = world.inhabitants[0]
        inhabitant.device.behaviour.loses_check_out = True
        inhabitant.device.change_network(Network.NONE)
        await world.server.send_command([channel_id], "SecurityInfo")
        await world.sleep(HOUR)
        await inhabitant.device.remove_profile()
        inhabitant.device.change_network(Network.WHOLE)
        went_at = world.now()
        for _ in range(10):
            await world.server.send_command([channel_id], "SecurityInfo")
            await world.sleep(DAY)
        before_it.extend(_answers(world, channel_id, went_at))
        await inhabitant.device.open_link(await world.server.make_link(1))
        again_at = world.now()
        await world.server.send_command([channel_id], "DeviceInformation", {"Queries": ["UDID"]})
        await world.sleep(MINUTE)
        after_it.extend(_answers(world, channel_id, again_at))

    report = play(scene, seed=1)

    assert before_it == ["Unregistered"]  # and no more, whatever is queued
    assert set(after_it) == {"accepted"}
    assert [command.status for command in report.devices[0].channel.commands][-1] == "Acknowledged"


def _answers(world: World, channel_id: ChannelId, since: datetime) -> list[str]:
    return [
        "accepted" if one.refusal is None else one.refusal.reason
        for one in world.pushes_to(channel_id)
        if one.at >= since
    ]

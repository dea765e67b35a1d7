"""What fails on our side is no device's fault: it is noted with its times, and told once."""

from collections.abc import Sequence
from datetime import timedelta

import sqlalchemy as sa
from tests.laboratory.stories import enroll_one

from muster.laboratory.world import Scene, World, play
from muster.operations.views.incidents import IncidentRow, list_incidents
from muster.simulator.apns_weather import Condition, Refuse
from muster.simulator.facts import Platform
from muster.storage import outages
from muster.storage.schema import verdicts

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


PLATFORMS = (Platform.IPAD, Platform.IPHONE, Platform.MAC)
BLAMES = ("quiet", "inactive", "out_of_control", "at_risk")
"""What no device is to be for a fault of ours."""


class Story:
    """A few devices, and what is looked at while it plays."""

    def __init__(self, count: int = 4) -> None:
        self._count = count
        self.incidents: list[tuple[IncidentRow, ...]] = []
        self.reasons: list[dict[str, str]] = []
        self.channels = 0
        self.gone = ""

    async def settle(self, world: World) -> None:
        """Have the devices enroll and live for a few days."""
        link = await world.server.make_link(self._count)
        for number in range(self._count):
            await enroll_one(world, PLATFORMS[number % len(PLATFORMS)], link)
        await world.sleep(3 * DAY)

    async def look_often(self, world: World, *, every: timedelta, times: int) -> None:
        """Look that many times, the first time after *every*."""
        for _ in range(times):
            await world.sleep(every)
            self.look(world)

    def look(self, world: World) -> None:
        """Note the incidents, and what is held of each channel."""
        runner = world.server.service.runner
        self.incidents.append(runner.read_now(list_incidents))
        held = sa.select(verdicts.c.channel_id, verdicts.c.state, verdicts.c.reason)
        rows = runner.read_now(lambda tx: tx.connection.execute(held).all())
        self.channels = len(rows)
        self.reasons.append({row.channel_id: f"{row.state} {row.reason}" for row in rows})

    def play(self, scene: Scene, *, seed: int = 3, push_certificate_lifetime: timedelta = 365 * DAY) -> None:
        """Play it."""
        play(scene, seed=seed, push_certificate_lifetime=push_certificate_lifetime)

    def blamed(self) -> list[str]:
        """What devices were blamed for at any look."""
        return [held for look in self.reasons for held in look.values() if held.startswith(BLAMES)]

    def told(self, look: int) -> Sequence[tuple[str, bool, int]]:
        """The incidents of one look: reason, whether it lasts, how many are touched."""
        return [(one.reason, one.ended_at is None, one.channels) for one in self.incidents[look]]


def test_after_a_week_without_a_server_nobody_is_lost() -> None:
    story = Story()

    async def scene(world: World) -> None:
        await story.settle(world)
        await world.server.stop()
        stopped_at = world.now()
        await world.sleep(8 * DAY)
        await world.server.start()
        await story.look_often(world, every=timedelta(minutes=1), times=3)
        await story.look_often(world, every=8 * HOUR, times=6)
        (outage,) = world.server.service.runner.read_now(lambda tx: outages.between(tx, stopped_at - DAY, world.now()))
        assert outage.ended_at is not None
        assert abs(outage.began_at - stopped_at) < timedelta(minutes=1)
        assert outage.ended_at - outage.began_at >= 8 * DAY

    story.play(scene)

    assert [story.told(look) for look in range(9)] == [[("own_downtime", False, story.channels)]] * 9
    assert all(len(held) == story.channels for held in story.reasons)
    assert story.blamed() == []


def test_who_was_away_before_is_missed_for_the_time_that_we_were_there() -> None:
    story = Story(3)

    async def scene(world: World) -> None:
        await story.settle(world)
        gone = world.inhabitants[0]
        await world.server.send_command([gone.channel_id], "SecurityInfo")
        await world.sleep(HOUR)
        gone.device.power_off()
        await world.sleep(3 * DAY)
        await world.server.stop()
        await world.sleep(8 * DAY)
        await world.server.start()
        await world.sleep(3 * DAY)
        story.look(world)
        await world.sleep(2 * DAY)
        story.look(world)
        story.gone = gone.channel_id

    story.play(scene)

    early, late = (held[story.gone] for held in story.reasons)
    assert not early.startswith(("inactive", "out_of_control"))  # 14 days on the calendar, 6 on the clock of silence
    assert late == "inactive silent"


def test_a_device_that_comes_back_while_we_are_down_is_called_again_and_not_lost() -> None:
    story = Story(3)

    async def scene(world: World) -> None:
        await story.settle(world)
        phone = world.inhabitants[1]
        phone.device.power_off()
        await world.sleep(19 * DAY)
        await world.server.stop()
        await world.sleep(DAY)
        phone.device.power_on()
        await world.sleep(DAY)
        await world.server.start()
        await story.look_often(world, every=timedelta(hours=3), times=8)
        story.gone = phone.channel_id

    story.play(scene)

    assert {held[story.gone] for held in story.reasons} == {"in_control none"}


def test_an_expired_push_certificate_makes_all_unknown_and_one_incident() -> None:
    story = Story()

    async def scene(world: World) -> None:
        await story.settle(world)
        story.look(world)
        await world.sleep(DAY)
        await story.look_often(world, every=12 * HOUR, times=4)
        await world.server.upload_push_certificate(365 * DAY)
        await story.look_often(world, every=12 * HOUR, times=4)

    story.play(scene, push_certificate_lifetime=4 * DAY)

    assert story.told(0) == []
    for look in range(1, 5):
        assert story.told(look) == [("push_certificate_expired", True, story.channels)]
        assert set(story.reasons[look].values()) == {"unknown push_certificate_expired"}
    for look in range(5, 9):
        assert story.told(look) == [("push_certificate_expired", False, story.channels)]
        assert set(story.reasons[look].values()) == {"in_control none"}


def test_an_outage_of_apns_is_one_incident_and_blames_no_device() -> None:
    story = Story()

    async def scene(world: World) -> None:
        await story.settle(world)
        outage = Condition(Refuse("ServiceUnavailable"), world.now(), world.now() + DAY)
        world.set_weather([outage])
        for _ in range(3):  # somebody wants something of everybody now and then
            ids = [channel_id for one in world.inhabitants for channel_id in one.channel_ids]
            await world.server.send_command(ids, "SecurityInfo")
            await world.sleep(6 * HOUR)
            story.look(world)
        await story.look_often(world, every=6 * HOUR, times=8)

    story.play(scene)

    assert [len(incidents) for incidents in story.incidents] == [1] * 11
    assert [story.told(look) for look in range(3)] == [[("apns_outage", True, story.channels)]] * 3
    assert set(story.reasons[2].values()) == {"unknown apns_outage"}
    assert story.told(10) == [("apns_outage", False, story.channels)]
    assert set(story.reasons[10].values()) == {"in_control none"}
    assert story.blamed() == []


def test_a_tls_certificate_that_no_device_takes_is_one_incident_and_nobodys_fault() -> None:
    story = Story()

    async def scene(world: World) -> None:
        await story.settle(world)
        await world.server.send_command([one.channel_id for one in world.inhabitants], "SecurityInfo")
        await world.sleep(HOUR)
        world.server.tls_fingerprint = b"another".ljust(32)
        for one in world.inhabitants:
            one.faults.lost_requests = 1.0
        await world.sleep(3 * DAY)
        story.look(world)
        for one in world.inhabitants:
            one.faults.lost_requests = 0.0
        await world.server.send_command([one.channel_id for one in world.inhabitants], "SecurityInfo")
        await world.sleep(DAY)
        story.look(world)

    story.play(scene)

    assert story.told(0) == [("own_tls_changed", True, story.channels)]
    assert set(story.reasons[0].values()) == {"unknown own_tls_changed"}
    assert story.told(1) == [("own_tls_changed", False, story.channels)]
    assert set(story.reasons[1].values()) == {"in_control none"}

"""What the laboratory itself promises."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from tests.laboratory.stories import enroll_one

from muster.laboratory.report import Report
from muster.laboratory.virtual_time import START
from muster.laboratory.world import World, play
from muster.simulator.apns import Arrival, Refusal
from muster.simulator.apns_weather import Condition, Unreachable
from muster.simulator.facts import Platform
from muster.simulator.transport import ConnectionLost
from muster.storage import push_certificates


async def _nothing(_world: World) -> None:
    """An empty scene."""


def test_an_empty_world_gives_an_empty_report() -> None:
    report = play(_nothing, seed=1)

    assert report == Report(1, START, START, devices=(), pushes={}, rumours={}, complaints={})


def test_a_report_is_written_in_one_canonical_form() -> None:
    began_at = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)

    text = Report(1, began_at, began_at, (), {"b": 2, "a": 1}, {}, {}).to_json()

    assert text == (
        '{"began_at":"2026-01-05T08:00:00Z","complaints":{},"devices":[],"ended_at":"2026-01-05T08:00:00Z",'
        '"pushes":{"a":1,"b":2},"rumours":{},"seed":1}\n'
    )


def test_what_a_scene_raises_is_raised_as_it_is() -> None:
    async def scene(_world: World) -> None:
        raise LookupError("the scene's own")

    with pytest.raises(LookupError, match="the scene's own"):
        play(scene, seed=1)


def test_what_happens_beside_the_scene_and_fails_ends_the_run() -> None:
    async def fail(world: World) -> None:
        await world.sleep(timedelta(minutes=1))
        raise LookupError("beside the scene")

    async def scene(world: World) -> None:
        world.background(fail(world))
        await world.sleep(timedelta(days=365))

    with pytest.raises(LookupError, match="beside the scene"):
        play(scene, seed=1)


def test_nobody_answers_while_the_server_is_down() -> None:
    async def scene(world: World) -> None:
        inhabitant = world.add_device(Platform.IPHONE)
        await world.server.stop()
        with pytest.raises(ConnectionLost, match="down"):
            await inhabitant.transport.send("GET", "https://muster.example/mdm", {}, b"")
        await world.server.start()

    play(scene, seed=1)


def test_one_more_device_changes_nothing_about_who_the_others_are() -> None:
    async def few(world: World) -> None:
        await enroll_one(world, Platform.MAC, await world.server.make_link(9))

    async def more(world: World) -> None:
        await few(world)
        await enroll_one(world, Platform.IPAD, await world.server.make_link(9))

    alone, accompanied = play(few, seed=1), play(more, seed=1)

    assert accompanied.devices[0].serial_number == alone.devices[0].serial_number
    assert accompanied.devices[0].channel.id == alone.devices[0].channel.id


def test_the_data_of_one_run_are_there_in_the_next(tmp_path: Path) -> None:
    async def enroll(world: World) -> None:
        await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))

    states: list[str] = []

    async def look(world: World) -> None:
        states.extend(
            world.server.service.runner.read_now(lambda tx: list(tx.connection.exec_driver_sql(_STATES).scalars()))
        )

    play(enroll, seed=1, directory=tmp_path)
    play(look, seed=2, directory=tmp_path, start=START + timedelta(days=1))

    assert states == ["enrolled"]


_STATES = "SELECT state FROM channels"


def test_complaints_of_the_server_are_counted_and_not_printed(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene(world: World) -> None:
        inhabitant = world.add_device(Platform.IPHONE)
        await inhabitant.transport.send("GET", "https://muster.example/enroll/no-such-token", {}, b"")

    before = structlog.get_config()
    report = play(scene, seed=1)

    assert report.complaints == {"refused": 1}
    assert capsys.readouterr() == ("", "")
    assert structlog.get_config() == before


def test_the_weather_at_apns_is_as_a_scenario_writes_it() -> None:
    answers: list[Arrival] = []

    async def scene(world: World) -> None:
        world.set_forecast([{"what": "refuse", "reason": "ServiceUnavailable", "from": "1d", "until": "2d"}])
        inhabitant = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        await world.sleep(timedelta(days=1, hours=12))
        asked_at = world.now()
        inhabitant.device.power_off()
        await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.sleep(timedelta(days=2))
        answers.extend(arrival for arrival in world.pushes_to(inhabitant.channel_id) if arrival.at >= asked_at)

    play(scene, seed=1)

    end = START + timedelta(days=2)
    during = {arrival.refusal for arrival in answers if arrival.at < end}
    afterwards = {arrival.refusal for arrival in answers if arrival.at >= end}
    assert (during, afterwards) == ({Refusal("ServiceUnavailable")}, {None})


def test_fair_weather_follows_when_it_is_set() -> None:
    async def scene(world: World) -> None:
        world.set_forecast([{"what": "refuse", "reason": "ServiceUnavailable"}])
        world.set_weather([])
        inhabitant = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        await world.sleep(timedelta(minutes=1))

        assert {arrival.refusal for arrival in world.pushes_to(inhabitant.channel_id)} == {None}

    play(scene, seed=1)


def test_a_revoked_push_certificate_is_refused_and_its_successor_is_heard() -> None:
    async def scene(world: World) -> None:
        inhabitant = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        await world.sleep(timedelta(days=1))
        former = world.server.push_certificate_fingerprint
        world.revoke_push_certificate()
        await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.sleep(timedelta(minutes=1))
        assert world.pushes.outcomes["certificate_refused"] == 1
        await world.server.upload_push_certificate()
        assert world.server.push_certificate_fingerprint != former
        await world.sleep(timedelta(days=2))

    report = play(scene, seed=1)

    (command,) = report.devices[0].channel.commands
    assert command.status == "Acknowledged"


def test_a_world_can_begin_with_a_push_certificate_that_soon_ends() -> None:
    ends: list[datetime] = []

    async def scene(world: World) -> None:
        current = world.server.service.runner.read_now(push_certificates.current_certificates)
        ends.extend(stored.not_after for stored in current)

    play(scene, seed=1, push_certificate_lifetime=timedelta(days=10))

    assert ends == [START + timedelta(days=10)]


def test_a_network_that_swallows_everything_costs_time_and_no_command() -> None:
    async def scene(world: World) -> None:
        inhabitant = await enroll_one(world, Platform.IPHONE, await world.server.make_link(1))
        await world.sleep(timedelta(days=1))
        cut = Unreachable(is_silent=True)
        world.set_weather([Condition(cut, world.now(), world.now() + timedelta(hours=6))])
        await world.server.send_command([inhabitant.channel_id], "SecurityInfo")
        await world.sleep(timedelta(hours=5))
        assert world.pushes.outcomes["no_answer"] > 0
        await world.sleep(timedelta(days=2))

    report = play(scene, seed=1)

    (command,) = report.devices[0].channel.commands
    assert command.status == "Acknowledged"

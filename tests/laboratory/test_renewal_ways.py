"""Devices that renew and fail in every way real ones might: each goes on being managed, under a new identity."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from muster.crypto.certificates import inspect_certificate
from muster.laboratory.report import Report
from muster.laboratory.world import Inhabitant, World, play
from muster.simulator.behaviour import Behaviour, Habits, RenewalReport, Step
from muster.simulator.facts import Platform

SETTINGS = {"identity_lifetime_days": 60, "renew_before_days": 20}
PLAYED = timedelta(days=75)

HABITS = Habits(own_connects=(timedelta(days=2).total_seconds(), timedelta(days=6).total_seconds()))
"""Now and then each is restarted. A device that took back its PushMagic and told nobody hears no push until then."""


def failing_once(step: Step, *, tells: bool = True, report: RenewalReport = RenewalReport.LATE) -> Behaviour:
    return Behaviour(rolls_back_after=step, tells_of_rollback=tells, renewal_report=report)


WAYS: dict[str, Callable[[], Behaviour]] = {
    "as usual": Behaviour,
    "report by the old identity": lambda: Behaviour(renewal_report=RenewalReport.LATE_BY_OLD),
    "early report": lambda: Behaviour(renewal_report=RenewalReport.EARLY),
    "early report by the old identity": lambda: Behaviour(renewal_report=RenewalReport.EARLY_BY_OLD),
    "without Authenticate": lambda: Behaviour(renews_without_authenticate=True),
    "without Authenticate, with the old magic, by the old": lambda: Behaviour(
        renews_without_authenticate=True, keeps_push_magic=True, renewal_report=RenewalReport.LATE_BY_OLD
    ),
    "fails after SCEP": lambda: failing_once(Step.SCEP),
    "fails after Authenticate": lambda: failing_once(Step.AUTHENTICATE),
    "fails after TokenUpdate": lambda: failing_once(Step.TOKEN_UPDATE),
    "fails after TokenUpdate and tells nobody": lambda: failing_once(Step.TOKEN_UPDATE, tells=False),
    "fails after it reported success": lambda: failing_once(Step.TOKEN_UPDATE, report=RenewalReport.EARLY),
}


@pytest.fixture(scope="module")
def outcome() -> tuple[Report, dict[str, tuple[str, float]]]:
    """Every way, played for longer than an identity is good for: the device's name, and the days its last one has."""
    devices: dict[str, Inhabitant] = {}
    left: dict[str, tuple[str, float]] = {}

    async def scene(world: World) -> None:
        url = await world.server.make_link(len(WAYS))
        for number, (name, behaviour) in enumerate(WAYS.items()):
            inhabitant = world.add_device(tuple(Platform)[number % 3], HABITS)
            await inhabitant.device.open_link(url)
            inhabitant.device.behaviour = behaviour()
            devices[name] = inhabitant
        for _ in range(PLAYED.days):
            await world.sleep(timedelta(days=1))
            for inhabitant in devices.values():
                if inhabitant.device.last_failure is not None:  # it failed once, or some hours long
                    inhabitant.device.behaviour.rolls_back_after = None
        await world.server.send_command([one.channel_id for one in world.inhabitants], "ProfileList")
        await world.sleep(timedelta(hours=12))
        for name, inhabitant in devices.items():
            assert inhabitant.device.enrollment is not None, name
            ends = inspect_certificate(inhabitant.device.enrollment.identity.certificate_der).not_after
            left[name] = (inhabitant.name, (ends - world.now()) / timedelta(days=1))

    return play(scene, seed=11, settings=SETTINGS), left


@pytest.mark.parametrize("name", WAYS)
def test_a_device_outlives_its_first_identity(outcome: tuple[Report, dict[str, tuple[str, float]]], name: str) -> None:
    report, left = outcome
    device_name, days_left = left[name]
    device = report.device(device_name)

    assert days_left > 0
    assert [(epoch.number, epoch.closed_reason) for epoch in device.epochs] == [(1, None)]
    [last] = [command for command in device.channel.commands if command.request_type == "ProfileList"]
    assert last.status == "Acknowledged"

"""Two years and more of a fleet whose identities last one: `make lab`.

Identities are renewed in every way that devices might, the authority is rotated, installations fail, devices are away
for longer than their identity is good for, one is restored from an old backup, another is erased and enrolls again, and
the server's database is restored two days old in the middle of it all.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from muster.crypto.certificates import inspect_certificate, is_issued_by
from muster.laboratory.report import DeviceReport, Report
from muster.laboratory.world import World, play
from muster.simulator.behaviour import Behaviour, Habits, RenewalReport, Step
from muster.simulator.facts import Platform

pytestmark = pytest.mark.lab

DEVICES = 200
DAYS = 800
DAY = timedelta(days=1)
HABITS = Habits(own_connects=((8 * DAY).total_seconds(), (16 * DAY).total_seconds()), push_delay=(1.0, 600.0))
"""Devices are restarted about twice a month, and hear a push some minutes later."""

WAYS: tuple[Callable[[], Behaviour], ...] = (
    Behaviour,
    lambda: Behaviour(renews_without_authenticate=True),
    lambda: Behaviour(renewal_report=RenewalReport.EARLY_BY_OLD),
    lambda: Behaviour(renewal_report=RenewalReport.EARLY),
    lambda: Behaviour(renewal_report=RenewalReport.LATE_BY_OLD),
    lambda: Behaviour(renews_without_authenticate=True, keeps_push_magic=True),
    lambda: Behaviour(rolls_back_after=Step.SCEP),
    lambda: Behaviour(rolls_back_after=Step.AUTHENTICATE),
    lambda: Behaviour(rolls_back_after=Step.TOKEN_UPDATE),
    lambda: Behaviour(rolls_back_after=Step.TOKEN_UPDATE, tells_of_rollback=False),
    lambda: Behaviour(not_now_share=0.5),
)
"""Each device renews in one of these ways; those whose installation fails get better some weeks after it did."""

AWAY = (22, 23)
"""Off from day 150 to day 440, when their identity has been expired for some two months."""
RESTORED = 40
"""Backed up on day 100, restored on day 350: its renewal of day 250 is forgotten."""
ERASED_EARLY, ERASED_BEFORE_THE_RESTORE = 60, 61


@dataclass(frozen=True, slots=True)
class Outcome:
    """The report, and what only the devices know at the end."""

    report: Report
    identities: dict[str, tuple[datetime, bytes]]
    """By name: until when each device's identity is valid, and its certificate."""
    authority_der: bytes
    """The one that issues by then."""


class Years:
    """The scene, day by day."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.begun_at = world.now()
        self.failing_since: dict[str, datetime] = {}
        self.days: dict[int, Callable[[], Awaitable[None]]] = {
            100: self._back_a_device_up,
            120: lambda: self._erase_and_enroll_again(ERASED_EARLY),
            150: self._switch_some_off,
            250: self._back_the_database_up,
            251: self._live_on_after_the_backup,
            252: self._restore_the_database,
            300: world.server.rotate_authority,
            330: world.server.upload_push_certificate,
            350: self._restore_a_device,
            440: self._switch_them_on,
            660: world.server.upload_push_certificate,
        }

    async def play(self) -> None:
        """Play all days."""
        await self._enroll_everybody()
        for day in range(21, DAYS):
            await self.world.until(self.begun_at + day * DAY)
            if happens := self.days.get(day):
                await happens()
            if day % 28 == 0:
                await self._ask_everybody()
            self._let_failing_devices_get_better()
        await self._ask_everybody()
        await self.world.sleep(12 * DAY)

    async def _back_a_device_up(self) -> None:
        self.device_backup = self.world.inhabitants[RESTORED].device.back_up()

    async def _restore_a_device(self) -> None:
        await self.world.inhabitants[RESTORED].device.restore(self.device_backup)

    async def _switch_some_off(self) -> None:
        for number in AWAY:
            self.world.inhabitants[number].device.power_off()

    async def _switch_them_on(self) -> None:
        for number in AWAY:
            self.world.inhabitants[number].device.power_on()

    async def _back_the_database_up(self) -> None:
        """The backup holds an EraseDevice that waits for its device."""
        inhabitant = self.world.inhabitants[ERASED_BEFORE_THE_RESTORE]
        inhabitant.device.power_off()
        await self.world.server.send_command([inhabitant.channel_id], "EraseDevice", priority=10)
        self.database_backup = await self.world.server.back_up()

    async def _live_on_after_the_backup(self) -> None:
        """What the restored database will not know: a device erased and enrolled again, a new one, new tokens."""
        self.world.inhabitants[ERASED_BEFORE_THE_RESTORE].device.power_on()
        await self._enroll_when_erased(ERASED_BEFORE_THE_RESTORE)
        await self._enroll_one(DEVICES)
        for number in (70, 71, 72):
            await self.world.inhabitants[number].device.rotate_token()

    async def _restore_the_database(self) -> None:
        await self.world.server.restore(self.database_backup)

    async def _enroll_everybody(self) -> None:
        """Ten a day, by one link."""
        self.url = await self.world.server.make_link(DEVICES + 10, DAYS * DAY)
        for number in range(DEVICES):
            await self._enroll_one(number)
            await self.world.sleep(DAY / 10)

    async def _enroll_one(self, number: int) -> None:
        inhabitant = self.world.add_device(tuple(Platform)[number % len(Platform)], HABITS)
        inhabitant.device.behaviour = WAYS[number % len(WAYS)]()
        await inhabitant.device.open_link(self.url)

    async def _erase_and_enroll_again(self, number: int) -> None:
        inhabitant = self.world.inhabitants[number]
        await self.world.server.send_command([inhabitant.channel_id], "EraseDevice", priority=10)
        await self._enroll_when_erased(number)

    async def _enroll_when_erased(self, number: int) -> None:
        inhabitant = self.world.inhabitants[number]
        await self.world.sleep(DAY / 4)
        assert inhabitant.device.enrollment is None, f"{inhabitant.name} was not erased"
        await inhabitant.device.open_link(self.url)

    async def _ask_everybody(self) -> None:
        enrolled = [one.channel_id for one in self.world.inhabitants if one.device.enrollment is not None]
        await self.world.server.send_command(enrolled, "SecurityInfo")

    def _let_failing_devices_get_better(self) -> None:
        now = self.world.now()
        for inhabitant in self.world.inhabitants:
            device = inhabitant.device
            if device.last_failure is not None and now - self.failing_since.setdefault(inhabitant.name, now) > 20 * DAY:
                device.behaviour.rolls_back_after = None

    def devices_say(self) -> dict[str, tuple[datetime, bytes]]:
        """By name: until when each device's identity is valid, and its certificate."""
        said = {}
        for inhabitant in self.world.inhabitants:
            assert inhabitant.device.enrollment is not None, f"{inhabitant.name} is lost"
            certificate_der = inhabitant.device.enrollment.identity.certificate_der
            said[inhabitant.name] = (inspect_certificate(certificate_der).not_after, certificate_der)
        return said


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    found: list[tuple[dict[str, tuple[datetime, bytes]], bytes]] = []

    async def scene(world: World) -> None:
        years = Years(world)
        await years.play()
        found.append((years.devices_say(), world.server.authority_der))

    report = play(scene, seed=800)
    return Outcome(report, *found[0])


def number_of(device: DeviceReport) -> int:
    return int(device.name[:3]) - 1


def test_no_device_is_lost(outcome: Outcome) -> None:
    lost = [device.name for device in outcome.report.devices if not device.is_enrolled]

    assert len(outcome.report.devices) == DEVICES + 1
    assert lost == []


def test_nobody_was_told_to_leave(outcome: Outcome) -> None:
    assert {status for device in outcome.report.devices for status in device.statuses} <= {"200", "403", "503"}


def test_every_device_obeyed_in_the_last_weeks(outcome: Outcome) -> None:
    since = outcome.report.ended_at - 13 * DAY

    silent = {
        device.name: device.channel.last_proof_at
        for device in outcome.report.devices
        if device.channel.last_proof_at is None or device.channel.last_proof_at < since
    }
    assert silent == {}


def test_every_identity_was_renewed_in_time_and_by_the_new_authority(outcome: Outcome) -> None:
    for name, (not_after, certificate_der) in outcome.identities.items():
        assert not_after - outcome.report.ended_at > 90 * DAY, name
        assert is_issued_by(certificate_der, outcome.authority_der), name


def test_renewals_opened_no_epoch(outcome: Outcome) -> None:
    erased = {ERASED_EARLY, ERASED_BEFORE_THE_RESTORE}
    epochs = {number_of(device): len(device.epochs) for device in outcome.report.devices}

    assert {number for number, count in epochs.items() if count != 1} == erased
    assert {epochs[number] for number in erased} == {2}


def test_no_erased_device_was_erased_again(outcome: Outcome) -> None:
    for number in (ERASED_EARLY, ERASED_BEFORE_THE_RESTORE):
        erasures = [c for c in outcome.report.devices[number].channel.commands if c.request_type == "EraseDevice"]

        assert [command.wire_handed_out for command in erasures] == [1]


ANSWERED_OR_REPLACED = ("Acknowledged", "closed", "superseded")
"""A device that is away for days answers the newest of its questions, which stands for the others."""


def test_every_question_was_answered(outcome: Outcome) -> None:
    unanswered = [
        (device.name, command.command_uuid)
        for device in outcome.report.devices
        for command in device.channel.commands
        if command.request_type == "SecurityInfo" and command.status not in ANSWERED_OR_REPLACED
    ]

    assert unanswered == []

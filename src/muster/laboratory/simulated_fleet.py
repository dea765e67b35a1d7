"""A fleet of simulated devices over real sockets: they enroll through the front door, then live their stories."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from random import Random

import structlog

from muster.crypto.keys import RSAPrivateKey, generate_rsa_key
from muster.laboratory.cast import Part, Story, Way, make_cast, make_person
from muster.simulator.behaviour import Habits
from muster.simulator.device import SimulatedDevice
from muster.simulator.enrollment import EnrollmentFailed
from muster.simulator.facts import Platform
from muster.simulator.presence import PushService
from muster.simulator.transport import HttpTransport, Response

HABITS = Habits(
    # quicker than life, for people who watch
    push_delay=(0.1, 1.5),
    own_connects=(20.0, 60.0),
    after_not_now=(4.0, 12.0),
    after_failure=(3.0, 8.0),
    in_setup=(3.0, 8.0),
)
AT_ONCE = 3
"""Devices that enroll at the same time: making their keys is the work, and the server wants a processor too."""
TIMEOUT_SECONDS = 10.0
RETRY_SECONDS = 3.0
ATTEMPTS = 5

COLLEAGUE_COMES = (8.0, 15.0)
SILENCE_BEGINS = (25.0, 40.0)
FAREWELL = (40.0, 60.0)
AWAKE = (20.0, 40.0)
ASLEEP = (15.0, 30.0)

log = structlog.get_logger("muster.laboratory")


@dataclass(slots=True)
class CountingTransport:
    """A device's way to the server, and how often it was gone."""

    inner: HttpTransport
    requests: int = 0

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """As Transport.send."""
        self.requests += 1
        return await self.inner.send(method, url, headers, body)


@dataclass(frozen=True, slots=True)
class Doors:
    """Where devices come in. *link_url*: what people open; *setup_url*: what Setup Assistant was told."""

    link_url: str
    setup_url: str


@dataclass(slots=True)
class Member:
    """One device of the fleet. *enrolled* stays true when its enrollment has ended."""

    part: Part
    device: SimulatedDevice
    transport: CountingTransport
    keys: list[RSAPrivateKey] = field(repr=False)
    enrolled: bool = False

    @property
    def name(self) -> str:
        """What people call it: by name where it tells the server its name, else by its serial number."""
        facts = self.part.facts
        is_named = facts.platform is Platform.MAC
        return facts.device_name if is_named else f"{facts.product.model_name} {facts.serial_number}"


class SimulatedFleet:
    """*count* devices that enroll, each by its way, and live until their task is cancelled.

    *tell* is told in a sentence what happens to them.
    """

    def __init__(
        self,
        count: int,
        *,
        push_service: PushService,
        clock: Callable[[], datetime],
        rng: Random,
        tell: Callable[[str], None],
    ) -> None:
        self._rng = rng
        self._tell = tell
        self._turns = asyncio.Semaphore(AT_ONCE)
        self.members = tuple(_member(part, push_service, clock, rng) for part in make_cast(count, rng))

    @property
    def enrolled(self) -> int:
        """Count the devices that have enrolled."""
        return sum(member.enrolled for member in self.members)

    @property
    def requests(self) -> int:
        """Count the requests that all devices made."""
        return sum(member.transport.requests for member in self.members)

    async def live(self, doors: Doors, on_enrolled: Callable[[Member], None]) -> None:
        """Enroll every device at *doors* and have each live its life, until cancelled."""
        await asyncio.gather(*(self._live(member, doors, on_enrolled) for member in self.members))

    def close(self) -> None:
        """Close every connection; waits for requests under way."""
        for member in self.members:
            member.transport.inner.close()

    async def _live(self, member: Member, doors: Doors, on_enrolled: Callable[[Member], None]) -> None:
        try:
            if not await self._enroll(member, doors):
                return
            member.enrolled = True
            on_enrolled(member)
            async with asyncio.TaskGroup() as life:
                life.create_task(member.device.live(HABITS))
                life.create_task(self._play(member))
        except Exception:  # one device's fault must not end the others
            log.exception("simulated_device_failed", device=member.name)
            self._tell(f"{member.name} broke down: a fault of the simulation, which the log explains")

    async def _enroll(self, member: Member, doors: Doors) -> bool:
        for _ in range(ATTEMPTS):
            async with self._turns:
                member.keys.append(await asyncio.to_thread(generate_rsa_key))
                try:
                    match member.part.way:
                        case Way.LINK:
                            await member.device.open_link(doors.link_url)
                        case Way.SETUP_ASSISTANT:
                            await member.device.set_up(doors.setup_url)
                except EnrollmentFailed as error:
                    self._tell(f"{member.name} could not enroll: {error}")
                else:
                    return True
            await asyncio.sleep(RETRY_SECONDS)
        return False

    async def _play(self, member: Member) -> None:
        """Have the story of *member* happen."""
        device = member.device
        match member.part.story:
            case Story.COLLEAGUE_LOGS_IN:
                await self._pause(COLLEAGUE_COMES)
                user = make_person(len(self.members) + 1, self._rng)
                self._tell(f"{user.long_name} logs in to {member.name}, whose second user channel opens")
                await device.log_in(user)
            case Story.FALLS_SILENT:
                await self._pause(SILENCE_BEGINS)
                device.behaviour.is_silent = True
                self._tell(f"{member.name} falls silent; nobody tells the server")
            case Story.CHECKS_OUT:
                await self._pause(FAREWELL)
                self._tell(f"The owner of {member.name} removes the enrollment profile: it checks out")
                await device.remove_profile()
            case Story.SLEEPS:
                await self._sleep_and_wake(member)
            case Story.NONE | Story.PUTS_OFF | Story.FAILS | Story.IS_LOST:
                pass

    async def _sleep_and_wake(self, member: Member) -> None:
        while True:
            await self._pause(AWAKE)
            member.device.power_off()
            self._tell(f"{member.name} is switched off; APNs keeps the last push for it")
            await self._pause(ASLEEP)
            self._tell(f"{member.name} is switched on again")
            member.device.power_on()

    async def _pause(self, span: tuple[float, float]) -> None:
        await asyncio.sleep(self._rng.uniform(*span))


def _member(part: Part, push_service: PushService, clock: Callable[[], datetime], rng: Random) -> Member:
    keys: list[RSAPrivateKey] = []
    transport = CountingTransport(HttpTransport(timeout_seconds=TIMEOUT_SECONDS))
    device = SimulatedDevice(
        part.facts,
        transport=transport,
        push_service=push_service,
        # made beforehand, off the event loop; one more is needed at a renewal only
        key_source=lambda: keys.pop() if keys else generate_rsa_key(),
        clock=clock,
        rng=Random(rng.getrandbits(64)),  # noqa: S311 - plays, keeps no secret
    )
    device.behaviour = part.behaviour
    if part.user is not None:
        device.users = {part.user: True}
    return Member(part, device, transport, keys)

"""A world in virtual time: the real server, simulated APNs, simulated devices that live, and whoever plays with them.

Everything random is drawn from the seed, each device and purpose from a generator of its own; everything timed from
the loop. So a run can be repeated to the byte, and one more device changes nothing about the others.
"""

import asyncio
import gc
import itertools
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from muster.crypto.keys import RSAPrivateKey
from muster.domain.control.control_policy import ControlPolicy
from muster.laboratory.complaints import Complaints, heard_complaints
from muster.laboratory.observation import channels_of, count_rumours, epochs_of, evidence_of
from muster.laboratory.pushes import SimulatedPushSender
from muster.laboratory.report import DeviceReport, Report
from muster.laboratory.server import BEAT, DEVICE_KEYS, PUSH_CERTIFICATE_LIFETIME, REVIEW_GRAIN, LaboratoryServer
from muster.laboratory.signing_aside import SigningAside
from muster.laboratory.virtual_time import START, VirtualTimeLoop, beside_the_grid
from muster.laboratory.wire import Faults, Wire, WireTransport
from muster.protocol.identifiers import ChannelId
from muster.simulator.apns import Arrival, SimulatedAPNs
from muster.simulator.apns_forecast import read_forecast
from muster.simulator.apns_weather import Condition
from muster.simulator.behaviour import Habits
from muster.simulator.device import SimulatedDevice
from muster.simulator.facts import DeviceFacts, Platform, make_facts
from muster.simulator.mdm_requests import Signing, sign_in_place
from muster.storage.engine import Transaction

Scene = Callable[["World"], Awaitable[None]]
"""What happens; the run ends when it returns."""


@dataclass(frozen=True, slots=True)
class Inhabitant:
    """A device that lives in the world, and its way to the server. *rng* is for what happens to it."""

    name: str
    device: SimulatedDevice
    transport: WireTransport
    rng: Random

    @property
    def channel_id(self) -> ChannelId:
        """The device channel's id, enrolled or not."""
        facts = self.device.facts
        return ChannelId(facts.enrollment_id or facts.udid)

    @property
    def channel_ids(self) -> tuple[ChannelId, ...]:
        """The channels that are open as the device sees it, its own first; none when it is not enrolled."""
        enrollment = self.device.enrollment
        return () if enrollment is None else tuple(line.channel.id for line in enrollment.lines)

    @property
    def faults(self) -> Faults:
        """What goes wrong between it and the server; to be changed."""
        return self.transport.faults


COARSE_REVIEWS = timedelta(hours=1)
"""As the waits of a loop that keeps to the grain."""
GARBAGE_THRESHOLD = 200_000
"""Objects made, less those gone, before a search for garbage. What a world is made of stays until its end, and is more
than a server's: at a server's threshold the searches took a thirtieth of a large fleet's time."""


class World:
    """Where a scene plays. Made by `play`."""

    def __init__(
        self,
        loop: VirtualTimeLoop,
        seed: int,
        directory: Path,
        complaints: Complaints,
        settings: Mapping[str, object] | None = None,
        *,
        control: ControlPolicy | None = None,
        push_certificate_lifetime: timedelta = PUSH_CERTIFICATE_LIFETIME,
        review_grain: timedelta = REVIEW_GRAIN,
        beat: timedelta = BEAT,
        signing: Signing = sign_in_place,
    ) -> None:
        self.seed = seed
        self.arrivals: list[Arrival] = []  # every push that APNs saw, in order
        self.apns = SimulatedAPNs(self.rng("apns"), on_arrival=self.arrivals.append)
        self.pushes = SimulatedPushSender(self.apns, loop.now, self.rng("pushes"))
        self.wire = Wire(self.rng("wire"))
        self.server = LaboratoryServer(
            directory,
            self.wire,
            self.pushes,
            now=loop.now,
            rng=self.rng("server"),
            settings=settings,
            control=control,
            review_grain=review_grain,
            beat=beat,
        )
        self.complaints = complaints
        self.inhabitants: list[Inhabitant] = []
        self.clock: Callable[[], datetime] = loop.now
        self._began_at = loop.now()
        self._push_certificate_lifetime = push_certificate_lifetime
        self._tasks: set[asyncio.Task[None]] = set()
        self._keys = itertools.cycle(DEVICE_KEYS)
        self._signing = signing
        self._group = asyncio.TaskGroup()

    # Time and chance

    def now(self) -> datetime:
        """The present instant, aware UTC; by another clock than the loop's once somebody has put one in its place."""
        return self.clock()

    async def sleep(self, duration: timedelta) -> None:
        """Let *duration* pass."""
        await asyncio.sleep(duration.total_seconds())

    async def until(self, instant: datetime) -> None:
        """Let time pass until *instant*; one that has gone by is now."""
        await asyncio.sleep(max(0.0, (instant - self.now()).total_seconds()))

    def rng(self, purpose: str) -> Random:
        """A generator of its own for *purpose*; the same for the same seed."""
        return Random(f"{self.seed} {purpose}")  # noqa: S311 - to be repeated is the point

    def background(self, happening: Coroutine[Any, Any, None], context: Context | None = None) -> asyncio.Task[None]:
        """Have *happening* go on beside the scene, until it ends or the scene does. Its error is the scene's."""
        task = self._group.create_task(happening, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # Devices

    def add_device(
        self,
        platform: Platform,
        habits: Habits | None = None,
        *,
        name: str | None = None,
        facts: DeviceFacts | None = None,
    ) -> Inhabitant:
        """Unpack one more device; it lives by *habits* from now on, and is not enrolled.

        It is called *name*, which nobody else is, and is what *facts* say; by default both are made up.
        """
        name = name or f"{len(self.inhabitants) + 1:03} {platform.value}"
        address = (f"198.51.100.{len(self.inhabitants) % 250 + 1}", 5000)
        transport = WireTransport(self.wire, address, self.rng(f"{name} wire"))
        device = SimulatedDevice(
            facts or make_facts(platform, self.rng(f"{name} facts")),
            transport=transport,
            push_service=self.apns,
            key_source=self._next_key,
            clock=self.now,
            rng=self.rng(f"{name} device"),
        )
        device.requests.signing = self._signing
        inhabitant = Inhabitant(name, device, transport, self.rng(f"{name} happenings"))
        self.inhabitants.append(inhabitant)
        self.background(device.live(habits), beside_the_grid())
        return inhabitant

    def _next_key(self) -> RSAPrivateKey:
        return next(self._keys)

    # APNs

    def set_weather(self, conditions: Iterable[Condition]) -> None:
        """Let *conditions* hold at APNs from now on, each in its time, and no others; none at all is fair weather."""
        self.apns.weather.change_to(conditions)

    def set_forecast(self, entries: Sequence[Mapping[str, object]]) -> None:
        """As `set_weather`, of plain mappings (`apns_forecast.read_forecast`); times count from the world's beginning.

        Raises BadForecast.
        """
        self.set_weather(read_forecast(entries, self._began_at))

    def revoke_push_certificate(self) -> None:
        """Have APNs refuse the push certificate that the server uses now; its successor will be heard."""
        self.apns.certificates.revoke(self.server.push_certificate_fingerprint)

    def pushes_to(self, channel_id: ChannelId) -> tuple[Arrival, ...]:
        """What APNs saw of pushes to a channel, whichever of its tokens they named, in order."""
        tokens = {
            token
            for inhabitant in self.inhabitants
            for token, holder in inhabitant.device.presence.tokens.items()
            if holder == channel_id
        }
        return tuple(arrival for arrival in self.arrivals if arrival.push.token in tokens)

    # The run

    async def live_through(self, scene: Scene) -> Report:
        """Start the server with a push certificate, play *scene*, and report; the server is stopped in any case."""
        try:
            await self.server.start()
            await self.server.upload_push_certificate(self._push_certificate_lifetime)
            async with self._group:
                await scene(self)
                for task in list(self._tasks):
                    task.cancel()
            return self.server.service.runner.read_now(self._report)
        except BaseExceptionGroup as group:
            if len(group.exceptions) == 1:
                raise group.exceptions[0] from None  # what went wrong, not where it was gathered
            raise
        finally:
            await self.server.stop()

    def _report(self, tx: Transaction) -> Report:
        return Report(
            seed=self.seed,
            began_at=self._began_at,
            ended_at=self.now(),
            devices=tuple(_device_report(tx, inhabitant) for inhabitant in self.inhabitants),
            pushes=dict(self.pushes.outcomes),
            rumours=count_rumours(tx),
            complaints=dict(self.complaints.counts),
        )


def play(
    scene: Scene,
    *,
    seed: int,
    directory: Path | None = None,
    start: datetime = START,
    settings: Mapping[str, object] | None = None,
    control: ControlPolicy | None = None,
    push_certificate_lifetime: timedelta = PUSH_CERTIFICATE_LIFETIME,
    keeps_to_grain: bool = False,
    beat: timedelta = BEAT,
) -> Report:
    """Play *scene* in a new world and report what became of it.

    *directory* is the server's data directory; absent, a temporary one. *settings* are the server's, *control* is by
    what it judges. The push certificate it begins with is good for *push_certificate_lifetime*; nobody renews it unless
    *scene* does. The server says every *beat* that it lives.
    *keeps_to_grain*: time passes in steps, which is many times faster for large fleets
    (`virtual_time.GRAINS`). Whatever *scene* or a device raises is raised here, and so is what the server's application
    raises to a device.
    """
    with ExitStack() as stack:
        stack.enter_context(_seldom_searched_for_garbage())
        complaints = stack.enter_context(heard_complaints())
        if directory is None:
            directory = Path(stack.enter_context(TemporaryDirectory(prefix="muster-laboratory-"))) / "data"
        loop = VirtualTimeLoop(start, keeps_to_grain=keeps_to_grain)
        # many devices do something at one instant there, and each is signed for while the others go on
        signing = stack.enter_context(SigningAside(loop)).sign if keeps_to_grain else sign_in_place
        world = World(
            loop,
            seed,
            directory,
            complaints,
            settings,
            control=control,
            push_certificate_lifetime=push_certificate_lifetime,
            review_grain=COARSE_REVIEWS if keeps_to_grain else REVIEW_GRAIN,
            beat=beat,
            signing=signing,
        )
        return loop.run(world.live_through(scene))


@contextmanager
def _seldom_searched_for_garbage() -> Iterator[None]:
    """Search for garbage as seldom as `GARBAGE_THRESHOLD` says."""
    former = gc.get_threshold()
    gc.set_threshold(GARBAGE_THRESHOLD)
    try:
        yield
    finally:
        gc.set_threshold(*former)


def _device_report(tx: Transaction, inhabitant: Inhabitant) -> DeviceReport:
    device, ledger = inhabitant.device, inhabitant.transport.ledger
    lines = () if device.enrollment is None else (device.enrollment.device_line, *device.enrollment.user_lines.values())
    return DeviceReport(
        name=inhabitant.name,
        platform=device.facts.platform.value,
        serial_number=device.facts.serial_number,
        is_powered=device.is_powered,
        is_enrolled=device.enrollment is not None,
        pushes_seen=sum(line.pushes_seen for line in lines),
        statuses={str(status): count for status, count in ledger.statuses.items()},
        lost_requests=ledger.lost_requests,
        lost_replies=ledger.lost_replies,
        epochs=epochs_of(tx, inhabitant.channel_id),
        channels=channels_of(tx, inhabitant.channel_id, ledger.commands),
        evidence=evidence_of(tx, inhabitant.channel_id),
    )

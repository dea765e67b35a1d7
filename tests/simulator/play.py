"""One device, one fake server and simulated APNs, played together in virtual time."""

import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from random import Random
from typing import TypeVar

from tests.simulator.fake_doors import FakeDoors
from tests.simulator.fake_server import ORIGIN, FakeServer

from muster.laboratory.virtual_time import VirtualTimeLoop
from muster.protocol.apns import Push
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.device import SimulatedDevice
from muster.simulator.enrollment import Line
from muster.simulator.facts import Platform, make_facts
from muster.simulator.keys.published import published_keys
from muster.simulator.transport import AsgiTransport

T = TypeVar("T")


@dataclass
class Play:
    """Who takes part, and the clock."""

    loop: VirtualTimeLoop
    server: FakeServer
    doors: FakeDoors
    apns: SimulatedAPNs
    device: SimulatedDevice
    others: list[SimulatedDevice]

    @property
    def line(self) -> Line:
        assert self.device.enrollment is not None
        return self.device.enrollment.device_line

    async def enroll(self) -> None:
        await self.device.open_link(f"{ORIGIN}/enroll")

    def push(self, line: Line, *, push_magic: str | None = None) -> str:
        """What APNs says: "accepted" or its reason."""
        expiration = int((self.loop.now() + timedelta(days=30)).timestamp())
        magic = line.push_magic if push_magic is None else push_magic
        push = Push(self.apns.issue_apns_id(), self.server.profile().topic, line.token, magic, expiration)
        refusal = self.apns.receive(push, self.loop.now())
        return refusal.reason if refusal else "accepted"

    def statuses(self) -> list[str]:
        return [report.head.status_text for report in self.server.reports]

    def message_types(self) -> list[str]:
        return [type(message).__name__ for message in self.server.messages]


def play(
    scene: Callable[[Play], Awaitable[T]],
    platform: Platform = Platform.IPHONE,
    *,
    seed: int = 1,
    devices: int = 1,
    is_user_enrollment: bool = False,
) -> T:
    """Run *scene* with fresh participants; the first device is `Play.device`."""
    loop = VirtualTimeLoop()
    server = FakeServer(loop.now)
    doors = FakeDoors(server)
    apns = SimulatedAPNs(Random(seed))
    keys = itertools.cycle(published_keys()[:-1])
    cast = [
        SimulatedDevice(
            make_facts(platform, Random(f"{seed} {number}"), is_user_enrollment=is_user_enrollment),
            transport=AsgiTransport(doors),
            push_service=apns,
            key_source=lambda: next(keys),
            clock=loop.now,
            rng=Random(f"{seed} {number} acts"),
        )
        for number in range(devices)
    ]

    async def main() -> T:
        return await scene(Play(loop, server, doors, apns, cast[0], cast[1:]))

    return loop.run(main())

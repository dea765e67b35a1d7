"""Where simulated devices and the simulated APNs play, in a thread and event loop of their own, beside real servers."""

import asyncio
import itertools
import threading
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from tests.simulator.apns_pki import authority_pem, server_identity

from muster.crypto.keys import RSAPrivateKey, generate_rsa_key
from muster.protocol.connect import Status
from muster.protocol.identifiers import CommandUUID
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.apns_server import SimulatedApnsServer
from muster.simulator.device import SimulatedDevice
from muster.simulator.facts import Platform, User, make_facts
from muster.simulator.session import Answered
from muster.simulator.transport import HttpTransport, Transport

T = TypeVar("T")

PATIENCE_SECONDS = 60
"""How long a scene may take before the test gives up."""
KEYS = 6
"""Keys that devices share out among themselves: the published ones get no certificates, and new ones take long."""

_numbers = itertools.count(1)


class Stage:
    """The simulated APNs, listening, and the loop on which scenes run."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.apns = SimulatedAPNs(Random(1))
        self._transports: list[HttpTransport] = []
        self._server = SimulatedApnsServer(self.apns, server_identity(), now=now)
        self.play(self._server.start())

    def play(self, scene: Coroutine[Any, Any, T]) -> T:
        """Run *scene* to its end and return its result."""
        return self.begin(scene).result(PATIENCE_SECONDS)

    def begin(self, scene: Coroutine[Any, Any, T]) -> "Future[T]":
        """Begin *scene*, and return what will have its result."""
        return asyncio.run_coroutine_threadsafe(scene, self._loop)

    def close(self) -> None:
        """End APNs and the loop."""
        self.play(self._server.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def settings(self, directory: Path) -> dict[str, str]:
        """What a server must be told to push through this APNs; its CA goes into a file in *directory*."""
        ca = directory / "apns-ca.pem"
        ca.write_bytes(authority_pem())
        return {
            "MUSTER_APNS_HOST": "localhost",
            "MUSTER_APNS_PORT": str(self._server.port),
            "MUSTER_APNS_CA": str(ca),
        }

    def transport(self, *, trust_pem: str | None = None) -> HttpTransport:
        """Sockets for one device, closed with the test."""
        made = HttpTransport(trust_pem=trust_pem, timeout_seconds=PATIENCE_SECONDS)
        self._transports.append(made)
        return made

    def clear(self) -> None:
        """Close the devices' sockets."""
        for transport in self._transports:
            transport.close()
        self._transports.clear()

    def device(self, platform: Platform = Platform.IPHONE, transport: Transport | None = None) -> SimulatedDevice:
        """A new device, like no other of this run."""
        number = next(_numbers)
        return SimulatedDevice(
            make_facts(platform, Random(f"facts {number}")),
            transport=transport or self.transport(),
            push_service=self.apns,
            key_source=lambda: keys()[number % KEYS],
            clock=now,
            rng=Random(f"acts {number}"),
        )


def now() -> datetime:
    """The time by this machine."""
    return datetime.now(UTC)


@cache
def keys() -> tuple[RSAPrivateKey, ...]:
    """Keys that nobody knows."""
    return tuple(generate_rsa_key() for _ in range(KEYS))


async def together(actions: "list[Awaitable[T]]") -> list[T]:
    """Do all of *actions* at once; fails when one does."""
    return list(await asyncio.gather(*actions))


async def answer(device: SimulatedDevice, *sent: CommandUUID, user: User | None = None) -> list[Answered]:
    """Wait for pushes and connect, until all of *sent* are answered; a push alone makes it connect.

    Returns the answers to these, in the order they were given: what the server asks of itself is answered as well.
    """
    answered: list[Answered] = []
    while not {one.command_uuid for one in answered} >= set(sent):
        async with asyncio.timeout(PATIENCE_SECONDS):
            await device.wanted.wait()
        device.wanted.clear()
        answered += [one for one in (await device.connect(user)).answered if one.command_uuid in sent]
    return answered


def acknowledged(answered: list[Answered]) -> set[CommandUUID | None]:
    """The UUIDs of the commands that were acknowledged."""
    return {one.command_uuid for one in answered if one.status is Status.ACKNOWLEDGED}

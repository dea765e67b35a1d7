"""Where simulated devices and the simulated APNs play, in a thread and event loop of their own, beside real servers."""

import asyncio
import io
import itertools
import json
import threading
from collections.abc import Awaitable, Coroutine
from concurrent.futures import Future
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from tests.simulator.apns_pki import authority_pem, push_certificate, server_identity

from muster.cli import main
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


@dataclass(frozen=True)
class PushFiles:
    """A push certificate and its key, as files to upload."""

    certificate: Path
    key: Path


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


def push_files(directory: Path, issuer: str | None = None) -> PushFiles:
    """Write a push certificate of the simulated APNs' authority, or of *issuer*, which it does not trust."""
    made = push_certificate() if issuer is None else push_certificate(issuer=issuer)
    directory.mkdir(exist_ok=True)
    files = PushFiles(directory / "push.pem", directory / "push.key")
    files.certificate.write_bytes(made.certificate_pem)
    files.key.write_bytes(made.key_pem)
    return files


async def together(actions: "list[Awaitable[T]]") -> list[T]:
    """Do all of *actions* at once; fails when one does."""
    return list(await asyncio.gather(*actions))


async def answer(device: SimulatedDevice, count: int, user: User | None = None) -> list[Answered]:
    """Wait for pushes and connect, until *count* commands are answered; a push alone makes it connect."""
    answered: list[Answered] = []
    while len(answered) < count:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await device.wanted.wait()
        device.wanted.clear()
        answered += (await device.connect(user)).answered
    return answered


def acknowledged(answered: list[Answered]) -> set[CommandUUID | None]:
    """The UUIDs of the commands that were acknowledged."""
    return {one.command_uuid for one in answered if one.status is Status.ACKNOWLEDGED}


class CommandLine:
    """`muster` in this process, beside a running server. *where* names its data."""

    def __init__(self, *where: str) -> None:
        self._where = where

    def run(self, *arguments: str) -> tuple[int, str, str]:
        """Run one command: its exit code, what it printed, and what it said on standard error."""
        out, err = io.TextIOWrapper(io.BytesIO()), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            code = main([*arguments, *self._where])
        out.seek(0)
        return code, out.read(), err.getvalue()

    def __call__(self, *arguments: str) -> Any:
        """Run a command that must succeed with --json; what it printed, decoded."""
        code, out, err = self.run(*arguments, "--json")
        assert code == 0, err
        return json.loads(out)

    def link(self, uses: int = 1) -> str:
        """Make an enrollment link and return its URL."""
        url: str = self("enroll", "link", "--uses", str(uses))["url"]
        return url

    def send(self, channel_id: str, request_type: str, *arguments: str) -> CommandUUID:
        """Send a command and return its UUID."""
        return CommandUUID(self("commands", "send", channel_id, request_type, *arguments)["command_uuid"])

    def statuses(self, channel_id: str) -> dict[str, str]:
        """The status of each command of a channel, by its UUID."""
        return {row["command_uuid"]: row["status"] for row in self("commands", "list", channel_id)}

    def upload(self, files: PushFiles) -> None:
        """Put a push certificate into use."""
        self("push-cert", "upload", "--cert", str(files.certificate), "--key", str(files.key))

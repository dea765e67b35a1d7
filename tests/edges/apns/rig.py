"""The provider and the simulated APNs, connected by sockets on loopback."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from ssl import TLSVersion

from tests.simulator.apns_pki import AUTHORITY, TOPIC, authority_pem, push_certificate, server_identity

from muster.crypto.certificates import fingerprint
from muster.edges.apns.backoff import Pace
from muster.edges.apns.provider import ApnsProvider
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import OutcomeClass, Push
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.apns_connection import Fault
from muster.simulator.apns_server import SimulatedApnsServer

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TOMORROW = int(NOW.timestamp()) + 86400
MAX_ATTEMPTS = Pace().max_attempts
PATIENCE_SECONDS = 60
"""After which a test fails instead of waiting on."""


def at_once(_step: int, _rng: Random) -> float:
    """Send lost pushes again without waiting, since tests don't."""
    return 0.0


IMPATIENT = Pace(delay=at_once)


def credentials(topic: str = TOPIC, issuer: str = AUTHORITY) -> PushCredentials:
    """Return a push certificate for *topic*."""
    client = push_certificate(topic, issuer)
    return PushCredentials(topic, client.certificate_pem, client.key_pem, fingerprint(client.certificate_der))


def make_pushes(apns: SimulatedAPNs, count: int, topic: str = TOPIC) -> list[Push]:
    """Return *count* pushes to as many devices, all offline."""
    return [
        Push(apns.issue_apns_id(), topic, apns.issue_token(topic), f"magic-{number}", TOMORROW)
        for number in range(count)
    ]


async def send_all(provider: ApnsProvider, client: PushCredentials, pushes: Sequence[Push]) -> list[PushReceipt]:
    """Send, and return the receipts in the order of *pushes*, once each has one; a second one of any is a failure."""
    receipts: dict[str, PushReceipt] = {}
    settled_twice: list[PushReceipt] = []  # told at the end: the provider bears with a caller that raises
    done = asyncio.Event()

    def settle(receipt: PushReceipt) -> None:
        if receipts.setdefault(receipt.apns_id, receipt) is not receipt:
            settled_twice.append(receipt)
        if len(receipts) == len(pushes):
            done.set()

    provider.send(client, pushes, settle)
    if pushes:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await done.wait()
    await asyncio.sleep(0)  # for what would come too late
    assert settled_twice == []
    return [receipts[push.apns_id] for push in pushes]


def classes(receipts: Sequence[PushReceipt]) -> list[OutcomeClass]:
    """Return what became of the pushes, in their order."""
    return [receipt.outcome.outcome_class for receipt in receipts]


@dataclass(frozen=True)
class Rig:
    """Both ends, running."""

    apns: SimulatedAPNs
    server: SimulatedApnsServer
    provider: ApnsProvider

    def pushes(self, count: int) -> list[Push]:
        """Return *count* pushes to as many devices, all offline."""
        return make_pushes(self.apns, count)

    async def send(self, pushes: Sequence[Push]) -> list[PushReceipt]:
        """Send under the one certificate that most tests need."""
        return await send_all(self.provider, credentials(), pushes)


@asynccontextmanager
async def running(
    fault_of: Callable[[int], Fault | None] = lambda _: None,
    *,
    later_streams: int = 1000,
    pace: Pace = IMPATIENT,
    max_connections: int = 4,
    max_streams: int = 1000,
    ca_pem: bytes | None = None,
    proxy: str | None = None,
    tls_version: TLSVersion = TLSVersion.TLSv1_3,
) -> AsyncIterator[Rig]:
    """Start both ends; stop both."""
    apns = SimulatedAPNs(Random(1))
    server = SimulatedApnsServer(
        apns,
        server_identity(),
        now=lambda: NOW,
        fault_of=fault_of,
        later_streams=later_streams,
        highest_tls=tls_version,
    )
    async with server:
        provider = ApnsProvider(
            "127.0.0.1",
            server.port,
            rng=Random(2),
            ca_pem=authority_pem() if ca_pem is None else ca_pem,
            proxy=proxy,
            pace=pace,
            max_connections=max_connections,
            max_streams=max_streams,
        )
        try:
            yield Rig(apns, server, provider)
        finally:
            await provider.close()

"""The provider and the simulated APNs, connected by sockets on loopback."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from random import Random
from ssl import TLSVersion

from tests.simulator.apns_pki import AUTHORITY, TOPIC, authority_pem, push_certificate, server_identity

from muster.crypto.certificates import fingerprint
from muster.edges.apns.provider import ApnsProvider
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import OutcomeClass, Push
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.apns_connection import Fault
from muster.simulator.apns_server import SimulatedApnsServer

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TOMORROW = int(NOW.timestamp()) + 86400
MAX_ATTEMPTS = 4


def at_once(attempt: int, _rng: Random) -> float | None:
    """Send lost pushes again without waiting, since tests don't."""
    return 0.0 if attempt < MAX_ATTEMPTS else None


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
        return await self.provider.send(credentials(), pushes)


@asynccontextmanager
async def running(
    fault_of: Callable[[int], Fault | None] = lambda _: None,
    *,
    later_streams: int = 1000,
    max_in_flight: int = 400,
    timeout_seconds: float = 20.0,
    next_delay: Callable[[int, Random], float | None] = at_once,
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
            max_in_flight=max_in_flight,
            timeout_seconds=timeout_seconds,
            next_delay=next_delay,
        )
        try:
            yield Rig(apns, server, provider)
        finally:
            provider.close()

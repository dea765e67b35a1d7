"""A push service for the laboratory: simulated APNs behind a real socket, with certificates that only it believes."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random

from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import Authority, make_authority, make_push_certificate, make_server_certificate
from muster.crypto.keys import generate_ec_key, generate_rsa_key, private_key_pem
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.apns_server import ServerIdentity, SimulatedApnsServer

HOST = "127.0.0.1"
LIFETIME = timedelta(days=365)


@dataclass(frozen=True, slots=True)
class SimulatedPush:
    """Where the push service is, what a server needs to speak with it, and its state. Everything of keys is PEM."""

    apns: SimulatedAPNs
    host: str
    port: int
    authority_pem: bytes
    push_certificate_pem: bytes
    push_key_pem: bytes = field(repr=False)


@asynccontextmanager
async def simulated_push(
    topic: str, *, rng: Random, now: Callable[[], datetime], apns: SimulatedAPNs | None = None
) -> AsyncIterator[SimulatedPush]:
    """Run a push service on a free port of 127.0.0.1, with a push certificate for *topic*.

    *apns* is what it knows of tokens already; absent: nothing.
    """
    authority = _make_authority(rng, now())
    server_key = generate_ec_key()
    server_certificate = make_server_certificate(
        [HOST], server_key, now=now(), lifetime=LIFETIME, serial_number=_serial_number(rng), authority=authority
    )
    push_key = generate_rsa_key()  # as Apple's are
    push_certificate = make_push_certificate(
        topic, push_key, now=now(), lifetime=LIFETIME, serial_number=_serial_number(rng), authority=authority
    )
    authority_pem = pem_from_der([authority.certificate_der])
    apns = apns or SimulatedAPNs(rng)
    identity = ServerIdentity(pem_from_der([server_certificate]), private_key_pem(server_key), authority_pem)
    async with SimulatedApnsServer(apns, identity, now=now) as server:
        yield SimulatedPush(
            apns, HOST, server.port, authority_pem, pem_from_der([push_certificate]), private_key_pem(push_key)
        )


def _make_authority(rng: Random, now: datetime) -> Authority:
    key = generate_ec_key()
    certificate = make_authority(
        "Simulated Push Authority", key, now=now, lifetime=LIFETIME, serial_number=_serial_number(rng)
    )
    return Authority(certificate, key)


def _serial_number(rng: Random) -> int:
    return rng.getrandbits(120) | 1

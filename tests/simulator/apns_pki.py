"""The certificates of a small APNs: an authority, the server's certificate, push certificates. Made once in a run."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache

from muster.crypto.certificates import pem_from_der
from muster.crypto.issuance import Authority, make_authority, make_push_certificate, make_server_certificate
from muster.crypto.keys import generate_ec_key, generate_rsa_key, private_key_pem
from muster.simulator.apns_server import ServerIdentity

AUTHORITY = "Push test CA"
TOPIC = "com.apple.mgmt.External.8f0c2f5e-test"

# TLS compares with the real clock, so the certificates are good for any date on which these tests may run.
_ISSUED = datetime(2020, 1, 1, tzinfo=UTC)
_LIFETIME = timedelta(days=36500)


@dataclass(frozen=True)
class ClientPem:
    """A push certificate and its key."""

    certificate_der: bytes
    certificate_pem: bytes
    key_pem: bytes


@cache
def authority(common_name: str) -> Authority:
    """Return the authority of that name, always the same one."""
    key = generate_rsa_key()
    der = make_authority(common_name, key, now=_ISSUED, lifetime=_LIFETIME, serial_number=1)
    return Authority(der, key)


def authority_pem(common_name: str = AUTHORITY) -> bytes:
    """Return the authority's certificate."""
    return pem_from_der([authority(common_name).certificate_der])


@cache
def server_identity() -> ServerIdentity:
    """Return what a server on 127.0.0.1 needs."""
    key = generate_ec_key()
    der = make_server_certificate(
        ["127.0.0.1", "localhost"],
        key,
        now=_ISSUED,
        lifetime=_LIFETIME,
        serial_number=2,
        authority=authority(AUTHORITY),
    )
    return ServerIdentity(pem_from_der([der]), private_key_pem(key), authority_pem())


@cache
def push_certificate(topic: str = TOPIC, issuer: str = AUTHORITY, serial_number: int = 3) -> ClientPem:
    """Return a push certificate for *topic*."""
    key = generate_ec_key()
    der = make_push_certificate(
        topic, key, now=_ISSUED, lifetime=_LIFETIME, serial_number=serial_number, authority=authority(issuer)
    )
    return ClientPem(der, pem_from_der([der]), private_key_pem(key))

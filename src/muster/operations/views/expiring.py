"""What ends one day and takes something with it: certificates and tokens, the earliest end first."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import sqlalchemy as sa

from muster.crypto.certificates import inspect_certificate
from muster.domain.push_certificates import days_left
from muster.operations.views.authorities import list_authorities
from muster.operations.views.people import list_tokens
from muster.operations.views.push_certificates import list_push_certificates
from muster.storage.engine import Transaction
from muster.storage.schema import authorities, push_certificates, self_tests, vendor_certificates


class ExpiringKind(StrEnum):
    """What kind of thing ends."""

    PUSH = "push"
    VENDOR = "vendor"
    AUTHORITY = "authority"
    TLS = "tls"
    """Our certificate at the public address, as our own nodes met it there last."""
    TOKEN = "token"  # noqa: S105 - a kind, no secret
    """Of a program that uses the API."""


@dataclass(frozen=True, slots=True)
class Expiring:
    """One of them. *devices* hang on it, 0 where that isn't counted; *days_left*: 0 once it has ended."""

    kind: ExpiringKind
    name: str
    not_after: datetime
    days_left: int
    devices: int


def list_expiring(tx: Transaction, now: datetime) -> tuple[Expiring, ...]:
    """List what is in use and ends, the earliest first.

    Absent: authorities on which no device hangs any more and that issue nothing, certificates that were replaced.
    """
    overview = list_push_certificates(tx, now)
    found = [
        _expiring(ExpiringKind.PUSH, topic.topic, topic.in_use.not_after, now, topic.devices)
        for topic in overview.topics
        if topic.in_use is not None
    ]
    if overview.vendor is not None:
        found.append(_expiring(ExpiringKind.VENDOR, "MDM vendor certificate", overview.vendor.not_after, now))
    found += [
        _expiring(ExpiringKind.AUTHORITY, one.name, one.not_after, now, one.devices)
        for one in list_authorities(tx)
        if one.is_current or one.devices
    ]
    found += [_expiring(ExpiringKind.TLS, mark.hex(), at, now) for mark, at in public_certificates(tx)]
    found += [_expiring(ExpiringKind.TOKEN, one.name, one.expires_at, now) for one in list_tokens(tx)]
    return tuple(sorted(found, key=lambda one: (one.not_after, one.kind, one.name)))


def list_ending(tx: Transaction, now: datetime, within: timedelta) -> tuple[Expiring, ...]:
    """List of the same what ends *within* a time. The devices of a fleet are counted only where something does."""
    if not any(end <= now + within for end in _ends(tx)):
        return ()
    return tuple(one for one in list_expiring(tx, now) if one.not_after <= now + within)


def _ends(tx: Transaction) -> Iterator[datetime]:
    """Tell when each of them ends, and authorities of former times."""
    in_use = sa.select(push_certificates.c.not_after).where(push_certificates.c.is_current)
    yield from tx.connection.scalars(in_use)
    yield from tx.connection.scalars(sa.select(vendor_certificates.c.not_after).where(vendor_certificates.c.is_current))
    for certificate in tx.connection.scalars(sa.select(authorities.c.certificate_der)):
        yield inspect_certificate(certificate).not_after
    yield from (at for _, at in public_certificates(tx))
    yield from (one.expires_at for one in list_tokens(tx))


def _expiring(kind: ExpiringKind, name: str, not_after: datetime, now: datetime, devices: int = 0) -> Expiring:
    return Expiring(kind, name, not_after, days_left(not_after, now), devices)


def public_certificates(tx: Transaction) -> list[tuple[bytes, datetime]]:
    """Return the certificates that our nodes met last at the public address, by SHA-256, with their ends."""
    columns = self_tests.c
    rows = tx.connection.execute(
        sa.select(columns.fingerprint, columns.not_after)
        .where(columns.fingerprint.is_not(None), columns.not_after.is_not(None))
        .distinct()
    )
    return [(row.fingerprint, row.not_after) for row in rows]

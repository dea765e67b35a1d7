"""Channels to push: stored as enrolled, each with a token and a wish that is due, by a few statements for all."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

import sqlalchemy as sa

from benchmarks.push_service import TOKEN, TOPIC
from muster.bootstrap.data_directory import read_key_ring
from muster.crypto.certificates import der_from_pem, fingerprint, inspect_certificate
from muster.crypto.sealing import associated_data
from muster.domain.enrollment import EnrollmentState
from muster.domain.push_policy import PushReason
from muster.protocol.identifiers import ChannelKind
from muster.settings import Settings
from muster.storage import push_certificates
from muster.storage.engine import Engine, Transaction
from muster.storage.schema import channels, push_targets, push_wishes, pushes

ROWS_PER_STATEMENT = 5000


def channel_id(number: int) -> str:
    """Name a channel."""
    return f"BE4C0000-0000-4000-8000-{number:012X}"


def push_magic(number: int) -> str:
    """Return a PushMagic of the usual form."""
    return f"BE4C0000-0000-4000-8000-{number:012X}"


def store(engine: Engine, settings: Settings, count: int, now: datetime, certificate: Path, key: Path) -> None:
    """Store *count* channels and the push certificate they are pushed under."""
    store_channels(engine, [TOKEN] * count, TOPIC, now)
    engine.write(lambda tx: _store_certificate(tx, settings, certificate, key, now))


def store_channels(engine: Engine, tokens: Sequence[bytes], topic: str, now: datetime) -> None:
    """Store a channel for each of *tokens*, enrolled long ago and heard yesterday."""
    long_ago = now - timedelta(days=30)
    for numbers in _slices(len(tokens)):
        rows = [
            {
                "id": channel_id(number),
                "device_id": channel_id(number),
                "kind": ChannelKind.DEVICE.value,
                "state": EnrollmentState.ENROLLED.value,
                "epoch": 1,
                "first_seen_at": long_ago,
                "enrolled_at": long_ago,
                "last_contact_at": now - timedelta(days=1),
            }
            for number in numbers
        ]
        targets = [
            {
                "channel_id": channel_id(number),
                "topic": topic,
                "token": tokens[number],
                "push_magic": push_magic(number),
                "updated_at": long_ago,
                "refusals": 0,
                "throttles": 0,
                "unanswered": 0,
            }
            for number in numbers
        ]
        engine.write(lambda tx, of=(rows, targets): _insert(tx, of))  # type: ignore[misc]


def wish(engine: Engine, count: int, now: datetime) -> None:
    """Wish to push each of *count* channels, in place of what was wished before; accepted, it is enough for a week."""

    def work(tx: Transaction) -> None:
        tx.connection.execute(sa.delete(push_wishes))
        tx.connection.execute(sa.update(push_targets).values(accepted_at=None, budget_until=None, unanswered=0))

    engine.write(work)
    for numbers in _slices(count):
        rows = [
            {
                "channel_id": channel_id(number),
                "reason": PushReason.SILENT.value,
                "wanted_at": now,
                "due_at": now,
                "attempts": 0,
                "failures": 0,
                "fence": 0,
            }
            for number in numbers
        ]
        engine.write(lambda tx, of=rows: tx.connection.execute(sa.insert(push_wishes), of))  # type: ignore[misc]


def recorded(engine: Engine) -> int:
    """Count the outcomes that are stored."""

    def read(tx: Transaction) -> int:
        return tx.connection.execute(sa.select(sa.func.count()).select_from(pushes)).scalar_one()

    return engine.read(read)


def _insert(tx: Transaction, rows: tuple[list[dict[str, object]], list[dict[str, object]]]) -> None:
    tx.connection.execute(sa.insert(channels), rows[0])
    tx.connection.execute(sa.insert(push_targets), rows[1])


def _store_certificate(tx: Transaction, settings: Settings, certificate: Path, key: Path, now: datetime) -> None:
    (der,) = der_from_pem(certificate.read_bytes())
    name = fingerprint(der)
    ring = read_key_ring(settings.key_ring_path)
    sealed = ring.seal(key.read_bytes(), associated_data("push_certificates", "key_sealed", name.hex()), _no_secret)
    stored = push_certificates.StoredPushCertificate(
        name, TOPIC, certificate.read_bytes(), sealed, inspect_certificate(der).not_after
    )
    push_certificates.store_certificate(tx, stored, now, by="benchmark")


def _no_secret(count: int) -> bytes:
    return bytes(count)


def _slices(count: int) -> Iterator[range]:
    for first in range(0, count, ROWS_PER_STATEMENT):
        yield range(first, min(first + ROWS_PER_STATEMENT, count))

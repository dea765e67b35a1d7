"""Receivers of shared signals, their streams, and the keys that sign, as people see them."""

from dataclasses import dataclass
from datetime import datetime

from muster.domain.signals import published_keys, signing_key
from muster.protocol.shared_signals import DeliveryMethod
from muster.storage import outbox, signals, subscriptions
from muster.storage.engine import Transaction


@dataclass(frozen=True, slots=True)
class ReceiverRow:
    """One receiver. *stream_id*, *status* and *method* (push or poll) are absent while it has no stream; *waiting*:
    tokens not taken yet; *not_compliant*: devices of which it was told so."""

    name: str
    audience: str
    created_at: datetime
    allows_private: bool
    stream_id: str | None
    status: str | None
    status_reason: str | None
    method: str | None
    endpoint_url: str | None
    waiting: int
    oldest_waiting_at: datetime | None
    not_compliant: int
    failing_since: datetime | None
    last_error: str | None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """One key that receivers are shown."""

    kid: str
    created_at: datetime
    signs_from: datetime
    is_signing: bool


@dataclass(frozen=True, slots=True)
class KeyMade:
    """A key that was made, and from when it signs."""

    kid: str
    signs_from: datetime


def list_receivers(tx: Transaction) -> tuple[ReceiverRow, ...]:
    """Read all receivers by name."""
    waiting = outbox.count_waiting(tx)
    known = {one.id: one for one in subscriptions.all_of(tx)}
    rows = []
    for receiver in signals.receivers(tx):
        stream = signals.stream_of(tx, receiver.id)
        subscription = None if stream is None else known[stream.id]
        count, oldest = (0, None) if stream is None else waiting.get(stream.id, (0, None))
        rows.append(
            ReceiverRow(
                name=receiver.name,
                audience=receiver.audience,
                created_at=receiver.created_at,
                allows_private=receiver.allows_private,
                stream_id=None if stream is None else stream.id,
                status=None if stream is None else stream.state.value,
                status_reason=None if stream is None else stream.status_reason,
                method=None if stream is None else ("push" if stream.method is DeliveryMethod.PUSH else "poll"),
                endpoint_url=None if stream is None else stream.endpoint_url,
                waiting=count,
                oldest_waiting_at=oldest,
                not_compliant=0 if stream is None else signals.count_not_compliant(tx, stream.id),
                failing_since=None if subscription is None else subscription.failing_since,
                last_error=None if subscription is None else subscription.last_error,
            )
        )
    return tuple(rows)


def list_keys(tx: Transaction, now: datetime) -> tuple[KeyRow, ...]:
    """Read the keys that receivers are shown at *now*, by when they sign."""
    keys = signals.keys(tx)
    signing = signing_key(keys, now)
    return tuple(
        KeyRow(one.kid, one.created_at, one.signs_from, signing is not None and one.kid == signing.kid)
        for one in published_keys(keys, now)
    )

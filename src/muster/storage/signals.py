"""Streams of shared signals, their receivers, the keys that sign, and what each receiver was told of each device."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.control.states import ControlState
from muster.domain.signals import SigningKey
from muster.domain.webhooks import SubscriptionState
from muster.protocol.identifiers import DeviceId
from muster.protocol.shared_signals import Compliance, DeliveryMethod
from muster.storage.among import among
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction
from muster.storage.schema import (
    channels,
    deliveries,
    outbox,
    signal_keys,
    signal_receivers,
    signal_streams,
    signal_subjects,
    subscriptions,
    tellings,
)


@dataclass(frozen=True, slots=True)
class Receiver:
    """Somebody who may set up a stream. *audience*: as his tokens name him. *allows_private*: they may be pushed to an
    address that is not public."""

    id: str
    name: str
    audience: str
    created_at: datetime
    allows_private: bool


@dataclass(frozen=True, slots=True)
class Stream:
    """A receiver's stream. *state*: see SubscriptionState; *events_requested* empty: all that we have."""

    id: str
    receiver: Receiver
    state: SubscriptionState
    method: DeliveryMethod
    endpoint_url: str | None
    authorization_sealed: bytes | None = field(repr=False)
    events_requested: tuple[str, ...]
    description: str | None
    status_reason: str | None
    verification_asked_at: datetime | None


@dataclass(frozen=True, slots=True)
class KnownStatus:
    """What a receiver knows of a device. *status* absent: he takes it for compliant."""

    status: Compliance | None
    is_removed: bool


# --- receivers


def add_receiver(tx: Transaction, receiver: Receiver, token_hash: bytes) -> None:
    """Store a receiver; only the hash of its token is kept. Its name must be new."""
    tx.connection.execute(
        sa.insert(signal_receivers).values(
            id=receiver.id,
            name=receiver.name,
            audience=receiver.audience,
            token_hash=token_hash,
            created_at=receiver.created_at,
            allows_private=receiver.allows_private,
        )
    )


def receivers(tx: Transaction) -> tuple[Receiver, ...]:
    """Read all receivers, by name."""
    rows = tx.connection.execute(sa.select(signal_receivers).order_by(signal_receivers.c.name))
    return tuple(_receiver(row) for row in rows)


def receiver_named(tx: Transaction, name: str) -> Receiver | None:
    """Find a receiver by its name."""
    row = tx.connection.execute(sa.select(signal_receivers).where(signal_receivers.c.name == name)).first()
    return None if row is None else _receiver(row)


def receiver_by_token(tx: Transaction, token_hash: bytes) -> Receiver | None:
    """Find whose token has this hash; None: nobody's."""
    row = tx.connection.execute(sa.select(signal_receivers).where(signal_receivers.c.token_hash == token_hash)).first()
    return None if row is None else _receiver(row)


def set_token(tx: Transaction, receiver_id: str, token_hash: bytes) -> None:
    """Store the hash of a receiver's new token; the former is good no more."""
    tx.connection.execute(
        sa.update(signal_receivers).where(signal_receivers.c.id == receiver_id).values(token_hash=token_hash)
    )


def remove_receiver(tx: Transaction, receiver_id: str) -> None:
    """Remove a receiver, who has no stream any more."""
    tx.connection.execute(sa.delete(signal_receivers).where(signal_receivers.c.id == receiver_id))


# --- streams

_STREAMS = sa.select(
    signal_streams,
    subscriptions.c.state,
    *(column.label(f"of_receiver_{column.name}") for column in signal_receivers.c),
).select_from(
    signal_streams.join(subscriptions, subscriptions.c.id == signal_streams.c.subscription_id).join(
        signal_receivers, signal_receivers.c.id == signal_streams.c.receiver_id
    )
)


def add_stream(tx: Transaction, stream: Stream) -> None:
    """Store what a stream has beside its subscription, which is stored."""
    tx.connection.execute(
        sa.insert(signal_streams).values(
            subscription_id=stream.id, receiver_id=stream.receiver.id, **_changeable(stream)
        )
    )


def change_stream(tx: Transaction, stream: Stream) -> None:
    """Store what a receiver changed of his stream; its state is `subscriptions.set_state`'s."""
    tx.connection.execute(
        sa.update(signal_streams).where(signal_streams.c.subscription_id == stream.id).values(**_changeable(stream))
    )


def streams(tx: Transaction) -> tuple[Stream, ...]:
    """Read all streams, by the names of their receivers."""
    return tuple(_stream(row) for row in tx.connection.execute(_STREAMS.order_by(signal_receivers.c.name)))


def stream_of(tx: Transaction, receiver_id: str) -> Stream | None:
    """Read the stream of a receiver, who has one at most."""
    row = tx.connection.execute(_STREAMS.where(signal_streams.c.receiver_id == receiver_id)).first()
    return None if row is None else _stream(row)


def remove_stream(tx: Transaction, stream_id: str) -> None:
    """Remove a stream with all that waits for it and all that it was told."""
    for table in (outbox, deliveries, signal_subjects, signal_streams):
        tx.connection.execute(sa.delete(table).where(table.c.subscription_id == stream_id))
    tx.connection.execute(sa.delete(subscriptions).where(subscriptions.c.id == stream_id))


# --- what receivers know


def known(tx: Transaction, stream_id: str, device_ids: Sequence[DeviceId]) -> dict[DeviceId, KnownStatus]:
    """Read what the receiver of a stream knows of devices; those of which he was told nothing are absent."""
    rows = tx.connection.execute(
        sa.select(signal_subjects).where(
            signal_subjects.c.subscription_id == stream_id, among(signal_subjects.c.device_id, device_ids)
        )
    )
    return {
        DeviceId(row.device_id): KnownStatus(None if row.status is None else Compliance(row.status), row.is_removed)
        for row in rows
    }


def set_known(tx: Transaction, stream_id: str, device_id: DeviceId, status: KnownStatus) -> None:
    """Store what the receiver of a stream knows of a device."""
    values = {"status": None if status.status is None else status.status.value, "is_removed": status.is_removed}
    insert = tx.insert(signal_subjects).values(subscription_id=stream_id, device_id=device_id, **values)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["subscription_id", "device_id"], set_=values))


def count_not_compliant(tx: Transaction, stream_id: str) -> int:
    """Count the devices of which the receiver of a stream was told last that they are not compliant."""
    counted = sa.select(sa.func.count()).where(
        signal_subjects.c.subscription_id == stream_id,
        signal_subjects.c.status == Compliance.NOT_COMPLIANT.value,
        sa.not_(signal_subjects.c.is_removed),
    )
    return int(tx.connection.scalar(counted) or 0)


def told_states(tx: Transaction, device_ids: Sequence[DeviceId] | None = None) -> dict[DeviceId, ControlState]:
    """Read as what others know devices: all of which they were told anything, or those of *device_ids*."""
    select = (
        sa.select(tellings.c.channel_id, tellings.c.state)
        .select_from(tellings.join(channels, channels.c.id == tellings.c.channel_id))
        .where(are_devices())
        .order_by(tellings.c.channel_id)
    )
    if device_ids is not None:
        select = select.where(among(tellings.c.channel_id, device_ids))
    return {DeviceId(row.channel_id): ControlState(row.state) for row in tx.connection.execute(select)}


def is_device(tx: Transaction, device_id: str) -> bool:
    """Tell whether there is a device of this id."""
    select = sa.select(channels.c.id).where(channels.c.id == device_id, channels.c.device_id == device_id)
    return tx.connection.scalar(select) is not None


# --- keys


def keys(tx: Transaction) -> tuple[SigningKey, ...]:
    """Read all keys that ever signed, or will, by when they sign."""
    rows = tx.connection.execute(sa.select(signal_keys).order_by(signal_keys.c.signs_from))
    return tuple(SigningKey(row.kid, row.jwk, row.key_sealed, row.created_at, row.signs_from) for row in rows)


def add_key(tx: Transaction, key: SigningKey) -> None:
    """Store a key."""
    tx.connection.execute(
        sa.insert(signal_keys).values(
            kid=key.kid,
            jwk=dict(key.jwk),
            key_sealed=key.key_sealed,
            created_at=key.created_at,
            signs_from=key.signs_from,
        )
    )


def _changeable(stream: Stream) -> dict[str, object]:
    return {
        "method": stream.method.value,
        "endpoint_url": stream.endpoint_url,
        "authorization_sealed": stream.authorization_sealed,
        "events_requested": list(stream.events_requested),
        "description": stream.description,
        "status_reason": stream.status_reason,
        "verification_asked_at": stream.verification_asked_at,
    }


def _receiver(row: sa.Row[Any]) -> Receiver:
    return Receiver(row.id, row.name, row.audience, row.created_at, row.allows_private)


def _stream(row: sa.Row[Any]) -> Stream:
    receiver = Receiver(
        row.of_receiver_id,
        row.of_receiver_name,
        row.of_receiver_audience,
        row.of_receiver_created_at,
        row.of_receiver_allows_private,
    )
    return Stream(
        row.subscription_id,
        receiver,
        SubscriptionState(row.state),
        DeliveryMethod(row.method),
        row.endpoint_url,
        row.authorization_sealed,
        tuple(row.events_requested),
        row.description,
        row.status_reason,
        row.verification_asked_at,
    )

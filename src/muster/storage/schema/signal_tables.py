"""Shared signals: who receives them, and what each was told of each device."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, LargeBinary, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

signal_receivers = Table(
    "signal_receivers",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("audience", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
    Column("allows_private", Boolean, nullable=False),
)

signal_streams = Table(
    "signal_streams",
    metadata,
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), primary_key=True),
    Column("receiver_id", Text, ForeignKey("signal_receivers.id"), nullable=False, unique=True),
    Column("method", Text, nullable=False),
    Column("endpoint_url", Text),
    Column("authorization_sealed", LargeBinary),
    Column("events_requested", Json, nullable=False),
    Column("description", Text),
    Column("status_reason", Text),
    Column("verification_asked_at", Instant),
)

signal_subjects = Table(
    "signal_subjects",
    metadata,
    # no foreign key to channels: what a receiver was told of a device outlives it
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), primary_key=True),
    Column("device_id", Identifier, primary_key=True),
    Column("status", Text, comment="as the receiver was told last; absent: he takes it for compliant"),
    Column("is_removed", Boolean, nullable=False, comment="the receiver wants to hear nothing of it"),
    Index(None, "device_id"),
)

signal_keys = Table(
    "signal_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("jwk", Json, nullable=False),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("signs_from", Instant, nullable=False),
)

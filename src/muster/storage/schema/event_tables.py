"""What others are told."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("kind", Text, nullable=False, server_default="webhook"),
    Column("state", Text, nullable=False, server_default="enabled"),
    Column("event_types", Text, nullable=False, server_default="", comment="names with spaces between; empty: all"),
    Column("created_at", Instant, nullable=False),
    Column("failures", Integer, nullable=False, server_default="0", comment="in a row"),
    Column("failing_since", Instant),
    Column("retry_at", Instant, comment="nothing is sent before"),
    Column("last_error", Text),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), primary_key=True),
    Column("url", Text, nullable=False),
    Column("format", Text, nullable=False),
    Column("secret_sealed", LargeBinary, nullable=False),
    Column("former_secret_sealed", LargeBinary),
    Column("former_until", Instant),
    Column("allows_plain", Boolean, nullable=False),
    Column("allows_private", Boolean, nullable=False),
)

deliveries = Table(
    "deliveries",
    metadata,
    # what was delivered, for a while: to show, and to send again
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("detail", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("delivered_at", Instant, nullable=False),
    Column("status", Integer),
    Index(None, "subscription_id", "sequence"),
    Index(None, "delivered_at"),
)

outbox = Table(
    "outbox",
    metadata,
    Column(
        "sequence",
        BigInteger().with_variant(Integer, "sqlite"),
        primary_key=True,
        comment="order within one subscription and channel",
    ),
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("detail", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("last_error", Text),
    Index(None, "subscription_id", "channel_id", "sequence"),
    Index(None, "subscription_id", "due_at"),
    Index(None, "event_id"),
    sqlite_autoincrement=True,
)

tellings = Table(
    "tellings",
    metadata,
    # no foreign key: what others were told of a channel outlives it. Channels of which nobody was told have no row
    Column("channel_id", Identifier, primary_key=True),
    Column("state", Text, nullable=False, comment="as others know it"),
    Column("reason", Text),
    Column("told_at", Instant),
    Column("is_released", Boolean, nullable=False, comment="told upon a person's word"),
    Column("declined", Text, comment="the state of which a person decided that it is not told"),
    Column("held_by", Text, comment="the mass flip for whose release it waits"),
    Index(None, "held_by"),
    Index(None, "told_at"),
)

mass_flips = Table(
    "mass_flips",
    metadata,
    Column("id", Text, primary_key=True),
    Column("opened_at", Instant, nullable=False),
    Column("count", Integer, nullable=False, comment="channels that would have been told of within the hour"),
    Column("fleet", Integer, nullable=False),
    Column("share_percent", Integer, nullable=False),
    Column("ended_at", Instant),
    Column("ended_by", Text),
    Column("is_released", Boolean),
)

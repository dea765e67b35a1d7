"""What others are told."""

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

subscriptions = Table(
    "subscriptions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("created_at", Instant, nullable=False),
)

outbox = Table(
    "outbox",
    metadata,
    Column("subscription_id", Text, ForeignKey("subscriptions.id"), primary_key=True),
    Column("channel_id", Identifier, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, comment="order within one subscription and channel"),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("at", Instant, nullable=False),
    Column("detail", Json, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", Instant, nullable=False),
    Index(None, "due_at"),
)

"""What was observed of channels, what strangers claimed, and when a channel is looked at next."""

from sqlalchemy import Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

evidence = Table(
    "evidence",
    metadata,
    Column("id", Text, nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("signal", Text, nullable=False),
    Column("observed_class", Text, nullable=False),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("detail", Json, nullable=False),
    Index(None, "channel_id", "signal", "first_at"),
    postgresql_partition_by="RANGE (first_at)",
)

compactions = Table(
    "compactions",
    metadata,
    # no foreign key, as with evidence
    Column("id", Text, primary_key=True),
    Column("channel_id", Identifier, nullable=False),
    Column("at", Instant, nullable=False),
    Column("first_at", Instant, nullable=False, comment="of the evidence that was removed"),
    Column("last_at", Instant, nullable=False),
    Column("rows", Integer, nullable=False),
    Column("counts", Json, nullable=False, comment="observations by signal and class, repeats included"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 over the digest before it and the rows removed"),
    Index(None, "channel_id", "at"),
)

rumours = Table(
    "rumours",
    metadata,
    Column("claimed_id", Identifier, primary_key=True),
    Column("refusal_code", Text, primary_key=True),
    Column("source", Text, nullable=False, comment="address of the last one"),
    Column("first_at", Instant, nullable=False),
    Column("last_at", Instant, nullable=False),
    Column("count", Integer, nullable=False),
    Index(None, "last_at"),
)

reviews = Table(
    "reviews",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("next_review_at", Instant, nullable=False),
    Column("reviewed_at", Instant),
    Index(None, "next_review_at"),
    postgresql_with={"fillfactor": 75},
)

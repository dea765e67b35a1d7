"""What devices answered about themselves: the latest of each kind, item by item, and how it changed."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

inventory = Table(
    "inventory",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("kind", Text, primary_key=True, comment="RequestType of the query"),
    Column("learned_at", Instant, nullable=False, comment="when the latest answer of this kind came"),
    Column("digest", LargeBinary, nullable=False, comment="SHA-256 of what is kept, by which a change is told"),
    Column("facts", Json, nullable=False, comment="by key: the value, and when it was learned"),
    postgresql_with={"fillfactor": 75},
)

inventory_items = Table(
    "inventory_items",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("kind", Text, primary_key=True),
    Column("identifier", Identifier, primary_key=True, comment="what tells one item of the kind from the others"),
    Column("name", Text),
    Column("version", Text),
    Column("detail", Json, nullable=False),
    Column("since", Instant, nullable=False, comment="when the device first named it, without a break"),
    Column("changed_at", Instant, nullable=False),
    Index(None, "kind", "identifier"),
)

inventory_changes = Table(
    "inventory_changes",
    metadata,
    Column("id", Text, nullable=False),
    Column("channel_id", Identifier, nullable=False),
    Column("at", Instant, nullable=False),
    Column("kind", Text, nullable=False),
    Column("name", Text, nullable=False, comment="the fact's key, or the item's identifier"),
    Column("before", Json, comment="absent when it is new"),
    Column("after", Json, comment="absent when it is gone"),
    Index(None, "channel_id", "at"),
    Index(None, "at", postgresql_using="brin"),  # rows come in the order of their time: nearly free
    postgresql_partition_by="RANGE (at)",
)

inventory_questions = Table(
    "inventory_questions",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("epoch", Integer, nullable=False, comment="in whose life it was asked; a new one is asked anew"),
    Column("asked", Json, nullable=False, comment="by kind: when it was asked by the schedule, in microseconds"),
    postgresql_with={"fillfactor": 75},
)

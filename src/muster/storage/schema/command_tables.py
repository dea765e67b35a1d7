"""Commands, the queues they wait in, and the reports that answered them."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

commands = Table(
    "commands",
    metadata,
    Column("command_uuid", Identifier, primary_key=True),
    Column("request_type", Text, nullable=False),
    Column(
        "body", LargeBinary, nullable=False, comment="the plist, byte for byte what the device gets, or that sealed"
    ),
    Column("is_sealed", Boolean, nullable=False, comment="the body holds a secret and is sealed at rest"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
)

queue = Table(
    "queue",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("command_uuid", Identifier, ForeignKey("commands.command_uuid"), primary_key=True),
    Column("epoch", Integer, nullable=False, comment="the epoch the command belongs to"),
    Column("purpose", Text, nullable=False),
    Column("rank", Integer, nullable=False, comment="lower goes first: the priority, negated so that one index serves"),
    Column("position", BigInteger, nullable=False, comment="order within a rank"),
    Column("is_withheld", Boolean, nullable=False, comment="stays queued, but isn't handed out again"),
    Column("held_because", Text, comment="why it waits for a person's word; then it is withheld, too"),
    Column("queued_at", Instant, nullable=False),
    Column("not_now_count", Integer, nullable=False),
    Column("handed_out_count", Integer, nullable=False),
    Column("handed_out_at", Instant),
    Index(None, "channel_id", "rank", "position"),
    postgresql_with={"fillfactor": 75},
)

reports = Table(
    "reports",
    metadata,
    Column("channel_id", Identifier, nullable=False),
    Column("command_uuid", Identifier, nullable=False),
    Column("request_type", Text, comment="absent when the command is not one of ours"),
    Column("status", Text, nullable=False, comment="Apple's word, or 'closed' when it was never answered"),
    Column("body", LargeBinary, comment="what the device said, byte for byte, or that sealed; absent when closed"),
    Column("is_sealed", Boolean, nullable=False, comment="the body holds a secret"),
    Column("epoch", Integer, nullable=False),
    Column("queued_at", Instant),
    Column("handed_out_at", Instant),
    Column("handed_out_count", Integer, nullable=False),
    Column("not_now_count", Integer, nullable=False),
    Column("reported_at", Instant, nullable=False),
    Column("faults", Json, comment="what of the answer is not as Apple has it, once it was read; absent when nothing"),
    Index(None, "channel_id", "command_uuid"),
    Index(None, "channel_id", "reported_at"),
    postgresql_partition_by="RANGE (reported_at)",
)

unread_answers = Table(
    "unread_answers",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("command_uuid", Identifier, primary_key=True),
    Column("reported_at", Instant, primary_key=True),
    Column("next_attempt_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False, comment="that a fault of ours has spoiled"),
    Column("error", Text),
    Index(None, "next_attempt_at"),
)

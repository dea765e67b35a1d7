"""Commands, the queues they wait in, and the reports that answered them."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, LargeBinary, PrimaryKeyConstraint, Table, Text

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
    # no foreign key: to look up the command for each device of a fleet would cost more than queueing it
    Column("channel_id", Identifier, nullable=False),
    Column("command_uuid", Identifier, nullable=False),
    Column("epoch", Integer, nullable=False, comment="the epoch the command belongs to"),
    Column("purpose", Text, nullable=False),
    Column("rank", Integer, nullable=False, comment="lower goes first: the priority, negated so that one index serves"),
    Column("position", BigInteger, nullable=False, comment="order within a rank"),
    Column("is_withheld", Boolean, nullable=False, comment="stays queued, but isn't handed out again"),
    Column("held_because", Text, comment="why it is not handed out now; then it is withheld, too"),
    Column("queued_at", Instant, nullable=False),
    Column("not_now_count", Integer, nullable=False),
    Column("handed_out_count", Integer, nullable=False),
    Column("handed_out_at", Instant),
    Column(
        "unanswered_count", Integer, nullable=False, comment="times handed out since the device said anything to it"
    ),
    Column("unanswered_since", Instant, comment="when it was handed out first since then"),
    Column("after_uuid", Identifier, comment="the command of the same channel that it comes after"),
    Column("follows_any", Boolean, nullable=False, comment="goes out also when the former fails"),
    Column("has_followers", Boolean, nullable=False, comment="others come after it"),
    Column("expires_at", Instant, comment="from when on it is not handed out any more"),
    Column("retries_left", Integer, nullable=False, comment="errors after which it is still tried again"),
    Column("failed_count", Integer, nullable=False, comment="errors after which it is tried again"),
    Column("retry_at", Instant, comment="when the pause after an error is over"),
    PrimaryKeyConstraint("command_uuid", "channel_id"),
    Index(None, "channel_id", "rank", "position"),
    postgresql_with={"fillfactor": 75},
)

reports = Table(
    "reports",
    metadata,
    Column("channel_id", Identifier, nullable=False),
    Column("command_uuid", Identifier, nullable=False),
    Column("request_type", Text, comment="absent when the command is not one of ours"),
    Column("purpose", Text, comment="for what it was queued; absent when it wasn't"),
    Column("status", Text, nullable=False, comment="Apple's word, or one of ours where no answer ended it"),
    Column("body", LargeBinary, comment="what the device said, byte for byte, or that sealed; absent when closed"),
    Column("is_sealed", Boolean, nullable=False, comment="the body holds a secret"),
    Column("epoch", Integer, nullable=False),
    Column("queued_at", Instant),
    Column("handed_out_at", Instant),
    Column("handed_out_count", Integer, nullable=False),
    Column("not_now_count", Integer, nullable=False),
    Column("reported_at", Instant, nullable=False),
    Column("because", Text, comment="what is behind a status of ours: the command that took its place, who cancelled"),
    Column("faults", Json, comment="what of the answer is not as Apple has it, once it was read; absent when nothing"),
    Index(None, "command_uuid", "channel_id"),
    Index(None, "channel_id", "reported_at"),
    postgresql_partition_by="RANGE (reported_at)",
)

queue_pauses = Table(
    "queue_pauses",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("paused_at", Instant, nullable=False),
    Column("paused_by", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

disruptions = Table(
    "disruptions",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("command_uuid", Identifier, primary_key=True),
    Column("request_type", Text, nullable=False),
    Column("ordered_at", Instant, nullable=False),
    Column("ordered_by", Text, nullable=False),
    Index(None, "ordered_at"),
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

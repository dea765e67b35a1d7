"""Push: certificates and the requests for them, tokens, wishes, outcomes and breakers."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text, text

from muster.storage.schema.base import metadata
from muster.storage.types import Identifier, Instant

push_certificates = Table(
    "push_certificates",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("certificate_pem", LargeBinary, nullable=False, comment="leaf first, then its chain"),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("uploaded_at", Instant, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("is_current", Boolean, nullable=False, comment="in use for its topic; the former ones are kept"),
    Column("chosen_at", Instant, comment="since when new enrollments get its topic, unless another was chosen later"),
    Column("told_days", Integer, comment="days left when its end was last told about; 0: that it had ended"),
    Index(None, "topic"),
)

push_certificate_requests = Table(
    "push_certificate_requests",
    metadata,
    Column("id", Text, primary_key=True),
    Column("purpose", Text, nullable=False, comment="push or vendor"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("request_der", LargeBinary, nullable=False),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("key_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256 of its SubjectPublicKeyInfo"),
    Column("answered_at", Instant, comment="a certificate for its key was put into use"),
)

vendor_certificates = Table(
    "vendor_certificates",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate_pem", LargeBinary, nullable=False, comment="leaf first, root last"),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("not_after", Instant, nullable=False),
    Column("uploaded_at", Instant, nullable=False),
    Column("uploaded_by", Text, nullable=False),
    Column("is_current", Boolean, nullable=False),
)

push_targets = Table(
    "push_targets",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("topic", Text, nullable=False),
    Column("token", LargeBinary, nullable=False),
    Column("push_magic", Text, nullable=False),
    Column("former_magic", Text, comment="the one before it; a device that takes a renewal back listens to it again"),
    Column("magic_changed_at", Instant, comment="when a TokenUpdate brought another magic than the one before it"),
    Column("updated_at", Instant, nullable=False, comment="time of the TokenUpdate that brought it"),
    Column("tally", Integer, nullable=False, server_default="1", comment="TokenUpdates of this life of the channel"),
    Column("token_since", Instant, comment="time of the first that brought this token; absent: updated_at"),
    Column("refused_at", Instant, comment="APNs said for good that this token is no use; pushing stopped"),
    Column("refusals", Integer, nullable=False, comment="how often, since the last TokenUpdate"),
    Column("throttled_until", Instant, comment="APNs asked for fewer pushes to this token"),
    Column("throttles", Integer, nullable=False, comment="429s in a row"),
    Column("budget_until", Instant, comment="until when the pushes so far are paid for"),
    Column("accepted_at", Instant, comment="when APNs accepted a push last"),
    Column("unanswered", Integer, nullable=False, comment="accepted pushes in a row with no contact between them"),
    Column("last_outcome", Text),
    Column("last_outcome_at", Instant),
    Column("last_reason", Text),
    # none of its columns changes while pushes are accepted, so that PostgreSQL goes on updating in place
    Index(
        "ix_push_targets_refused",
        "topic",
        postgresql_where=text("refused_at IS NOT NULL"),
        sqlite_where=text("refused_at IS NOT NULL"),
    ),
    postgresql_with={"fillfactor": 75},
)

push_wishes = Table(
    "push_wishes",
    metadata,
    # no foreign key: wishes for a fleet would cost four times as much, and no channel is ever deleted
    Column("channel_id", Identifier, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("wanted_at", Instant, nullable=False),
    Column("due_at", Instant, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("failures", Integer, nullable=False, comment="pushes in a row that said nothing of the token"),
    Column("fence", BigInteger, nullable=False, comment="grows with each claim; an outcome names the one it is for"),
    Column("held_because", Text, comment="an obstacle that is ours or APNs'; the wish is released when it goes"),
    Index(None, "due_at"),
    postgresql_with={"fillfactor": 75},
)

pushes = Table(
    "pushes",
    metadata,
    Column("channel_id", Identifier, nullable=False),
    Column("at", Instant, nullable=False, comment="when the outcome was recorded"),
    Column("apns_id", Text, nullable=False),
    Column("topic", Text, nullable=False),
    Column("wanted", Text, nullable=False, comment="why"),
    Column("outcome", Text, nullable=False, comment="its class"),
    Column("status", Integer, nullable=False, comment="HTTP status; 0: no answer"),
    Column("reason", Text, comment="APNs' word, or what went wrong"),
    Column("unregistered_at", Instant, comment="since when the token is dead, as APNs says"),
    Column("latency_ms", Integer, nullable=False),
    Column("attempts", Integer, nullable=False, comment="how often it may have reached APNs"),
    Column("consequence", Text, nullable=False),
    Index(None, "channel_id", "at"),
    Index(None, "at", postgresql_using="brin"),  # rows come in the order of their time: nearly free
    postgresql_partition_by="RANGE (at)",
)

push_breakers = Table(
    "push_breakers",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("cause", Text, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("since", Instant, nullable=False),
    Column("opened_at", Instant, comment="absent: failures are counted, and nothing is held yet"),
    Column("retry_at", Instant),
    Column("probes", Integer, nullable=False),
    Column("is_probing", Boolean, nullable=False),
)

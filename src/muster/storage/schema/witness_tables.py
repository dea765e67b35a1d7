"""What others than the MDM client say of devices: Automated Device Enrollment, declarative management, witnesses."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import metadata
from muster.storage.types import Identifier, Instant

ade_devices = Table(
    "ade_devices",
    metadata,
    Column("serial_number", Identifier, primary_key=True),
    Column("token", Text, nullable=False, comment="name of the server token by which we were told last"),
    Column("profile_status", Text, nullable=False),
    Column("assigned_here", Boolean, nullable=False),
    Column("is_deleted", Boolean, nullable=False, comment="no longer in the organization"),
    Column("changed_at", Instant, nullable=False, comment="since when it is as it is"),
    Column("heard_at", Instant, nullable=False, comment="when it was told last"),
    Index(None, "token"),
)

ade_tokens = Table(
    "ade_tokens",
    metadata,
    Column("name", Text, primary_key=True),
    Column("is_ok", Boolean, nullable=False),
    Column("since", Instant, nullable=False),
    Column("heard_at", Instant, comment="when the service spoke with us by it last; absent: never"),
    Column("why", Text, nullable=False, comment="what the service said where it does not speak with us"),
)

ddm_status = Table(
    "ddm_status",
    metadata,
    Column("channel_id", Identifier, ForeignKey("channels.id"), primary_key=True),
    Column("epoch", Integer, nullable=False, comment="what was told in another one is of another life"),
    Column("heard_at", Instant, comment="last message of the declarative protocol"),
    Column("heard_otherwise_at", Instant, comment="last contact before that which was none of the protocol's"),
    Column("status_at", Instant),
    Column("asked_at", Instant, comment="DeclarativeManagement was acknowledged first without a status since"),
    Column("push_told_at", Instant, comment="when push token or magic were told last"),
    Column("push_token", LargeBinary),
    Column("push_magic", Text),
    Column("enrollment_type", Text),
    Column("is_awaiting_configuration", Boolean),
    Column("report", LargeBinary, comment="the last report, as it came; absent where it is too large to be kept"),
    Column("report_size", Integer, comment="bytes"),
)

witnesses = Table(
    "witnesses",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Identifier, nullable=False, unique=True),
    Column("kind", Text, nullable=False),
    Column("token_hash", LargeBinary, nullable=False, unique=True, comment="SHA-256"),
    Column("token_changed_at", Instant, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("heard_at", Instant),
    Column("sightings", Integer, nullable=False),
    Column("unknown", Integer, nullable=False, comment="sightings of devices that are not known here"),
    Column("window_began_at", Instant),
    Column("posts", Integer, nullable=False, comment="since then"),
)

sightings = Table(
    "sightings",
    metadata,
    Column("witness_id", Text, ForeignKey("witnesses.id", ondelete="CASCADE"), primary_key=True),
    Column("channel_id", Identifier, primary_key=True),
    Column("seen_at", Instant, nullable=False, comment="the latest"),
    Column("says_unmanaged", Boolean, nullable=False),
    Column("noted_at", Instant, nullable=False, comment="when it last became evidence"),
)

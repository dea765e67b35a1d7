"""This installation: its keys, its authorities, and how far it is in the journals of its nodes."""

from sqlalchemy import Boolean, Column, Integer, LargeBinary, Table, Text

from muster.storage.schema.base import metadata
from muster.storage.types import Identifier, Instant

installation = Table(
    "installation",
    metadata,
    Column("id", Text, primary_key=True, comment="UUID of this installation; one row"),
    Column("created_at", Instant, nullable=False),
    Column("profile_identifier", Text, nullable=False, comment="PayloadIdentifier of enrollment profiles, for ever"),
    Column("public_url", Text, comment="where the server last said it is reached; for commands run beside it"),
    Column("check_in_url", Text),
)

ring_canaries = Table(
    "ring_canaries",
    metadata,
    Column("key_id", Text, primary_key=True),
    Column("sealed", LargeBinary, nullable=False, comment="opens only with the key ring that sealed this database"),
)

authorities = Table(
    "authorities",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate_der", LargeBinary, nullable=False),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
    Column("is_current", Boolean, nullable=False),
)

escrow_certificates = Table(
    "escrow_certificates",
    metadata,
    Column("fingerprint", LargeBinary, primary_key=True),
    Column("certificate_der", LargeBinary, nullable=False, comment="to which Macs encrypt their recovery keys"),
    Column("key_sealed", LargeBinary, nullable=False),
    Column("created_at", Instant, nullable=False),
)

journal_marks = Table(
    "journal_marks",
    metadata,
    Column("node", Text, primary_key=True),
    Column(
        "file", Identifier, nullable=False, comment="how far this database has taken in the node's journal: this file"
    ),
    Column("records", Integer, nullable=False, comment="and so many records of it"),
    Column("at", Instant, nullable=False),
)

rollbacks = Table(
    "rollbacks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("noticed_at", Instant, nullable=False),
    Column("node", Text, nullable=False, comment="whose journal showed it"),
    Column("database_at", Instant, comment="how far the database had come; absent: it had taken in nothing"),
    Column("journal_at", Instant, nullable=False, comment="how far the journal went"),
    Column("rebuilt", Integer, nullable=False, comment="records that were replayed"),
)

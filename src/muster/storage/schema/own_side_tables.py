"""Our own side: signs of life of nodes, faults of ours with their times, and what was told of common causes."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text, text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

heartbeats = Table(
    "heartbeats",
    metadata,
    Column("node", Text, primary_key=True),
    Column("worker", Text, primary_key=True, comment="empty: the node itself"),
    Column("beat_at", Instant, nullable=False),
)

outages = Table(
    "outages",
    metadata,
    Column("id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("scope", Text, nullable=False, comment="kind:name of what is touched; empty: everything"),
    Column("began_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("words", Text, nullable=False),
    Column("detail", Json, nullable=False),
    Index(None, "ended_at"),
    Index(
        "ix_outages_open",
        "reason",
        "scope",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
        sqlite_where=text("ended_at IS NULL"),
    ),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("scope", Text, nullable=False, comment="kind:name of what they have in common; empty: everything"),
    Column("began_at", Instant, nullable=False),
    Column("opened_at", Instant, nullable=False, comment="when it was noticed"),
    Column("changed_at", Instant, nullable=False),
    Column("ended_at", Instant),
    Column("sentence", Text, nullable=False),
    Column("channels", Integer, nullable=False, comment="the most that were touched at one time"),
    Index(None, "ended_at"),
    Index(
        "ix_incidents_open",
        "reason",
        "scope",
        unique=True,
        postgresql_where=text("ended_at IS NULL"),
        sqlite_where=text("ended_at IS NULL"),
    ),
)

site_visits = Table(
    "site_visits",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("address", Text, primary_key=True),
    Column("seen_at", Instant, nullable=False, comment="when the device was last found to come from there"),
    Index(None, "address"),
)

sites = Table(
    "sites",
    metadata,
    Column("address", Text, primary_key=True),
    Column("members", Integer, nullable=False),
    Column("silent", Integer, nullable=False, comment="those that fell silent together; 0 where others are heard"),
    Column("silent_since", Instant),
    Column("heard_elsewhere", Integer, nullable=False),
    Column("unpushable", Integer, nullable=False),
    Column("witnessed", Integer, nullable=False),
)

hung_builds = Table(
    "hung_builds",
    metadata,
    Column("build", Text, primary_key=True),
    Column("hung", Integer, nullable=False, comment="devices that stopped in mid-dialogue"),
    Column("since", Instant, nullable=False, comment="the first of their last contacts"),
)

self_tests = Table(
    "self_tests",
    metadata,
    Column("node", Text, primary_key=True),
    Column("tested_at", Instant, nullable=False),
    Column("fingerprint", LargeBinary, comment="SHA-256 of the TLS certificate met at our public address"),
    Column("changed_at", Instant, comment="when another fingerprint than before was met first"),
    Column("not_after", Instant),
    Column("failing_since", Instant, comment="the first of the tests in a row that had no answer"),
    Column("failure", Text, nullable=False),
)

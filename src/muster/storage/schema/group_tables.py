"""Groups of devices, and what goes or is done to everyone whom a query finds."""

from sqlalchemy import Boolean, Column, ForeignKey, Index, Integer, Table, Text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

device_groups = Table(
    "device_groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", Identifier, nullable=False, unique=True, comment="the name as it is compared"),
    Column("query", Text, comment="who is in it; absent where devices are put in by name"),
    Column("created_at", Instant, nullable=False),
    Column("created_by", Text, nullable=False),
)

group_members = Table(
    "group_members",
    metadata,
    Column("group_id", Text, ForeignKey("device_groups.id"), primary_key=True),
    Column("device_id", Identifier, primary_key=True),
    Column("added_at", Instant, nullable=False),
    Index(None, "device_id"),
)

sends = Table(
    "sends",
    metadata,
    Column("id", Text, primary_key=True),
    Column("command_uuid", Identifier, ForeignKey("commands.command_uuid"), nullable=False),
    Column("request_type", Text, nullable=False),
    Column("query", Text, nullable=False),
    Column("to_users", Boolean, nullable=False, comment="to the users' channels of who is found, not the devices'"),
    Column("priority", Integer, nullable=False),
    Column("is_anyway", Boolean, nullable=False),
    Column("named_count", Integer, comment="how many they are, as who ordered it said; no more are ever reached"),
    Column("matched", Integer, nullable=False, comment="how many the query found when it was ordered"),
    Column("after_uuid", Identifier, comment="the command of the same channel that it comes after"),
    Column("follows_any", Boolean, nullable=False, comment="goes out also when the former fails"),
    Column("expires_at", Instant, comment="from when on it is not handed out any more"),
    Column("retries", Integer, nullable=False, comment="how often it is tried again after an error"),
    Column("ordered_at", Instant, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("actor_role", Text, nullable=False),
    Column("actor_source", Text, nullable=False),
    Column("cursor", Identifier, comment="the last channel that was looked at; absent before the first"),
    Column("queued", Integer, nullable=False),
    Column("refused", Json, nullable=False, comment="of those left out: how many for each reason, and an example"),
    Column("finished_at", Instant),
    Column("stopped_because", Text, comment="why it ended before its end"),
    Index(None, "finished_at"),
)

bulk_acts = Table(
    "bulk_acts",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("group_name", Text, nullable=False, comment="the group that they are put into; empty for other acts"),
    Column("query", Text, nullable=False),
    Column("matched", Integer, nullable=False, comment="how many the query found when it was ordered"),
    Column("ordered_at", Instant, nullable=False),
    Column("actor_kind", Text, nullable=False),
    Column("actor_name", Text, nullable=False),
    Column("actor_role", Text, nullable=False),
    Column("actor_source", Text, nullable=False),
    Column("cursor", Identifier, comment="the last device that was looked at; absent before the first"),
    Column("done", Integer, nullable=False),
    Column("refused", Json, nullable=False, comment="of those left out: how many for each reason, and an example"),
    Column("finished_at", Instant),
    Column("stopped_because", Text, comment="why it ended before its end"),
    Index(None, "finished_at"),
)

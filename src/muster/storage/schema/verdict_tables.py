"""Verdicts: what is held of each channel, how it changed, our own faults, and what is done about it."""

from sqlalchemy import Boolean, Column, Double, Index, Integer, Table, Text, text

from muster.storage.schema.base import Json, metadata
from muster.storage.types import Identifier, Instant

verdicts = Table(
    "verdicts",
    metadata,
    Column("channel_id", Identifier, primary_key=True),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("since", Instant, nullable=False, comment="when the state began, not when it was noticed"),
    Column("noticed_at", Instant, nullable=False),
    Column("change_id", Text, nullable=False, comment="the change that led to state and reason"),
    Column("proof_level", Integer, nullable=False),
    Column("proof_at", Instant),
    Column("is_push_proved", Boolean, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("forecast", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("candidates", Json, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("others", Json, nullable=False, comment="reasons found beside the one that decides"),
    Column("notes", Json, nullable=False, comment="what is shown beside it and decides nothing"),
    Column("judged_at", Instant, nullable=False),
    Index(None, "state", "since"),
    # the whole fleet is counted by it without a look at the rows
    Index("ix_verdicts_counts", "state", "reason", "forecast", "channel_id"),
    postgresql_with={"fillfactor": 75},
)

verdict_changes = Table(
    "verdict_changes",
    metadata,
    # no foreign key: a device's story outlives it
    Column("id", Text, primary_key=True),
    Column("channel_id", Identifier, nullable=False),
    Column("device_id", Identifier, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("at", Instant, nullable=False, comment="when it was noticed"),
    Column("since", Instant, nullable=False),
    Column("state_before", Text),
    Column("reason_before", Text),
    Column("state", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("proof_level", Integer, nullable=False),
    Column("sentence", Text, nullable=False),
    Column("forecast", Text, nullable=False),
    Column("next_step", Text, nullable=False),
    Column("candidates", Json, nullable=False),
    Column("evidence", Json, nullable=False),
    Column("others", Json, nullable=False),
    Index(None, "channel_id", "at"),
    Index(None, "device_id", "at"),
    Index(None, "at"),
)

recoveries = Table(
    "recoveries",
    metadata,
    # no foreign key: what was done outlives the device
    Column("id", Text, primary_key=True),
    Column("channel_id", Identifier, nullable=False),
    Column("reason", Text, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("step", Integer, nullable=False, comment="place of the step that was done last"),
    Column("attempts", Integer, nullable=False, comment="how often it was done"),
    Column("acted_at", Instant),
    Column("next_at", Instant, comment="not before then anything is done; none: at a contact, or nothing more"),
    Column("found_until", Instant, comment="when its reason was found last, once it is found no more"),
    Column("probes", Integer, nullable=False, comment="questions since then, for the proof"),
    Column("closed_at", Instant),
    Column("outcome", Text),
    Column("proof_at", Instant),
    Column("log", Json, nullable=False, comment="what was done, and when"),
    Column("put_off_until", Instant, comment="no step is done before then"),
    Index(None, "channel_id", "opened_at"),
    Index(
        "ix_recoveries_open",
        "channel_id",
        "reason",
        unique=True,
        postgresql_where=text("closed_at IS NULL"),
        sqlite_where=text("closed_at IS NULL"),
    ),
    postgresql_with={"fillfactor": 75},
)

control_policies = Table(
    "control_policies",
    metadata,
    Column("group_id", Text, primary_key=True, comment="empty: of all"),
    Column("rank", Integer, nullable=False, comment="of the groups that a device is in the lowest decides"),
    Column("settings", Json, nullable=False),
    Column("changed_at", Instant, nullable=False),
    Column("changed_by", Text, nullable=False),
)

fleet_days = Table(
    "fleet_days",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False, comment="days since 1970-01-01 UTC"),
    Column("active", Integer, nullable=False, comment="devices heard in the weeks before"),
    Column("heard", Integer, nullable=False, comment="those of them that were heard on it"),
    Column("expected", Double, nullable=False, comment="how many should have been, by their rhythms"),
)

fleet_control_days = Table(
    "fleet_control_days",
    metadata,
    Column("day", Integer, primary_key=True, autoincrement=False, comment="days since 1970-01-01 UTC"),
    Column("state", Text, primary_key=True),
    Column("reason", Text, primary_key=True),
    Column("devices", Integer, nullable=False, comment="whose verdict this was when the day ended"),
)

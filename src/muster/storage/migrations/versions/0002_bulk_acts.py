"""What is done to every device that a query finds, and how far it is."""

from alembic import op
from sqlalchemy import JSON, BigInteger, Column, DateTime, Integer, PrimaryKeyConstraint, Text
from sqlalchemy.dialects.postgresql import JSONB, TEXT

revision = "0002"
down_revision = "0001"

Identifier = Text().with_variant(TEXT(collation="C"), "postgresql")
Instant = BigInteger().with_variant(DateTime(timezone=True), "postgresql")
Json = JSON().with_variant(JSONB(), "postgresql")


def upgrade() -> None:
    """Add the table of such acts."""
    op.create_table(
        "bulk_acts",
        Column("id", Text, nullable=False),
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
        PrimaryKeyConstraint("id", name="pk_bulk_acts"),
    )
    op.create_index("ix_bulk_acts_finished_at", "bulk_acts", ["finished_at"])

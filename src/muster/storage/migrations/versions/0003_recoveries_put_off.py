"""Recoveries can be put off by a person."""

from alembic import op
from sqlalchemy import BigInteger, Column, DateTime

revision = "0003"
down_revision = "0002"

Instant = BigInteger().with_variant(DateTime(timezone=True), "postgresql")


def upgrade() -> None:
    """Add until when one is put off."""
    op.add_column("recoveries", Column("put_off_until", Instant, comment="no step is done before then"))

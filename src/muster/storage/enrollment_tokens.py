"""Tokens of account-driven enrollments; only their hashes are kept."""

from datetime import datetime

import sqlalchemy as sa

from muster.domain.enrollment_tokens import EnrollmentToken
from muster.storage.engine import Transaction
from muster.storage.schema import enrollment_tokens


def add(tx: Transaction, token_hash: bytes, token: EnrollmentToken, issued_at: datetime) -> None:
    """Store a new token; those that were never used and have expired go."""
    table = enrollment_tokens
    tx.connection.execute(sa.delete(table).where(table.c.used_at.is_(None), table.c.expires_at <= issued_at))
    tx.connection.execute(
        sa.insert(table).values(
            token_hash=token_hash,
            user_name=token.user_name,
            link_id=token.link_id,
            issued_at=issued_at,
            expires_at=token.expires_at,
        )
    )


def find(tx: Transaction, token_hash: bytes, *, for_update: bool = False) -> EnrollmentToken | None:
    """Read a token; with *for_update* its row is held, so that one device alone comes to use it."""
    select = sa.select(enrollment_tokens).where(enrollment_tokens.c.token_hash == token_hash)
    row = tx.connection.execute(select.with_for_update() if for_update else select).one_or_none()
    return None if row is None else EnrollmentToken(row.user_name, row.link_id, row.expires_at, row.used_by)


def use(tx: Transaction, token_hash: bytes, *, device: bytes, at: datetime) -> None:
    """Record the first device that used a token, and when; a later use changes nothing."""
    table = enrollment_tokens
    tx.connection.execute(
        sa.update(table)
        .where(table.c.token_hash == token_hash, table.c.used_by.is_(None))
        .values(used_by=device, used_at=at)
    )

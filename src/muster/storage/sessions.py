"""Sessions of the console: who is signed in, since when, from where."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.people import Administrator, administrator_of
from muster.storage.schema import administrators, passkeys, sessions


@dataclass(frozen=True, slots=True)
class StoredSession:
    """One session. *id* is its name for people, no secret; *how* they signed in; *source* the address they did from."""

    id: str
    administrator: Administrator
    how: str
    source: str
    user_agent: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime
    may_return: bool
    """The administrator has a way to sign in again: a passkey, a password with codes, or an identity provider."""


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session to store; only the hash of its token is kept."""

    id: str
    token_hash: bytes = field(repr=False)
    administrator_id: str
    how: str
    source: str
    user_agent: str
    created_at: datetime
    expires_at: datetime


def add(tx: Transaction, session: NewSession) -> None:
    """Store a session, and forget those that are over."""
    tx.connection.execute(sa.delete(sessions).where(sessions.c.expires_at <= session.created_at))
    tx.connection.execute(
        sa.insert(sessions).values(
            id=session.id,
            token_hash=session.token_hash,
            administrator_id=session.administrator_id,
            how=session.how,
            source=session.source,
            user_agent=session.user_agent,
            created_at=session.created_at,
            expires_at=session.expires_at,
            last_used_at=session.created_at,
        )
    )


def find(tx: Transaction, token_hash: bytes, now: datetime, idle_since: datetime) -> StoredSession | None:
    """Read a session; None when it is unknown, over, unused since *idle_since*, or its administrator is shut out."""
    row = tx.connection.execute(
        _select().where(
            sessions.c.token_hash == token_hash, sessions.c.expires_at > now, sessions.c.last_used_at > idle_since
        )
    ).one_or_none()
    return None if row is None else _session(row)


def of_administrator(tx: Transaction, administrator_id: str, now: datetime) -> tuple[StoredSession, ...]:
    """Read the sessions of an administrator that are not over, the one used last first."""
    rows = tx.connection.execute(
        _select()
        .where(sessions.c.administrator_id == administrator_id, sessions.c.expires_at > now)
        .order_by(sessions.c.last_used_at.desc())
    )
    return tuple(_session(row) for row in rows)


def note_use(tx: Transaction, token_hash: bytes, at: datetime) -> None:
    """Note that a session was used."""
    tx.connection.execute(
        sa.update(sessions)
        .where(sessions.c.token_hash == token_hash, sessions.c.last_used_at < at)
        .values(last_used_at=at)
    )


def end(tx: Transaction, token_hash: bytes) -> None:
    """End a session."""
    tx.connection.execute(sa.delete(sessions).where(sessions.c.token_hash == token_hash))


def end_one(tx: Transaction, administrator_id: str, session_id: str) -> bool:
    """End the session of that id, if it is this administrator's; tells whether there was one."""
    condition = sa.and_(sessions.c.id == session_id, sessions.c.administrator_id == administrator_id)
    return tx.connection.execute(sa.delete(sessions).where(condition)).rowcount > 0


def end_others(tx: Transaction, administrator_id: str, token_hash: bytes) -> int:
    """End all sessions of an administrator but this one; returns how many there were."""
    condition = sa.and_(sessions.c.administrator_id == administrator_id, sessions.c.token_hash != token_hash)
    return tx.connection.execute(sa.delete(sessions).where(condition)).rowcount


def _select() -> sa.Select[Any]:
    own = [sessions.c[name] for name in ("how", "source", "user_agent", "expires_at", "last_used_at")]
    has_passkey = sa.exists().where(passkeys.c.administrator_id == administrators.c.id).label("has_passkey")
    named = sessions.c.id.label("session_id"), sessions.c.created_at.label("opened_at")
    return (
        sa.select(administrators, *own, *named, has_passkey)
        .join(sessions, sessions.c.administrator_id == administrators.c.id)
        .where(administrators.c.disabled_at.is_(None))
    )


def _session(row: Any) -> StoredSession:
    return StoredSession(
        row.session_id,
        administrator_of(row),
        row.how,
        row.source,
        row.user_agent,
        row.opened_at,
        row.expires_at,
        row.last_used_at,
        bool(row.has_passkey or row.external_id or (row.password_hash and row.totp_sealed)),
    )

"""People who may enroll devices, their short sessions, and how often somebody tried to sign in."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from muster.domain.enrollment_users import EnrollmentUser
from muster.storage.engine import Transaction
from muster.storage.schema import enrollment_sessions, enrollment_users, sign_in_attempts


@dataclass(frozen=True, slots=True)
class StoredUser:
    """A user, and what the password hashes to."""

    user: EnrollmentUser
    password_hash: str


def find(tx: Transaction, user_name: str) -> StoredUser | None:
    """Read a user by the normalised name, disabled ones too."""
    row = tx.connection.execute(
        sa.select(enrollment_users).where(enrollment_users.c.user_name == user_name)
    ).one_or_none()
    return None if row is None else StoredUser(_user(row), row.password_hash)


def all_users(tx: Transaction) -> list[EnrollmentUser]:
    """Read every user, by name."""
    rows = tx.connection.execute(sa.select(enrollment_users).order_by(enrollment_users.c.user_name))
    return [_user(row) for row in rows]


def _user(row: sa.Row[tuple[object, ...]]) -> EnrollmentUser:
    return EnrollmentUser(row.user_name, row.created_at, row.disabled_at)


def add(tx: Transaction, user: EnrollmentUser, password_hash: str) -> bool:
    """Store a new user; False where there is one of that name."""
    added = tx.connection.execute(
        tx.insert(enrollment_users)
        .values(
            user_name=user.user_name,
            password_hash=password_hash,
            created_at=user.created_at,
            disabled_at=user.disabled_at,
        )
        .on_conflict_do_nothing()
        .returning(enrollment_users.c.user_name)
    ).one_or_none()
    return added is not None


def set_password(tx: Transaction, user_name: str, password_hash: str) -> None:
    """Replace a user's password, and end the sessions that the old one opened."""
    tx.connection.execute(
        sa.update(enrollment_users)
        .where(enrollment_users.c.user_name == user_name)
        .values(password_hash=password_hash, disabled_at=None)
    )
    end_sessions(tx, user_name)


def disable(tx: Transaction, user_name: str, at: datetime) -> None:
    """Let a user sign in no more, and end the sessions there are."""
    tx.connection.execute(
        sa.update(enrollment_users)
        .where(enrollment_users.c.user_name == user_name, enrollment_users.c.disabled_at.is_(None))
        .values(disabled_at=at)
    )
    end_sessions(tx, user_name)


# --- sessions ---------------------------------------------------------------------------------------------------------


def add_session(tx: Transaction, *, token_hash: bytes, user_name: str, at: datetime, expires_at: datetime) -> None:
    """Store a session; only the hash of its token is kept. Those that are over go."""
    tx.connection.execute(sa.delete(enrollment_sessions).where(enrollment_sessions.c.expires_at <= at))
    tx.connection.execute(
        sa.insert(enrollment_sessions).values(
            token_hash=token_hash, user_name=user_name, created_at=at, expires_at=expires_at
        )
    )


def session(tx: Transaction, token_hash: bytes, now: datetime) -> EnrollmentUser | None:
    """Read whose session it is; None when it is unknown or over, or its user disabled."""
    row = tx.connection.execute(
        sa.select(enrollment_users)
        .join(enrollment_sessions, enrollment_sessions.c.user_name == enrollment_users.c.user_name)
        .where(
            enrollment_sessions.c.token_hash == token_hash,
            enrollment_sessions.c.expires_at > now,
            enrollment_users.c.disabled_at.is_(None),
        )
    ).one_or_none()
    return None if row is None else _user(row)


def end_sessions(tx: Transaction, user_name: str) -> None:
    """End every session of a user."""
    tx.connection.execute(sa.delete(enrollment_sessions).where(enrollment_sessions.c.user_name == user_name))


# --- attempts ---------------------------------------------------------------------------------------------------------


def count_attempt(tx: Transaction, subject: bytes, now: datetime, window: timedelta) -> int:
    """Count an attempt under *subject* (a hash of what is counted); returns how many there were in the window that
    the first of them opened. Windows that are over go, so that the table holds those of one window at most."""
    table = sign_in_attempts
    tx.connection.execute(sa.delete(table).where(table.c.ends_at <= now))
    count: int = tx.connection.execute(
        tx.insert(table)
        .values(subject=subject, attempts=1, ends_at=now + window)
        .on_conflict_do_update(index_elements=[table.c.subject], set_={"attempts": table.c.attempts + 1})
        .returning(table.c.attempts)
    ).scalar_one()
    return count


def attempts_of(tx: Transaction, subject: bytes, now: datetime) -> int:
    """Return how many attempts there were under *subject* in the window that is open; 0 where none is."""
    table = sign_in_attempts
    is_open = sa.and_(table.c.subject == subject, table.c.ends_at > now)
    count: int | None = tx.connection.scalar(sa.select(table.c.attempts).where(is_open))
    return count or 0


def forgive_attempt(tx: Transaction, subject: bytes) -> None:
    """Take one attempt back: it was right."""
    table = sign_in_attempts
    tx.connection.execute(
        sa.update(table).where(table.c.subject == subject, table.c.attempts > 0).values(attempts=table.c.attempts - 1)
    )


def forget_attempts(tx: Transaction, subject: bytes) -> None:
    """Forget every attempt under *subject*."""
    tx.connection.execute(sa.delete(sign_in_attempts).where(sign_in_attempts.c.subject == subject))

"""Administrators, their ways to sign in, and the log of what was done, a hash chain."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.access import Actor
from muster.domain.roles import Role
from muster.storage.engine import Transaction
from muster.storage.schema import administrators, audit, sessions, sign_in_links
from muster.storage.types import to_microseconds


@dataclass(frozen=True, slots=True)
class Administrator:
    """A person who may sign in."""

    id: str
    name: str
    role: Role


def _administrator(row: Any) -> Administrator:
    return Administrator(row.id, row.name, Role(row.role))


def find_administrator(tx: Transaction, name: str) -> Administrator | None:
    """Read an administrator by name."""
    row = tx.connection.execute(sa.select(administrators).where(administrators.c.name == name)).one_or_none()
    return None if row is None else _administrator(row)


def count_administrators(tx: Transaction) -> int:
    """Count the administrators there are."""
    return tx.connection.execute(sa.select(sa.func.count()).select_from(administrators)).scalar_one()


def add_administrator(tx: Transaction, administrator: Administrator, at: datetime) -> None:
    """Store a new administrator."""
    tx.connection.execute(
        sa.insert(administrators).values(
            id=administrator.id, name=administrator.name, role=administrator.role.value, created_at=at
        )
    )


def set_role(tx: Transaction, administrator_id: str, role: Role) -> None:
    """Give an administrator another role."""
    tx.connection.execute(
        sa.update(administrators).where(administrators.c.id == administrator_id).values(role=role.value)
    )


def all_administrators(tx: Transaction) -> tuple[Administrator, ...]:
    """Read every administrator, by name."""
    return tuple(_administrator(row) for row in tx.connection.execute(sa.select(administrators).order_by("name")))


def add_sign_in_link(
    tx: Transaction, *, token_hash: bytes, administrator_id: str, at: datetime, expires_at: datetime
) -> None:
    """Store a one-time way in; only the hash of its token is kept."""
    tx.connection.execute(
        sa.insert(sign_in_links).values(
            token_hash=token_hash, administrator_id=administrator_id, created_at=at, expires_at=expires_at
        )
    )


def use_sign_in_link(tx: Transaction, token_hash: bytes, now: datetime) -> Administrator | None:
    """Use a one-time way in; None when it is unknown, used or expired."""
    used = tx.connection.execute(
        sa.update(sign_in_links)
        .where(
            sign_in_links.c.token_hash == token_hash,
            sign_in_links.c.used_at.is_(None),
            sign_in_links.c.expires_at > now,
        )
        .values(used_at=now)
        .returning(sign_in_links.c.administrator_id)
    ).one_or_none()
    if used is None:
        return None
    row = tx.connection.execute(sa.select(administrators).where(administrators.c.id == used.administrator_id)).one()
    return _administrator(row)


def add_session(
    tx: Transaction, *, token_hash: bytes, administrator_id: str, at: datetime, expires_at: datetime
) -> None:
    """Store a session; only the hash of its token is kept."""
    tx.connection.execute(
        sa.insert(sessions).values(
            token_hash=token_hash, administrator_id=administrator_id, created_at=at, expires_at=expires_at
        )
    )


def session(tx: Transaction, token_hash: bytes, now: datetime) -> Administrator | None:
    """Read whose session it is; None when it is unknown or over."""
    row = tx.connection.execute(
        sa.select(administrators)
        .join(sessions, sessions.c.administrator_id == administrators.c.id)
        .where(sessions.c.token_hash == token_hash, sessions.c.expires_at > now)
    ).one_or_none()
    return None if row is None else _administrator(row)


def end_session(tx: Transaction, token_hash: bytes) -> None:
    """End a session."""
    tx.connection.execute(sa.delete(sessions).where(sessions.c.token_hash == token_hash))


# --- audit ------------------------------------------------------------------------------------------------------------

AuditDetail = Mapping[str, str | int | bool | None]
"""What the log says of an act. Fields are named one by one where the act is done: nothing is logged by default."""


def record_act(tx: Transaction, actor: Actor, act: str, subject: str, detail: AuditDetail, at: datetime) -> None:
    """Append to the audit log; its writers take turns, for each row's hash covers the row before it."""
    tx.lock_name("audit")
    last = tx.connection.execute(
        sa.select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
    ).one_or_none()
    sequence, former = (1, b"") if last is None else (last.sequence + 1, last.hash)
    tx.connection.execute(
        sa.insert(audit).values(
            sequence=sequence,
            at=at,
            actor_kind=actor.kind.value,
            actor_name=actor.name,
            act=act,
            subject=subject,
            detail=dict(detail),
            hash=audit_hash(former, sequence, at, actor, act, subject, detail),
        )
    )


def audit_hash(
    former: bytes, sequence: int, at: datetime, actor: Actor, act: str, subject: str, detail: AuditDetail
) -> bytes:
    """Return the hash of a row of the audit log: SHA-256 over the former hash and the row as canonical JSON."""
    row = [sequence, to_microseconds(at), actor.kind.value, actor.name, act, subject, dict(detail)]
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(former + text.encode()).digest()

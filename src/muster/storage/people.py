"""Administrators, their ways to sign in, and the log of what was done, a hash chain."""

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.access import Actor
from muster.domain.roles import Role
from muster.storage.engine import Transaction
from muster.storage.schema import administrators, audit, sessions, sign_in_links, sign_in_states
from muster.storage.types import to_microseconds


@dataclass(frozen=True, slots=True)
class Administrator:
    """A person who may sign in, unless *disabled_at* is there. *groups*: ids of the device groups that they are limited
    to; None: the whole fleet."""

    id: str
    name: str
    role: Role
    groups: frozenset[str] | None = None
    disabled_at: datetime | None = None


def administrator_of(row: Any) -> Administrator:
    """Read a row of the table of administrators."""
    groups = None if row.scope is None else frozenset(row.scope)
    return Administrator(row.id, row.name, Role(row.role), groups, row.disabled_at)


def find_administrator(tx: Transaction, name: str) -> Administrator | None:
    """Read an administrator by name."""
    row = tx.connection.execute(sa.select(administrators).where(administrators.c.name == name)).one_or_none()
    return None if row is None else administrator_of(row)


def count_administrators(tx: Transaction) -> int:
    """Count the administrators there are."""
    return tx.connection.execute(sa.select(sa.func.count()).select_from(administrators)).scalar_one()


def add_administrator(tx: Transaction, administrator: Administrator, at: datetime) -> None:
    """Store a new administrator."""
    tx.connection.execute(
        sa.insert(administrators).values(
            id=administrator.id,
            name=administrator.name,
            role=administrator.role.value,
            scope=_scope(administrator.groups),
            created_at=at,
        )
    )


def set_role(tx: Transaction, administrator_id: str, role: Role, groups: frozenset[str] | None) -> None:
    """Give an administrator another role, and another scope."""
    tx.connection.execute(
        sa.update(administrators)
        .where(administrators.c.id == administrator_id)
        .values(role=role.value, scope=_scope(groups))
    )


def set_disabled(tx: Transaction, administrator_id: str, at: datetime | None) -> None:
    """Let an administrator sign in no more from *at* on, or again."""
    tx.connection.execute(
        sa.update(administrators).where(administrators.c.id == administrator_id).values(disabled_at=at)
    )


def _scope(groups: frozenset[str] | None) -> object:
    """Return what is stored: SQL's NULL, not JSON's, where there is no limit."""
    return sa.null() if groups is None else sorted(groups)


def all_administrators(tx: Transaction) -> tuple[Administrator, ...]:
    """Read every administrator, by name."""
    return tuple(administrator_of(row) for row in tx.connection.execute(sa.select(administrators).order_by("name")))


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
    administrator = administrator_of(row)
    return None if administrator.disabled_at else administrator


def end_sessions(tx: Transaction, administrator_id: str) -> None:
    """End every session of an administrator, and every way in that was begun."""
    tx.connection.execute(sa.delete(sessions).where(sessions.c.administrator_id == administrator_id))
    tx.connection.execute(sa.delete(sign_in_links).where(sign_in_links.c.administrator_id == administrator_id))
    tx.connection.execute(sa.delete(sign_in_states).where(sign_in_states.c.administrator_id == administrator_id))


# --- audit ------------------------------------------------------------------------------------------------------------

AuditDetail = Mapping[str, str | int | bool | None]
"""What the log says of an act. Fields are named one by one where the act is done: nothing is logged by default."""


def record_act(tx: Transaction, actor: Actor, act: str, subject: str, detail: AuditDetail, at: datetime) -> None:
    """Append to the audit log; its writers take turns, for each row's hash covers the row before it."""
    tx.lock_name("audit")
    number, former = end_of_audit(tx)
    sequence = number + 1
    tx.connection.execute(
        sa.insert(audit).values(
            sequence=sequence,
            at=at,
            actor_kind=actor.kind.value,
            actor_name=actor.name,
            source=actor.source,
            act=act,
            subject=subject,
            detail=dict(detail),
            hash=audit_hash(former, sequence, at, actor, act, subject, detail),
        )
    )


@dataclass(frozen=True, slots=True)
class RecordedAct:
    """An act of the audit log."""

    act: str
    subject: str
    detail: AuditDetail
    at: datetime


def acts_until(tx: Transaction, acts: Collection[str], until: datetime) -> tuple[RecordedAct, ...]:
    """Read the acts of these kinds that were done by *until*, in the order of the log."""
    columns = (audit.c.act, audit.c.subject, audit.c.detail, audit.c.at)
    select = sa.select(*columns).where(audit.c.act.in_(acts), audit.c.at <= until).order_by(audit.c.sequence)
    return tuple(RecordedAct(row.act, row.subject, row.detail, row.at) for row in tx.connection.execute(select))


def end_of_audit(tx: Transaction) -> tuple[int, bytes]:
    """Return how many acts the audit log has, and the hash over all of them; 0 and nothing where it has none."""
    last = tx.connection.execute(
        sa.select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
    ).one_or_none()
    return (0, b"") if last is None else (last.sequence, last.hash)


def hash_of_act(tx: Transaction, sequence: int) -> bytes | None:
    """Return the hash over the acts of the audit log up to the one of that number; None where there is none."""
    value: bytes | None = tx.connection.scalar(sa.select(audit.c.hash).where(audit.c.sequence == sequence))
    return value


def audit_hash(
    former: bytes, sequence: int, at: datetime, actor: Actor, act: str, subject: str, detail: AuditDetail
) -> bytes:
    """Return the hash of a row of the audit log: SHA-256 over the former hash and the row as canonical JSON."""
    who = [actor.kind.value, actor.name, actor.source]
    row = [sequence, to_microseconds(at), *who, act, subject, dict(detail)]
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(former + text.encode()).digest()

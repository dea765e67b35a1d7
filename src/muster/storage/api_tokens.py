"""Tokens by which programs speak to us: who each is, what it may, until when."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.roles import Role
from muster.storage.engine import Transaction
from muster.storage.schema import api_tokens


@dataclass(frozen=True, slots=True)
class ApiToken:
    """One token, without its secret. *groups*: ids of those that it is limited to; None: the whole fleet."""

    id: str
    name: str
    role: Role
    groups: frozenset[str] | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None = None
    last_source: str = field(default="")


def add(tx: Transaction, token: ApiToken, token_hash: bytes) -> None:
    """Store a new token; only the hash of its secret is kept."""
    tx.connection.execute(
        sa.insert(api_tokens).values(
            id=token.id,
            token_hash=token_hash,
            name=token.name,
            role=token.role.value,
            scope=sa.null() if token.groups is None else sorted(token.groups),
            created_at=token.created_at,
            created_by=token.created_by,
            expires_at=token.expires_at,
            last_source="",
        )
    )


def find(tx: Transaction, token_hash: bytes, now: datetime) -> ApiToken | None:
    """Read a token by its hash; None when it is unknown or expired."""
    condition = sa.and_(api_tokens.c.token_hash == token_hash, api_tokens.c.expires_at > now)
    row = tx.connection.execute(sa.select(api_tokens).where(condition)).one_or_none()
    return None if row is None else _token(row)


def named(tx: Transaction, name: str) -> ApiToken | None:
    """Read a token by its name, an expired one too."""
    row = tx.connection.execute(sa.select(api_tokens).where(api_tokens.c.name == name)).one_or_none()
    return None if row is None else _token(row)


def all_tokens(tx: Transaction) -> tuple[ApiToken, ...]:
    """Read every token, by name."""
    return tuple(_token(row) for row in tx.connection.execute(sa.select(api_tokens).order_by(api_tokens.c.name)))


def count(tx: Transaction) -> int:
    """Count the tokens there are."""
    return tx.connection.execute(sa.select(sa.func.count()).select_from(api_tokens)).scalar_one()


def remove(tx: Transaction, token_id: str) -> None:
    """Forget a token: it is good no more."""
    tx.connection.execute(sa.delete(api_tokens).where(api_tokens.c.id == token_id))


def note_use(tx: Transaction, token_id: str, at: datetime, source: str) -> None:
    """Note when, and from where, a token was used."""
    tx.connection.execute(
        sa.update(api_tokens).where(api_tokens.c.id == token_id).values(last_used_at=at, last_source=source)
    )


def _token(row: Any) -> ApiToken:
    return ApiToken(
        row.id,
        row.name,
        Role(row.role),
        None if row.scope is None else frozenset(row.scope),
        row.created_at,
        row.created_by,
        row.expires_at,
        row.last_used_at,
        row.last_source,
    )

"""Passkeys of administrators: the public halves."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.schema import passkeys


@dataclass(frozen=True, slots=True)
class StoredPasskey:
    """One passkey."""

    credential_id: bytes
    administrator_id: str
    name: str
    public_key: bytes
    sign_count: int


def add(tx: Transaction, passkey: StoredPasskey, at: datetime) -> bool:
    """Store a passkey; False where there is one of that id."""
    added = tx.connection.execute(
        tx.insert(passkeys)
        .values(
            credential_id=passkey.credential_id,
            administrator_id=passkey.administrator_id,
            name=passkey.name,
            public_key=passkey.public_key,
            sign_count=passkey.sign_count,
            created_at=at,
        )
        .on_conflict_do_nothing()
        .returning(passkeys.c.name)
    ).one_or_none()
    return added is not None


def find(tx: Transaction, credential_id: bytes) -> StoredPasskey | None:
    """Read a passkey; None when it is unknown."""
    row = tx.connection.execute(sa.select(passkeys).where(passkeys.c.credential_id == credential_id)).one_or_none()
    if row is None:
        return None
    return StoredPasskey(
        bytes(row.credential_id), row.administrator_id, row.name, bytes(row.public_key), row.sign_count
    )


def ids_of(tx: Transaction, administrator_id: str) -> tuple[bytes, ...]:
    """Read the ids of an administrator's passkeys."""
    select = sa.select(passkeys.c.credential_id).where(passkeys.c.administrator_id == administrator_id)
    return tuple(bytes(one) for one in tx.connection.scalars(select))


def note_use(tx: Transaction, credential_id: bytes, sign_count: int, at: datetime) -> None:
    """Note that a passkey was used, and what its authenticator counts."""
    tx.connection.execute(
        sa.update(passkeys)
        .where(passkeys.c.credential_id == credential_id)
        .values(sign_count=sign_count, last_used_at=at)
    )


def remove(tx: Transaction, administrator_id: str, credential_id: bytes) -> bool:
    """Forget a passkey, if it is this administrator's; tells whether there was one."""
    condition = sa.and_(passkeys.c.credential_id == credential_id, passkeys.c.administrator_id == administrator_id)
    return tx.connection.execute(sa.delete(passkeys).where(condition)).rowcount > 0

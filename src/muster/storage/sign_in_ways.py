"""By what administrators sign in: passwords, one-time passwords, recovery codes; and what is kept between two steps."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.people import Administrator, administrator_of
from muster.storage.schema import administrators, passkeys, recovery_codes, sign_in_states


@dataclass(frozen=True, slots=True)
class Ways:
    """What is kept of an administrator's ways to sign in. *last_step*: of the last one-time password that was used."""

    administrator: Administrator
    password_hash: str | None = field(repr=False)
    totp_sealed: bytes | None = field(repr=False)
    last_step: int | None
    external_id: str | None


def of_name(tx: Transaction, name: str) -> Ways | None:
    """Read an administrator's ways by the name; None where there is none, or they are shut out."""
    return _ways(tx, administrators.c.name == name)


def of_id(tx: Transaction, administrator_id: str) -> Ways | None:
    """Read an administrator's ways by the id; None as above."""
    return _ways(tx, administrators.c.id == administrator_id)


def of_external(tx: Transaction, external_id: str) -> Administrator | None:
    """Read who is known by this name at the identity provider, shut out or not; None where nobody is."""
    row = tx.connection.execute(
        sa.select(administrators).where(administrators.c.external_id == external_id)
    ).one_or_none()
    return None if row is None else administrator_of(row)


def _ways(tx: Transaction, condition: sa.ColumnElement[bool]) -> Ways | None:
    row: Any = tx.connection.execute(
        sa.select(administrators).where(condition, administrators.c.disabled_at.is_(None))
    ).one_or_none()
    if row is None:
        return None
    return Ways(administrator_of(row), row.password_hash, row.totp_sealed, row.totp_step, row.external_id)


def set_password(tx: Transaction, administrator_id: str, password_hash: str) -> None:
    """Replace the password."""
    _update(tx, administrator_id, password_hash=password_hash)


def set_totp(tx: Transaction, administrator_id: str, sealed: bytes, step: int) -> None:
    """Replace the secret of one-time passwords; *step* is that of the one which showed that it arrived."""
    _update(tx, administrator_id, totp_sealed=sealed, totp_step=step)


def use_step(tx: Transaction, administrator_id: str, step: int) -> bool:
    """Note the use of a one-time password; False where another sign-in used this one, or a later one, meanwhile."""
    is_later = sa.or_(administrators.c.totp_step.is_(None), administrators.c.totp_step < step)
    updated = tx.connection.execute(
        sa.update(administrators).where(administrators.c.id == administrator_id, is_later).values(totp_step=step)
    )
    return updated.rowcount > 0


def set_external(tx: Transaction, administrator_id: str, external_id: str) -> None:
    """Tie an administrator to a name at the identity provider."""
    _update(tx, administrator_id, external_id=external_id)


def reset(tx: Transaction, administrator_id: str) -> None:
    """Forget every way to sign in."""
    _update(tx, administrator_id, password_hash=None, totp_sealed=None, totp_step=None, external_id=None)
    for table in (recovery_codes, passkeys):
        tx.connection.execute(sa.delete(table).where(table.c.administrator_id == administrator_id))


def _update(tx: Transaction, administrator_id: str, **values: object) -> None:
    tx.connection.execute(sa.update(administrators).where(administrators.c.id == administrator_id).values(**values))


# --- recovery codes ---------------------------------------------------------------------------------------------------


def replace_codes(tx: Transaction, administrator_id: str, hashes: Iterable[bytes]) -> None:
    """Store new recovery codes in place of those there are; only their hashes are kept."""
    tx.connection.execute(sa.delete(recovery_codes).where(recovery_codes.c.administrator_id == administrator_id))
    rows = [{"code_hash": one, "administrator_id": administrator_id} for one in hashes]
    tx.connection.execute(sa.insert(recovery_codes), rows)


def use_code(tx: Transaction, administrator_id: str, code_hash: bytes, at: datetime) -> bool:
    """Use a recovery code up; False where it is unknown, another's or used."""
    updated = tx.connection.execute(
        sa.update(recovery_codes)
        .where(
            recovery_codes.c.code_hash == code_hash,
            recovery_codes.c.administrator_id == administrator_id,
            recovery_codes.c.used_at.is_(None),
        )
        .values(used_at=at)
    )
    return updated.rowcount > 0


def count_codes(tx: Transaction, administrator_id: str) -> int:
    """Count the recovery codes that are left."""
    condition = sa.and_(recovery_codes.c.administrator_id == administrator_id, recovery_codes.c.used_at.is_(None))
    return tx.connection.execute(sa.select(sa.func.count()).select_from(recovery_codes).where(condition)).scalar_one()


# --- what a sign-in in between keeps ----------------------------------------------------------------------------------


def add_state(
    tx: Transaction,
    *,
    token_hash: bytes,
    kind: str,
    administrator_id: str | None,
    sealed: bytes,
    at: datetime,
    expires_at: datetime,
) -> None:
    """Keep what the browser's next request is held against; what is over goes."""
    tx.connection.execute(sa.delete(sign_in_states).where(sign_in_states.c.expires_at <= at))
    tx.connection.execute(
        sa.insert(sign_in_states).values(
            token_hash=token_hash, kind=kind, administrator_id=administrator_id, sealed=sealed, expires_at=expires_at
        )
    )


def take_state(
    tx: Transaction, token_hash: bytes, kind: str, administrator_id: str | None, now: datetime
) -> bytes | None:
    """Take what was kept, which is good once; None where there is nothing of this kind and administrator."""
    whose = sign_in_states.c.administrator_id
    row = tx.connection.execute(
        sa.delete(sign_in_states)
        .where(
            sign_in_states.c.token_hash == token_hash,
            sign_in_states.c.kind == kind,
            whose.is_(None) if administrator_id is None else whose == administrator_id,
            sign_in_states.c.expires_at > now,
        )
        .returning(sign_in_states.c.sealed)
    ).one_or_none()
    return None if row is None else bytes(row.sealed)

"""Administrators, and by what they sign in."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.roles import Role
from muster.operations.manage_tokens import NewToken
from muster.operations.sign_in import SignInLink
from muster.storage import api_tokens, groups, people, sessions, sign_in_ways
from muster.storage.engine import Transaction
from muster.storage.schema import administrators, passkeys
from muster.storage.sessions import StoredSession

GONE = "(a group that is gone)"
"""What a group in a scope is called that there is no more: nobody is in it."""


@dataclass(frozen=True, slots=True)
class AdministratorRow:
    """One administrator. *groups*: names of those that they are limited to, None for the whole fleet; *ways*: by what
    they can sign in, beside links."""

    name: str
    role: str
    groups: tuple[str, ...] | None
    ways: tuple[str, ...]
    disabled_at: datetime | None


def list_administrators(tx: Transaction) -> tuple[AdministratorRow, ...]:
    """List the administrators, by name."""
    columns = administrators.c
    known = {
        row.id: row
        for row in tx.connection.execute(
            sa.select(columns.id, columns.password_hash, columns.totp_sealed, columns.external_id)
        )
    }
    keys = Counter(tx.connection.scalars(sa.select(passkeys.c.administrator_id)))
    rows = []
    for one in people.all_administrators(tx):
        has = known[one.id]
        ways = []
        if has.password_hash is not None and has.totp_sealed is not None:
            ways.append("password")
        if keys[one.id]:
            ways.append("passkey" if keys[one.id] == 1 else f"{keys[one.id]} passkeys")
        if has.external_id is not None:
            ways.append("identity provider")
        rows.append(
            AdministratorRow(one.name, one.role.value, scope_names(tx, one.groups), tuple(ways), one.disabled_at)
        )
    return tuple(rows)


def scope_names(tx: Transaction, group_ids: frozenset[str] | None) -> tuple[str, ...] | None:
    """Return the names of the groups of a scope; None for the whole fleet."""
    if group_ids is None:
        return None
    names = {group.id: group.name for group in groups.read_all(tx).values()}
    return tuple(sorted(names.get(one, GONE) for one in group_ids))


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One token for programs. *groups* as above; *last_used_at* absent: never."""

    name: str
    role: str
    groups: tuple[str, ...] | None
    created_at: datetime
    created_by: str
    expires_at: datetime
    last_used_at: datetime | None
    last_source: str


def list_tokens(tx: Transaction) -> tuple[TokenRow, ...]:
    """List the tokens, expired ones too, by name."""
    return tuple(
        TokenRow(
            one.name,
            one.role.value,
            scope_names(tx, one.groups),
            one.created_at,
            one.created_by,
            one.expires_at,
            one.last_used_at,
            one.last_source,
        )
        for one in api_tokens.all_tokens(tx)
    )


@dataclass(frozen=True, slots=True)
class PasskeyRow:
    """One passkey."""

    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


@dataclass(frozen=True, slots=True)
class OwnAccount:
    """What somebody who is signed in sees of themselves. *passkeys*: their names and ids, as hexadecimal digits."""

    session_id: str
    signed_in_at: datetime
    has_password: bool
    has_totp: bool
    codes_left: int
    external_id: str | None
    passkeys: tuple[PasskeyRow, ...]
    sessions: tuple[StoredSession, ...]
    groups: tuple[str, ...] | None


def own_account(tx: Transaction, session: StoredSession, now: datetime) -> OwnAccount:
    """Read what the administrator of *session* sees of themselves."""
    who = session.administrator
    ways = sign_in_ways.of_id(tx, who.id)
    assert ways is not None, "the session is theirs"
    keys = tx.connection.execute(
        sa.select(passkeys.c.credential_id, passkeys.c.name, passkeys.c.created_at, passkeys.c.last_used_at)
        .where(passkeys.c.administrator_id == who.id)
        .order_by(passkeys.c.created_at)
    )
    return OwnAccount(
        session.id,
        session.created_at,
        ways.password_hash is not None,
        ways.totp_sealed is not None,
        sign_in_ways.count_codes(tx, who.id),
        ways.external_id,
        tuple(PasskeyRow(row.credential_id.hex(), row.name, row.created_at, row.last_used_at) for row in keys),
        sessions.of_administrator(tx, who.id, now),
        scope_names(tx, who.groups),
    )


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One session of the console."""

    id: str
    how: str
    source: str
    user_agent: str
    created_at: datetime
    expires_at: datetime
    last_used_at: datetime


def sessions_of(tx: Transaction, name: str, now: datetime) -> tuple[SessionRow, ...]:
    """List the sessions of an administrator; none where there is nobody of that name."""
    known = people.find_administrator(tx, name)
    if known is None:
        return ()
    return tuple(
        SessionRow(one.id, one.how, one.source, one.user_agent, one.created_at, one.expires_at, one.last_used_at)
        for one in sessions.of_administrator(tx, known.id, now)
    )


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that signs in once, until *expires_at*; it is shown this once."""

    name: str
    url: str
    expires_at: datetime


def invitation(made: SignInLink, public_url: str) -> Invitation:
    """Say where a link that signs in is opened."""
    return Invitation(made.administrator.name, f"{public_url}/sign-in/{made.token}", made.expires_at)


@dataclass(frozen=True, slots=True)
class MadeToken:
    """A token that was made. *secret* is shown this once."""

    name: str
    role: Role
    expires_at: datetime
    secret: str


def made_token(made: NewToken) -> MadeToken:
    """Say what a token is that was made."""
    return MadeToken(made.token.name, made.token.role, made.token.expires_at, made.secret)

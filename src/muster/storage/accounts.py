"""Templates of accounts, and the accounts that were made from them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.account_templates import AccountKind, AccountTemplate
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import account_templates, accounts

_ENDING = (
    sa.select(accounts)
    .where(
        among(accounts.c.channel_id, "ids"),
        accounts.c.certificate_not_after <= sa.bindparam("by"),
        accounts.c.removed_at.is_(None),
    )
    .order_by(accounts.c.created_at, accounts.c.id)
)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class StoredTemplate:
    """A template, and who changed it last."""

    template: AccountTemplate
    changed_at: datetime
    changed_by: str


@dataclass(frozen=True, slots=True)
class Account:
    """One account on one channel. The associated data of what is sealed is (accounts, the column, *id*).

    *certificate_der* is that of the identity, None where it has none. *removed_at*: when its removal was ordered.
    """

    id: str
    template: str
    channel_id: ChannelId
    variables: Mapping[str, str]
    profile_identifier: str
    revision: int
    created_at: datetime
    changed_at: datetime
    changed_by: str
    password_sealed: bytes | None = field(default=None, repr=False)
    identity_sealed: bytes | None = field(default=None, repr=False)
    certificate_der: bytes | None = None
    certificate_not_after: datetime | None = None
    removed_at: datetime | None = None


def keep_template(tx: Transaction, stored: StoredTemplate) -> None:
    """Store a template, in place of one of the same name."""
    one = stored.template
    values = {
        "kind": one.kind.value,
        "display_name": one.display_name,
        "settings": dict(one.settings),
        "has_certificate": one.has_certificate,
        "certificate_name": one.certificate_name,
        "changed_at": stored.changed_at,
        "changed_by": stored.changed_by,
    }
    insert = tx.insert(account_templates).values(name=one.name, **values)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["name"], set_=values))


def find_template(tx: Transaction, name: str) -> StoredTemplate | None:
    """Read a template; None when there is none of that name."""
    row = tx.connection.execute(sa.select(account_templates).where(account_templates.c.name == name)).one_or_none()
    return None if row is None else _template(row)


def all_templates(tx: Transaction) -> tuple[StoredTemplate, ...]:
    """Read every template, by name."""
    return tuple(_template(row) for row in tx.connection.execute(sa.select(account_templates).order_by("name")))


def forget_template(tx: Transaction, name: str) -> None:
    """Delete a template. Not checked here: whether accounts are made from it."""
    tx.connection.execute(sa.delete(account_templates).where(account_templates.c.name == name))


def add(tx: Transaction, account: Account) -> None:
    """Store a new account."""
    tx.connection.execute(sa.insert(accounts).values(id=account.id, **_values(account)))


def change(tx: Transaction, account: Account) -> None:
    """Store an account as it is now."""
    tx.connection.execute(sa.update(accounts).where(accounts.c.id == account.id).values(**_values(account)))


def find(tx: Transaction, account_id: str) -> Account | None:
    """Read an account; None when there is none of that id."""
    row = tx.connection.execute(sa.select(accounts).where(accounts.c.id == account_id)).one_or_none()
    return None if row is None else _account(row)


def of_template(tx: Transaction, name: str) -> tuple[Account, ...]:
    """Read the accounts made from a template that were not removed, the oldest first."""
    condition = sa.and_(accounts.c.template == name, accounts.c.removed_at.is_(None))
    return _accounts(tx, condition)


def of_channel(tx: Transaction, channel_id: ChannelId) -> tuple[Account, ...]:
    """Read the accounts of a channel that were not removed, the oldest first."""
    return _accounts(tx, sa.and_(accounts.c.channel_id == channel_id, accounts.c.removed_at.is_(None)))


def ending(tx: Transaction, channel_ids: Sequence[ChannelId], *, by: datetime) -> tuple[Account, ...]:
    """Read the accounts of channels, but those removed, whose certificates end *by* then; the oldest first."""
    return tuple(_account(row) for row in tx.connection.execute(_ENDING, {"ids": channel_ids, "by": by}))


def standing(tx: Transaction, limit: int) -> tuple[Account, ...]:
    """Read up to *limit* accounts that were not removed, the oldest first."""
    return _accounts(tx, accounts.c.removed_at.is_(None), limit)


def _accounts(tx: Transaction, condition: sa.ColumnElement[bool], limit: int | None = None) -> tuple[Account, ...]:
    select = sa.select(accounts).where(condition).order_by(accounts.c.created_at, accounts.c.id).limit(limit)
    return tuple(_account(row) for row in tx.connection.execute(select))


def _values(account: Account) -> dict[str, object]:
    return {
        "template": account.template,
        "channel_id": account.channel_id,
        "variables": dict(account.variables),
        "password_sealed": account.password_sealed,
        "identity_sealed": account.identity_sealed,
        "certificate": account.certificate_der,
        "certificate_not_after": account.certificate_not_after,
        "profile_identifier": account.profile_identifier,
        "revision": account.revision,
        "created_at": account.created_at,
        "changed_at": account.changed_at,
        "changed_by": account.changed_by,
        "removed_at": account.removed_at,
    }


def _template(row: Any) -> StoredTemplate:
    template = AccountTemplate(
        row.name,
        AccountKind(row.kind),
        row.display_name,
        row.settings,
        bool(row.has_certificate),
        row.certificate_name,
    )
    return StoredTemplate(template, row.changed_at, row.changed_by)


def _account(row: Any) -> Account:
    return Account(
        id=row.id,
        template=row.template,
        channel_id=ChannelId(row.channel_id),
        variables=row.variables,
        profile_identifier=row.profile_identifier,
        revision=row.revision,
        created_at=row.created_at,
        changed_at=row.changed_at,
        changed_by=row.changed_by,
        password_sealed=row.password_sealed,
        identity_sealed=row.identity_sealed,
        certificate_der=row.certificate,
        certificate_not_after=row.certificate_not_after,
        removed_at=row.removed_at,
    )

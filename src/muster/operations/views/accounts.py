"""Accounts that were made on channels, each with where its profile stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.installed_profiles import ProfileState
from muster.protocol.identifiers import ChannelId
from muster.storage import accounts
from muster.storage.accounts import Account
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, installed_profiles

LIST_LIMIT = 1000


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account. *state* is that of the profile that was sent last, None when none was in the life of the device
    that is now. Passwords and keys are never shown; *variables* are what was given for this account."""

    account_id: str
    template: str
    channel_id: ChannelId
    state: ProfileState | None
    reason: str | None
    state_since: datetime | None
    revision: int
    has_password: bool
    certificate_not_after: datetime | None
    profile_identifier: str
    variables: dict[str, str]
    created_at: datetime
    changed_at: datetime
    changed_by: str


def list_accounts(
    tx: Transaction, *, channel_id: ChannelId | None = None, template: str | None = None
) -> tuple[AccountRow, ...]:
    """List accounts that were not removed, the oldest first: all (LIST_LIMIT at most), or those of a channel, or of a
    template."""
    if channel_id is not None:
        found = accounts.of_channel(tx, channel_id)
    elif template is not None:
        found = accounts.of_template(tx, template)
    else:
        found = accounts.standing(tx, LIST_LIMIT)
    rows = _rows(tx, found)
    return tuple(one for one in rows if template is None or one.template == template)


def _rows(tx: Transaction, found: Sequence[Account]) -> list[AccountRow]:
    states = _states(tx, [one.id for one in found])
    rows = []
    for one in found:
        state, reason, since = states.get(one.id, (None, None, None))
        rows.append(
            AccountRow(
                one.id,
                one.template,
                one.channel_id,
                state,
                reason,
                since,
                one.revision,
                one.password_sealed is not None,
                one.certificate_not_after,
                one.profile_identifier,
                dict(one.variables),
                one.created_at,
                one.changed_at,
                one.changed_by,
            )
        )
    return rows


def _states(
    tx: Transaction, account_ids: Sequence[str]
) -> dict[str, tuple[ProfileState | None, str | None, datetime | None]]:
    """Read where the latest profile of each account stands."""
    table = installed_profiles.c
    states: dict[str, tuple[ProfileState | None, str | None, datetime | None]] = {}
    for ids in slices(account_ids):
        select = (
            sa.select(table.account_id, table.state, table.reason, table.changed_at)
            .join(channels, sa.and_(channels.c.id == table.channel_id, channels.c.epoch == table.epoch))
            .where(table.account_id.in_(ids))
            .order_by(table.sent_at, table.command_uuid)
        )
        for row in tx.connection.execute(select):
            states[row.account_id] = (ProfileState(row.state), row.reason, row.changed_at)
    return states

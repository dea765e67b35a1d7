"""The profiles that we had a channel or a device install, and where each stands."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.installed_profiles import ProfileState
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction
from muster.storage.schema import channels, installed_profiles, queue, unread_answers

LIST_LIMIT = 500


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One installation on one channel. *is_waiting*: its command is queued, or its answer was not read yet; a profile
    that is `sent` without that was cancelled, or its command is gone with an earlier life."""

    channel_id: ChannelId
    identifier: str
    name: str | None
    state: ProfileState
    reason: str | None
    is_waiting: bool
    payload_uuid: str | None
    command_uuid: CommandUUID
    account_id: str | None
    sent_at: datetime
    changed_at: datetime
    verified_at: datetime | None


def list_profiles(tx: Transaction, channel_id: ChannelId, *, history: bool = False) -> tuple[ProfileRow, ...] | None:
    """List what stands on one channel, by identifier and the latest first; None when there is no such channel.

    *history*: with what was replaced, removed or refused. At most LIST_LIMIT.
    """
    if tx.connection.scalar(sa.select(channels.c.id).where(channels.c.id == channel_id)) is None:
        return None
    return _rows(tx, channels.c.id == channel_id, history=history)


def profiles_of_device(tx: Transaction, device_id: ChannelId) -> tuple[ProfileRow, ...]:
    """List what stands on any channel of a device, those that failed included; none when the device is not known."""
    return _rows(tx, channels.c.device_id == device_id, history=False)


_OVER = (ProfileState.REPLACED.value, ProfileState.REMOVED.value)


def _rows(tx: Transaction, condition: sa.ColumnElement[bool], *, history: bool) -> tuple[ProfileRow, ...]:
    table = installed_profiles.c
    waits = [
        sa.exists().where(other.c.channel_id == table.channel_id, other.c.command_uuid == table.command_uuid)
        for other in (queue, unread_answers)
    ]
    select = (
        sa.select(installed_profiles, sa.or_(*waits).label("is_waiting"))
        .join(channels, sa.and_(channels.c.id == table.channel_id, channels.c.epoch == table.epoch))
        .where(condition)
        .order_by(table.channel_id, table.identifier, table.sent_at.desc(), table.command_uuid.desc())
        .limit(LIST_LIMIT)
    )
    if not history:
        select = select.where(table.state.not_in(_OVER))
    return tuple(
        ProfileRow(
            ChannelId(row.channel_id),
            row.identifier,
            row.name,
            ProfileState(row.state),
            row.reason,
            bool(row.is_waiting),
            row.payload_uuid,
            CommandUUID(row.command_uuid),
            row.account_id,
            row.sent_at,
            row.changed_at,
            row.verified_at,
        )
        for row in tx.connection.execute(select)
    )

"""Contacts of channels, as the strips they are kept in."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from muster.domain.control.contact import ContactDay, contacts_of
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import channels, contact_days


def contact_days_of(
    tx: Transaction, channel_ids: Sequence[ChannelId], since: datetime
) -> dict[ChannelId, tuple[ContactDay, ...]]:
    """Read in one statement the days with contacts of each of *channel_ids*, from the UTC day of *since*, in order.

    A channel without contacts since then is absent.
    """
    first_day = int(since.timestamp()) // 86400
    finished = sa.select(contact_days.c.channel_id, contact_days.c.day, contact_days.c.strip).where(
        contact_days.c.channel_id.in_(channel_ids), contact_days.c.day >= first_day
    )
    current = sa.select(channels.c.id, channels.c.contact_day, channels.c.contact_strip).where(
        channels.c.id.in_(channel_ids), channels.c.contact_day >= first_day
    )
    days: dict[ChannelId, list[ContactDay]] = {}
    for channel_id, day, strip in tx.connection.execute(sa.union_all(finished, current)):
        days.setdefault(ChannelId(channel_id), []).append(ContactDay(day, strip))
    return {channel_id: tuple(sorted(each, key=lambda one: one.day)) for channel_id, each in days.items()}


def contacts_since(tx: Transaction, channel_id: ChannelId, since: datetime) -> tuple[datetime, ...]:
    """Read a channel's contacts since *since*, as the starts of five-minute slots, in order."""
    days = contact_days_of(tx, [channel_id], since).get(channel_id, ())
    return tuple(at for day in days for at in contacts_of(day) if at >= since)

"""Channels that wait in Setup Assistant, or at a Shared iPad's first login, until the server lets them go on."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import set_ups

_FIND = sa.select(set_ups).where(among(set_ups.c.channel_id, "ids"))
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class SetUp:
    """A channel that waits, since *since*. *released_by* is the command that lets it go on, once it is queued."""

    channel_id: ChannelId
    epoch: int
    since: datetime
    released_by: CommandUUID | None


def begin(tx: Transaction, channel_id: ChannelId, *, epoch: int, since: datetime) -> None:
    """Record that a channel waits. Said again in the same epoch it is no news."""
    insert = tx.insert(set_ups).values(channel_id=channel_id, epoch=epoch, since=since, released_by=None)
    tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["channel_id"],
            set_={"epoch": epoch, "since": since, "released_by": None},
            where=set_ups.c.epoch != epoch,
        )
    )


def find(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, SetUp]:
    """Read which of *channel_ids* wait; those that don't are absent."""
    return {
        ChannelId(row.channel_id): SetUp(ChannelId(row.channel_id), row.epoch, row.since, row.released_by)
        for ids in slices(channel_ids)
        for row in tx.connection.execute(_FIND, {"ids": ids})
    }


def release(tx: Transaction, channel_id: ChannelId, command_uuid: CommandUUID) -> None:
    """Record the command that lets a waiting channel go on."""
    tx.connection.execute(sa.update(set_ups).where(set_ups.c.channel_id == channel_id).values(released_by=command_uuid))


def end(tx: Transaction, channel_id: ChannelId) -> None:
    """Record that a channel waits no more; nothing happens when it did not."""
    tx.connection.execute(sa.delete(set_ups).where(set_ups.c.channel_id == channel_id))

"""What was asked of each channel by the schedule, and which of our questions still wait."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.command_queue import QueuePurpose
from muster.domain.inventory.kinds import InventoryKind
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage.engine import Transaction, slices
from muster.storage.schema import commands, inventory_questions, queue
from muster.storage.types import from_microseconds, to_microseconds

_ASKED = sa.select(inventory_questions).where(inventory_questions.c.channel_id.in_(sa.bindparam("ids", expanding=True)))
_WAITING = (
    sa.select(
        queue.c.channel_id,
        queue.c.command_uuid,
        commands.c.request_type,
        queue.c.handed_out_at,
        queue.c.is_withheld,
        queue.c.queued_at,
    )
    .join(commands, commands.c.command_uuid == queue.c.command_uuid)
    .where(queue.c.channel_id.in_(sa.bindparam("ids", expanding=True)), queue.c.purpose == QueuePurpose.INVENTORY.value)
)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class Asked:
    """When the schedule asked each kind of a channel, in which life of it."""

    epoch: int
    at: Mapping[InventoryKind, datetime]


@dataclass(frozen=True, slots=True)
class WaitingQuestion:
    """A question of ours that waits for its answer."""

    command_uuid: CommandUUID
    handed_out_at: datetime | None
    is_withheld: bool
    queued_at: datetime


def asked(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, Asked]:
    """Read what was asked of *channel_ids*; those never asked are absent."""
    return {
        ChannelId(row.channel_id): Asked(
            row.epoch, {InventoryKind(kind): from_microseconds(at) for kind, at in row.asked.items()}
        )
        for ids in slices(channel_ids)
        for row in tx.connection.execute(_ASKED, {"ids": ids})
    }


def note_asked(tx: Transaction, asked: Mapping[ChannelId, Asked]) -> None:
    """Note what was asked of channels, in place of what was noted before."""
    if not asked:
        return
    insert = tx.insert(inventory_questions)
    tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["channel_id"], set_={"epoch": insert.excluded.epoch, "asked": insert.excluded.asked}
        ),
        [
            {
                "channel_id": channel_id,
                "epoch": one.epoch,
                "asked": {kind.value: to_microseconds(at) for kind, at in one.at.items()},
            }
            for channel_id, one in sorted(asked.items())
        ],
    )


def waiting(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, dict[InventoryKind, WaitingQuestion]]:
    """Read which of our questions wait on *channel_ids*; channels without any are absent."""
    found: dict[ChannelId, dict[InventoryKind, WaitingQuestion]] = {}
    for ids in slices(channel_ids):
        for row in tx.connection.execute(_WAITING, {"ids": ids}):
            question = WaitingQuestion(CommandUUID(row.command_uuid), row.handed_out_at, row.is_withheld, row.queued_at)
            found.setdefault(ChannelId(row.channel_id), {})[InventoryKind(row.request_type)] = question
    return found

"""What was asked of each channel by the schedule, and which of our questions still wait."""

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from muster.domain.command_queue import QueuePurpose
from muster.domain.inventory.kinds import InventoryKind
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.protocol.records import record
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import commands, inventory_questions, queue
from muster.storage.types import from_microseconds, to_microseconds

_ASKED = sa.select(inventory_questions).where(among(inventory_questions.c.channel_id, "ids"))
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
    .where(among(queue.c.channel_id, "ids"), queue.c.purpose == QueuePurpose.INVENTORY.value)
)
_KINDS = {kind.value: kind for kind in InventoryKind}
# made once: building a statement costs more than running it on SQLite


@record(frozen=True, slots=True)
class Asked:
    """When the schedule asked each kind of a channel, in which life of it."""

    epoch: int
    at: Mapping[InventoryKind, datetime]


@record(frozen=True, slots=True)
class WaitingQuestion:
    """A question of ours that waits for its answer."""

    command_uuid: CommandUUID
    handed_out_at: datetime | None
    is_withheld: bool
    queued_at: datetime


def asked(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, Asked]:
    """Read what was asked of *channel_ids*; those never asked are absent."""
    found: dict[ChannelId, Asked] = {}
    for ids in slices(channel_ids):
        for row in tx.connection.execute(_ASKED, {"ids": ids}).all():
            stored: dict[str, int] = row.asked
            times = {at: from_microseconds(at) for at in set(stored.values())}  # most kinds were asked together
            found[ChannelId(row.channel_id)] = Asked(
                row.epoch, {_KINDS[kind]: times[at] for kind, at in stored.items()}
            )
    return found


def note_asked(tx: Transaction, asked: Mapping[ChannelId, Asked]) -> None:
    """Note what was asked of channels, in place of what was noted before."""
    rows = sorted(asked.items())
    columns: dict[str, Sequence[object]] = {
        "channel_id": [channel_id for channel_id, _ in rows],
        "epoch": [one.epoch for _, one in rows],
        "asked": [_stored(one.at) for _, one in rows],
    }
    tx.put_rows(inventory_questions, "channel_id", columns)


def _stored(times: Mapping[InventoryKind, datetime]) -> dict[str, int]:
    written = {id(at): to_microseconds(at) for at in {id(at): at for at in times.values()}.values()}
    return {kind: written[id(at)] for kind, at in times.items()}


def waiting(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, dict[InventoryKind, WaitingQuestion]]:
    """Read which of our questions wait on *channel_ids*; channels without any are absent."""
    found: dict[ChannelId, dict[InventoryKind, WaitingQuestion]] = {}
    for ids in slices(channel_ids):
        for row in tx.connection.execute(_WAITING, {"ids": ids}):
            question = WaitingQuestion(CommandUUID(row.command_uuid), row.handed_out_at, row.is_withheld, row.queued_at)
            found.setdefault(ChannelId(row.channel_id), {})[InventoryKind(row.request_type)] = question
    return found

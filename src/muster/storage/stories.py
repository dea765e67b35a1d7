"""What channels' stories had come to at one time: the verdict in force then, and the hash over every step to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.control_report.entries import story_hash
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage.among import among
from muster.storage.engine import Transaction, slices
from muster.storage.schema import channels, device_facts, verdict_changes, verdicts
from muster.storage.types import to_microseconds

_STEPS = (
    sa.select(verdict_changes)
    .where(among(verdict_changes.c.channel_id, "ids"), verdict_changes.c.at <= sa.bindparam("until"))
    .order_by(verdict_changes.c.channel_id, verdict_changes.c.at, verdict_changes.c.id)
)
_HELD = sa.select(verdicts.c.change_id, verdicts.c.proof_level, verdicts.c.proof_at).where(
    among(verdicts.c.channel_id, "ids"),
    verdicts.c.judged_at <= sa.bindparam("until"),
)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class Known:
    """A channel that was known at a time. *kind* is absent where its record is gone and only its story is left."""

    channel_id: ChannelId
    device_id: DeviceId
    kind: str | None
    serial_number: str | None


def known_by(tx: Transaction, until: datetime) -> dict[ChannelId, Known]:
    """Name every channel that was seen, or has a story, by *until*; with the serial number as it is known now."""
    found: dict[ChannelId, Known] = {}
    stories = sa.select(verdict_changes.c.channel_id, verdict_changes.c.device_id)
    for channel_id, device_id in tx.connection.execute(stories.where(verdict_changes.c.at <= until).distinct()):
        found[ChannelId(channel_id)] = Known(ChannelId(channel_id), DeviceId(device_id), None, None)
    rows = tx.connection.execute(
        sa.select(channels.c.id, channels.c.device_id, channels.c.kind, device_facts.c.serial_number)
        .outerjoin(device_facts, device_facts.c.channel_id == channels.c.device_id)
        .where(channels.c.first_seen_at <= until)
    )
    for channel_id, device_id, kind, serial_number in rows:
        found[ChannelId(channel_id)] = Known(ChannelId(channel_id), DeviceId(device_id), kind, serial_number)
    return found


@dataclass(frozen=True, slots=True)
class Stand:
    """What a channel's story had come to: *last* is the row of its last step. *proof_level* and *proof_at* are as the
    last review by then held them, where no later one did; else those of the step, whose time is not kept.
    """

    last: sa.Row[Any]
    changes: int
    story: bytes
    proof_level: int
    proof_at: datetime | None


def stands(tx: Transaction, channel_ids: Sequence[ChannelId], until: datetime) -> dict[ChannelId, Stand]:
    """Read what the stories of *channel_ids* had come to by *until*; those that had none are absent."""
    found: dict[ChannelId, Stand] = {}
    for ids in slices(channel_ids):
        held = {row.change_id: row for row in tx.connection.execute(_HELD, {"ids": ids, "until": until})}
        for row in tx.connection.execute(_STEPS, {"ids": ids, "until": until}):
            before = found.get(row.channel_id)
            changes, former = (0, b"") if before is None else (before.changes, before.story)
            proof = held.get(row.id)
            found[ChannelId(row.channel_id)] = Stand(
                row,
                changes + 1,
                story_hash(former, _said(row)),
                row.proof_level if proof is None else proof.proof_level,
                None if proof is None else proof.proof_at,
            )
    return found


def _said(row: sa.Row[Any]) -> list[Any]:
    """Return all that a step says, for its hash: never in another order, and what is added later at the end."""
    return [
        row.id,
        row.channel_id,
        row.device_id,
        row.epoch,
        to_microseconds(row.at),
        to_microseconds(row.since),
        row.state_before,
        row.reason_before,
        row.state,
        row.reason,
        row.proof_level,
        row.sentence,
        row.forecast,
        row.next_step,
        row.candidates,
        row.evidence,
        row.others,
    ]

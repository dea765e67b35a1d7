"""What others were told of each channel, and what waits for a person's word before they are told."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.control.telling import Telling
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction
from muster.storage.schema import mass_flips, tellings, verdicts


@dataclass(frozen=True, slots=True)
class StoredTelling:
    """What is stored of a channel. *held_by*: the mass flip with which it waits; *told_at* absent: never told."""

    channel_id: ChannelId
    telling: Telling
    reason: Reason | None = None
    told_at: datetime | None = None
    is_released: bool = False
    held_by: str | None = None


@dataclass(frozen=True, slots=True)
class MassFlip:
    """So many of *fleet* channels came out of control within an hour that telling others waits, or waited.

    *count*: how many it was when that was noticed; *left*: those that still wait. *ended_at* absent: nobody has decided
    yet; *is_released*: that others are told.
    """

    id: str
    opened_at: datetime
    count: int
    fleet: int
    share_percent: int
    left: int = 0
    ended_at: datetime | None = None
    ended_by: str | None = None
    is_released: bool | None = None


_READ = sa.select(tellings).where(among(tellings.c.channel_id, "ids"))
_OPEN = sa.select(mass_flips.c.id).where(mass_flips.c.ended_at.is_(None))


def read(tx: Transaction, channel_ids: Sequence[ChannelId]) -> dict[ChannelId, StoredTelling]:
    """Read what others know of *channel_ids*; those of which they were told nothing, and nothing waits, are absent."""
    rows = tx.connection.execute(_READ, {"ids": channel_ids})
    return {ChannelId(row.channel_id): _stored(row) for row in rows}


def write(tx: Transaction, some: Sequence[StoredTelling]) -> None:
    """Store what others know of channels, each of which stands there once."""
    if not some:
        return
    insert = tx.insert(tellings)
    replaced = {column.name: insert.excluded[column.name] for column in tellings.c if column.name != "channel_id"}
    tx.connection.execute(
        insert.on_conflict_do_update(index_elements=["channel_id"], set_=replaced), [_row(one) for one in some]
    )


def count_told(tx: Transaction, states: Collection[ControlState], since: datetime) -> int:
    """Count the channels that were told to be in one of *states* after *since*, but for those told on a person's word.

    One that was told so and is back again counts no more.
    """
    counted = sa.select(sa.func.count()).where(
        tellings.c.told_at > since,
        tellings.c.state.in_([one.value for one in states]),
        sa.not_(tellings.c.is_released),
    )
    return int(tx.connection.scalar(counted) or 0)


def count_judged(tx: Transaction) -> int:
    """Count the channels that have not ended, as they were judged last."""
    counted = sa.select(sa.func.count()).where(verdicts.c.state != ControlState.ENDED.value)
    return int(tx.connection.scalar(counted) or 0)


def held(tx: Transaction, flip_id: str, limit: int) -> tuple[StoredTelling, ...]:
    """Read at most *limit* of the channels that wait with a mass flip, by id."""
    rows = tx.connection.execute(
        sa.select(tellings).where(tellings.c.held_by == flip_id).order_by(tellings.c.channel_id).limit(limit)
    )
    return tuple(_stored(row) for row in rows)


def is_any_decided(tx: Transaction) -> bool:
    """Tell whether channels wait with a mass flip of which a person has decided."""
    found = (
        sa.select(sa.literal(1))
        .select_from(mass_flips.join(tellings, tellings.c.held_by == mass_flips.c.id))
        .where(mass_flips.c.ended_at.is_not(None))
        .limit(1)
    )
    return tx.connection.scalar(found) is not None


# --- mass flips


def open_flip(tx: Transaction) -> str | None:
    """Return the id of the mass flip that waits for a person's word; there is at most one."""
    return tx.connection.scalar(_OPEN)


def add_flip(tx: Transaction, flip: MassFlip) -> None:
    """Store a mass flip that begins."""
    tx.connection.execute(
        sa.insert(mass_flips).values(
            id=flip.id,
            opened_at=flip.opened_at,
            count=flip.count,
            fleet=flip.fleet,
            share_percent=flip.share_percent,
        )
    )


def end_flip(tx: Transaction, flip_id: str, *, at: datetime, by: str, is_released: bool) -> None:
    """Store what a person decided of a mass flip."""
    tx.connection.execute(
        sa.update(mass_flips)
        .where(mass_flips.c.id == flip_id)
        .values(ended_at=at, ended_by=by, is_released=is_released)
    )


def flips(tx: Transaction, *, limit: int = 100) -> tuple[MassFlip, ...]:
    """Read at most *limit* mass flips: the one that waits for a word first, then those whose channels
    still wait, then those noticed last."""
    left = (
        sa.select(sa.func.count()).where(tellings.c.held_by == mass_flips.c.id).correlate(mass_flips).scalar_subquery()
    )
    rows = tx.connection.execute(
        sa.select(mass_flips, left.label("left_over"))
        .order_by(mass_flips.c.ended_at.is_not(None), left == 0, mass_flips.c.opened_at.desc(), mass_flips.c.id.desc())
        .limit(limit)
    )
    return tuple(
        MassFlip(
            row["id"],
            row["opened_at"],
            row["count"],
            row["fleet"],
            row["share_percent"],
            row["left_over"],
            row["ended_at"],
            row["ended_by"],
            row["is_released"],
        )
        for row in rows.mappings()
    )


def _stored(row: sa.Row[Any]) -> StoredTelling:
    declined = None if row.declined is None else ControlState(row.declined)
    return StoredTelling(
        ChannelId(row.channel_id),
        Telling(ControlState(row.state), declined),
        None if row.reason is None else Reason(row.reason),
        row.told_at,
        row.is_released,
        row.held_by,
    )


def _row(one: StoredTelling) -> dict[str, object]:
    return {
        "channel_id": one.channel_id,
        "state": one.telling.state.value,
        "reason": None if one.reason is None else one.reason.value,
        "told_at": one.told_at,
        "is_released": one.is_released,
        "declined": None if one.telling.declined is None else one.telling.declined.value,
        "held_by": one.held_by,
    }

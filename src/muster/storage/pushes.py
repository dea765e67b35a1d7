"""The log of pushes, which is the evidence S3: one row for each outcome, appended and never changed."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from muster.domain.push_outcomes import Consequence
from muster.domain.push_policy import PushReason
from muster.protocol.apns import OutcomeClass, PushOutcome
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction, slices
from muster.storage.hot_pushes import RecordedPush
from muster.storage.schema import pushes

KEPT_FOR = timedelta(days=90)
"""How long outcomes are kept: longer than APNs keeps a push, and than anybody asks what happened."""


def append(tx: Transaction, recorded: Sequence[RecordedPush]) -> None:
    """Record outcomes."""
    tx.append_pushes(recorded)


FORGOTTEN_AT_ONCE = 5000
"""Rows that one transaction forgets, a tenth of a second's work: whoever waits for it notices nothing."""


def forget(tx: Transaction, now: datetime) -> bool:
    """Forget outcomes that are older than KEPT_FOR, or some of them; tells whether there are more."""
    return tx.forget_pushes(now - KEPT_FOR, FORGOTTEN_AT_ONCE)


def consequences(
    tx: Transaction, named: Collection[tuple[ChannelId, str]], *, since: datetime
) -> dict[str, Consequence]:
    """Find those of *named* pushes (channel and apns-id) that were recorded from *since* on: what followed, by id."""
    found: dict[str, Consequence] = {}
    for channel_ids in slices(sorted({channel_id for channel_id, _ in named})):
        rows = tx.connection.execute(
            sa.select(pushes.c.apns_id, pushes.c.consequence).where(
                pushes.c.channel_id.in_(channel_ids), pushes.c.at >= since
            )
        )
        found |= {row.apns_id: Consequence(row.consequence) for row in rows}
    return {apns_id: found[apns_id] for _, apns_id in named if apns_id in found}


def of_channel(tx: Transaction, channel_id: ChannelId, *, since: datetime, limit: int) -> tuple[RecordedPush, ...]:
    """Read up to *limit* pushes of a channel whose outcome was recorded from *since* on, the newest first."""
    rows = tx.connection.execute(
        sa.select(pushes)
        .where(pushes.c.channel_id == channel_id, pushes.c.at >= since)
        .order_by(pushes.c.at.desc(), pushes.c.apns_id.desc())
        .limit(limit)
    )
    return tuple(_recorded(row) for row in rows)


def last_of(tx: Transaction, channel_ids: Collection[ChannelId], *, since: datetime) -> dict[ChannelId, RecordedPush]:
    """Read the last push of each of *channel_ids* whose outcome was recorded from *since* on; others are absent."""
    found: dict[ChannelId, RecordedPush] = {}
    for ids in slices(sorted(channel_ids)):
        rows = tx.connection.execute(
            sa.select(pushes)
            .where(pushes.c.channel_id.in_(ids), pushes.c.at >= since)
            .order_by(pushes.c.at, pushes.c.apns_id)
        )
        found |= {ChannelId(row.channel_id): _recorded(row) for row in rows}
    return found


def _recorded(row: sa.Row[Any]) -> RecordedPush:
    return RecordedPush(
        ChannelId(row.channel_id),
        row.at,
        row.apns_id,
        row.topic,
        PushReason(row.wanted),
        PushOutcome(OutcomeClass(row.outcome), row.status, row.reason, row.unregistered_at, row.apns_id),
        row.latency_ms,
        row.attempts,
        Consequence(row.consequence),
    )

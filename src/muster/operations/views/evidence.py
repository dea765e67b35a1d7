"""Evidence as it is shown: what was observed, and the log of pushes (S3) beside it."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.control.evidence import Signal
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import evidence, pushes


@dataclass(frozen=True, slots=True)
class EvidenceRow:
    """One piece of evidence, newest first in a list."""

    signal: str
    observed_class: str
    first_at: datetime
    last_at: datetime
    count: int
    epoch: int
    source: str
    detail: Mapping[str, str | int | bool | None]
    channel_id: ChannelId


def evidence_of(tx: Transaction, channel_ids: Sequence[ChannelId], limit: int) -> tuple[EvidenceRow, ...]:
    """Read up to *limit* pieces of evidence of the channels, the newest first."""
    rows = tx.connection.execute(
        sa.select(*(evidence.c[name] for name in EvidenceRow.__dataclass_fields__))
        .where(evidence.c.channel_id.in_(channel_ids))
        .order_by(evidence.c.last_at.desc(), evidence.c.id.desc())
        .limit(limit)
    )
    seen = [*(EvidenceRow(*row) for row in rows), *_pushes_of(tx, channel_ids, limit)]
    return tuple(sorted(seen, key=lambda row: row.last_at, reverse=True)[:limit])


def _pushes_of(tx: Transaction, channel_ids: Sequence[ChannelId], limit: int) -> list[EvidenceRow]:
    """Pushes of the channels, those in a row with the same outcome as one."""
    rows = tx.connection.execute(
        sa.select(pushes)
        .where(pushes.c.channel_id.in_(channel_ids))
        .order_by(pushes.c.at.desc(), pushes.c.apns_id.desc())
        .limit(limit)
    ).all()
    shown = []
    by_channel = sorted(rows, key=lambda row: str(row.channel_id))  # stable: of each channel, the newest first
    for (channel_id, outcome), alike in itertools.groupby(by_channel, key=lambda row: (row.channel_id, row.outcome)):
        run = list(alike)
        newest = run[0]
        detail = {"apns_id": newest.apns_id, "status": newest.status, "reason": newest.reason}
        shown.append(
            EvidenceRow(
                Signal.PUSH_ANSWER.value, outcome, run[-1].at, newest.at, len(run), 0, "", detail, ChannelId(channel_id)
            )
        )
    return shown

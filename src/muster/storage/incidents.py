"""Incidents as they are told: one that is open for each reason and scope, and those that are over."""

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from muster.domain.control.incidents import Incident
from muster.domain.control.own_side import read_scope
from muster.domain.control.reasons import Reason
from muster.storage.engine import Transaction
from muster.storage.schema import incidents

_OPEN = sa.select(incidents).where(incidents.c.ended_at.is_(None)).order_by(incidents.c.began_at, incidents.c.id)


def open_ones(tx: Transaction) -> tuple[Incident, ...]:
    """Read the incidents that are open, in the order in which they began."""
    return tuple(_incident(row) for row in tx.connection.execute(_OPEN))


def latest(tx: Transaction, limit: int) -> tuple[Incident, ...]:
    """Read at most *limit* incidents: those that are open first, then those noticed last."""
    rows = tx.connection.execute(
        sa.select(incidents)
        .order_by(incidents.c.ended_at.is_not(None), incidents.c.opened_at.desc(), incidents.c.id.desc())
        .limit(limit)
    )
    return tuple(_incident(row) for row in rows)


def add(tx: Transaction, some: Sequence[Incident]) -> None:
    """Store incidents."""
    for one in some:
        tx.connection.execute(
            sa.insert(incidents).values(
                id=one.id,
                reason=one.reason.value,
                scope=str(one.scope),
                began_at=one.began_at,
                opened_at=one.opened_at,
                changed_at=one.changed_at,
                ended_at=one.ended_at,
                sentence=one.sentence,
                channels=one.channels,
            )
        )


def change(tx: Transaction, incident_id: str, *, sentence: str, channels: int, at: datetime) -> None:
    """Store what an incident has become."""
    tx.connection.execute(
        sa.update(incidents)
        .where(incidents.c.id == incident_id)
        .values(sentence=sentence, channels=channels, changed_at=at)
    )


def close(tx: Transaction, incident_id: str, at: datetime) -> None:
    """End an incident."""
    tx.connection.execute(sa.update(incidents).where(incidents.c.id == incident_id).values(ended_at=at, changed_at=at))


def forget(tx: Transaction, before: datetime) -> None:
    """Forget incidents that ended before *before*."""
    tx.connection.execute(sa.delete(incidents).where(incidents.c.ended_at < before))


def _incident(row: "sa.Row[tuple[object, ...]]") -> Incident:
    return Incident(
        id=row.id,
        reason=Reason(row.reason),
        scope=read_scope(row.scope),
        began_at=row.began_at,
        opened_at=row.opened_at,
        changed_at=row.changed_at,
        ended_at=row.ended_at,
        sentence=row.sentence,
        channels=row.channels,
    )

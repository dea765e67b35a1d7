"""Faults of our own side, with their times: one row each, and one that lasts for each reason and scope at most."""

from datetime import datetime

import sqlalchemy as sa

from muster.domain.control.own_side import Outage, Scope, read_scope
from muster.domain.control.reasons import Reason
from muster.storage.engine import Transaction
from muster.storage.schema import outages

_BETWEEN = (
    sa.select(outages)
    .where(
        sa.or_(outages.c.ended_at.is_(None), outages.c.ended_at > sa.bindparam("since")),
        outages.c.began_at <= sa.bindparam("until"),
    )
    .order_by(outages.c.began_at, outages.c.id)
)
_LASTING = sa.select(outages).where(outages.c.ended_at.is_(None)).order_by(outages.c.began_at, outages.c.id)
# made once: building a statement costs more than running it on SQLite


def between(tx: Transaction, since: datetime, until: datetime) -> tuple[Outage, ...]:
    """Read what lasted at some time after *since* and began by *until*, in the order in which it began."""
    return tuple(_outage(row) for row in tx.connection.execute(_BETWEEN, {"since": since, "until": until}))


def lasting(tx: Transaction) -> tuple[Outage, ...]:
    """Read what has not ended, in the order in which it began."""
    return tuple(_outage(row) for row in tx.connection.execute(_LASTING))


def open_one(tx: Transaction, outage: Outage) -> bool:
    """Store a fault; False when one of this reason and scope lasts already, which stays as it is."""
    inserted = tx.connection.execute(
        tx.insert(outages)
        .values(
            id=outage.id,
            reason=outage.reason.value,
            scope=str(outage.scope),
            began_at=outage.began_at,
            ended_at=outage.ended_at,
            words=outage.words,
            detail=dict(outage.detail),
        )
        .on_conflict_do_nothing()
        .returning(outages.c.id)
    )
    return inserted.one_or_none() is not None


def close(tx: Transaction, reason: Reason, scope: Scope, at: datetime) -> bool:
    """End the fault of *reason* and *scope* that lasts, not before it began; False when there is none."""
    closed = tx.connection.execute(
        _end(at).where(outages.c.reason == reason.value, outages.c.scope == str(scope)).returning(outages.c.id)
    )
    return closed.one_or_none() is not None


def close_others(tx: Transaction, scope: Scope, at: datetime, *, but: Reason | None = None) -> None:
    """End the faults of *scope* that last, those of reason *but* excepted."""
    update = _end(at).where(outages.c.scope == str(scope))
    tx.connection.execute(update if but is None else update.where(outages.c.reason != but.value))


def cut_short(tx: Transaction, now: datetime) -> None:
    """Have nothing end after *now*: a clock that was set back had told other times before."""
    tx.connection.execute(sa.update(outages).where(outages.c.ended_at > now).values(ended_at=now))


def forget(tx: Transaction, before: datetime) -> None:
    """Forget what ended before *before*."""
    tx.connection.execute(sa.delete(outages).where(outages.c.ended_at < before))


def _end(at: datetime) -> sa.Update:
    ended_at = sa.case((outages.c.began_at > at, outages.c.began_at), else_=sa.literal(at, outages.c.ended_at.type))
    return sa.update(outages).where(outages.c.ended_at.is_(None)).values(ended_at=ended_at)


def _outage(row: "sa.Row[tuple[object, ...]]") -> Outage:
    return Outage(row.id, Reason(row.reason), read_scope(row.scope), row.began_at, row.ended_at, row.words, row.detail)

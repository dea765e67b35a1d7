"""Signs of life of nodes and of their workers: one row each, written over."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.schema import heartbeats

THE_NODE = ""
"""Stands for the node itself where a worker's name would be."""
ALL_NODES = "*"
"""Stands where a node's name would be for what is done once for all; no node's name has this character."""

_BEAT = (
    sa.update(heartbeats)
    .where(
        heartbeats.c.node == sa.bindparam("of_node"),
        heartbeats.c.worker.not_in(sa.bindparam("late", expanding=True)),
    )
    .values(beat_at=sa.bindparam("at"))
)
_BEAT_ALL = sa.update(heartbeats).where(heartbeats.c.node == sa.bindparam("of_node")).values(beat_at=sa.bindparam("at"))
_ALL = sa.select(heartbeats).where(heartbeats.c.node != ALL_NODES).order_by(heartbeats.c.node, heartbeats.c.worker)
_ONE = sa.select(heartbeats.c.beat_at).where(
    heartbeats.c.node == sa.bindparam("of_node"), heartbeats.c.worker == sa.bindparam("of_worker")
)
_LATEST = sa.select(sa.func.max(heartbeats.c.beat_at)).where(
    heartbeats.c.worker == THE_NODE, heartbeats.c.node != ALL_NODES
)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When a worker of a node, or the node itself (THE_NODE), last showed that it lives."""

    node: str
    worker: str
    beat_at: datetime


def begin(tx: Transaction, node: str, workers: Sequence[str], at: datetime) -> None:
    """Have *node* and its *workers* live at *at*; workers that it had and has no longer are forgotten."""
    tx.connection.execute(
        sa.delete(heartbeats).where(heartbeats.c.node == node, heartbeats.c.worker.not_in([THE_NODE, *workers]))
    )
    tx.connection.execute(
        tx.insert(heartbeats).on_conflict_do_update(index_elements=["node", "worker"], set_={"beat_at": at}),
        [{"node": node, "worker": worker, "beat_at": at} for worker in sorted({THE_NODE, *workers})],
    )


def beat(tx: Transaction, node: str, at: datetime, *, late: Collection[str]) -> None:
    """Have *node* and its workers live at *at*, those excepted that are *late*."""
    if late:
        tx.connection.execute(_BEAT, {"of_node": node, "late": sorted(late), "at": at})
    else:
        tx.connection.execute(_BEAT_ALL, {"of_node": node, "at": at})


def latest(tx: Transaction) -> datetime | None:
    """Tell when any node lived last; None when none ever did."""
    value: datetime | None = tx.connection.scalar(_LATEST)
    return value


def read_one(tx: Transaction, node: str, worker: str) -> datetime | None:
    """Tell when a worker of *node* last showed that it lives; None: never."""
    value: datetime | None = tx.connection.scalar(_ONE, {"of_node": node, "of_worker": worker})
    return value


def lock(tx: Transaction) -> None:
    """Let one transaction at a time look when anybody lived last, and say that it lives."""
    tx.lock_name("heartbeats")


def read_all(tx: Transaction) -> tuple[Heartbeat, ...]:
    """Read every sign of life of nodes, by node and worker."""
    rows = tx.connection.execute(_ALL)
    return tuple(Heartbeat(row.node, row.worker, row.beat_at) for row in rows)


def forget(tx: Transaction, before: datetime) -> None:
    """Forget what has not lived since *before*: nodes that are no more."""
    tx.connection.execute(sa.delete(heartbeats).where(heartbeats.c.beat_at < before))

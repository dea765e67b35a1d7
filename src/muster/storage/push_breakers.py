"""The breakers of topics: shared by all nodes, absent while nothing fails."""

from collections.abc import Collection

import sqlalchemy as sa

from muster.domain.push_breaker import Breaker, BreakerCause
from muster.storage.engine import Transaction
from muster.storage.schema import push_breakers

_ALL = sa.select(push_breakers)


def read_all(tx: Transaction) -> dict[str, Breaker]:
    """Read every breaker that isn't simply closed, by topic."""
    return {
        row.topic: Breaker(
            BreakerCause(row.cause),
            row.failures,
            row.since,
            row.opened_at,
            row.retry_at,
            row.probes,
            row.is_probing,
        )
        for row in tx.connection.execute(_ALL)
    }


def lock(tx: Transaction, topics: Collection[str]) -> dict[str, Breaker]:
    """Let one transaction at a time change the breakers of *topics*; returns them as they are now."""
    for topic in sorted(topics):
        tx.lock_name(f"push_breaker:{topic}")
    return {topic: breaker for topic, breaker in read_all(tx).items() if topic in topics}


def store(tx: Transaction, topic: str, breaker: Breaker | None) -> None:
    """Store the breaker of *topic*, which this transaction locked; None closes it."""
    if breaker is None:
        tx.connection.execute(sa.delete(push_breakers).where(push_breakers.c.topic == topic))
        return
    values = {
        "cause": breaker.cause.value,
        "failures": breaker.failures,
        "since": breaker.since,
        "opened_at": breaker.opened_at,
        "retry_at": breaker.retry_at,
        "probes": breaker.probes,
        "is_probing": breaker.is_probing,
    }
    tx.connection.execute(
        tx.insert(push_breakers)
        .values(topic=topic, **values)
        .on_conflict_do_update(index_elements=["topic"], set_=values)
    )

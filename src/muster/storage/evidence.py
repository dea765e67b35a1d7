"""Evidence and rumours: appended, counted, never changed."""

from collections.abc import Callable, Sequence
from datetime import timedelta

import sqlalchemy as sa

from muster.domain.control.evidence import Detail, Observation, Rumour, Signal, is_counted
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.schema import evidence, rumours

MAXIMUM_RUMOURS = 10_000
"""Rows kept of claims that nobody vouches for: anyone can make them up, so the oldest go first."""

REFUSALS_TOGETHER = timedelta(minutes=5)
"""Refused contacts of one class that began within this are one row, whatever came between: who alternates two ways to
be refused would fill the database, a row for each request."""
SIGHTINGS_TOGETHER = timedelta(days=1)
"""As REFUSALS_TOGETHER, for what other witnesses say: several tell of one device in turns."""
_TOGETHER = {
    Signal.REFUSED_CONTACT: REFUSALS_TOGETHER,
    Signal.WITNESS: SIGHTINGS_TOGETHER,
    Signal.REACH: SIGHTINGS_TOGETHER,
}
REFUSED_ANEW_AFTER = timedelta(days=1)
"""A contact refused so long after the last of its class is not the same trouble any more, and a row of its own."""

_INSERT = sa.insert(evidence)
_LATEST = (
    sa.select(evidence.c.id, evidence.c.first_at, evidence.c.last_at, evidence.c.observed_class, evidence.c.epoch)
    .where(evidence.c.channel_id == sa.bindparam("of_channel"), evidence.c.signal == sa.bindparam("of_signal"))
    .order_by(evidence.c.first_at.desc(), evidence.c.id.desc())
    .limit(1)
)
_LATEST_OF_CLASS = _LATEST.where(
    evidence.c.observed_class == sa.bindparam("of_class"),
    evidence.c.epoch == sa.bindparam("of_epoch"),
    evidence.c.first_at > sa.bindparam("since"),
)
_COUNT = (
    sa.update(evidence)
    # first_at names the partition
    .where(evidence.c.id == sa.bindparam("of_id"), evidence.c.first_at == sa.bindparam("of_first_at"))
    .values(
        count=evidence.c.count + 1,
        last_at=sa.bindparam("at"),
        source=sa.bindparam("from_source"),
        detail=sa.bindparam("in_detail"),
    )
)
# made once: building a statement costs more than running it on SQLite


def append(tx: Transaction, observations: Sequence[Observation], new_id: Callable[[], str]) -> tuple[Observation, ...]:
    """Record *observations*: a repeat of a counted signal's latest class is counted, all else is a new row.

    Refused contacts are counted where their class began within REFUSALS_TOGETHER, too, and not after
    REFUSED_ANEW_AFTER; what other witnesses say within SIGHTINGS_TOGETHER. Returns those that are news: they have a
    row of their own.
    """
    news = []
    for observation in observations:
        if is_counted(observation.signal, observation.observed_class) and _count_repeat(tx, observation):
            continue
        news.append(observation)
        tx.connection.execute(
            _INSERT,
            {
                "id": new_id(),
                "channel_id": observation.channel_id,
                "signal": observation.signal.value,
                "observed_class": observation.observed_class,
                "first_at": observation.at,
                "last_at": observation.at,
                "count": 1,
                "epoch": observation.epoch,
                "source": observation.source,
                "detail": dict(observation.detail),
            },
        )
    return tuple(news)


def _count_repeat(tx: Transaction, observation: Observation) -> bool:
    of_kind = {"of_channel": observation.channel_id, "of_signal": observation.signal.value}
    latest = tx.connection.execute(_LATEST, of_kind).one_or_none()
    if latest is None:
        return False
    if (latest.observed_class, latest.epoch) != (observation.observed_class, observation.epoch):
        together = _TOGETHER.get(observation.signal)
        if together is None:
            return False
        same = {
            "of_class": observation.observed_class,
            "of_epoch": observation.epoch,
            "since": observation.at - together,
        }
        latest = tx.connection.execute(_LATEST_OF_CLASS, {**of_kind, **same}).one_or_none()
        if latest is None:
            return False
    elif observation.signal is Signal.REFUSED_CONTACT and observation.at - latest.last_at > REFUSED_ANEW_AFTER:
        return False
    tx.connection.execute(
        _COUNT,
        {
            "of_id": latest.id,
            "of_first_at": latest.first_at,
            "at": observation.at,
            "from_source": observation.source,
            "in_detail": dict(observation.detail),
        },
    )
    return True


def details_of(
    tx: Transaction, channel_id: ChannelId, signal: Signal, observed_class: str, *, limit: int
) -> tuple[Detail, ...]:
    """Read what was noted beside up to *limit* observations of a class, the oldest first."""
    rows = tx.connection.scalars(
        sa.select(evidence.c.detail)
        .where(
            evidence.c.channel_id == channel_id,
            evidence.c.signal == signal.value,
            evidence.c.observed_class == observed_class,
        )
        .order_by(evidence.c.first_at, evidence.c.id)
        .limit(limit)
    )
    return tuple(rows)


def add_rumours(tx: Transaction, heard: Sequence[Rumour]) -> None:
    """Count claims by what they claim; when there are too many, forget the oldest."""
    # in one order everywhere: no channel's row is held that would keep two nodes apart
    for rumour in sorted(heard, key=lambda rumour: (rumour.claimed_id, rumour.refusal_code)):
        insert = tx.insert(rumours).values(
            claimed_id=rumour.claimed_id,
            refusal_code=rumour.refusal_code,
            source=rumour.source,
            first_at=rumour.at,
            last_at=rumour.at,
            count=1,
        )
        tx.connection.execute(
            insert.on_conflict_do_update(
                index_elements=["claimed_id", "refusal_code"],
                set_={"count": rumours.c.count + 1, "last_at": rumour.at, "source": rumour.source},
            )
        )
    total = tx.connection.execute(sa.select(sa.func.count()).select_from(rumours)).scalar_one()
    if total > MAXIMUM_RUMOURS:
        oldest = tx.claim(
            sa.select(rumours.c.claimed_id, rumours.c.refusal_code)
            .order_by(rumours.c.last_at)
            .limit(total - MAXIMUM_RUMOURS)
        )
        tx.connection.execute(
            sa.delete(rumours).where(sa.tuple_(rumours.c.claimed_id, rumours.c.refusal_code).in_(oldest))
        )

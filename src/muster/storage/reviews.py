"""When each channel is looked at next: one row a channel, claimed when due by any node."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction, Work
from muster.storage.schema import channels, reviews

_DUE = (
    sa.select(reviews.c.channel_id)
    .where(reviews.c.next_review_at <= sa.bindparam("now"))
    .order_by(reviews.c.next_review_at, reviews.c.channel_id)
    .limit(sa.bindparam("limit"))
)
_DETAILS = (
    sa.select(
        channels.c.id,
        channels.c.state,
        channels.c.first_seen_at,
        channels.c.last_contact_at,
        channels.c.epoch,
        channels.c.provisional_epoch,
        reviews.c.reviewed_at,
    )
    .join(reviews, reviews.c.channel_id == channels.c.id)
    .where(channels.c.id.in_(sa.bindparam("ids", expanding=True)))
    .order_by(channels.c.id)
)
_DONE = (
    sa.update(reviews)
    .where(reviews.c.channel_id == sa.bindparam("id"))
    .values(reviewed_at=sa.bindparam("at"), next_review_at=sa.bindparam("next_at"))
)
_NEXT_DUE = sa.select(reviews.c.next_review_at).order_by(reviews.c.next_review_at).limit(1)
# made once: building a statement costs more than running it on SQLite


@dataclass(frozen=True, slots=True)
class DueReview:
    """A channel whose review is due, with what is known of it."""

    channel_id: ChannelId
    state: EnrollmentState
    first_seen_at: datetime
    last_contact_at: datetime | None
    epoch: int
    provisional_epoch: int | None
    reviewed_at: datetime | None


def schedule(tx: Transaction, channel_id: ChannelId, at: datetime) -> None:
    """Review *channel_id* at *at* or earlier."""
    tx.made_due(Work.REVIEW, at)
    insert = tx.insert(reviews).values(channel_id=channel_id, next_review_at=at)
    present, wanted = reviews.c.next_review_at, insert.excluded.next_review_at
    tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["channel_id"],
            set_={"next_review_at": sa.case((present < wanted, present), else_=wanted)},
        )
    )


def schedule_all(tx: Transaction, channel_ids: Sequence[ChannelId], at: datetime) -> None:
    """Review each of *channel_ids* at *at* or earlier."""
    if not channel_ids:
        return
    tx.made_due(Work.REVIEW, at)
    insert = tx.insert(reviews)
    present, wanted = reviews.c.next_review_at, insert.excluded.next_review_at
    tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["channel_id"],
            set_={"next_review_at": sa.case((present < wanted, present), else_=wanted)},
        ),
        [{"channel_id": channel_id, "next_review_at": at} for channel_id in sorted(set(channel_ids))],
    )


def claim_due(tx: Transaction, now: datetime, limit: int) -> tuple[DueReview, ...]:
    """Take up to *limit* due reviews that no other node holds; they stay ours until this transaction ends.

    The longest due are taken first, and returned in the order of their ids, in which rows are locked.
    """
    ids: Sequence[str] = tx.connection.scalars(tx.claim(_DUE), {"now": now, "limit": limit}).all()
    if not ids:
        return ()
    rows = tx.connection.execute(_DETAILS, {"ids": ids})
    return tuple(
        DueReview(
            ChannelId(row.id),
            EnrollmentState(row.state),
            row.first_seen_at,
            row.last_contact_at,
            row.epoch,
            row.provisional_epoch,
            row.reviewed_at,
        )
        for row in rows
    )


def done(tx: Transaction, next_at: Mapping[ChannelId, datetime], *, at: datetime) -> None:
    """Record reviews, and when the next one of each channel is due."""
    if next_at:
        tx.connection.execute(
            _DONE, [{"id": channel_id, "at": at, "next_at": due} for channel_id, due in next_at.items()]
        )


def next_due(tx: Transaction) -> datetime | None:
    """Tell when the earliest review is due; None when there is none."""
    value: datetime | None = tx.connection.scalar(_NEXT_DUE)
    return value

"""When each channel is looked at next: one row a channel, claimed when due by any node."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, DeviceId
from muster.protocol.records import record
from muster.storage.among import among
from muster.storage.engine import Transaction, Work
from muster.storage.made_once import made_once
from muster.storage.schema import channels, push_targets, reviews

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
        channels.c.device_id,
        channels.c.kind,
    )
    .join(reviews, reviews.c.channel_id == channels.c.id)
    .where(among(channels.c.id, "ids"))
    .order_by(channels.c.id)
)
_NEXT_DUE = sa.select(reviews.c.next_review_at).order_by(reviews.c.next_review_at).limit(1)
_STATES = {state.value: state for state in EnrollmentState}
_KINDS = {kind.value: kind for kind in ChannelKind}
# made once: building a statement costs more than running it on SQLite


@record(frozen=True, slots=True)
class DueReview:
    """A channel whose review is due, with what is known of it."""

    channel_id: ChannelId
    state: EnrollmentState
    first_seen_at: datetime
    last_contact_at: datetime | None
    epoch: int
    provisional_epoch: int | None
    reviewed_at: datetime | None
    channel: Channel


def schedule(tx: Transaction, channel_id: ChannelId, at: datetime) -> None:
    """Review *channel_id* at *at* or earlier."""
    tx.made_due(Work.REVIEW, at)
    tx.connection.execute(_schedule(tx), {"channel_id": channel_id, "next_review_at": at})


def schedule_all(tx: Transaction, channel_ids: Sequence[ChannelId], at: datetime) -> None:
    """Review each of *channel_ids* at *at* or earlier."""
    if not channel_ids:
        return
    tx.made_due(Work.REVIEW, at)
    tx.connection.execute(
        _schedule(tx),
        [{"channel_id": channel_id, "next_review_at": at} for channel_id in sorted(set(channel_ids))],
    )


@made_once
def _schedule(tx: Transaction) -> sa.Insert:
    insert = tx.insert(reviews)
    present, wanted = reviews.c.next_review_at, insert.excluded.next_review_at
    scheduled: sa.Insert = insert.on_conflict_do_update(
        index_elements=["channel_id"], set_={"next_review_at": sa.case((present < wanted, present), else_=wanted)}
    )
    return scheduled


def bring_forward(tx: Transaction, found: sa.Select[Any] | None, at: datetime) -> None:
    """Review at *at* or earlier each channel whose id the statement *found* finds; None: every channel."""
    tx.made_due(Work.REVIEW, at)
    later = sa.select(reviews.c.channel_id).where(reviews.c.next_review_at > at)
    if found is not None:
        later = later.where(reviews.c.channel_id.in_(found))
    in_order = later.order_by(reviews.c.channel_id).with_for_update()  # as batches of connects lock them
    tx.connection.execute(sa.update(reviews).where(reviews.c.channel_id.in_(in_order)).values(next_review_at=at))


def bring_enrolled_forward(tx: Transaction, at: datetime, *, topic: str | None = None) -> None:
    """Review at *at* or earlier all channels that are enrolled, or those of them that listen to *topic*."""
    enrolled = sa.select(channels.c.id).where(channels.c.state == EnrollmentState.ENROLLED.value)
    if topic is not None:
        listens = push_targets.c.channel_id == channels.c.id
        enrolled = enrolled.join(push_targets, listens).where(push_targets.c.topic == topic)
    bring_forward(tx, enrolled, at)


def claim_due(tx: Transaction, now: datetime, limit: int) -> tuple[DueReview, ...]:
    """Take up to *limit* due reviews that no other node holds; they stay ours until this transaction ends.

    The longest due are taken first, and returned in the order of their ids, in which rows are locked.
    """
    ids: Sequence[str] = tx.connection.scalars(tx.claim(_DUE), {"now": now, "limit": limit}).all()
    if not ids:
        return ()
    rows = tx.connection.execute(_DETAILS, {"ids": ids}).all()
    return tuple(
        DueReview(
            ChannelId(id_), _STATES[state], first_seen_at, heard_at, epoch, provisional_epoch, reviewed_at,
            Channel(ChannelId(id_), DeviceId(device_id), _KINDS[kind]),
        )
        for id_, state, first_seen_at, heard_at, epoch, provisional_epoch, reviewed_at, device_id, kind in rows
    )  # fmt: skip


def done(tx: Transaction, next_at: Mapping[ChannelId, datetime], *, at: datetime) -> None:
    """Record reviews, and when the next one of each channel is due."""
    columns: dict[str, Sequence[object]] = {"channel_id": list(next_at), "next_review_at": list(next_at.values())}
    tx.update_rows(reviews, "channel_id", columns, {"reviewed_at": at})


def next_due(tx: Transaction) -> datetime | None:
    """Tell when the earliest review is due; None when there is none."""
    value: datetime | None = tx.connection.scalar(_NEXT_DUE)
    return value

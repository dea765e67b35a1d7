"""The tokens to push to, and the wishes to push."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.push_policy import PushReason
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction, Work, slices
from muster.storage.schema import channels, push_targets, push_wishes

_DUE = (
    sa.select(push_wishes)
    .where(push_wishes.c.due_at <= sa.bindparam("now"))
    .order_by(push_wishes.c.due_at, push_wishes.c.channel_id)
    .limit(sa.bindparam("limit"))
)
_DETAILS = (
    sa.select(
        channels.c.id,
        channels.c.state,
        channels.c.last_contact_at,
        push_targets.c.topic,
        push_targets.c.token,
        push_targets.c.push_magic,
        push_targets.c.refused_at,
    )
    .outerjoin(push_targets, push_targets.c.channel_id == channels.c.id)
    .where(channels.c.id.in_(sa.bindparam("ids", expanding=True)))
)
_CLAIM = (
    sa.update(push_wishes)
    .where(push_wishes.c.channel_id == sa.bindparam("id"))
    .values(due_at=sa.bindparam("until"), attempts=push_wishes.c.attempts + 1, fence=push_wishes.c.fence + 1)
    .returning(push_wishes.c.fence)
)
_SETTLE = (
    sa.update(push_wishes)
    .where(push_wishes.c.channel_id == sa.bindparam("id"), push_wishes.c.fence == sa.bindparam("of_fence"))
    .values(due_at=sa.bindparam("due"))
)
_OUTCOME = (
    sa.update(push_targets)
    .where(push_targets.c.channel_id == sa.bindparam("id"), push_targets.c.token == sa.bindparam("of_token"))
    .values(
        last_outcome=sa.bindparam("outcome"),
        last_outcome_at=sa.bindparam("at"),
        last_reason=sa.bindparam("reason"),
        last_push_at=sa.bindparam("at"),
    )
)
_OUTCOME_FOR_GOOD = _OUTCOME.values(refused_at=sa.bindparam("at"))
_DROP = sa.delete(push_wishes).where(push_wishes.c.channel_id.in_(sa.bindparam("ids", expanding=True)))
_NEXT_DUE = sa.select(push_wishes.c.due_at).order_by(push_wishes.c.due_at).limit(1)
# made once: building a statement costs more than running it on SQLite


def set_target(
    tx: Transaction, channel_id: ChannelId, *, topic: str, token: bytes, push_magic: str, at: datetime
) -> bool:
    """Store where to push *channel_id*; a refused token is tried again. Tells whether anything differs from before."""
    before = tx.connection.execute(
        sa.select(push_targets.c.topic, push_targets.c.token, push_targets.c.push_magic).where(
            push_targets.c.channel_id == channel_id
        )
    ).one_or_none()
    values = {"topic": topic, "token": token, "push_magic": push_magic, "updated_at": at, "refused_at": None}
    if before is not None and before.push_magic != push_magic:
        values["former_magic"] = before.push_magic
    tx.connection.execute(
        tx.insert(push_targets)
        .values(channel_id=channel_id, **values)
        .on_conflict_do_update(index_elements=["channel_id"], set_=values)
    )
    return before is None or tuple(before) != (topic, token, push_magic)


def take_former_magic(tx: Transaction, channel_id: ChannelId) -> None:
    """Push a channel by its former magic again, for the device is back at it; where there is none, nothing happens."""
    magics = {"push_magic": push_targets.c.former_magic, "former_magic": push_targets.c.push_magic}
    tx.connection.execute(
        sa.update(push_targets)
        .where(push_targets.c.channel_id == channel_id, push_targets.c.former_magic.is_not(None))
        .values(magics)
    )


def target_updated_at(tx: Transaction, channel_id: ChannelId) -> datetime | None:
    """Tell when the last TokenUpdate of *channel_id* came; None when none did."""
    value: datetime | None = tx.connection.scalar(
        sa.select(push_targets.c.updated_at).where(push_targets.c.channel_id == channel_id)
    )
    return value


def wish(
    tx: Transaction, channel_ids: Sequence[ChannelId], *, reason: PushReason, at: datetime, due_at: datetime
) -> None:
    """Wish to push each of *channel_ids*: one wish per channel, the earlier due time counts.

    The fence is raised, so that what becomes of a push already on its way doesn't put off the new wish.
    """
    if not channel_ids:
        return
    tx.made_due(Work.PUSH, due_at)
    insert = tx.insert(push_wishes)
    wanted = insert.excluded
    tx.connection.execute(
        insert.on_conflict_do_update(
            index_elements=["channel_id"],
            set_={
                "reason": wanted.reason,
                "wanted_at": wanted.wanted_at,
                "due_at": sa.case((push_wishes.c.due_at < wanted.due_at, push_wishes.c.due_at), else_=wanted.due_at),
                "attempts": 0,
                "fence": push_wishes.c.fence + 1,
            },
        ),
        [
            {
                "channel_id": channel_id,
                "reason": reason.value,
                "wanted_at": at,
                "due_at": due_at,
                "attempts": 0,
                "fence": 0,
            }
            for channel_id in sorted(set(channel_ids))
        ],
    )


def wish_if_none(tx: Transaction, channel_id: ChannelId, *, reason: PushReason, at: datetime) -> None:
    """Wish to push *channel_id* at once, unless there is a wish already."""
    tx.made_due(Work.PUSH, at)
    tx.connection.execute(
        tx.insert(push_wishes)
        .values(channel_id=channel_id, reason=reason.value, wanted_at=at, due_at=at, attempts=0, fence=0)
        .on_conflict_do_nothing()
    )


@dataclass(frozen=True, slots=True)
class DueWish:
    """A wish that is due, with what the decision needs. Target fields are absent when there is no token yet."""

    channel_id: ChannelId
    reason: PushReason
    wanted_at: datetime
    attempts: int
    fence: int
    topic: str | None
    token: bytes | None
    push_magic: str | None
    refused_at: datetime | None
    state: str
    last_contact_at: datetime | None


def claim_due(tx: Transaction, now: datetime, limit: int) -> tuple[DueWish, ...]:
    """Take up to *limit* due wishes that no other node holds; they stay ours until this transaction ends."""
    due = tx.connection.execute(tx.claim(_DUE), {"now": now, "limit": limit}).all()
    if not due:
        return ()
    ids = [row.channel_id for row in due]
    details = {row.id: row for row in tx.connection.execute(_DETAILS, {"ids": ids})}
    return tuple(
        DueWish(
            ChannelId(row.channel_id),
            PushReason(row.reason),
            row.wanted_at,
            row.attempts,
            row.fence,
            detail.topic,
            detail.token,
            detail.push_magic,
            detail.refused_at,
            detail.state,
            detail.last_contact_at,
        )
        for row in due
        if (detail := details.get(row.channel_id)) is not None
    )


def claim_attempt(tx: Transaction, channel_id: ChannelId, *, lease_until: datetime) -> int:
    """Count an attempt to push, and leave the wish alone until *lease_until*, when the attempt counts as lost.

    Returns the fence that the attempt's outcome has to name. The wish is one that `claim_due` returned in this
    transaction.
    """
    fence: int = tx.connection.execute(_CLAIM, {"id": channel_id, "until": lease_until}).scalar_one()
    return fence


def settle(tx: Transaction, channel_id: ChannelId, *, fence: int, due_at: datetime) -> bool:
    """Look at a wish again at *due_at*, now that the attempt of *fence* has its outcome.

    Tells whether it did: an outcome that comes after a later attempt or a new wish changes nothing.
    """
    tx.made_due(Work.PUSH, due_at)
    result = tx.connection.execute(_SETTLE, {"id": channel_id, "of_fence": fence, "due": due_at})
    return result.rowcount > 0


def postpone(tx: Transaction, channel_id: ChannelId, due_at: datetime) -> None:
    """Look at a wish again at *due_at*, no attempt having been made."""
    tx.made_due(Work.PUSH, due_at)
    tx.connection.execute(sa.update(push_wishes).where(push_wishes.c.channel_id == channel_id).values(due_at=due_at))


def drop_wishes(tx: Transaction, channel_ids: Sequence[ChannelId]) -> None:
    """Push these channels no more, until there is a new wish."""
    for ids in slices(channel_ids):
        tx.connection.execute(_DROP, {"ids": ids})


def next_due(tx: Transaction) -> datetime | None:
    """Tell when the earliest wish is due; None when there is none."""
    value: datetime | None = tx.connection.scalar(_NEXT_DUE)
    return value


def record_outcome(
    tx: Transaction,
    channel_id: ChannelId,
    *,
    token: bytes,
    outcome: str,
    reason: str | None,
    at: datetime,
    is_for_good: bool,
) -> bool:
    """Store what APNs answered for *token*; an answer for a token that was replaced meanwhile changes nothing."""
    result = tx.connection.execute(
        _OUTCOME_FOR_GOOD if is_for_good else _OUTCOME,
        {"id": channel_id, "of_token": token, "outcome": outcome, "reason": reason, "at": at},
    )
    return result.rowcount > 0

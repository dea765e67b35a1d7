"""The tokens to push to, and the wishes to push."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from operator import attrgetter
from typing import Any

import sqlalchemy as sa

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_policy import NoPush, PushReason, TargetState, called_again_at
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId
from muster.storage.among import among
from muster.storage.engine import Transaction, Work, slices
from muster.storage.hot_pushes import DueWish, NewWish, PutOff, SettledPush
from muster.storage.made_once import upsert
from muster.storage.schema import channels, push_targets, push_wishes
from muster.storage.types import to_microseconds

_DROP = sa.delete(push_wishes).where(among(push_wishes.c.channel_id, "ids"))
_HASTEN = (
    sa.update(push_wishes)
    .where(among(push_wishes.c.channel_id, "ids"), push_wishes.c.due_at > sa.bindparam("latest"))
    .values(due_at=sa.bindparam("at"))
)
_NEXT_DUE = sa.select(push_wishes.c.due_at).order_by(push_wishes.c.due_at).limit(1)
_ADDRESS = sa.select(
    push_targets.c.topic,
    push_targets.c.token,
    push_targets.c.push_magic,
    push_targets.c.updated_at,
    push_targets.c.token_since,
).where(push_targets.c.channel_id == sa.bindparam("of_channel"))
# made once: building a statement costs more than running it on SQLite


def set_target(
    tx: Transaction,
    channel_id: ChannelId,
    *,
    topic: str,
    token: bytes,
    push_magic: str,
    at: datetime,
    begins_life: bool = False,
) -> bool:
    """Store where to push *channel_id*; a refused token is tried again. Tells whether anything differs from before.

    *begins_life*: it is the first TokenUpdate of this life of the channel.
    """
    before = tx.connection.execute(_ADDRESS, {"of_channel": channel_id}).one_or_none()
    values: dict[str, object] = {
        "topic": topic,
        "token": token,
        "push_magic": push_magic,
        "updated_at": at,
        "token_since": None,
        "refused_at": None,
        "refusals": 0,
        "throttled_until": None,
        "throttles": 0,
    }
    if before is not None and before.push_magic != push_magic:
        values |= {"former_magic": before.push_magic, "magic_changed_at": at}
    if before is not None and before.token != token:
        values |= {"accepted_at": None, "unanswered": 0}  # what APNs keeps, it keeps for the token before
    elif before is not None and not begins_life:
        values |= {"token_since": before.token_since or before.updated_at}
    if begins_life:
        values["tally"] = 1
    stored = {"channel_id": channel_id, "unanswered": 0} | values
    tx.connection.execute(upsert(tx, push_targets, "channel_id", values, () if begins_life else ("tally",)), stored)
    return before is None or (before.topic, before.token, before.push_magic) != (topic, token, push_magic)


def take_former_magic(tx: Transaction, channel_id: ChannelId) -> None:
    """Push a channel by its former magic again, for the device is back at it; where there is none, nothing happens."""
    magics = {"push_magic": push_targets.c.former_magic, "former_magic": push_targets.c.push_magic}
    tx.connection.execute(
        sa.update(push_targets)
        .where(push_targets.c.channel_id == channel_id, push_targets.c.former_magic.is_not(None))
        .values(magics)
    )


def tally_of(tx: Transaction, channel_id: ChannelId) -> int | None:
    """Count the TokenUpdates of this life of *channel_id*; None when none came."""
    value: int | None = tx.connection.scalar(
        sa.select(push_targets.c.tally).where(push_targets.c.channel_id == channel_id)
    )
    return value


def topic_of(tx: Transaction, channel_id: ChannelId) -> str | None:
    """Read the topic to which a channel listens; None where it has no token."""
    return tx.connection.scalar(sa.select(push_targets.c.topic).where(push_targets.c.channel_id == channel_id))


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
    fence = _first_fence(at)
    tx.make_wishes([NewWish(id_, reason, at, due_at, fence) for id_ in sorted(set(channel_ids))])


def wish_if_none(tx: Transaction, reasons: Mapping[ChannelId, PushReason], *, at: datetime) -> None:
    """Wish to push channels at once, each for its reason, but for those for which there is a wish already."""
    if not reasons:
        return
    tx.made_due(Work.PUSH, at)
    fence = _first_fence(at)
    tx.make_missing_wishes([NewWish(id_, reason, at, at, fence) for id_, reason in sorted(reasons.items())])


def _first_fence(at: datetime) -> int:
    """Return the fence of a wish made at *at*, which no earlier wish of the channel can have reached by its claims.

    So the outcome of a wish that was dropped settles nothing of the next one.
    """
    return to_microseconds(at)


def claim_due(tx: Transaction, now: datetime, limit: int) -> tuple[DueWish, ...]:
    """Take up to *limit* due wishes that no other node holds, the longest due first; they stay ours until this
    transaction ends.
    """
    return tx.claim_wishes(now, limit)


def claim_held(tx: Transaction, topic: str, limit: int) -> tuple[DueWish, ...]:
    """Take up to *limit* wishes of *topic* that its breaker holds, due or not, for a probe."""
    return tx.claim_held_wishes(NoPush.BREAKER_OPEN, topic, limit)


def target_state(row: sa.Row[Any]) -> TargetState:
    """Read what a row of push_targets says of its token."""
    return TargetState(
        row.updated_at,
        row.refused_at,
        row.refusals,
        row.throttled_until,
        row.throttles,
        row.budget_until,
        row.accepted_at,
        row.unanswered,
        row.token_since,
    )


def claim_attempts(tx: Transaction, channel_ids: Sequence[ChannelId], *, lease_until: datetime) -> None:
    """Count an attempt to push each, and leave its wish alone until *lease_until*, when the attempt counts as lost.

    The attempt's outcome has to name the wish's fence as it was, plus one. The wishes are such as `claim_due` or
    `claim_held` returned in this transaction.
    """
    if not channel_ids:
        return
    tx.made_due(Work.PUSH, lease_until)
    tx.lease_wishes(channel_ids, lease_until)


def put_off(tx: Transaction, waits: Sequence[PutOff]) -> None:
    """Look at claimed wishes again later, no attempt having been made."""
    if not waits:
        return
    tx.made_due(Work.PUSH, min(wait.until for wait in waits))
    tx.put_off_wishes(waits)


def settle(tx: Transaction, settled: Sequence[SettledPush], at: datetime) -> None:
    """Store what followed from outcomes.

    An outcome that comes after a later attempt or a new wish leaves the wish alone; one for a token that was replaced
    meanwhile, or confirmed by another TokenUpdate, leaves the target alone. Of several outcomes of one token that of
    the latest claim counts.
    """
    in_order = sorted(settled, key=attrgetter("channel_id", "fence"))
    of_tokens = {(one.channel_id, one.token, one.token_updated_at): one for one in in_order}
    of_wishes = {(one.channel_id, one.fence): one for one in in_order}
    tx.settle_targets(list(of_tokens.values()), at)
    tx.settle_wishes(list(of_wishes.values()))
    earliest = min((one.due_at for one in settled if one.due_at is not None), default=None)
    if earliest is not None:
        tx.made_due(Work.PUSH, earliest)


RELEASED_PER_SECOND = 500
"""Held wishes come due at this pace, and not all at once: each wakes a device that connects within seconds."""
_PACE = timedelta(seconds=1) / RELEASED_PER_SECOND


def release_held(tx: Transaction, topic: str, now: datetime) -> int:
    """Make due what was held for *topic*, for its obstacle is gone; returns how many wishes."""
    held = sa.select(push_wishes.c.channel_id).where(
        push_wishes.c.held_because.is_not(None),
        push_wishes.c.channel_id.in_(sa.select(push_targets.c.channel_id).where(push_targets.c.topic == topic)),
    )
    ids = tx.connection.scalars(held.order_by(push_wishes.c.channel_id).with_for_update()).all()
    if ids:
        tx.made_due(Work.PUSH, now)
        tx.put_off_wishes([PutOff(ChannelId(id_), now + _PACE * number, None) for number, id_ in enumerate(ids)])
    return len(ids)


def wish_for_topic(tx: Transaction, topic: str, *, reason: PushReason, at: datetime, limit: int | None = None) -> int:
    """Wish to push every enrolled channel of *topic* that nothing wishes to push and whose token is not refused.

    They come due at the pace of `release_held`. *limit*: no more than so many. Returns how many.
    """
    enrolled = (
        sa.select(push_targets.c.channel_id)
        .join(channels, channels.c.id == push_targets.c.channel_id)
        .outerjoin(push_wishes, push_wishes.c.channel_id == push_targets.c.channel_id)
        .where(
            push_targets.c.topic == topic,
            push_targets.c.refused_at.is_(None),
            channels.c.state == EnrollmentState.ENROLLED.value,
            push_wishes.c.channel_id.is_(None),
        )
        .order_by(push_targets.c.channel_id)
        .limit(limit)
    )
    ids = tx.connection.scalars(enrolled).all()
    wish_at_pace(tx, [ChannelId(id_) for id_ in ids], reason=reason, at=at)
    return len(ids)


def wish_at_pace(tx: Transaction, channel_ids: Sequence[ChannelId], *, reason: PushReason, at: datetime) -> None:
    """Wish to push each of *channel_ids* that nothing wishes to push; they come due at the pace of `release_held`."""
    if not channel_ids:
        return
    tx.made_due(Work.PUSH, at)
    fence = _first_fence(at)
    in_turn = enumerate(sorted(set(channel_ids)))
    tx.make_missing_wishes([NewWish(id_, reason, at, at + _PACE * number, fence) for number, id_ in in_turn])


def wish_unanswered(tx: Transaction, *, reason: PushReason, at: datetime) -> int:
    """Wish to push every enrolled channel again whose last push had no answer and whose token is not refused, in place
    of what was wished; they come due at the pace of `release_held` (`called_again_at`). Returns how many."""
    unanswered = (
        sa.select(push_targets.c.channel_id, push_targets.c.accepted_at)
        .join(channels, channels.c.id == push_targets.c.channel_id)
        .where(
            push_targets.c.refused_at.is_(None),
            push_targets.c.accepted_at.is_not(None),
            channels.c.state == EnrollmentState.ENROLLED.value,
            sa.or_(channels.c.last_contact_at.is_(None), channels.c.last_contact_at < push_targets.c.accepted_at),
        )
        .order_by(push_targets.c.channel_id)
    )
    rows = tx.connection.execute(unanswered).all()
    if rows:
        tx.made_due(Work.PUSH, at)
        fence = _first_fence(at)
        due = [called_again_at(row.accepted_at, at + _PACE * number) for number, row in enumerate(rows)]
        ids = [ChannelId(row.channel_id) for row in rows]
        tx.make_wishes([NewWish(id_, reason, at, due_at, fence) for id_, due_at in zip(ids, due, strict=True)])
    return len(rows)


def forget_refusals(
    tx: Transaction, topic: str, outcomes: Collection[OutcomeClass], *, since: datetime | None
) -> tuple[ChannelId, ...]:
    """Push tokens of *topic* again that were refused with one of *outcomes*, which was no fault of theirs.

    *since*: from when on; None: ever. Returns the channels whose tokens they are.
    """
    refused = push_targets.c.refused_at
    forgotten = tx.connection.scalars(
        sa.update(push_targets)
        .where(
            push_targets.c.topic == topic,
            refused.is_not(None) if since is None else refused >= since,
            push_targets.c.last_outcome.in_([one.value for one in outcomes]),
        )
        .values(refused_at=None, refusals=0)
        .returning(push_targets.c.channel_id)
    )
    return tuple(ChannelId(id_) for id_ in forgotten)


def hasten(tx: Transaction, channel_ids: Sequence[ChannelId], *, at: datetime, by: timedelta) -> None:
    """Look at the wishes of *channel_ids* at *at* that would else be looked at more than *by* later."""
    if not channel_ids:
        return
    tx.made_due(Work.PUSH, at)
    for ids in slices(channel_ids):
        tx.connection.execute(_HASTEN, {"ids": ids, "at": at, "latest": at + by})


def drop_wishes(tx: Transaction, channel_ids: Sequence[ChannelId]) -> None:
    """Push these channels no more, until there is a new wish."""
    for ids in slices(channel_ids):
        tx.connection.execute(_DROP, {"ids": ids})


def next_due(tx: Transaction) -> datetime | None:
    """Tell when the earliest wish is due; None when there is none."""
    value: datetime | None = tx.connection.scalar(_NEXT_DUE)
    return value

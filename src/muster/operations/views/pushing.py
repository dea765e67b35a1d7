"""Why a channel is pushed or not: its wish, its token, its topic, what the rules say now, and its last pushes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_explanation import verdict_sentence
from muster.domain.push_outcomes import Consequence
from muster.domain.push_policy import NoPush, PushReason
from muster.domain.push_standing import Answer, KnownOfPushing, PushVerdict, Wish, verdict_of
from muster.domain.push_topics import TopicState
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId
from muster.storage import push_breakers, push_certificates, queues
from muster.storage.engine import Transaction
from muster.storage.hot_pushes import RecordedPush
from muster.storage.push import target_state
from muster.storage.pushes import KEPT_FOR, of_channel
from muster.storage.schema import channels, device_facts, push_targets, push_wishes, pushes

PUSHES_SHOWN = 20
"""Pushes of one channel that are explained: a day of a busy one."""
CHANNELS_EXPLAINED = 100
"""Channels of one device at most: a Shared iPad may have hundreds of users."""

_OUTCOMES = {one.value: one for one in OutcomeClass}
"""A newer server may have stored others."""


@dataclass(frozen=True, slots=True)
class ChannelPushing:
    """How one channel stands with being pushed. *words* say the verdict in a sentence or two; *pushes* are the last
    ones, the newest first."""

    channel_id: ChannelId
    device_id: ChannelId
    kind: str
    user_short_name: str | None
    serial_number: str | None
    name: str | None
    known: KnownOfPushing
    verdict: PushVerdict
    words: str
    pushes: tuple[RecordedPush, ...] = ()


def explain_pushing(
    tx: Transaction, channel_id: ChannelId, now: datetime, *, limit: int = PUSHES_SHOWN
) -> tuple[ChannelPushing, ...]:
    """Explain how a channel stands, with up to *limit* of its last pushes; where it is a device's own, those of its
    users after it. Empty when no such channel is known."""
    found = channels.c.device_id == channel_id
    explained = _explain(tx, sa.or_(channels.c.id == channel_id, found), now)
    since = now - KEPT_FOR
    return tuple(
        ChannelPushing(
            one.channel_id,
            one.device_id,
            one.kind,
            one.user_short_name,
            one.serial_number,
            one.name,
            one.known,
            one.verdict,
            one.words,
            of_channel(tx, one.channel_id, since=since, limit=limit),
        )
        for one in explained
    )


def pushing_of_device(tx: Transaction, device_id: ChannelId, now: datetime) -> Mapping[ChannelId, ChannelPushing]:
    """Explain how the channels of a device stand, without their pushes; its own comes first."""
    return {one.channel_id: one for one in _explain(tx, channels.c.device_id == device_id, now)}


def explain_channels(tx: Transaction, channel_ids: Sequence[ChannelId], now: datetime) -> list[ChannelPushing]:
    """Explain how channels stand, without their pushes; those that are not known are absent."""
    parts = (channel_ids[at : at + CHANNELS_EXPLAINED] for at in range(0, len(channel_ids), CHANNELS_EXPLAINED))
    return [one for part in parts for one in _explain(tx, channels.c.id.in_(part), now)]


@dataclass(frozen=True, slots=True)
class PushMark:
    """One push of the log, in its stored words. *is_answered*: the channel was in contact after it."""

    channel_id: ChannelId
    at: datetime
    wanted: str
    outcome: str
    status: int
    reason: str | None
    is_answered: bool


def recent_pushes(tx: Transaction, device_id: ChannelId, *, since: datetime, limit: int) -> tuple[PushMark, ...]:
    """Read up to *limit* pushes of a device's channels whose outcome was recorded from *since* on, the newest first."""
    own = sa.select(channels.c.id).where(channels.c.device_id == device_id)
    contacts = sa.select(channels.c.id, channels.c.last_contact_at).where(channels.c.device_id == device_id)
    heard = {row.id: row.last_contact_at for row in tx.connection.execute(contacts)}
    rows = tx.connection.execute(
        sa.select(pushes)
        .where(pushes.c.channel_id.in_(own), pushes.c.at >= since)
        .order_by(pushes.c.at.desc(), pushes.c.apns_id.desc())
        .limit(limit)
    )
    return tuple(
        PushMark(
            ChannelId(row.channel_id),
            row.at,
            row.wanted,
            row.outcome,
            row.status,
            row.reason,
            is_answered=(contact := heard.get(row.channel_id)) is not None and contact > row.at,
        )
        for row in rows
    )


def _explain(tx: Transaction, condition: sa.ColumnElement[bool], now: datetime) -> list[ChannelPushing]:
    own = device_facts.alias("own_facts")
    is_user = channels.c.id != channels.c.device_id
    rows = tx.connection.execute(
        sa.select(
            channels.c.id,
            channels.c.device_id,
            channels.c.kind,
            channels.c.state,
            channels.c.last_contact_at,
            device_facts.c.user_short_name,
            own.c.serial_number,
            own.c.device_name,
            push_targets,
            push_wishes.c.reason.label("wish_reason"),
            push_wishes.c.wanted_at,
            push_wishes.c.due_at,
            push_wishes.c.attempts,
            push_wishes.c.failures,
            push_wishes.c.held_because,
        )
        .select_from(
            channels.outerjoin(device_facts)
            .outerjoin(own, own.c.channel_id == channels.c.device_id)
            .outerjoin(push_targets)
            .outerjoin(push_wishes, push_wishes.c.channel_id == channels.c.id)
        )
        .where(condition)
        .order_by(is_user, channels.c.id)
        .limit(CHANNELS_EXPLAINED)
    ).all()
    waiting = queues.waiting_counts(tx, [ChannelId(row.id) for row in rows])
    refusals = _refusals(tx, [row for row in rows if row.refused_at is not None])
    topics = _topics(tx)
    explained = []
    for row in rows:
        channel_id = ChannelId(row.id)
        known = _known(row, waiting.get(channel_id, queues.NONE_WAITING), topics, refusals.get(channel_id))
        verdict = verdict_of(known, now)
        explained.append(
            ChannelPushing(
                channel_id,
                ChannelId(row.device_id),
                row.kind,
                row.user_short_name,
                row.serial_number,
                row.device_name,
                known,
                verdict,
                verdict_sentence(known, verdict, now),
            )
        )
    return explained


def _known(
    row: sa.Row[Any],
    waiting: queues.WaitingCommands,
    topics: Mapping[str, TopicState],
    refusal: Answer | None,
) -> KnownOfPushing:
    has_token = row.token is not None
    wish = None
    if row.wish_reason is not None:
        held_because = None if row.held_because is None else NoPush(row.held_because)
        reason = PushReason(row.wish_reason)
        wish = Wish(reason, row.wanted_at, row.due_at, row.attempts, row.failures, held_because)
    last = None
    outcome = _OUTCOMES.get(row.last_outcome)
    if outcome is not None and row.last_outcome_at is not None:
        last = Answer(row.last_outcome_at, outcome, None, row.last_reason)
    return KnownOfPushing(
        EnrollmentState(row.state),
        row.last_contact_at,
        waiting.count,
        waiting.declined,
        target=target_state(row) if has_token else None,
        topic=topics.get(row.topic) or TopicState(row.topic, None, None) if has_token else None,
        wish=wish,
        refusal=refusal,
        last=last,
    )


def _topics(tx: Transaction) -> dict[str, TopicState]:
    """Read every topic that has a certificate or a breaker."""
    certificates, breakers = push_certificates.certificates_in_use(tx), push_breakers.read_all(tx)
    return {
        topic: TopicState(topic, certificates[topic].not_after if topic in certificates else None, breakers.get(topic))
        for topic in {*certificates, *breakers}
    }


def _refusals(tx: Transaction, refused: Sequence[sa.Row[Any]]) -> dict[ChannelId, Answer]:
    """Find in the log why tokens are refused; those refused longer ago than it is kept are absent."""
    times = {ChannelId(row.id): row.refused_at for row in refused}
    if not times:
        return {}
    rows = tx.connection.execute(
        sa.select(pushes).where(
            pushes.c.channel_id.in_(times),
            pushes.c.at.in_(set(times.values())),
            pushes.c.consequence == Consequence.STOPPED.value,
        )
    )
    return {
        ChannelId(row.channel_id): Answer(
            row.at, OutcomeClass(row.outcome), row.status, row.reason, row.unregistered_at
        )
        for row in rows
        if row.at == times[ChannelId(row.channel_id)]
    }

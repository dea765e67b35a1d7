"""How pushing stands for the whole fleet, by topic: certificates, breakers, wishes, refused tokens, outcomes."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from muster.domain.push_breaker import Breaker
from muster.domain.push_certificates import days_left
from muster.domain.push_explanation import breaker_sentence
from muster.storage import push_breakers
from muster.storage.engine import Transaction
from muster.storage.push_certificates import certificates_in_use, listeners
from muster.storage.schema import push_targets, push_wishes, pushes

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True, slots=True)
class TopicPushing:
    """One topic. *certificate_until* and *days_left* are absent where it has no certificate, *breaker* where nothing
    fails; *breaker_words* are empty unless that is open.

    *wishes_waiting* have a time to come, *wishes_held* are by what holds them, *tokens_refused* by what APNs said, and
    pushes by their outcome.
    """

    topic: str
    certificate_until: datetime | None
    days_left: int | None
    breaker: Breaker | None
    breaker_words: str
    enrollments: int
    wishes_due: int
    wishes_waiting: int
    wishes_held: Mapping[str, int]
    tokens_refused: Mapping[str, int]
    pushes_last_hour: Mapping[str, int]
    pushes_last_day: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class PushStatus:
    """Every topic, the one with most enrollments first. *wishes_without_token* belong to no topic yet."""

    topics: tuple[TopicPushing, ...]
    wishes_without_token: int


def push_status(tx: Transaction, now: datetime) -> PushStatus:
    """Tell how pushing stands for each topic that has a certificate, a breaker, or anybody who listens to it."""
    certificates, breakers, listening = certificates_in_use(tx), push_breakers.read_all(tx), listeners(tx)
    due, waiting, held = _wishes(tx, now)
    refused = _refused(tx)
    hour, day = _outcomes(tx, now - HOUR), _outcomes(tx, now - DAY)
    known = {*certificates, *breakers, *listening, *(topic for topic in {*due, *waiting, *held} if topic is not None)}
    topics = []
    for topic in known:
        certificate, breaker = certificates.get(topic), breakers.get(topic)
        topics.append(
            TopicPushing(
                topic,
                None if certificate is None else certificate.not_after,
                None if certificate is None else days_left(certificate.not_after, now),
                breaker,
                breaker_sentence(topic, breaker, now) if breaker is not None and breaker.is_open else "",
                listening[topic].enrollments if topic in listening else 0,
                due.get(topic, 0),
                waiting.get(topic, 0),
                held.get(topic, {}),
                refused.get(topic, {}),
                hour.get(topic, {}),
                day.get(topic, {}),
            )
        )
    without_token = due.get(None, 0) + waiting.get(None, 0)
    return PushStatus(tuple(sorted(topics, key=lambda one: (-one.enrollments, one.topic))), without_token)


def open_breakers(tx: Transaction) -> Mapping[str, Breaker]:
    """Read the breakers that are open, by topic."""
    return {topic: breaker for topic, breaker in sorted(push_breakers.read_all(tx).items()) if breaker.is_open}


def _wishes(
    tx: Transaction, now: datetime
) -> tuple[dict[str | None, int], dict[str | None, int], dict[str | None, dict[str, int]]]:
    """Count wishes by topic: those that are due, those that wait for their time, and those held, by what holds them."""
    is_due = sa.case((push_wishes.c.due_at <= now, 1), else_=0)
    rows = tx.connection.execute(
        sa.select(push_targets.c.topic, push_wishes.c.held_because, is_due.label("is_due"), sa.func.count())
        .select_from(push_wishes.outerjoin(push_targets, push_targets.c.channel_id == push_wishes.c.channel_id))
        .group_by(push_targets.c.topic, push_wishes.c.held_because, sa.literal_column("is_due"))
    )
    due: dict[str | None, int] = {}
    waiting: dict[str | None, int] = {}
    held: dict[str | None, dict[str, int]] = defaultdict(dict)
    for topic, because, is_due_now, count in rows:
        if because is not None:
            held[topic][because] = held[topic].get(because, 0) + count
        elif is_due_now:
            due[topic] = count
        else:
            waiting[topic] = count
    return due, waiting, dict(held)


def _refused(tx: Transaction) -> dict[str, dict[str, int]]:
    rows = tx.connection.execute(
        sa.select(push_targets.c.topic, push_targets.c.last_outcome, sa.func.count())
        .where(push_targets.c.refused_at.is_not(None))
        .group_by(push_targets.c.topic, push_targets.c.last_outcome)
    )
    return _by_topic(rows)


def _outcomes(tx: Transaction, since: datetime) -> dict[str, dict[str, int]]:
    rows = tx.connection.execute(
        sa.select(pushes.c.topic, pushes.c.outcome, sa.func.count())
        .where(pushes.c.at >= since)
        .group_by(pushes.c.topic, pushes.c.outcome)
    )
    return _by_topic(rows)


def _by_topic(rows: Iterable[sa.Row[str, str | None, int]]) -> dict[str, dict[str, int]]:
    counted: dict[str, dict[str, int]] = defaultdict(dict)
    for topic, word, count in rows:
        counted[topic][word or "unknown"] = count
    return dict(counted)

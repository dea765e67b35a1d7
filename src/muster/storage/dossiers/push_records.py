"""The way of the push: tokens, certificates, breakers, and which pushes were answered by a contact."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final, NamedTuple

import sqlalchemy as sa

from muster.domain.control.contact import SLOT
from muster.domain.control.dossier import PROMPTLY, PushRecord
from muster.domain.control.reasons import Reason
from muster.domain.push_breaker import Breaker
from muster.domain.push_outcomes import TOKEN_REFUSALS, Consequence
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId
from muster.storage import push_breakers, push_certificates
from muster.storage.among import among
from muster.storage.dossiers.rows import Row
from muster.storage.engine import Transaction
from muster.storage.schema import pushes

ANSWERED_WITHIN: Final = timedelta(minutes=10)
"""A contact so soon after an accepted push answered it: devices connect within seconds, and slots are five minutes."""
RECORDED_LATE: Final = timedelta(minutes=1)
"""An outcome is recorded after the device may have answered it."""
PUSHES_READ: Final = 60
"""Of one channel, the latest: four a day for LOOK_BACK."""
A_DAY: Final = timedelta(days=1)
DEAF_TO: Final = 2
"""A single push may have come while it slept."""
_NO_PUSH: Final = frozenset({Reason.PUSH_PATH_BLOCKED.value, Reason.PUSH_MAGIC_WRONG.value})
_NO_USE: Final = frozenset(one.value for one in (*TOKEN_REFUSALS, OutcomeClass.TOKEN_UNREGISTERED))
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Topics:
    """Of all topics: until when the certificate in use is valid, and breakers that are not simply closed."""

    not_after: Mapping[str, datetime]
    breakers: Mapping[str, Breaker]


@dataclass(frozen=True, slots=True)
class Refused:
    """By which answer APNs refused a token for good, and since when it is unregistered, where it said so."""

    outcome: OutcomeClass
    unregistered_at: datetime | None


_number = sa.func.row_number().over(partition_by=pushes.c.channel_id, order_by=pushes.c.at.desc()).label("number")
_accepted = (
    sa.select(pushes.c.channel_id, pushes.c.at, _number)
    .where(
        among(pushes.c.channel_id, "ids"),
        pushes.c.at >= sa.bindparam("since"),
        pushes.c.outcome == OutcomeClass.ACCEPTED.value,
    )
    .subquery()
)
_ACCEPTED = (
    sa.select(_accepted.c.channel_id, _accepted.c.at).where(_accepted.c.number <= PUSHES_READ).order_by(_accepted.c.at)
)
_REFUSED = (
    sa.select(pushes.c.channel_id, pushes.c.outcome, pushes.c.unregistered_at)
    .where(among(pushes.c.channel_id, "ids"), pushes.c.consequence == Consequence.STOPPED.value)
    .order_by(pushes.c.at)
)
# made once: building a statement costs more than running it on SQLite


def read_topics(tx: Transaction) -> Topics:
    """Read what holds of whole topics."""
    in_use = push_certificates.certificates_in_use(tx)
    return Topics({topic: one.not_after for topic, one in in_use.items()}, push_breakers.read_all(tx))


def read_accepted(
    tx: Transaction, channel_ids: Sequence[ChannelId], since: datetime
) -> Mapping[ChannelId, list[datetime]]:
    """Read when APNs accepted pushes from *since* on, the oldest first, the latest PUSHES_READ of each channel."""
    found: dict[ChannelId, list[datetime]] = defaultdict(list)
    if channel_ids:
        for channel_id, at in tx.connection.execute(_ACCEPTED, {"ids": channel_ids, "since": since}):
            found[channel_id].append(at)
    return found


class Heeded(NamedTuple):
    """Which pushes to a device were answered, and which were not, the oldest first. *is_deaf*: it came by itself only,
    for of two pushes and more in the day before it was heard last none was answered."""

    answered: tuple[datetime, ...] = ()
    missed: tuple[datetime, ...] = ()
    is_deaf: bool = False


def heeded(accepted: Sequence[datetime], contacts: Sequence[datetime], heard_at: datetime, now: datetime) -> Heeded:
    """Tell which pushes a device heeded that was heard last at *heard_at*; both the oldest first. What may be answered
    yet at *now* is neither."""
    settled = [at for at in accepted if at <= now - ANSWERED_WITHIN]
    missed = tuple(at for at in settled if answer_to(at, contacts, heard_at) is None)
    latest = heard_at - ANSWERED_WITHIN
    last_day = [at for at in settled if latest - A_DAY <= at <= latest]
    is_deaf = len(last_day) >= DEAF_TO and set(last_day) <= set(missed)
    return Heeded(tuple(at for at in settled if at not in missed), missed, is_deaf)


def read_refusals(tx: Transaction, channel_ids: Sequence[ChannelId]) -> Mapping[ChannelId, Refused]:
    """Read why the tokens of *channel_ids* were refused last; where the log doesn't know any more they are absent."""
    if not channel_ids:
        return {}
    rows = tx.connection.execute(_REFUSED, {"ids": channel_ids})
    return {ChannelId(row.channel_id): Refused(OutcomeClass(row.outcome), row.unregistered_at) for row in rows}


def is_last_answered(row: Row, contacts: Sequence[datetime]) -> bool:
    """Tell whether the push that APNs accepted last was answered promptly; so it is where none was accepted. Where it
    was not, what was missed is read."""
    at = row.push_accepted_at
    if at is None:
        return True
    answer = answer_to(at, contacts, row.last_contact_at)
    return answer is not None and answer <= at + PROMPTLY


def is_way_in_doubt(row: Row) -> bool:
    """Tell whether it was held for out of reach of pushes: one that seems answered may be so by chance."""
    return row.device_id == row.id and row.device_verdict_reason in _NO_PUSH


def answer_to(accepted_at: datetime, contacts: Sequence[datetime], last_at: datetime | None) -> datetime | None:
    """Return the contact that answered a push, by the start of its slot but not before the push; None: none did.

    *last_at* is when the last contact was, to the second: one that came before the push is no answer to it.
    """
    if last_at is not None and last_at < accepted_at - RECORDED_LATE:
        return None
    earliest = accepted_at - RECORDED_LATE
    start = earliest - (earliest - _EPOCH) % SLOT
    at = bisect_left(contacts, start)
    if at == len(contacts) or contacts[at] > accepted_at + ANSWERED_WITHIN:
        return None
    return max(contacts[at], accepted_at)


def push_record(
    row: Row, contacts: Sequence[datetime], accepted: Sequence[datetime], refused: Refused | None, topics: Topics
) -> PushRecord | None:
    """Put together the way of the push of one channel; None where no TokenUpdate came yet."""
    topic = row.push_topic
    if topic is None:
        return None
    if not accepted and row.push_accepted_at is not None:
        accepted = (row.push_accepted_at,)
    answers = {at: answer for at in accepted if (answer := answer_to(at, contacts, row.last_contact_at)) is not None}
    breaker = topics.breakers.get(topic)
    is_open = breaker is not None and breaker.opened_at is not None
    is_told_anew = is_refused_token_told_anew(row) and refused is not None and refused.outcome == row.push_last_outcome
    return PushRecord(
        topic=topic,
        updated_at=row.push_updated_at,
        token_since=row.push_token_since,
        accepted=tuple(accepted),
        answered=MappingProxyType(answers),
        accepted_at=row.push_accepted_at,
        refused_at=row.push_last_outcome_at if is_told_anew else row.push_refused_at,
        refusal=refused.outcome if is_told_anew and refused is not None else _refusal(row, refused),
        unregistered_at=None if refused is None else refused.unregistered_at,
        throttled_until=row.push_throttled_until,
        magic_changed_at=_magic_changed_at(row),
        has_certificate=topic in topics.not_after,
        certificate_not_after=topics.not_after.get(topic),
        breaker=breaker.cause if breaker is not None and is_open else None,
        breaker_opened_at=breaker.opened_at if breaker is not None else None,
    )


def is_refused_token_told_anew(row: Row) -> bool:
    """Tell whether APNs said last that a token is no use, and a TokenUpdate has brought that very token again since.

    It is pushed soon; until then what APNs said of it stands.
    """
    return (
        row.push_refused_at is None
        and row.push_token_since is not None
        and row.push_last_outcome in _NO_USE
        and row.push_last_outcome_at < row.push_updated_at
    )


def followed_a_push(proved_at: datetime | None, accepted: Sequence[datetime]) -> bool:
    """Tell whether a proof came so soon after an accepted push that the push brought it; *accepted*: oldest first."""
    if proved_at is None:
        return False
    at = bisect_left(accepted, proved_at - ANSWERED_WITHIN)
    return at < len(accepted) and accepted[at] <= proved_at + RECORDED_LATE


def _magic_changed_at(row: Row) -> datetime | None:
    """Of this life: an enrollment always brings another magic."""
    at: datetime | None = row.push_magic_changed_at
    return at if at is not None and row.enrolled_at is not None and at > row.enrolled_at else None


def _refusal(row: Row, refused: Refused | None) -> OutcomeClass | None:
    if row.push_refused_at is None:
        return None
    if refused is not None:
        return refused.outcome
    return None if row.push_last_outcome is None else OutcomeClass(row.push_last_outcome)

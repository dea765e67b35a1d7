"""Pushes in SQLite: plain loops of short statements, for its writer is alone."""

import sqlite3
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_policy import NoPush, PushReason, TargetState
from muster.protocol.identifiers import ChannelId
from muster.storage.hot_pushes import DueWish, NewWish, PushAddress, PutOff, RecordedPush, SettledPush
from muster.storage.types import from_microseconds, to_microseconds

_WISHES = """
SELECT w.channel_id, w.reason, w.wanted_at, w.attempts, w.failures, w.fence, c.state, c.last_contact_at,
       (SELECT count(*) FROM queue WHERE channel_id = w.channel_id AND NOT is_withheld),
       (SELECT count(*) FROM queue WHERE channel_id = w.channel_id AND NOT is_withheld AND not_now_count > 0),
       t.topic, t.token, t.push_magic, t.updated_at, t.refused_at, t.refusals, t.throttled_until, t.throttles,
       t.budget_until, t.accepted_at, t.unanswered, t.token_since
FROM push_wishes w JOIN channels c ON c.id = w.channel_id LEFT JOIN push_targets t ON t.channel_id = w.channel_id
"""
# the order of the index and of nothing else: to sort, all that is due would be read
_DUE = f"{_WISHES} WHERE w.due_at <= ? ORDER BY w.due_at, w.rowid LIMIT ?"
_HELD = f"{_WISHES} WHERE w.held_because = ? AND t.topic = ? ORDER BY w.due_at, w.rowid LIMIT ?"
_MAKE_MISSING = """
INSERT INTO push_wishes (channel_id, reason, wanted_at, due_at, attempts, failures, fence) VALUES (?, ?, ?, ?, 0, 0, ?)
ON CONFLICT (channel_id) DO NOTHING
"""
_MAKE = _MAKE_MISSING.replace(
    "NOTHING",
    """
UPDATE SET reason = excluded.reason, wanted_at = excluded.wanted_at, due_at = min(due_at, excluded.due_at),
           attempts = 0, failures = 0, fence = fence + 1, held_because = NULL
""",
)
_LEASE = """
UPDATE push_wishes SET due_at = ?, attempts = attempts + 1, fence = fence + 1, held_because = NULL WHERE channel_id = ?
"""
_PUT_OFF = "UPDATE push_wishes SET due_at = ?, held_because = ? WHERE channel_id = ?"
_OUTCOME = """
UPDATE push_targets
SET last_outcome = ?, last_outcome_at = ?, last_reason = ?, refused_at = ?, refusals = ?, throttled_until = ?,
    throttles = ?, budget_until = ?, accepted_at = ?, unanswered = ?
WHERE channel_id = ? AND token = ? AND updated_at = ?
"""
_SETTLE = """
UPDATE push_wishes SET due_at = ?, failures = ?, attempts = attempts - ?, held_because = ?
WHERE channel_id = ? AND fence = ?
"""
_SETTLE_FOR_GOOD = "DELETE FROM push_wishes WHERE channel_id = ? AND fence = ?"
_APPEND = """
INSERT INTO pushes (channel_id, at, apns_id, topic, wanted, outcome, status, reason, unregistered_at, latency_ms,
                    attempts, consequence)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
# rows are only ever appended, so the oldest are found without an index of their times
_FORGET = """
DELETE FROM pushes
WHERE rowid IN (SELECT rowid FROM (SELECT rowid, at FROM pushes ORDER BY rowid LIMIT ?) WHERE at < ?)
"""


def make_wishes(cursor: sqlite3.Cursor, wishes: Iterable[NewWish]) -> None:
    """Store wishes, in place of those before."""
    cursor.executemany(_MAKE, (_new_wish(one) for one in wishes))


def make_missing_wishes(cursor: sqlite3.Cursor, wishes: Iterable[NewWish]) -> None:
    """Store wishes where there are none."""
    cursor.executemany(_MAKE_MISSING, (_new_wish(one) for one in wishes))


def claim_wishes(cursor: sqlite3.Cursor, now: datetime, limit: int) -> tuple[DueWish, ...]:
    """Read due wishes."""
    return tuple(_due_wish(row) for row in cursor.execute(_DUE, (to_microseconds(now), limit)))


def claim_held_wishes(cursor: sqlite3.Cursor, because: str, topic: str, limit: int) -> tuple[DueWish, ...]:
    """Read held wishes."""
    return tuple(_due_wish(row) for row in cursor.execute(_HELD, (because, topic, limit)))


def lease_wishes(cursor: sqlite3.Cursor, channel_ids: Iterable[ChannelId], until: datetime) -> None:
    """Count an attempt for each."""
    due_at = to_microseconds(until)
    cursor.executemany(_LEASE, ((due_at, channel_id) for channel_id in channel_ids))


def put_off_wishes(cursor: sqlite3.Cursor, waits: Iterable[PutOff]) -> None:
    """Write when to look at each again."""
    cursor.executemany(
        _PUT_OFF,
        ((to_microseconds(one.until), _word(one.held_because), one.channel_id) for one in waits),
    )


def settle_targets(cursor: sqlite3.Cursor, settled: Iterable[SettledPush], at: datetime) -> None:
    """Write what is known of the tokens since."""
    outcome_at = to_microseconds(at)
    cursor.executemany(_OUTCOME, (_outcome(one, outcome_at) for one in settled))


def settle_wishes(cursor: sqlite3.Cursor, settled: Iterable[SettledPush]) -> None:
    """Write when to look at the wishes again, and drop those that are over."""
    for one in settled:
        if one.due_at is None:
            cursor.execute(_SETTLE_FOR_GOOD, (one.channel_id, one.fence))
        else:
            when = to_microseconds(one.due_at), one.failures, one.taken_back, _word(one.held_because)
            cursor.execute(_SETTLE, (*when, one.channel_id, one.fence))


def append_pushes(cursor: sqlite3.Cursor, recorded: Sequence[RecordedPush]) -> None:
    """Append to the log."""
    cursor.executemany(_APPEND, (_row(one) for one in recorded))


def forget_pushes(cursor: sqlite3.Cursor, before: datetime, limit: int) -> bool:
    """Delete the oldest rows; tells whether there may be more of them."""
    return cursor.execute(_FORGET, (limit, to_microseconds(before))).rowcount == limit


def _new_wish(wish: NewWish) -> tuple[object, ...]:
    return (
        wish.channel_id,
        wish.reason.value,
        to_microseconds(wish.wanted_at),
        to_microseconds(wish.due_at),
        wish.fence,
    )


def _due_wish(row: tuple[Any, ...]) -> DueWish:
    has_token = row[11] is not None
    return DueWish(
        ChannelId(row[0]),
        PushReason(row[1]),
        from_microseconds(row[2]),
        row[3],
        row[4],
        row[5],
        PushAddress._make(row[10:13]) if has_token else None,
        _target_state(*row[13:]) if has_token else None,
        EnrollmentState(row[6]),
        _instant(row[7]),
        row[8],
        row[9],
    )


def _target_state(
    updated_at: int,
    refused_at: int | None,
    refusals: int,
    throttled_until: int | None,
    throttles: int,
    budget_until: int | None,
    accepted_at: int | None,
    unanswered: int,
    token_since: int | None,
) -> TargetState:
    return TargetState(
        from_microseconds(updated_at),
        _instant(refused_at),
        refusals,
        _instant(throttled_until),
        throttles,
        _instant(budget_until),
        _instant(accepted_at),
        unanswered,
        _instant(token_since),
    )


def _outcome(settled: SettledPush, outcome_at: int) -> tuple[object, ...]:
    target = settled.target
    return (
        settled.outcome.value,
        outcome_at,
        settled.reason,
        _microseconds(target.refused_at),
        target.refusals,
        _microseconds(target.throttled_until),
        target.throttles,
        _microseconds(target.budget_until),
        _microseconds(target.accepted_at),
        target.unanswered,
        settled.channel_id,
        settled.token,
        to_microseconds(settled.token_updated_at),
    )


def _row(recorded: RecordedPush) -> tuple[object, ...]:
    outcome = recorded.outcome
    return (
        recorded.channel_id,
        to_microseconds(recorded.at),
        recorded.apns_id,
        recorded.topic,
        recorded.wanted.value,
        outcome.outcome_class.value,
        outcome.status,
        outcome.reason,
        _microseconds(outcome.unregistered_at),
        recorded.latency_ms,
        recorded.attempts,
        recorded.consequence.value,
    )


def _instant(value: int | None) -> datetime | None:
    return None if value is None else from_microseconds(value)


def _microseconds(at: datetime | None) -> int | None:
    return None if at is None else to_microseconds(at)


def _word(obstacle: NoPush | None) -> str | None:
    return None if obstacle is None else obstacle.value

"""Pushes in PostgreSQL: a thousand wishes claimed, and a thousand outcomes stored, by a handful of set statements."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg
from psycopg import sql

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_policy import PushReason, TargetState
from muster.protocol.identifiers import ChannelId
from muster.storage.hot_pushes import DueWish, NewWish, PushAddress, PutOff, RecordedPush, SettledPush
from muster.storage.postgresql_arrays import BYTEA, INT4, INT8, TEXT, TIMESTAMPTZ, Column, Rows, rows_of

_WISH = "channel_id, reason, wanted_at, attempts, failures, fence"
# Nothing is joined to the wishes being locked: one that changed a moment ago is seen as it is now, but what was joined
# to it as it was when the statement began. And no order but that of the index: to sort, all that is due would be read.
_DUE = f"SELECT {_WISH} FROM push_wishes WHERE due_at <= %s ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED"  # noqa: S608 - the names are ours
_HELD = f"""
SELECT {_WISH} FROM push_wishes
WHERE held_because = %s AND channel_id IN (SELECT channel_id FROM push_targets WHERE topic = %s)
ORDER BY due_at LIMIT %s FOR UPDATE SKIP LOCKED
"""  # noqa: S608 - as above
# Each row is looked up by its key, whatever the planner thinks: for a thousand of a hundred thousand it would read all.
_DETAILS = """
SELECT w.channel_id, c.state, c.last_contact_at, q.waiting, q.declined, t.topic, t.token, t.push_magic, t.updated_at,
       t.refused_at, t.refusals, t.throttled_until, t.throttles, t.budget_until, t.accepted_at, t.unanswered,
       t.token_since
FROM unnest(%s::text[]) AS w(channel_id)
CROSS JOIN LATERAL (SELECT * FROM channels WHERE id = w.channel_id LIMIT 1) c
LEFT JOIN LATERAL (SELECT * FROM push_targets WHERE channel_id = w.channel_id LIMIT 1) t ON true
CROSS JOIN LATERAL (
  SELECT count(*) AS waiting, count(*) FILTER (WHERE not_now_count > 0) AS declined
  FROM queue WHERE channel_id = w.channel_id AND NOT is_withheld
) q
"""
_MAKE_MISSING = """
INSERT INTO push_wishes (channel_id, reason, wanted_at, due_at, attempts, failures, fence)
SELECT channel_id, reason, wanted_at, due_at, 0, 0, fence FROM {rows}
ON CONFLICT (channel_id) DO NOTHING
"""
_MAKE = _MAKE_MISSING.replace(
    "NOTHING",
    """
UPDATE SET reason = excluded.reason, wanted_at = excluded.wanted_at,
           due_at = least(push_wishes.due_at, excluded.due_at),
           attempts = 0, failures = 0, fence = push_wishes.fence + 1, held_because = NULL
""",
)
# These are joined to rows that `_by_keys` has looked up by their keys in the order given, which is that of their ids in
# every transaction: where one statement is all that takes rows of its table, nobody has to lock them before.
_LEASE = """
UPDATE push_wishes w SET due_at = %s, attempts = w.attempts + 1, fence = w.fence + 1, held_because = NULL
FROM unnest(%s::text[]) AS v(channel_id)
WHERE w.channel_id = v.channel_id
"""
_PUT_OFF = (
    "UPDATE push_wishes w SET due_at = v.until, held_because = v.because FROM {rows} WHERE w.channel_id = v.channel_id"
)
_OUTCOMES = """
UPDATE push_targets t
SET last_outcome = v.outcome, last_outcome_at = %s, last_reason = v.reason, refused_at = v.refused_at,
    refusals = v.refusals, throttled_until = v.throttled_until, throttles = v.throttles, budget_until = v.budget_until,
    accepted_at = v.accepted_at, unanswered = v.unanswered
FROM {rows}
WHERE t.channel_id = v.channel_id AND t.token = v.token AND t.updated_at = v.token_updated_at
"""
_LOCK_WISHES = """
SELECT FROM unnest(%s::text[]) AS v(channel_id)
CROSS JOIN LATERAL (SELECT FROM push_wishes WHERE channel_id = v.channel_id FOR UPDATE) w
"""
_SETTLE = """
UPDATE push_wishes w SET due_at = v.due_at, failures = v.failures, attempts = w.attempts - v.taken_back,
       held_because = v.held_because
FROM {rows} WHERE w.channel_id = v.channel_id AND w.fence = v.fence
"""
_SETTLE_FOR_GOOD = "DELETE FROM push_wishes w USING {rows} WHERE w.channel_id = v.channel_id AND w.fence = v.fence"
_APPEND = """
INSERT INTO pushes (channel_id, at, apns_id, topic, wanted, outcome, status, reason, unregistered_at, latency_ms,
                    attempts, consequence)
SELECT channel_id, at, apns_id, topic, wanted, outcome, status, reason, unregistered_at, latency_ms, attempts,
       consequence
FROM {rows}
"""
# For a thousand rows of a hundred thousand the planner would read all of them, and take them in whatever order.
_BY_KEYS = """
SELECT set_config('enable_seqscan', 'off', true), set_config('enable_hashjoin', 'off', true),
       set_config('enable_mergejoin', 'off', true)
"""
# A partition is named for its month; those before that of the moment given lie before that moment altogether.
_PARTITIONS = r"""
SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'pushes'::regclass AND c.relname ~ '^pushes_y\d{4}m\d{2}$'
      AND translate(substr(c.relname, 9), 'm', '') < %s
ORDER BY c.relname
"""
_WAIT_AS_BEFORE = "SET LOCAL lock_timeout = DEFAULT"
_FORGET = """
DELETE FROM pushes_default WHERE ctid = ANY(ARRAY(SELECT ctid FROM pushes_default WHERE at < %s LIMIT %s))
"""

_REASONS = {reason.value: reason for reason in PushReason}
_STATES = {state.value: state for state in EnrollmentState}  # looked up a thousand times, which Enum is slow at

DROP_PATIENCE_MILLISECONDS = 1000
"""While the drop of a partition waits for those who read the log, everybody who appends to it waits behind."""

Cursor = psycopg.Cursor[tuple[Any, ...]]


def look_up_by_keys(cursor: Cursor) -> None:
    """Have statements of this transaction look up each row by its key."""
    cursor.execute(_BY_KEYS)


def make_wishes(cursor: Cursor, wishes: Sequence[NewWish]) -> None:
    """Store wishes, in place of those before."""
    rows = _new_wishes(wishes)
    cursor.execute(_MAKE.format(rows=rows.sql), rows.parameters)


def make_missing_wishes(cursor: Cursor, wishes: Sequence[NewWish]) -> None:
    """Store wishes where there are none."""
    rows = _new_wishes(wishes)
    cursor.execute(_MAKE_MISSING.format(rows=rows.sql), rows.parameters)


def claim_wishes(cursor: Cursor, now: datetime, limit: int) -> tuple[DueWish, ...]:
    """Take due wishes that no other node holds."""
    return _with_details(cursor, cursor.execute(_DUE, (now, limit)).fetchall())


def claim_held_wishes(cursor: Cursor, because: str, topic: str, limit: int) -> tuple[DueWish, ...]:
    """Take held wishes that no other node holds."""
    return _with_details(cursor, cursor.execute(_HELD, (because, topic, limit)).fetchall())


def lease_wishes(cursor: Cursor, channel_ids: Sequence[ChannelId], until: datetime) -> None:
    """Count an attempt for each."""
    look_up_by_keys(cursor)
    cursor.execute(_LEASE, (until, TEXT.array(channel_ids)))


def put_off_wishes(cursor: Cursor, waits: Sequence[PutOff]) -> None:
    """Write when to look at each again."""
    rows = rows_of(
        {"channel_id": Column(TEXT, [one.channel_id for one in waits])},
        {
            "until": Column(TIMESTAMPTZ, [one.until for one in waits]),
            "because": Column(TEXT, [one.held_because for one in waits]),
        },
    )
    look_up_by_keys(cursor)
    cursor.execute(_PUT_OFF.format(rows=rows.sql), rows.parameters)


def settle_targets(cursor: Cursor, settled: Sequence[SettledPush], at: datetime) -> None:
    """Write what is known of the tokens since."""
    targets = [one.target for one in settled]
    rows = rows_of(
        {
            "channel_id": Column(TEXT, [one.channel_id for one in settled]),
            "token": Column(BYTEA, [one.token for one in settled]),
            "token_updated_at": Column(TIMESTAMPTZ, [one.token_updated_at for one in settled]),
        },
        {
            "outcome": Column(TEXT, [one.outcome for one in settled]),
            "reason": Column(TEXT, [one.reason for one in settled]),
            "refused_at": Column(TIMESTAMPTZ, [one.refused_at for one in targets]),
            "refusals": Column(INT4, [one.refusals for one in targets]),
            "throttled_until": Column(TIMESTAMPTZ, [one.throttled_until for one in targets]),
            "throttles": Column(INT4, [one.throttles for one in targets]),
            "budget_until": Column(TIMESTAMPTZ, [one.budget_until for one in targets]),
            "accepted_at": Column(TIMESTAMPTZ, [one.accepted_at for one in targets]),
            "unanswered": Column(INT4, [one.unanswered for one in targets]),
        },
    )
    look_up_by_keys(cursor)
    cursor.execute(_OUTCOMES.format(rows=rows.sql), (at, *rows.parameters))


def settle_wishes(cursor: Cursor, settled: Sequence[SettledPush]) -> None:
    """Write when to look at the wishes again, and drop those that are over."""
    kept = [one for one in settled if one.due_at is not None]
    over = [one for one in settled if one.due_at is None]
    look_up_by_keys(cursor)
    if kept and over:
        cursor.execute(_LOCK_WISHES, (TEXT.array(one.channel_id for one in settled),))
    if kept:
        rows = rows_of(
            _of_claim(kept),
            {
                "due_at": Column(TIMESTAMPTZ, [one.due_at for one in kept]),
                "failures": Column(INT4, [one.failures for one in kept]),
                "taken_back": Column(INT4, [one.taken_back for one in kept]),
                "held_because": Column(TEXT, [one.held_because for one in kept]),
            },
        )
        cursor.execute(_SETTLE.format(rows=rows.sql), rows.parameters)
    if over:
        rows = rows_of(_of_claim(over), {})
        cursor.execute(_SETTLE_FOR_GOOD.format(rows=rows.sql), rows.parameters)


def _of_claim(settled: Sequence[SettledPush]) -> dict[str, Column[Any]]:
    return {
        "channel_id": Column(TEXT, [one.channel_id for one in settled]),
        "fence": Column(INT8, [one.fence for one in settled]),
    }


def append_pushes(cursor: Cursor, recorded: Sequence[RecordedPush]) -> None:
    """Append to the log."""
    outcomes = [one.outcome for one in recorded]
    rows = rows_of(
        {"channel_id": Column(TEXT, [one.channel_id for one in recorded])},
        {
            "at": Column(TIMESTAMPTZ, [one.at for one in recorded]),
            "apns_id": Column(TEXT, [one.apns_id for one in recorded]),
            "topic": Column(TEXT, [one.topic for one in recorded]),
            "wanted": Column(TEXT, [one.wanted for one in recorded]),
            "outcome": Column(TEXT, [one.outcome_class for one in outcomes]),
            "status": Column(INT4, [one.status for one in outcomes]),
            "reason": Column(TEXT, [one.reason for one in outcomes]),
            "unregistered_at": Column(TIMESTAMPTZ, [one.unregistered_at for one in outcomes]),
            "latency_ms": Column(INT4, [one.latency_ms for one in recorded]),
            "attempts": Column(INT4, [one.attempts for one in recorded]),
            "consequence": Column(TEXT, [one.consequence for one in recorded]),
        },
    )
    cursor.execute(_APPEND.format(rows=rows.sql), rows.parameters)


def forget_pushes(cursor: Cursor, before: datetime, limit: int) -> bool:
    """Drop whole months; tells whether rows without a partition of their own may be left.

    A month that somebody reads just now, a backup for hours, is left for the next time: a longer wait for it would
    keep everybody from appending.
    """
    partitions = [name for (name,) in cursor.execute(_PARTITIONS, (f"{before:%Y%m}",)).fetchall()]
    if partitions:
        try:
            with cursor.connection.transaction():
                cursor.execute(f"SET LOCAL lock_timeout = {DROP_PATIENCE_MILLISECONDS}")
                for name in partitions:
                    cursor.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(name)))
                cursor.execute(_WAIT_AS_BEFORE)
        except psycopg.errors.LockNotAvailable:
            pass
    cursor.execute(_FORGET, (before, limit))
    return cursor.rowcount == limit


def _new_wishes(wishes: Sequence[NewWish]) -> Rows:
    return rows_of(
        {"channel_id": Column(TEXT, [one.channel_id for one in wishes])},
        {
            "reason": Column(TEXT, [one.reason for one in wishes]),
            "wanted_at": Column(TIMESTAMPTZ, [one.wanted_at for one in wishes]),
            "due_at": Column(TIMESTAMPTZ, [one.due_at for one in wishes]),
            "fence": Column(INT8, [one.fence for one in wishes]),
        },
    )


def _with_details(cursor: Cursor, wishes: Sequence[tuple[Any, ...]]) -> tuple[DueWish, ...]:
    if not wishes:
        return ()
    cursor.execute(_DETAILS, (TEXT.array(wish[0] for wish in wishes),))
    details = {row[0]: row for row in cursor.fetchall()}
    return tuple(_due_wish(wish, detail) for wish in wishes if (detail := details.get(wish[0])) is not None)


def _due_wish(wish: tuple[Any, ...], detail: tuple[Any, ...]) -> DueWish:
    channel_id, reason, wanted_at, attempts, failures, fence = wish
    has_token = detail[6] is not None
    return DueWish(
        ChannelId(channel_id),
        _REASONS[reason],
        wanted_at,
        attempts,
        failures,
        fence,
        PushAddress._make(detail[5:8]) if has_token else None,
        TargetState._make(detail[8:]) if has_token else None,
        _STATES[detail[1]],
        *detail[2:5],
    )

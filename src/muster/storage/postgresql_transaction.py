"""What a transaction of PostgreSQL does in its own way: set statements over arrays, each keyed by channel id."""

import itertools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import psycopg
import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as dialect

from muster.domain.command_queue import HeadQuery, QueueEntry, QueuePurpose
from muster.domain.control.contact import ContactDay, FoldedContact
from muster.domain.enrollment import EndReason, Enrollment, EnrollmentState, Pins
from muster.domain.push_policy import NoPush
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, CommandUUID, DeviceId
from muster.storage import postgresql_pushes
from muster.storage.engine import Transaction, Work
from muster.storage.hot import AppliedConnect, ClosedEntry, LockedChannel
from muster.storage.hot_pushes import DueWish, NewWish, PutOff, RecordedPush, SettledPush
from muster.storage.postgresql_arrays import (
    BOOL,
    BYTEA,
    INT4,
    TEXT,
    TIMESTAMPTZ,
    BinaryArray,
    Column,
    element_of,
    rows_of,
)
from muster.storage.schema import PARTITIONED

PARTITIONED_MONTHS_AHEAD = 2
"""Partitions stand ready for this month and as many after it."""

# A statement that had to wait for a row sees that row as it is now, but what it joined as it was before the wait. So
# nothing is joined to the rows being locked: pins of the device are read by a statement of their own.
_LOCK = """
SELECT id, device_id, kind, state, epoch, ended_reason, last_contact_at, contact_day, contact_strip,
       provisional_epoch, pin, former_pin, former_pin_until, provisional_pin, rhythm, is_watched
FROM channels WHERE id = ANY(%s::text[]) ORDER BY id FOR NO KEY UPDATE
"""
_DEVICES = """
SELECT id, provisional_epoch, pin, former_pin, former_pin_until, provisional_pin
FROM channels WHERE id = ANY(%s::text[])
"""
_ANSWERED = """
SELECT w.channel_id, q.command_uuid, k.request_type, q.epoch, q.queued_at, q.not_now_count, q.handed_out_count,
       q.handed_out_at, ''::bytea, q.purpose, k.is_sealed, q.unanswered_count, q.expires_at, q.has_followers,
       q.retries_left, q.failed_count
FROM unnest(%s::text[], %s::text[]) AS w(channel_id, command_uuid)
JOIN queue q ON q.channel_id = w.channel_id AND q.command_uuid = w.command_uuid
JOIN commands k ON k.command_uuid = q.command_uuid
"""
_HEADS = """
SELECT w.channel_id, q.command_uuid, k.request_type, q.epoch, q.queued_at, q.not_now_count, q.handed_out_count,
       q.handed_out_at, k.body, q.purpose, k.is_sealed, q.unanswered_count, q.expires_at, q.has_followers,
       q.retries_left, q.failed_count
FROM unnest(%s::text[], %s::text[], %s::bool[]) AS w(channel_id, answered, skip_not_now)
CROSS JOIN LATERAL (
  SELECT * FROM queue
  WHERE channel_id = w.channel_id AND command_uuid <> w.answered AND NOT is_withheld
        AND (NOT w.skip_not_now OR not_now_count = 0)
  ORDER BY rank, position, command_uuid LIMIT 1
) q
JOIN commands k ON k.command_uuid = q.command_uuid
"""
_TOUCH = """
UPDATE channels c
SET last_contact_at = GREATEST(c.last_contact_at, %s), contact_day = v.day, contact_strip = v.strip,
    rhythm = COALESCE(v.rhythm, c.rhythm), last_source = COALESCE(v.source, c.last_source),
    last_proof_at = CASE WHEN v.is_proof THEN GREATEST(c.last_proof_at, %s) ELSE c.last_proof_at END
FROM unnest(%s::text[], %s::int[], %s::bytea[], %s::bool[], %s::bytea[], %s::text[])
     AS v(id, day, strip, is_proof, rhythm, source)
WHERE c.id = v.id
"""
_FINISHED_DAYS = """
INSERT INTO contact_days (channel_id, day, strip)
SELECT * FROM unnest(%s::text[], %s::int[], %s::bytea[])
ON CONFLICT (channel_id, day) DO UPDATE SET strip = EXCLUDED.strip
"""
_CLOSE = """
DELETE FROM queue q USING unnest(%s::text[], %s::text[]) AS v(channel_id, command_uuid)
WHERE q.channel_id = v.channel_id AND q.command_uuid = v.command_uuid
"""
_REPORTS = """
INSERT INTO reports (reported_at, channel_id, command_uuid, request_type, status, body, epoch, queued_at,
                     handed_out_at, handed_out_count, not_now_count, is_sealed, purpose)
SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::int[], %s::timestamptz[],
                         %s::timestamptz[], %s::int[], %s::int[], %s::bool[], %s::text[])
"""
_UNREAD = """
INSERT INTO unread_answers (reported_at, next_attempt_at, attempts, channel_id, command_uuid)
SELECT %s, %s, 0, * FROM unnest(%s::text[], %s::text[])
"""
_NOT_NOW = """
UPDATE queue q
SET not_now_count = q.not_now_count + 1, unanswered_count = 0, is_withheld = q.held_because IS NOT NULL
FROM unnest(%s::text[], %s::text[]) AS v(channel_id, command_uuid)
WHERE q.channel_id = v.channel_id AND q.command_uuid = v.command_uuid
"""
_HAND_OUT = """
UPDATE queue q
SET handed_out_count = q.handed_out_count + 1, unanswered_count = q.unanswered_count + 1, handed_out_at = n.at,
    unanswered_since = CASE WHEN q.unanswered_count > 0 THEN coalesce(q.unanswered_since, n.at) ELSE n.at END,
    is_withheld = v.withhold
FROM (SELECT %s::timestamptz AS at) AS n,
     unnest(%s::text[], %s::text[], %s::bool[]) AS v(channel_id, command_uuid, withhold)
WHERE q.channel_id = v.channel_id AND q.command_uuid = v.command_uuid
"""


class PostgresqlTransaction(Transaction):
    """A transaction of PostgreSQL."""

    def lock_channels(self, wanted: Sequence[HeadQuery]) -> dict[ChannelId, LockedChannel]:
        """Lock and read all of *wanted* in at most four statements."""
        if not wanted:
            return {}
        with self._cursor() as cursor:
            rows = cursor.execute(_LOCK, (TEXT.array(query.channel_id for query in wanted),)).fetchall()
            pins = _pins_of_devices(cursor, rows)
            answered = _answered(cursor, [query for query in wanted if query.answered is not None])
            heads = _heads(cursor, wanted)
        return {
            row[0]: _locked_channel(row, pins[row[1]], answered.get(row[0]), heads.get(row[0]))
            for row in rows
            if row[1] in pins
        }

    def apply_connects(self, connects: Sequence[AppliedConnect], now: datetime) -> None:
        """Write all of *connects*, one statement for each kind of change."""
        if not connects:
            return
        with self._cursor() as cursor:
            heard = [(c, c.contact) for c in connects if c.contact is not None]
            if heard:
                _touch(cursor, heard, now)
            closed = [(c.channel_id, c.closed) for c in connects if c.closed is not None]
            if closed:
                channel_ids = TEXT.array(channel_id for channel_id, _ in closed)
                command_uuids = TEXT.array(c.entry.command_uuid for _, c in closed)
                cursor.execute(_CLOSE, (channel_ids, command_uuids))
                cursor.execute(_REPORTS, (now, channel_ids, command_uuids, *_reports([c for _, c in closed])))
            to_be_read = [(channel_id, c.entry.command_uuid) for channel_id, c in closed if c.is_to_be_read]
            if to_be_read:
                self.made_due(Work.ANSWERS, now)
                pairs = TEXT.array(pair[0] for pair in to_be_read), TEXT.array(pair[1] for pair in to_be_read)
                cursor.execute(_UNREAD, (now, now, *pairs))
            not_now = [(c.channel_id, c.not_now) for c in connects if c.not_now is not None]
            if not_now:
                cursor.execute(
                    _NOT_NOW, (TEXT.array(pair[0] for pair in not_now), TEXT.array(pair[1] for pair in not_now))
                )
            _hand_out(cursor, connects, now)

    def make_wishes(self, wishes: Sequence[NewWish]) -> None:
        """One statement for all."""
        if wishes:
            with self._cursor() as cursor:
                postgresql_pushes.make_wishes(cursor, wishes)

    def make_missing_wishes(self, wishes: Sequence[NewWish]) -> None:
        """One statement for all."""
        if wishes:
            with self._cursor() as cursor:
                postgresql_pushes.make_missing_wishes(cursor, wishes)

    def claim_wishes(self, now: datetime, limit: int) -> tuple[DueWish, ...]:
        """Two statements: what is joined to rows being locked may be older than they are."""
        with self._cursor() as cursor:
            return postgresql_pushes.claim_wishes(cursor, now, limit)

    def claim_held_wishes(self, because: NoPush, topic: str, limit: int) -> tuple[DueWish, ...]:
        """Two statements: what is joined to rows being locked may be older than they are."""
        with self._cursor() as cursor:
            return postgresql_pushes.claim_held_wishes(cursor, because.value, topic, limit)

    def lease_wishes(self, channel_ids: Sequence[ChannelId], until: datetime) -> None:
        """One statement for all."""
        if channel_ids:
            with self._cursor() as cursor:
                postgresql_pushes.lease_wishes(cursor, channel_ids, until)

    def put_off_wishes(self, waits: Sequence[PutOff]) -> None:
        """One statement for all."""
        if waits:
            with self._cursor() as cursor:
                postgresql_pushes.put_off_wishes(cursor, waits)

    def settle_targets(self, settled: Sequence[SettledPush], at: datetime) -> None:
        """One statement, which takes the rows in the order of their ids."""
        if settled:
            with self._cursor() as cursor:
                postgresql_pushes.settle_targets(cursor, settled, at)

    def settle_wishes(self, settled: Sequence[SettledPush]) -> None:
        """One statement, in the order of their ids, where all are kept or all are over; else they are locked first."""
        if settled:
            with self._cursor() as cursor:
                postgresql_pushes.settle_wishes(cursor, settled)

    def append_pushes(self, recorded: Sequence[RecordedPush]) -> None:
        """One statement for all."""
        if recorded:
            with self._cursor() as cursor:
                postgresql_pushes.append_pushes(cursor, recorded)

    def forget_pushes(self, before: datetime, limit: int) -> bool:
        """Drop the partitions that lie before it; row by row goes only what came in while a month had none."""
        self.lock_name("partitions")
        with self._cursor() as cursor:
            return postgresql_pushes.forget_pushes(cursor, before, limit)

    def lock_rows(self, channel_ids: Sequence[ChannelId]) -> None:
        """Lock the rows in the order of their ids, as every other transaction does."""
        with self._cursor() as cursor:
            cursor.execute(
                "SELECT 1 FROM channels WHERE id = ANY(%s::text[]) ORDER BY id FOR NO KEY UPDATE",
                (TEXT.array(channel_ids),),
            )

    def lock_name(self, name: str) -> None:
        """Take the advisory lock of *name* until the transaction ends."""
        self.connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"muster:{name}"})

    def look_up_by_keys(self) -> None:
        """Take other plans from the planner: for a thousand rows of a hundred thousand it would read all of them."""
        with self._cursor() as cursor:
            postgresql_pushes.look_up_by_keys(cursor)

    def insert(self, table: sa.Table) -> Any:
        """Return PostgreSQL's INSERT."""
        return dialect.insert(table)

    def insert_rows(
        self, table: sa.Table, columns: Mapping[str, Sequence[object]], constants: Mapping[str, object]
    ) -> None:
        """One statement over arrays for all; of a column that is alike in all rows one value is sent."""
        self._insert_rows(table, columns, constants, "")

    def put_rows(self, table: sa.Table, key: str, columns: Mapping[str, Sequence[object]]) -> None:
        """As `insert_rows`."""
        replaced = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
        self._insert_rows(table, columns, {}, f" ON CONFLICT ({key}) DO UPDATE SET {replaced}")

    def _insert_rows(
        self, table: sa.Table, columns: Mapping[str, Sequence[object]], constants: Mapping[str, object], end: str
    ) -> None:
        of_columns = {name: Column(element_of(table.c[name]), values) for name, values in columns.items()}
        first = next(iter(columns))
        if not columns[first]:
            return
        rows = rows_of({first: of_columns.pop(first)}, of_columns)
        names = ", ".join(columns)
        with self._cursor() as cursor:
            cursor.execute(
                f"INSERT INTO {table.name} ({', '.join([names, *constants])}) "  # noqa: S608 - the names are ours
                f"SELECT {names}{', %s' * len(constants)} FROM {rows.sql}{end}",
                [*constants.values(), *rows.parameters],
            )

    def update_rows(
        self, table: sa.Table, key: str, columns: Mapping[str, Sequence[object]], constants: Mapping[str, object]
    ) -> None:
        """One statement over arrays for all; of a column that is alike in all rows one value is sent."""
        if not columns[key]:
            return
        of_columns = {name: Column(element_of(table.c[name]), values) for name, values in columns.items()}
        rows = rows_of({key: of_columns.pop(key)}, of_columns)
        values = ", ".join([*(f"{name} = v.{name}" for name in of_columns), *(f"{name} = %s" for name in constants)])
        with self._cursor() as cursor:
            cursor.execute(
                f"UPDATE {table.name} AS t SET {values} FROM {rows.sql} WHERE t.{key} = v.{key}",  # noqa: S608 - the names are ours
                [*constants.values(), *rows.parameters],
            )

    def claim(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Pass over the rows that another node holds."""
        return select.with_for_update(skip_locked=True)

    def ensure_partitions(self, now: datetime) -> None:
        """Make this month's and the next months' partitions where they are missing.

        Rows of such a month that the default partition has taken in meanwhile move to the new one.
        """
        self.lock_name("partitions")
        for table, column in PARTITIONED.items():
            for first, after in _months(now, PARTITIONED_MONTHS_AHEAD + 1):
                name = f"{table}_y{first:%Y}m{first:%m}"
                if self.connection.scalar(sa.text("SELECT to_regclass(:name)"), {"name": name}) is None:
                    self._add_partition(table, column, name, first, after)

    def database_now(self) -> datetime | None:
        """Return the server's clock at this moment."""
        value = self.connection.execute(sa.text("SELECT clock_timestamp()")).scalar_one()
        assert isinstance(value, datetime)
        return value

    def _cursor(self) -> psycopg.Cursor[tuple[Any, ...]]:
        connection = self.connection.connection.driver_connection
        assert isinstance(connection, psycopg.Connection)
        return connection.cursor(binary=True)

    def _add_partition(self, table: str, column: str, name: str, first: datetime, after: datetime) -> None:
        low, high = f"'{first:%Y-%m-%d}+00'", f"'{after:%Y-%m-%d}+00'"
        of_month = f"{column} >= {low} AND {column} < {high}"
        statements = [
            # attaching fails while the default partition holds rows of the month, so nobody may add any
            f"LOCK TABLE {table}_default IN ACCESS EXCLUSIVE MODE",
            f"CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)",
            f"INSERT INTO {name} SELECT * FROM {table}_default WHERE {of_month}",  # noqa: S608 - all names are ours
            f"DELETE FROM {table}_default WHERE {of_month}",  # noqa: S608 - as above
            f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({low}) TO ({high})",
        ]
        for statement in statements:
            self.connection.exec_driver_sql(statement)


def _pins_of_devices(
    cursor: psycopg.Cursor[tuple[Any, ...]], locked: Sequence[tuple[Any, ...]]
) -> Mapping[str, tuple[Any, ...]]:
    """Return provisional epoch and pins by device: from its own row where that is locked, else read."""
    pins = {row[0]: row[9:14] for row in locked if row[0] == row[1]}
    others = sorted({row[1] for row in locked} - pins.keys())
    if others:
        pins |= {row[0]: row[1:] for row in cursor.execute(_DEVICES, (TEXT.array(others),))}
    return pins


def _answered(cursor: psycopg.Cursor[tuple[Any, ...]], asked: Sequence[HeadQuery]) -> dict[str, QueueEntry]:
    if not asked:
        return {}
    cursor.execute(_ANSWERED, (TEXT.array(q.channel_id for q in asked), TEXT.array(q.answered for q in asked)))
    return {row[0]: _entry(row) for row in cursor}


def _heads(cursor: psycopg.Cursor[tuple[Any, ...]], wanted: Sequence[HeadQuery]) -> dict[str, QueueEntry]:
    parameters = (
        TEXT.array(query.channel_id for query in wanted),
        TEXT.array(query.answered or "" for query in wanted),
        BOOL.array(query.skip_not_now for query in wanted),
    )
    return {row[0]: _entry(row) for row in cursor.execute(_HEADS, parameters)}


def _touch(
    cursor: psycopg.Cursor[tuple[Any, ...]], heard: Sequence[tuple[AppliedConnect, FoldedContact]], now: datetime
) -> None:
    parameters = (
        TEXT.array(c.channel_id for c, _ in heard),
        INT4.array(contact.current.day for _, contact in heard),
        BYTEA.array(contact.current.strip for _, contact in heard),
        BOOL.array(c.is_proof for c, _ in heard),
        BYTEA.array(c.rhythm for c, _ in heard),
        TEXT.array(c.source for c, _ in heard),
    )
    cursor.execute(_TOUCH, (now, now, *parameters))
    finished = [(c.channel_id, contact.finished) for c, contact in heard if contact.finished is not None]
    if finished:
        parameters_of_days = (
            TEXT.array(channel_id for channel_id, _ in finished),
            INT4.array(day.day for _, day in finished),
            BYTEA.array(day.strip for _, day in finished),
        )
        cursor.execute(_FINISHED_DAYS, parameters_of_days)


def _hand_out(cursor: psycopg.Cursor[tuple[Any, ...]], connects: Sequence[AppliedConnect], now: datetime) -> None:
    handed_out = [(c.channel_id, c.handed_out, c.withhold_after) for c in connects if c.handed_out is not None]
    if handed_out:
        parameters = (
            TEXT.array(channel_id for channel_id, _, _ in handed_out),
            TEXT.array(entry.command_uuid for _, entry, _ in handed_out),
            BOOL.array(is_withheld for _, _, is_withheld in handed_out),
        )
        cursor.execute(_HAND_OUT, (now, *parameters))


def _locked_channel(
    row: tuple[Any, ...], pins: tuple[Any, ...], answered: QueueEntry | None, head: QueueEntry | None
) -> LockedChannel:
    enrollment = Enrollment(
        Channel(ChannelId(row[0]), DeviceId(row[1]), ChannelKind(row[2])),
        EnrollmentState(row[3]),
        row[4],
        pins[0],
        Pins(*pins[1:]),
        None if row[5] is None else EndReason(row[5]),
    )
    contact = None if row[7] is None else ContactDay(row[7], row[8])
    return LockedChannel(enrollment, contact, row[14], row[15], row[6], answered, head)


def _entry(row: tuple[Any, ...]) -> QueueEntry:
    return QueueEntry(
        CommandUUID(row[1]),
        row[2],
        row[8],
        epoch=row[3],
        queued_at=row[4],
        not_now_count=row[5],
        handed_out_count=row[6],
        handed_out_at=row[7],
        purpose=QueuePurpose(row[9]),
        is_sealed=row[10],
        unanswered_count=row[11],
        expires_at=row[12],
        has_followers=row[13],
        retries_left=row[14],
        failed_count=row[15],
    )


def _reports(closed: Sequence[ClosedEntry]) -> tuple[BinaryArray, ...]:
    """Return the columns of _REPORTS behind the command's UUID."""
    return (
        TEXT.array(c.entry.request_type for c in closed),
        TEXT.array(c.status for c in closed),
        BYTEA.array(c.body for c in closed),
        INT4.array(c.entry.epoch for c in closed),
        TIMESTAMPTZ.array(c.entry.queued_at for c in closed),
        TIMESTAMPTZ.array(c.entry.handed_out_at for c in closed),
        INT4.array(c.entry.handed_out_count for c in closed),
        INT4.array(c.entry.not_now_count for c in closed),
        BOOL.array(c.is_sealed for c in closed),
        TEXT.array(c.entry.purpose.value for c in closed),
    )


def _months(now: datetime, count: int) -> list[tuple[datetime, datetime]]:
    """Return the first instants of *count* months from that of *now* on, each with that of the month after it."""
    months = now.year * 12 + now.month - 1
    firsts = [datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC) for month in range(months, months + count + 1)]
    return list(itertools.pairwise(firsts))

"""What a transaction of SQLite does in its own way: plain loops of short statements, for its writer is alone."""

import json
import sqlite3
from collections.abc import Collection, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as dialect

from muster.domain.command_queue import HeadQuery, QueueEntry, QueuePurpose
from muster.domain.control.contact import ContactDay, FoldedContact
from muster.domain.enrollment import EndReason, Enrollment, EnrollmentState, Pins
from muster.domain.push_policy import NoPush
from muster.protocol.identifiers import Channel, ChannelId, ChannelKind, CommandUUID, DeviceId
from muster.storage import sqlite_pushes
from muster.storage.engine import Transaction, Work
from muster.storage.hot import AppliedConnect, ClosedEntry, LockedChannel
from muster.storage.hot_pushes import DueWish, NewWish, PutOff, RecordedPush, SettledPush
from muster.storage.types import Instant, from_microseconds, to_microseconds

_LOCK = """
SELECT c.id, c.device_id, c.kind, c.state, c.epoch, d.provisional_epoch, d.pin, d.former_pin, d.former_pin_until,
       d.provisional_pin, c.ended_reason, c.last_contact_at, c.contact_day, c.contact_strip, c.rhythm, c.is_watched
FROM channels c JOIN channels d ON d.id = c.device_id WHERE c.id = ?
"""
_ANSWERED = """
SELECT q.command_uuid, k.request_type, q.epoch, q.queued_at, q.not_now_count, q.handed_out_count, q.handed_out_at, x'',
       q.purpose, k.is_sealed, q.unanswered_count, q.expires_at, q.has_followers, q.retries_left, q.failed_count
FROM queue q JOIN commands k ON k.command_uuid = q.command_uuid WHERE q.channel_id = ? AND q.command_uuid = ?
"""
_HEAD = """
SELECT q.command_uuid, k.request_type, q.epoch, q.queued_at, q.not_now_count, q.handed_out_count, q.handed_out_at,
       k.body, q.purpose, k.is_sealed, q.unanswered_count, q.expires_at, q.has_followers, q.retries_left,
       q.failed_count
FROM queue q JOIN commands k ON k.command_uuid = q.command_uuid
WHERE q.channel_id = ? AND q.command_uuid <> ? AND NOT q.is_withheld AND (? OR q.not_now_count = 0)
ORDER BY q.rank, q.position, q.command_uuid LIMIT 1
"""
_TOUCH = """
UPDATE channels SET last_contact_at = max(?, coalesce(last_contact_at, 0)), contact_day = ?, contact_strip = ?,
                    rhythm = coalesce(?, rhythm), last_source = coalesce(?, last_source)
WHERE id = ?
"""
_TOUCH_WITH_PROOF = """
UPDATE channels SET last_contact_at = max(?, coalesce(last_contact_at, 0)), contact_day = ?, contact_strip = ?,
                    rhythm = coalesce(?, rhythm), last_source = coalesce(?, last_source),
                    last_proof_at = max(?, coalesce(last_proof_at, 0))
WHERE id = ?
"""
_CLOSE = "DELETE FROM queue WHERE channel_id = ? AND command_uuid = ?"
_REPORT = """
INSERT INTO reports (channel_id, command_uuid, request_type, status, body, epoch, queued_at, handed_out_at,
                     handed_out_count, not_now_count, reported_at, is_sealed, purpose)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UNREAD = """
INSERT INTO unread_answers (channel_id, command_uuid, reported_at, next_attempt_at, attempts) VALUES (?, ?, ?, ?, 0)
"""
_NOT_NOW = """
UPDATE queue SET not_now_count = not_now_count + 1, unanswered_count = 0, is_withheld = (held_because IS NOT NULL)
WHERE channel_id = ? AND command_uuid = ?
"""
_HAND_OUT = """
UPDATE queue SET handed_out_count = handed_out_count + 1, unanswered_count = unanswered_count + 1,
                 handed_out_at = ?1,
                 unanswered_since = CASE WHEN unanswered_count > 0 THEN coalesce(unanswered_since, ?1) ELSE ?1 END,
                 is_withheld = ?2
WHERE channel_id = ?3 AND command_uuid = ?4
"""
_FINISHED_DAY = "INSERT OR REPLACE INTO contact_days (channel_id, day, strip) VALUES (?, ?, ?)"


class SqliteTransaction(Transaction):
    """A transaction of SQLite: its writer is alone, so nothing needs locking."""

    def lock_channels(self, wanted: Sequence[HeadQuery]) -> dict[ChannelId, LockedChannel]:
        """Read each channel in turn; a plain loop is the fast way in SQLite."""
        locked: dict[ChannelId, LockedChannel] = {}
        with closing(self._cursor()) as cursor:
            for query in wanted:
                row = cursor.execute(_LOCK, (query.channel_id,)).fetchone()
                if row is None:
                    continue
                answered = None
                if query.answered is not None:
                    answered = cursor.execute(_ANSWERED, (query.channel_id, query.answered)).fetchone()
                wanted_head = (query.channel_id, query.answered or "", not query.skip_not_now)
                head = cursor.execute(_HEAD, wanted_head).fetchone()
                locked[query.channel_id] = _locked_channel(row, answered, head)
        return locked

    def apply_connects(self, connects: Sequence[AppliedConnect], now: datetime) -> None:
        """Write each connect in turn."""
        at = to_microseconds(now)
        with closing(self._cursor()) as cursor:
            for connect in connects:
                _apply_connect(cursor, connect, at)
        if any(connect.closed is not None and connect.closed.is_to_be_read for connect in connects):
            self.made_due(Work.ANSWERS, now)

    def make_wishes(self, wishes: Sequence[NewWish]) -> None:
        """A short statement for each."""
        with closing(self._cursor()) as cursor:
            sqlite_pushes.make_wishes(cursor, wishes)

    def make_missing_wishes(self, wishes: Sequence[NewWish]) -> None:
        """A short statement for each."""
        with closing(self._cursor()) as cursor:
            sqlite_pushes.make_missing_wishes(cursor, wishes)

    def claim_wishes(self, now: datetime, limit: int) -> tuple[DueWish, ...]:
        """Read each with its details by one statement."""
        with closing(self._cursor()) as cursor:
            return sqlite_pushes.claim_wishes(cursor, now, limit)

    def claim_held_wishes(self, because: NoPush, topic: str, limit: int) -> tuple[DueWish, ...]:
        """Read each with its details by one statement."""
        with closing(self._cursor()) as cursor:
            return sqlite_pushes.claim_held_wishes(cursor, because.value, topic, limit)

    def lease_wishes(self, channel_ids: Sequence[ChannelId], until: datetime) -> None:
        """A short statement for each."""
        if channel_ids:
            with closing(self._cursor()) as cursor:
                sqlite_pushes.lease_wishes(cursor, channel_ids, until)

    def put_off_wishes(self, waits: Sequence[PutOff]) -> None:
        """A short statement for each."""
        if waits:
            with closing(self._cursor()) as cursor:
                sqlite_pushes.put_off_wishes(cursor, waits)

    def settle_targets(self, settled: Collection[SettledPush], at: datetime) -> None:
        """A short statement for each."""
        if settled:
            with closing(self._cursor()) as cursor:
                sqlite_pushes.settle_targets(cursor, settled, at)

    def settle_wishes(self, settled: Collection[SettledPush]) -> None:
        """A short statement for each."""
        if settled:
            with closing(self._cursor()) as cursor:
                sqlite_pushes.settle_wishes(cursor, settled)

    def append_pushes(self, recorded: Sequence[RecordedPush]) -> None:
        """A short statement for each."""
        if recorded:
            with closing(self._cursor()) as cursor:
                sqlite_pushes.append_pushes(cursor, recorded)

    def forget_pushes(self, before: datetime, limit: int) -> bool:
        """Delete the oldest rows, which are those that were added first."""
        with closing(self._cursor()) as cursor:
            return sqlite_pushes.forget_pushes(cursor, before, limit)

    def lock_rows(self, channel_ids: Sequence[ChannelId]) -> None:
        """Nothing to do: the writer is alone."""

    def lock_name(self, name: str) -> None:
        """Nothing to do: the writer is alone."""

    def look_up_by_keys(self) -> None:
        """Nothing to do: SQLite does so."""

    def insert(self, table: sa.Table) -> Any:
        """Return SQLite's INSERT."""
        return dialect.insert(table)

    def insert_rows(
        self, table: sa.Table, columns: Mapping[str, Sequence[object]], constants: Mapping[str, object]
    ) -> None:
        """A short statement for each."""
        self._insert_rows(table, columns, constants, "")

    def put_rows(self, table: sa.Table, key: str, columns: Mapping[str, Sequence[object]]) -> None:
        """A short statement for each."""
        replaced = ", ".join(f"{name} = excluded.{name}" for name in columns if name != key)
        self._insert_rows(table, columns, {}, f" ON CONFLICT ({key}) DO UPDATE SET {replaced}")

    def _insert_rows(
        self, table: sa.Table, columns: Mapping[str, Sequence[object]], constants: Mapping[str, object], end: str
    ) -> None:
        names = [*columns, *constants]
        same = [_stored(table.c[name], value) for name, value in constants.items()]
        stored = ([_stored(table.c[name], value) for value in values] for name, values in columns.items())
        with closing(self._cursor()) as cursor:
            cursor.executemany(
                f"INSERT INTO {table.name} ({', '.join(names)}) VALUES ({', '.join('?' * len(names))}){end}",  # noqa: S608 - the names are ours
                [(*row, *same) for row in zip(*stored, strict=True)],
            )

    def update_rows(
        self, table: sa.Table, key: str, columns: Mapping[str, Sequence[object]], constants: Mapping[str, object]
    ) -> None:
        """A short statement for each."""
        names = [*(name for name in columns if name != key), *constants]
        same = [_stored(table.c[name], value) for name, value in constants.items()]
        others = {name: values for name, values in columns.items() if name != key}
        stored = ([_stored(table.c[name], value) for value in values] for name, values in others.items())
        with closing(self._cursor()) as cursor:
            cursor.executemany(
                f"UPDATE {table.name} SET {', '.join(f'{name} = ?' for name in names)} WHERE {key} = ?",  # noqa: S608 - the names are ours
                [(*row, *same, named) for *row, named in zip(*stored, columns[key], strict=True)],
            )

    def claim(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Nothing to add: the writer is alone."""
        return select

    def ensure_partitions(self, now: datetime) -> None:
        """Nothing to do: SQLite has no partitions."""

    def database_now(self) -> datetime | None:
        """SQLite has no clock but ours."""
        return None

    def _cursor(self) -> sqlite3.Cursor:
        connection = self.connection.connection.driver_connection
        assert isinstance(connection, sqlite3.Connection)
        return connection.cursor()


def _stored(column: sa.Column[Any], value: object) -> object:
    if value is None:
        return None
    if isinstance(column.type, Instant):
        assert isinstance(value, datetime)
        return to_microseconds(value)
    return json.dumps(value) if isinstance(column.type, sa.JSON) else value


def _locked_channel(
    row: tuple[Any, ...], answered: tuple[Any, ...] | None, head: tuple[Any, ...] | None
) -> LockedChannel:
    pins = Pins(row[6], row[7], None if row[8] is None else from_microseconds(row[8]), row[9])
    enrollment = Enrollment(
        Channel(ChannelId(row[0]), DeviceId(row[1]), ChannelKind(row[2])),
        EnrollmentState(row[3]),
        row[4],
        row[5],
        pins,
        None if row[10] is None else EndReason(row[10]),
    )
    return LockedChannel(
        enrollment,
        None if row[12] is None else ContactDay(row[12], row[13]),
        row[14],
        bool(row[15]),
        None if row[11] is None else from_microseconds(row[11]),
        None if answered is None else _entry(answered),
        None if head is None else _entry(head),
    )


def _entry(row: tuple[Any, ...]) -> QueueEntry:
    return QueueEntry(
        CommandUUID(row[0]),
        row[1],
        row[7],
        epoch=row[2],
        queued_at=from_microseconds(row[3]),
        not_now_count=row[4],
        handed_out_count=row[5],
        handed_out_at=None if row[6] is None else from_microseconds(row[6]),
        purpose=QueuePurpose(row[8]),
        is_sealed=bool(row[9]),
        unanswered_count=row[10],
        expires_at=None if row[11] is None else from_microseconds(row[11]),
        has_followers=bool(row[12]),
        retries_left=row[13],
        failed_count=row[14],
    )


def _apply_connect(cursor: sqlite3.Cursor, connect: AppliedConnect, at: int) -> None:
    channel_id = connect.channel_id
    if connect.contact is not None:
        _touch(cursor, connect, connect.contact, at)
    if connect.closed is not None:
        cursor.execute(_CLOSE, (channel_id, connect.closed.entry.command_uuid))
        cursor.execute(_REPORT, _report(channel_id, connect.closed, at))
        if connect.closed.is_to_be_read:
            cursor.execute(_UNREAD, (channel_id, connect.closed.entry.command_uuid, at, at))
    if connect.not_now is not None:
        cursor.execute(_NOT_NOW, (channel_id, connect.not_now))
    if connect.handed_out is not None:
        cursor.execute(_HAND_OUT, (at, connect.withhold_after, channel_id, connect.handed_out.command_uuid))


def _touch(cursor: sqlite3.Cursor, connect: AppliedConnect, contact: FoldedContact, at: int) -> None:
    values = (at, contact.current.day, contact.current.strip, connect.rhythm, connect.source)
    if connect.is_proof:
        cursor.execute(_TOUCH_WITH_PROOF, (*values, at, connect.channel_id))
    else:
        cursor.execute(_TOUCH, (*values, connect.channel_id))
    if (finished := contact.finished) is not None:
        cursor.execute(_FINISHED_DAY, (connect.channel_id, finished.day, finished.strip))


def _report(channel_id: ChannelId, closed: ClosedEntry, at: int) -> tuple[Any, ...]:
    entry = closed.entry
    return (
        channel_id,
        entry.command_uuid,
        entry.request_type,
        closed.status,
        closed.body,
        entry.epoch,
        to_microseconds(entry.queued_at),
        None if entry.handed_out_at is None else to_microseconds(entry.handed_out_at),
        entry.handed_out_count,
        entry.not_now_count,
        at,
        closed.is_sealed,
        entry.purpose.value,
    )

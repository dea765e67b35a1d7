"""The interface of storage: an engine runs a function in one transaction, on SQLite or on PostgreSQL.

A function handed to `write` may run twice (after a deadlock or while the database is busy) and therefore has no
effect but on its transaction. Differences of dialect are named methods of the transaction, never a question about
which engine it is.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

import sqlalchemy as sa

from muster.domain.command_queue import HeadQuery
from muster.domain.push_policy import NoPush
from muster.protocol.identifiers import ChannelId
from muster.storage.hot import AppliedConnect, LockedChannel
from muster.storage.hot_pushes import DueWish, NewWish, PutOff, RecordedPush, SettledPush
from muster.storage.journal import JournalPosition, JournalRecord

T = TypeVar("T")


IDS_PER_STATEMENT = 1000
"""SQLite may take no more than 32,766 parameters in a statement, PostgreSQL 65,535."""


def slices(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """Cut *values* into parts short enough for the IN of one statement; nothing when there are none."""
    for start in range(0, len(values), IDS_PER_STATEMENT):
        yield values[start : start + IDS_PER_STATEMENT]


class Work(StrEnum):
    """What comes due by the clock; each kind is done by a worker of its own."""

    PUSH = "push"
    REVIEW = "review"
    DEFERRED = "deferred"
    ANSWERS = "answers"
    SENDS = "sends"
    OUTBOX = "outbox"


class Transaction(ABC):
    """One open transaction. The statements of each aggregate are functions over it, in their modules.

    *due* tells what it made due, and when the earliest of each kind is: after the commit, for waking workers.
    *to_journal* is what has to be in the journal before anybody learns of the commit; *journal_first* before the
    commit, since another transaction may act on it at once. *journal_mark* is how far into the node's journal it brings
    the database.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self.connection = connection
        self.due: dict[Work, datetime] = {}
        self.to_journal: list[JournalRecord] = []
        self.journal_first: list[JournalRecord] = []
        self.journal_mark: JournalPosition | None = None

    def made_due(self, work: Work, at: datetime) -> None:
        """Note that *work* will be due at *at*; whoever writes a due time says so."""
        self.due[work] = min(at, self.due.get(work, at))

    @abstractmethod
    def lock_channels(self, wanted: Sequence[HeadQuery]) -> dict[ChannelId, LockedChannel]:
        """Lock the rows of *wanted* in the order given, which is sorted by id, and read what decisions need.

        A channel that isn't stored is absent from the result. Each channel stands in *wanted* once.
        """

    @abstractmethod
    def apply_connects(self, connects: Sequence[AppliedConnect], now: datetime) -> None:
        """Write what was decided for channels that `lock_channels` locked in this transaction."""

    @abstractmethod
    def make_wishes(self, wishes: Sequence[NewWish]) -> None:
        """Store *wishes*. One that is there becomes the new one, with the earlier due time and its own fence raised.

        Here and below the channels are sorted, and each stands there once.
        """

    @abstractmethod
    def make_missing_wishes(self, wishes: Sequence[NewWish]) -> None:
        """Store those of *wishes* whose channels have none."""

    @abstractmethod
    def claim_wishes(self, now: datetime, limit: int) -> tuple[DueWish, ...]:
        """Hold up to *limit* of the wishes due at *now*, the longest due first; those held elsewhere are passed over.

        Here and below it is `muster.storage.push` that operations call; nothing is written when there is nothing.
        """

    @abstractmethod
    def claim_held_wishes(self, because: NoPush, topic: str, limit: int) -> tuple[DueWish, ...]:
        """Hold up to *limit* of the wishes, due or not, that wait for the end of *because* for *topic*."""

    @abstractmethod
    def lease_wishes(self, channel_ids: Sequence[ChannelId], until: datetime) -> None:
        """Count an attempt for each wish that this transaction holds, and have it due at *until*."""

    @abstractmethod
    def put_off_wishes(self, waits: Sequence[PutOff]) -> None:
        """Have each wish that this transaction holds due at another time. Each channel stands in *waits* once."""

    @abstractmethod
    def settle_targets(self, settled: Sequence[SettledPush], at: datetime) -> None:
        """Store what outcomes recorded at *at* say of the tokens that are still the channels'.

        Sorted by channel; each token of each channel stands in *settled* once.
        """

    @abstractmethod
    def settle_wishes(self, settled: Sequence[SettledPush]) -> None:
        """Store when each wish is due next, or drop it, where its fence is still that of the outcome.

        Sorted by channel; each fence of each channel stands in *settled* once.
        """

    @abstractmethod
    def append_pushes(self, recorded: Sequence[RecordedPush]) -> None:
        """Append to the log of pushes."""

    @abstractmethod
    def forget_pushes(self, before: datetime, limit: int) -> bool:
        """Forget what the log of pushes has from before *before*, at most *limit* rows one by one.

        Where the log is kept by months, the months that are over by then go as a whole, and no other rows of theirs.
        Tells whether there is more to forget.
        """

    @abstractmethod
    def lock_rows(self, channel_ids: Sequence[ChannelId]) -> None:
        """Lock the channel rows of *channel_ids*, sorted, until the transaction ends; unknown ids are passed over."""

    @abstractmethod
    def lock_name(self, name: str) -> None:
        """Let one transaction at a time past this point for *name* (first start, audit chain), cluster-wide."""

    @abstractmethod
    def look_up_by_keys(self) -> None:
        """Have statements from here on look up each row by its key, as is best for a thousand rows of a fleet."""

    @abstractmethod
    def insert(self, table: sa.Table) -> Any:
        """Return the engine's INSERT of *table*, which knows on_conflict_do_update and on_conflict_do_nothing."""

    @abstractmethod
    def insert_rows(
        self, table: sa.Table, columns: Mapping[str, Sequence[object]], constants: Mapping[str, object]
    ) -> None:
        """Insert rows: *columns* are equally long, and what *constants* hold is the same in each row."""

    @abstractmethod
    def put_rows(self, table: sa.Table, key: str, columns: Mapping[str, Sequence[object]]) -> None:
        """Insert rows, each in place of the one that has its *key*; each key stands there once. Columns not named stay
        as they were."""

    @abstractmethod
    def update_rows(
        self, table: sa.Table, key: str, columns: Mapping[str, Sequence[object]], constants: Mapping[str, object]
    ) -> None:
        """Update rows named by their *key*, one of *columns*, which are equally long, with the values of the others.

        What *constants* hold is the same in each row. Rows that are not there are passed over.
        """

    @abstractmethod
    def claim(self, select: sa.Select[Any]) -> sa.Select[Any]:
        """Make *select* take rows that no other transaction holds, and hold them."""

    @abstractmethod
    def ensure_partitions(self, now: datetime) -> None:
        """Make the partitions that rows of the coming months will go to; nothing where there are none."""

    @abstractmethod
    def database_now(self) -> datetime | None:
        """Return the database's own clock, aware; None where it has none but ours. Only for measuring skew."""


class Engine(ABC):
    """A database of one kind. Its methods are called from threads, never from the event loop."""

    name: str
    """`sqlite` or `postgresql`, for people."""
    writers: int
    """How many transactions it can write at once; 1 means that a second one waits."""
    sqlalchemy: sa.Engine
    """For pools, tests and tools; statements of the service go through `write` and `read`."""

    @abstractmethod
    def write(self, work: Callable[[Transaction], T]) -> T:
        """Run *work* in one transaction and commit; raise Unavailable when the database can't be reached.

        Whatever *work* raises rolls back and is raised here.
        """

    @abstractmethod
    def read(self, work: Callable[[Transaction], T]) -> T:
        """Run *work* in a transaction that may only read, beside the writers."""

    @abstractmethod
    def migrating(self) -> AbstractContextManager[sa.Connection]:
        """Open one transaction that changes the schema, alone among all processes; it commits when the block ends."""

    @abstractmethod
    def close(self) -> None:
        """Close every connection."""

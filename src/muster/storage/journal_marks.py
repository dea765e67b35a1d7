"""How far this database has taken in each node's journal, and when it was found to be older than the journal.

The mark of a node is moved in the very transaction that processes its check-ins: a database that is restored from a
backup goes back to the mark it had.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.journal import JournalPosition, file_of
from muster.storage.schema import journal_marks, rollbacks


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a node's journal is taken in, and since when."""

    position: JournalPosition
    at: datetime


def set_mark(tx: Transaction, position: JournalPosition, at: datetime) -> None:
    """Record that everything up to *position* is taken in once this transaction commits; a mark never goes back."""
    found = file_of(Path(position.file))
    assert found is not None, f"{position.file} is no file of the journal"
    tx.journal_mark = position
    values = {"file": position.file, "records": position.count, "at": at}
    insert = tx.insert(journal_marks).values(node=found[1], **values)
    is_earlier = sa.or_(
        journal_marks.c.file < insert.excluded.file,
        sa.and_(journal_marks.c.file == insert.excluded.file, journal_marks.c.records < insert.excluded.records),
    )
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["node"], set_=values, where=is_earlier))


def marks(tx: Transaction) -> dict[str, Mark]:
    """Read the mark of every node that ever had one."""
    return {
        row.node: Mark(JournalPosition(row.file, row.records), row.at)
        for row in tx.connection.execute(sa.select(journal_marks))
    }


def forget_marks(tx: Transaction, before: datetime) -> None:
    """Forget the marks of nodes whose journal ended before *before*: its files are gone."""
    tx.connection.execute(sa.delete(journal_marks).where(journal_marks.c.at < before))


@dataclass(frozen=True, slots=True)
class Rollback:
    """The database was found to be older than the journal. *database_at* absent: it had taken in nothing of it."""

    id: str
    noticed_at: datetime
    node: str
    database_at: datetime | None
    journal_at: datetime
    rebuilt: int


def add_rollback(tx: Transaction, rollback: Rollback) -> None:
    """Keep for good that the database was older than the journal."""
    tx.connection.execute(
        sa.insert(rollbacks).values(
            id=rollback.id,
            noticed_at=rollback.noticed_at,
            node=rollback.node,
            database_at=rollback.database_at,
            journal_at=rollback.journal_at,
            rebuilt=rollback.rebuilt,
        )
    )


def last_rollback(tx: Transaction) -> Rollback | None:
    """Read the rollback that was noticed last; None when there never was one."""
    row = tx.connection.execute(
        sa.select(rollbacks).order_by(rollbacks.c.noticed_at.desc(), rollbacks.c.id.desc()).limit(1)
    ).one_or_none()
    if row is None:
        return None
    return Rollback(row.id, row.noticed_at, row.node, row.database_at, row.journal_at, row.rebuilt)

"""Whether this process may take requests, as seen from inside one transaction that reads.

Each check returns what it found, in words, and raises NotReady when a request would fail or do harm.
"""

from datetime import datetime, timedelta

import sqlalchemy as sa

from muster.crypto.errors import CryptoError
from muster.crypto.sealing import KeyRing, associated_data
from muster.domain.control.self_watch import DiskSpace
from muster.storage import installations, journal_marks, queue_holds
from muster.storage.engine import Transaction

MAXIMUM_CLOCK_SKEW = timedelta(seconds=2)
"""Apart further than that, nodes disagree about what is due and which evidence came first."""

MINIMUM_FREE_OCTETS = 64 * 1024 * 1024
"""On the disk of the data directory: the largest message has 16 MiB, and stands in the journal and, where that is on
the same disk, in the database and its log."""

_versions = sa.table("alembic_version", sa.column("version_num", sa.Text))


class NotReady(Exception):
    """A check failed; the message says what is wrong and what to do, and holds no secret."""


def check_schema(tx: Transaction, head: str) -> str:
    """Make sure that the database's schema is *head*, the newest revision that this version knows.

    Raises NotReady when it is another one, or none.
    """
    has_table = sa.inspect(tx.connection).has_table(_versions.name)
    revision = tx.connection.scalar(sa.select(_versions.c.version_num)) if has_table else None
    if revision is None:
        raise NotReady("the database has no schema: run `muster migrate`")
    if revision != head:
        raise NotReady(f"the database's schema is {revision}, and this version needs {head}: run `muster migrate`")
    return f"schema {revision}"


def check_journal(tx: Transaction) -> str:
    """Tell whether the database was ever found to be an old one, and what waits for a person since; always ready."""
    rollback = journal_marks.last_rollback(tx)
    if rollback is None:
        return "taken in"
    known = "" if rollback.database_at is None else f" as of {rollback.database_at:%Y-%m-%dT%H:%M:%SZ}"
    said = (
        f"a database{known} was restored, noticed at {rollback.noticed_at:%Y-%m-%dT%H:%M:%SZ}; "
        f"{rollback.rebuilt} records replayed"
    )
    waiting = len(queue_holds.held(tx))
    return f"{said}; {waiting} commands wait: see `muster commands held`" if waiting else said


def check_key_ring(tx: Transaction, ring: KeyRing) -> str:
    """Make sure that *ring* opens the canary of every key that ever sealed something in this database.

    Raises NotReady when it does not, naming the key's id, and when there is no canary at all (no first start yet).
    """
    canaries = installations.canaries(tx)
    if not canaries:
        raise NotReady("the database was never started with a key ring: run `muster init`")
    for key_id, sealed in canaries.items():
        try:
            ring.open(sealed, associated_data("ring_canaries", "sealed", key_id))
        except CryptoError as error:
            raise NotReady(f"the key ring does not open what key {key_id} sealed: give the right --key-ring") from error
    return f"{len(canaries)} {'key opens' if len(canaries) == 1 else 'keys open'}"


def check_disk(_tx: Transaction, disk: DiskSpace | None) -> str:
    """Make sure that the disk of the data directory takes what devices say; absent: nobody can tell.

    Raises NotReady when it has less than MINIMUM_FREE_OCTETS free.
    """
    if disk is None:
        return "not measured"
    said = f"{disk.free // 2**20:,} MiB are free"
    if disk.free < MINIMUM_FREE_OCTETS:
        least = MINIMUM_FREE_OCTETS // 2**20
        raise NotReady(f"{said} on the disk of the data directory, and it takes {least}: make room there")
    return said


def check_clock(tx: Transaction, now: datetime) -> str:
    """Make sure that *now*, taken just before, is close to the database's clock, where that has one of its own.

    Raises NotReady when they are more than two seconds apart.
    """
    database_now = tx.database_now()
    if database_now is None:
        return "one clock: the database has none of its own"
    skew = database_now - now
    said = f"{abs(skew).total_seconds():.3f} s {'ahead of' if skew > timedelta(0) else 'behind'} this node"
    if abs(skew) > MAXIMUM_CLOCK_SKEW:
        raise NotReady(f"the database's clock is {said}: set both by NTP")
    return f"the database's clock is {said}"

"""What this installation is: its own id, its enrollment profiles' identifier, the canaries of its key ring."""

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.schema import installation, ring_canaries


@dataclass(frozen=True, slots=True)
class Installation:
    """*profile_identifier* is the PayloadIdentifier of every enrollment profile, for ever: renewals depend on it.

    The URLs are those the server was last started with; *public_url* is absent before its first start.
    """

    id: str
    profile_identifier: str
    public_url: str | None = None
    check_in_url: str | None = None


_READ = sa.select(installation)


def read(tx: Transaction) -> Installation | None:
    """Read what this installation is; None before its first start."""
    row = tx.connection.execute(_READ).one_or_none()
    return None if row is None else Installation(row.id, row.profile_identifier, row.public_url, row.check_in_url)


def add(tx: Transaction, new: Installation, at: datetime) -> None:
    """Record the first start."""
    tx.connection.execute(
        sa.insert(installation).values(id=new.id, profile_identifier=new.profile_identifier, created_at=at)
    )


def set_urls(tx: Transaction, *, public_url: str, check_in_url: str | None) -> None:
    """Record where the server is reached now."""
    tx.connection.execute(sa.update(installation).values(public_url=public_url, check_in_url=check_in_url))


def canaries(tx: Transaction) -> dict[str, bytes]:
    """Read the sealed canary of each key that ever sealed something here."""
    return {row.key_id: row.sealed for row in tx.connection.execute(sa.select(ring_canaries))}


def add_canary(tx: Transaction, key_id: str, sealed: bytes) -> None:
    """Store the canary of a key; one that is there stays."""
    tx.connection.execute(tx.insert(ring_canaries).values(key_id=key_id, sealed=sealed).on_conflict_do_nothing())

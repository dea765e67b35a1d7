"""The audit log: who did what to whom, and whether the log is whole."""

import json
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from muster.domain.access import Actor, ActorKind
from muster.storage.engine import Transaction
from muster.storage.people import AuditDetail, audit_hash
from muster.storage.schema import audit
from muster.storage.types import to_microseconds

READ_AT_A_TIME = 1000
"""Rows held while the chain is verified; a log has millions after some years."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One act. *subject* is what it was done to; *detail* holds no secrets."""

    sequence: int
    at: datetime
    actor_kind: str
    actor_name: str
    source: str
    act: str
    subject: str
    detail: AuditDetail


@dataclass(frozen=True, slots=True)
class ChainCheck:
    """How many rows of the log were held against their hashes; *broken_at* is the first that differs or is missing."""

    rows: int
    broken_at: int | None
    last_hash: bytes
    """Of the last row that is as it was written. Kept elsewhere, it tells later whether the end was cut off."""


@dataclass(frozen=True, slots=True)
class KeptHash:
    """Whether a hash that was kept elsewhere is one of the log's."""

    is_there: bool


def list_acts(
    tx: Transaction,
    *,
    limit: int,
    act: str | None = None,
    subject: str | None = None,
    by: str | None = None,
    before: int | None = None,
) -> tuple[AuditRow, ...]:
    """List acts, the latest first, at most *limit*. *act*: one by its name, or all whose names begin so (`secret`);
    *by*: the name of who acted; *before*: only those with smaller numbers."""
    select = sa.select(audit).order_by(audit.c.sequence.desc()).limit(limit)
    if act is not None:
        select = select.where(sa.or_(audit.c.act == act, audit.c.act.startswith(f"{act}.", autoescape=True)))
    if subject is not None:
        select = select.where(audit.c.subject == subject)
    if by is not None:
        select = select.where(audit.c.actor_name == by)
    if before is not None:
        select = select.where(audit.c.sequence < before)
    return tuple(
        AuditRow(row.sequence, row.at, row.actor_kind, row.actor_name, row.source, row.act, row.subject, row.detail)
        for row in tx.connection.execute(select)
    )


@dataclass(frozen=True, slots=True)
class ChainedRow:
    """An act with the hash that covers it and all before it."""

    act: AuditRow
    hash: bytes


def read_acts(tx: Transaction, after: int, limit: int = READ_AT_A_TIME) -> tuple[ChainedRow, ...]:
    """Read acts in their order with their hashes, those behind number *after*, for taking the log away."""
    rows = tx.connection.execute(
        sa.select(audit).where(audit.c.sequence > after).order_by(audit.c.sequence).limit(limit)
    )
    return tuple(
        ChainedRow(
            AuditRow(
                row.sequence, row.at, row.actor_kind, row.actor_name, row.source, row.act, row.subject, row.detail
            ),
            row.hash,
        )
        for row in rows
    )


def export_line(row: ChainedRow) -> str:
    """Return an act as a line of JSON. *at* is in microseconds since 1970, as in what the hash covers."""
    told = row.act
    fields = {
        "sequence": told.sequence,
        "at": to_microseconds(told.at),
        "actor_kind": told.actor_kind,
        "actor_name": told.actor_name,
        "source": told.source,
        "act": told.act,
        "subject": told.subject,
        "detail": dict(told.detail),
        "hash": row.hash.hex(),
    }
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=True) + "\n"


def verify_chain(tx: Transaction) -> ChainCheck:
    """Hold each row of the log against the hash that covers it and all before it.

    Shows that no row was changed, put in or taken out by somebody who did not compute all later hashes anew; rows cut
    off at the end show only beside a hash that was kept elsewhere.
    """
    former, number = b"", 0
    while True:
        page = tx.connection.execute(
            sa.select(audit).where(audit.c.sequence > number).order_by(audit.c.sequence).limit(READ_AT_A_TIME)
        ).all()
        for row in page:
            actor = Actor(ActorKind(row.actor_kind), row.actor_name, source=row.source)
            computed = audit_hash(former, row.sequence, row.at, actor, row.act, row.subject, row.detail)
            if row.sequence != number + 1 or computed != row.hash:
                return ChainCheck(number, number + 1, former)
            former, number = computed, number + 1
        if len(page) < READ_AT_A_TIME:
            return ChainCheck(number, None, former)


def is_of_chain(tx: Transaction, kept: bytes) -> bool:
    """Tell whether *kept*, which was some time the last hash of a log, is one of this log's.

    It is beside a chain that verifies (`verify_chain`) unless rows from then on were cut off, or all of it made anew.
    """
    return tx.connection.execute(sa.select(audit.c.sequence).where(audit.c.hash == kept).limit(1)).first() is not None

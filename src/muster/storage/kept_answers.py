"""What programs were answered, kept for a day under the key by which they named their request."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import sqlalchemy as sa

from muster.storage.engine import Transaction
from muster.storage.schema import kept_answers

KEPT_FOR: Final = timedelta(days=1)
"""A program that did not hear us asks again within minutes."""
FORGOTTEN_AT_ONCE: Final = 500
"""Rows that one transaction forgets: an answer may have some hundred kilobytes."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer, and what it was the answer to: a hash of all that the request said."""

    request_hash: bytes
    answer: bytes


def find(tx: Transaction, token_id: str, key: str, now: datetime) -> KeptAnswer | None:
    """Read what was answered under *key*; None where nothing was, or too long ago."""
    row = tx.connection.execute(
        sa.select(kept_answers.c.request_hash, kept_answers.c.answer).where(
            kept_answers.c.token_id == token_id,
            kept_answers.c.key == key,
            kept_answers.c.answered_at > now - KEPT_FOR,
        )
    ).one_or_none()
    return None if row is None else KeptAnswer(row.request_hash, row.answer)


def keep(tx: Transaction, token_id: str, key: str, kept: KeptAnswer, now: datetime) -> None:
    """Keep an answer, in the place of one that is out of date."""
    values = {"request_hash": kept.request_hash, "answer": kept.answer, "answered_at": now}
    insert = tx.insert(kept_answers).values(token_id=token_id, key=key, **values)
    tx.connection.execute(insert.on_conflict_do_update(index_elements=["token_id", "key"], set_=values))


def forget(tx: Transaction, now: datetime) -> bool:
    """Forget answers that are out of date, a bounded part; tells whether there are more."""
    old = (
        sa.select(kept_answers.c.token_id, kept_answers.c.key)
        .where(kept_answers.c.answered_at <= now - KEPT_FOR)
        .order_by(kept_answers.c.answered_at)
        .limit(FORGOTTEN_AT_ONCE)
    )
    found = tx.connection.execute(old).all()
    for row in found:
        tx.connection.execute(
            sa.delete(kept_answers).where(kept_answers.c.token_id == row.token_id, kept_answers.c.key == row.key)
        )
    return len(found) == FORGOTTEN_AT_ONCE

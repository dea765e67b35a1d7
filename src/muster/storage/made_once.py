"""Statements that are written in each engine's own way, made once for each."""

from collections.abc import Callable, Collection
from functools import wraps
from typing import TypeVar

import sqlalchemy as sa

from muster.storage.engine import Transaction

Statement = TypeVar("Statement", bound=sa.Executable)


def made_once(make: Callable[[Transaction], Statement]) -> Callable[[Transaction], Statement]:
    """Have *make* called for the first transaction of each engine alone: building a statement costs more than SQLite
    takes to run it. What it makes depends on the engine, and on nothing else of the transaction."""
    made: dict[type[Transaction], Statement] = {}

    @wraps(make)
    def statement(tx: Transaction) -> Statement:
        found = made.get(type(tx))
        if found is None:
            found = made[type(tx)] = make(tx)
        return found

    return statement


_upserts: dict[tuple[type[Transaction], str, frozenset[str], frozenset[str]], sa.Insert] = {}


def upsert(
    tx: Transaction, table: sa.Table, key: str, changed: Collection[str], counted: Collection[str] = ()
) -> sa.Insert:
    """Return the INSERT that changes the columns *changed* to their new values where a row of this *key* is there, and
    adds one to those *counted*.

    It is to be executed with the values of all columns that a new row gets; it is made once for each such set.
    """
    name = (type(tx), table.name, frozenset(changed), frozenset(counted))
    found = _upserts.get(name)
    if found is None:
        insert = tx.insert(table)
        values = {column: insert.excluded[column] for column in sorted(changed)}
        values |= {column: table.c[column] + 1 for column in sorted(counted)}
        found = _upserts[name] = insert.on_conflict_do_update(index_elements=[key], set_=values)
    return found

"""The runner gives notice of what a transaction made due, after its commit and never without it; what has to be in the
journal before a commit is."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path
from random import Random

import pytest
from tests.support.instants import NOON

from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.journaling import NodeJournal
from muster.bootstrap.runner import EngineRunner, make_context
from muster.crypto.sealing import KeyRing
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId
from muster.settings import read_settings
from muster.storage import installations, push
from muster.storage.engine import Transaction, Work
from muster.storage.errors import Unavailable
from muster.storage.hot_pushes import PutOff
from muster.storage.installations import Installation
from muster.storage.journal import Journal, read_journal
from muster.storage.journal_records import processed_record
from muster.storage.sqlite import SqliteEngine

NOBODY = ChannelId("no-such-channel")


def _runner(engine: SqliteEngine, notices: list[Mapping[Work, datetime]]) -> EngineRunner:
    around = Surroundings(now=lambda: NOON, random_bytes=Random(1).randbytes)
    ring = KeyRing.generate(around.random_bytes, NOON)
    return EngineRunner(engine, None, make_context(read_settings({"node": "test"}, {}), around, ring), notices.append)


def _two_wishes(tx: Transaction, items: Sequence[None], ctx: Context) -> list[None]:
    for delay in (5, 2):
        due_at = ctx.now + timedelta(minutes=delay)
        push.put_off(tx, [PutOff(NOBODY, due_at, None)])
    return [None for _ in items]


def test_notice_is_given_of_the_earliest_due_time_of_each_kind(sqlite_engine: SqliteEngine) -> None:
    notices: list[Mapping[Work, datetime]] = []

    asyncio.run(_runner(sqlite_engine, notices).write(_two_wishes, [None]))

    assert notices == [{Work.PUSH: NOON + timedelta(minutes=2)}]


def test_a_transaction_that_makes_nothing_due_goes_unnoticed(sqlite_engine: SqliteEngine) -> None:
    notices: list[Mapping[Work, datetime]] = []

    def nothing(tx: Transaction, items: Sequence[None], ctx: Context) -> list[None]:
        return [None for _ in items]

    asyncio.run(_runner(sqlite_engine, notices).write(nothing, [None]))

    assert notices == []


def test_a_transaction_that_fails_gives_no_notice(sqlite_engine: SqliteEngine) -> None:
    notices: list[Mapping[Work, datetime]] = []

    def fail(tx: Transaction, items: Sequence[None], ctx: Context) -> list[None]:
        push.put_off(tx, [PutOff(NOBODY, ctx.now, None)])
        raise RuntimeError("a fault of ours")

    with pytest.raises(RuntimeError):
        asyncio.run(_runner(sqlite_engine, notices).write(fail, [None]))

    assert notices == []


# --- the journal


def _found(tx: Transaction, items: Sequence[None], ctx: Context) -> list[None]:
    installations.add(tx, Installation("installation", "org.example.enrollment"), ctx.now)
    tx.journal_first.append(processed_record(ctx.now))
    return [None for _ in items]


@pytest.mark.parametrize("is_writable", [True, False])
def test_what_has_to_be_journaled_first_is_or_nothing_is_committed(
    sqlite_engine: SqliteEngine, tmp_path: Path, *, is_writable: bool
) -> None:
    directory = tmp_path / "journal"
    if not is_writable:
        directory.write_bytes(b"no directory")
    around = Surroundings(now=lambda: NOON, random_bytes=Random(1).randbytes)
    ring = KeyRing.generate(around.random_bytes, NOON)
    context = make_context(read_settings({"node": "test"}, {}), around, ring)
    with ThreadPoolExecutor(1) as writing:
        journal = NodeJournal(
            Journal(directory, node="test", ring=ring, random_bytes=around.random_bytes), writing, around.now
        )
        runner = EngineRunner(sqlite_engine, None, context, journal=journal)
        with nullcontext() if is_writable else pytest.raises(Unavailable):
            asyncio.run(runner.write(_found, [None]))
        journal.close()

    assert (sqlite_engine.read(installations.read) is not None) is is_writable
    if is_writable:
        assert len(list(read_journal(directory / "2026-11-02.test.journal", ring))) == 1

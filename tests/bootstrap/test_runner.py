"""The runner gives notice of what a transaction made due, after its commit and never without it."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from random import Random

import pytest
from tests.support.instants import NOON

from muster.bootstrap.data_directory import Surroundings
from muster.bootstrap.runner import EngineRunner, make_context
from muster.crypto.sealing import KeyRing
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId
from muster.settings import read_settings
from muster.storage import push
from muster.storage.engine import Transaction, Work
from muster.storage.hot_pushes import PutOff
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

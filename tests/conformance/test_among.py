"""Rows of many identifiers are asked for by one parameter, alike on both engines, and by their index."""

from typing import Any

import pytest
import sqlalchemy as sa
from tests.conformance.fleet import enroll
from tests.support.instants import NOON

from muster.domain.command_queue import QueuePurpose
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import queues
from muster.storage.among import among
from muster.storage.engine import Engine
from muster.storage.schema import channels, queue
from muster.storage.sqlite import SqliteEngine

ODD = ("A", "it's", 'a "quote"', "back\\slash", "{brace,comma}", "Ünicode \U0001f34f", "NULL", "")


def found(engine: Engine, statement: sa.Select[Any], **parameters: object) -> list[str]:
    return engine.read(lambda tx: sorted(tx.connection.scalars(statement, parameters)))


def test_finds_those_alone_that_are_named_whatever_is_in_their_names(engine: Engine) -> None:
    enroll(engine, *ODD, "B")

    assert found(engine, sa.select(channels.c.id).where(among(channels.c.id, [*ODD, "C"]))) == sorted(ODD)


def test_one_statement_serves_any_number(engine: Engine) -> None:
    names = [f"{number:05}" for number in range(3000)]
    enroll(engine, *names[:3])
    statement = sa.select(channels.c.id).where(among(channels.c.id, "ids"))

    assert found(engine, statement, ids=names) == names[:3]
    assert found(engine, statement, ids=names[:1]) == names[:1]
    assert found(engine, statement, ids=[]) == []


@pytest.mark.parametrize("condition", [sa.and_, sa.or_])
def test_stands_beside_other_conditions(engine: Engine, condition: Any) -> None:
    enroll(engine, "A", "B")

    both = condition(among(channels.c.id, ["A"]), channels.c.id == "B")

    assert found(engine, sa.select(channels.c.id).where(both)) == ([] if condition is sa.and_ else ["A", "B"])


def test_sqlite_finds_them_by_their_index(sqlite_engine: SqliteEngine) -> None:
    statement = sa.select(channels.c.state).where(among(channels.c.id, ["A"]), channels.c.kind == "device")
    text = str(statement.compile(sqlite_engine.sqlalchemy, compile_kwargs={"render_postcompile": True}))

    plan = sqlite_engine.read(
        lambda tx: [
            str(row) for row in tx.connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", ('["A"]', "device"))
        ]
    )
    assert any("SEARCH channels USING INDEX" in line for line in plan), plan


def test_rows_that_are_alike_but_for_some_columns_are_inserted_together(engine: Engine) -> None:
    enroll(engine, "A", "B")

    engine.write(
        lambda tx: queues.enqueue(
            tx, CommandUUID("one"), [(ChannelId("A"), 1), (ChannelId("B"), 2)], priority=3, at=NOON, expires_at=NOON
        )
    )

    columns = queue.c
    select = sa.select(columns.channel_id, columns.epoch, columns.rank, columns.purpose, columns.expires_at)
    rows = engine.read(lambda tx: [tuple(row) for row in tx.connection.execute(select.order_by(columns.channel_id))])
    assert rows == [("A", 1, -3, QueuePurpose.COMMAND.value, NOON), ("B", 2, -3, QueuePurpose.COMMAND.value, NOON)]

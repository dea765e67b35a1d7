from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from muster.storage.sqlite import SqliteEngine
from muster.storage.types import Instant

AT = datetime(2026, 3, 1, 12, 0, 0, 5, tzinfo=UTC)
METADATA = sa.MetaData()
reviews = sa.Table(
    "reviews",
    METADATA,
    sa.Column("channel_id", sa.Text, primary_key=True),
    sa.Column("next_review_at", Instant, nullable=False),
)
DUE = sa.select(reviews.c.channel_id, reviews.c.next_review_at).where(reviews.c.next_review_at <= sa.bindparam("now"))
FIRST = DUE.order_by(reviews.c.channel_id).limit(1)
INSERT = sa.insert(reviews)
PUT_OFF = (
    sa.update(reviews)
    .where(reviews.c.channel_id == sa.bindparam("of_channel"))
    .values(next_review_at=sa.bindparam("until"))
    .returning(reviews.c.next_review_at)
)
FORGET = sa.delete(reviews).where(reviews.c.channel_id.in_(sa.bindparam("ids", expanding=True)))
TIMES = 3
"""A statement is prepared at its second execution, and the third is like the second."""


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[SqliteEngine]:
    engine = SqliteEngine(tmp_path / "muster.db", synchronous="OFF")
    with engine.sqlalchemy.begin() as connection:
        METADATA.create_all(connection)
    yield engine
    engine.close()


def written(engine: SqliteEngine, statement: sa.Executable, parameters: Any) -> int:
    """Execute *statement*; returns how many rows it wrote."""
    count: int = engine.write(lambda tx: tx.connection.execute(statement, parameters).rowcount)
    return count


def test_a_statement_brings_the_same_each_time(engine: SqliteEngine) -> None:
    rows = [{"channel_id": name, "next_review_at": AT} for name in "ba"]
    engine.write(lambda tx: tx.connection.execute(INSERT, rows))

    found = [engine.read(lambda tx: tx.connection.execute(FIRST, {"now": AT}).one()) for _ in range(TIMES)]

    assert [(row.channel_id, row.next_review_at) for row in found] == [("a", AT)] * TIMES
    assert [tuple(row) for row in found] == [("a", AT)] * TIMES


def test_scalars_are_brought_each_time(engine: SqliteEngine) -> None:
    engine.write(lambda tx: tx.connection.execute(INSERT, {"channel_id": "a", "next_review_at": AT}))

    for _ in range(TIMES):
        assert engine.read(lambda tx: tx.connection.scalar(DUE, {"now": AT})) == "a"
        assert engine.read(lambda tx: tx.connection.scalars(DUE, {"now": AT}).all()) == ["a"]


def test_rows_are_written_one_by_one_and_together(engine: SqliteEngine) -> None:
    for number in range(TIMES):
        one = {"channel_id": f"one {number}", "next_review_at": AT}
        many = [{"channel_id": f"many {number} {of}", "next_review_at": AT} for of in range(2)]
        assert written(engine, INSERT, one) == 1
        assert written(engine, INSERT, many) == 2

    assert engine.read(lambda tx: tx.connection.scalar(sa.select(sa.func.count()).select_from(reviews))) == TIMES * 3


def test_what_a_change_returns_is_brought(engine: SqliteEngine) -> None:
    engine.write(lambda tx: tx.connection.execute(INSERT, {"channel_id": "a", "next_review_at": AT}))
    values = {"of_channel": "a", "until": AT}

    for _ in range(TIMES):
        assert engine.write(lambda tx: tx.connection.execute(PUT_OFF, values).scalars().all()) == [AT]


def test_a_statement_that_is_written_anew_for_its_parameters_is_right_each_time(engine: SqliteEngine) -> None:
    rows = [{"channel_id": name, "next_review_at": AT} for name in "abcdef"]
    engine.write(lambda tx: tx.connection.execute(INSERT, rows))

    for ids in (["a"], ["b", "c"], ["d", "e", "f"]):
        assert written(engine, FORGET, {"ids": ids}) == len(ids)


def test_a_list_that_stands_in_a_statement_is_right_each_time(engine: SqliteEngine) -> None:
    rows = [{"channel_id": name, "next_review_at": AT} for name in "abc"]
    engine.write(lambda tx: tx.connection.execute(INSERT, rows))
    listed = DUE.where(reviews.c.channel_id.in_(["a", "c"]), reviews.c.channel_id.not_in(["b"]))
    none = DUE.where(reviews.c.channel_id.in_([]))

    for _ in range(TIMES):
        assert engine.read(lambda tx: tx.connection.scalars(listed, {"now": AT}).all()) == ["a", "c"]
        assert engine.read(lambda tx: tx.connection.scalars(none, {"now": AT}).all()) == []


def test_an_error_is_the_same_each_time(engine: SqliteEngine) -> None:
    one = {"channel_id": "a", "next_review_at": AT}
    engine.write(lambda tx: tx.connection.execute(INSERT, one))

    for _ in range(TIMES):
        with pytest.raises(sa.exc.IntegrityError, match="UNIQUE"):
            engine.write(lambda tx: tx.connection.execute(INSERT, one))


def test_a_missing_parameter_is_refused_each_time(engine: SqliteEngine) -> None:
    update = sa.update(reviews).values(next_review_at=sa.bindparam("until"))

    for _ in range(TIMES):
        with pytest.raises(sa.exc.StatementError, match="until"):
            engine.write(lambda tx: tx.connection.execute(update))


ASKED: dict[str, Callable[[sa.Result[Any]], Any]] = {
    "all": lambda result: [tuple(row) for row in result.all()],
    "fetchall": lambda result: [tuple(row) for row in result.fetchall()],
    "each": lambda result: [tuple(row) for row in result],
    "first": lambda result: result.first(),
    "one": lambda result: tuple(result.one()),
    "one or none": lambda result: result.one_or_none(),
    "scalar": lambda result: result.scalar(),
    "scalar one": lambda result: result.scalar_one(),
    "scalars": lambda result: list(result.scalars()),
    "scalars' first": lambda result: result.scalars().first(),
    "scalars' one or none": lambda result: result.scalars().one_or_none(),
    "unique scalars": lambda result: result.scalars().unique().all(),
    "mappings": lambda result: [dict(row) for row in result.mappings()],
    "by name": lambda result: [(row.next_review_at, row[0], dict(row._mapping)) for row in result],
    "in parts": lambda result: [len(part) for part in result.partitions(1)],
    "twice": lambda result: (len(result.all()), len(result.all())),
}
"""What is asked of a result."""


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize("asked", ASKED)
def test_a_result_says_what_sqlalchemys_own_says(engine: SqliteEngine, asked: str, number: int) -> None:
    rows = [{"channel_id": name, "next_review_at": AT} for name in "ab"[:number]]
    if rows:
        engine.write(lambda tx: tx.connection.execute(INSERT, rows))
    statement = DUE.order_by(reviews.c.channel_id)

    def ask(of: SqliteEngine) -> Any:
        try:
            return of.read(lambda tx: ASKED[asked](tx.connection.execute(statement, {"now": AT})))
        except sa.exc.SQLAlchemyError as error:
            return type(error)

    said = [ask(engine) for _ in range(TIMES)]

    assert said == [said[0]] * TIMES  # the first is SQLAlchemy's own

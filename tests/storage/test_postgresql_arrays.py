"""Arrays that we write ourselves reach PostgreSQL as what they are."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from muster.storage.postgresql import PostgresqlEngine
from muster.storage.postgresql_arrays import BOOL, BYTEA, INT4, INT8, TEXT, TIMESTAMPTZ, Column, Element, rows_of


@pytest.mark.parametrize(
    ("element", "type_name", "values"),
    [
        (TEXT, "text", ["UDID", "", None, 'Zoë "🍏", {NULL}\\']),
        (BYTEA, "bytea", [b"\x00\xff", b"", None]),
        (INT4, "int4", [0, -(2**31), 2**31 - 1, None]),
        (INT8, "int8", [0, -(2**63), 2**63 - 1, None]),
        (BOOL, "bool", [True, False, None]),
        (
            TIMESTAMPTZ,
            "timestamptz",
            [datetime(1999, 12, 31, 23, 59, 59, 999999, UTC), datetime(2026, 11, 2, tzinfo=UTC), None],
        ),
        (TEXT, "text", []),
        (TEXT, "text", ["b1", "a2", "b1"]),
        (TEXT, "text", ["a" * 127, "b" * 127]),
        (TEXT, "text", ["a" * 128, "b" * 128]),
        (TEXT, "text", ["Zo\u00eb", "Zoe"]),
        (TEXT, "text", ["", ""]),
    ],
    ids=[
        *("text", "bytea", "int4", "int8", "bool", "timestamptz", "empty"),
        *("equally long", "longest ASCII length", "longer", "more bytes than characters", "nothing in any"),
    ],
)
def test_array_arrives_as_it_was_given(
    postgresql_engine: PostgresqlEngine, element: Element[Any], type_name: str, values: list[Any]
) -> None:
    with postgresql_engine.sqlalchemy.connect() as connection:
        driver_connection = connection.connection.driver_connection
        assert isinstance(driver_connection, psycopg.Connection)
        returned = driver_connection.execute(f"SELECT %s::{type_name}[]", (element.array(values),)).fetchone()

    assert returned == (values,)


@pytest.mark.parametrize(
    ("ids", "words", "arrays"),
    [
        (["a", "b", "c"], ["x", "x", "x"], 1),
        (["a", "b", "c"], ["x", "x", "y"], 2),
        (["a", "b", "c"], [None, None, None], 1),
        (["a", "b", "c"], [None, None, "x"], 2),
        (["a", "a"], ["x", "x"], 1),
        (["a"], ["x"], 1),
    ],
    ids=["all alike", "one differs", "all absent", "one present", "keys alike", "one row"],
)
def test_rows_arrive_as_they_were_given_and_what_is_alike_is_sent_once(
    postgresql_engine: PostgresqlEngine, ids: list[str], words: list[str | None], arrays: int
) -> None:
    others: dict[str, Column[Any]] = {"word": Column(TEXT, words), "number": Column(INT8, [7] * len(ids))}
    rows = rows_of({"id": Column(TEXT, ids)}, others)

    with postgresql_engine.sqlalchemy.connect() as connection:
        driver_connection = connection.connection.driver_connection
        assert isinstance(driver_connection, psycopg.Connection)
        returned = driver_connection.execute(
            f"SELECT v.id, v.word, v.number FROM {rows.sql}", rows.parameters
        ).fetchall()

    assert returned == [(id_, word, 7) for id_, word in zip(ids, words, strict=True)]
    assert rows.sql.split("unnest(")[1].count("%s") == arrays

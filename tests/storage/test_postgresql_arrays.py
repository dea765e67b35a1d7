"""Arrays that we write ourselves reach PostgreSQL as what they are."""

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from muster.storage.postgresql import PostgresqlEngine
from muster.storage.postgresql_arrays import BOOL, BYTEA, INT4, INT8, TEXT, TIMESTAMPTZ, Element


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
    ],
    ids=["text", "bytea", "int4", "int8", "bool", "timestamptz", "empty"],
)
def test_array_arrives_as_it_was_given(
    postgresql_engine: PostgresqlEngine, element: Element[Any], type_name: str, values: list[Any]
) -> None:
    with postgresql_engine.sqlalchemy.connect() as connection:
        driver_connection = connection.connection.driver_connection
        assert isinstance(driver_connection, psycopg.Connection)
        returned = driver_connection.execute(f"SELECT %s::{type_name}[]", (element.array(values),)).fetchone()

    assert returned == (values,)

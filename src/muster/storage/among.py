"""A condition for rows of many identifiers: one parameter, whatever their number.

An IN of a thousand parameters is written out, parsed and planned anew each time, for more than its rows cost.
"""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, Self

import sqlalchemy as sa
from sqlalchemy import Dialect
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.sql.operators import OperatorType
from sqlalchemy.types import NullType, TypeDecorator

from muster.storage.postgresql_arrays import TEXT, BinaryArray

SETS_KEPT: Final = 16
"""Statements of one batch ask for the same rows, one after the other: their ids are written once."""


class Texts(TypeDecorator[Iterable[str]]):
    """Many texts as one parameter: text[] on PostgreSQL, a JSON array on SQLite."""

    impl = NullType
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> BinaryArray | str | None:
        """Turn the texts into the engine's form."""
        assert value is not None, "there may be no texts, but not no array"
        return _array(tuple(value)) if dialect.name == "postgresql" else _json(tuple(value))


@lru_cache(maxsize=SETS_KEPT)
def _array(texts: tuple[str, ...]) -> BinaryArray:
    return TEXT.array(texts)


@lru_cache(maxsize=SETS_KEPT)
def _json(texts: tuple[str, ...]) -> str:
    return json.dumps(texts)


class _Among(FunctionElement[bool]):
    name = "among"
    type = sa.Boolean()
    inherit_cache = True

    def self_group(self, against: OperatorType | None = None) -> Self:  # noqa: ARG002 - what it stands in matters not
        """Stand as it is: where there are no truth values it would be compared with 1, and no index be used."""
        return self


def among(column: sa.ColumnElement[Any], texts: Iterable[str] | str) -> sa.ColumnElement[bool]:
    """Tell rows whose *column*, a text, is one of *texts*; a str is the name of the parameter that will hold them.

    As many as one likes; none find nothing.
    """
    if isinstance(texts, str):
        return _Among(column, sa.bindparam(texts, type_=Texts()))
    return _Among(column, sa.bindparam(None, tuple(texts), type_=Texts()))


@compiles(_Among, "postgresql")
def _as_array(element: _Among, compiler: SQLCompiler, **parts: Any) -> str:
    column, texts = element.clauses
    return f"{compiler.process(column, **parts)} = ANY({compiler.process(texts, **parts)}::text[])"


@compiles(_Among, "sqlite")
def _as_json(element: _Among, compiler: SQLCompiler, **parts: Any) -> str:
    column, texts = element.clauses
    return f"{compiler.process(column, **parts)} IN (SELECT value FROM json_each({compiler.process(texts, **parts)}))"  # noqa: S608 - compiled, not given

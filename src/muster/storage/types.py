"""Column types that mean the same on both engines."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, DateTime, Dialect, Text
from sqlalchemy.dialects import postgresql
from sqlalchemy.types import TypeDecorator, TypeEngine

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def to_microseconds(at: datetime) -> int:
    """Return the microseconds from 1970-01-01 UTC to *at*, which is aware."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(value: int) -> datetime:
    """Return the aware UTC instant *value* microseconds after 1970-01-01 UTC."""
    return _EPOCH + value * _MICROSECOND


def _read_microseconds(value: int | None) -> datetime | None:
    return None if value is None else _EPOCH + value * _MICROSECOND


def _read_timestamp(value: datetime | None) -> datetime | None:
    return value if value is None or value.tzinfo is UTC else value.astimezone(UTC)


class Instant(TypeDecorator[datetime]):
    """An aware UTC instant: timestamptz on PostgreSQL, INTEGER microseconds on SQLite."""

    impl = BigInteger
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        """Choose the engine's column type."""
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(BigInteger())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | int | None:
        """Turn an aware instant into the engine's form."""
        if value is None:
            return None
        assert value.tzinfo is not None, "instants are aware"
        return value if dialect.name == "postgresql" else to_microseconds(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Turn the engine's form into an aware UTC instant."""
        return _read_timestamp(value) if dialect.name == "postgresql" else _read_microseconds(value)

    def result_processor(self, dialect: Dialect, coltype: object) -> Callable[[Any], datetime | None]:  # noqa: ARG002
        """Return what `process_result_value` does, without what calls it: rows of a fleet hold millions of instants."""
        return _read_timestamp if dialect.name == "postgresql" else _read_microseconds


Identifier = Text().with_variant(postgresql.TEXT(collation="C"), "postgresql")
"""Apple's and our identifiers: compared byte by byte, so that Python and the database sort alike (lock order)."""

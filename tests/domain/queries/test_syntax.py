"""Instants of queries, seen from the present."""

from datetime import UTC, datetime

import pytest

from muster.domain.queries.parser import parse_query
from muster.domain.queries.syntax import Compare, Moment

WEDNESDAY = datetime(2026, 11, 25, 15, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", WEDNESDAY),
        ("today", datetime(2026, 11, 25, tzinfo=UTC)),
        ("yesterday", datetime(2026, 11, 24, tzinfo=UTC)),
        ("monday", datetime(2026, 11, 23, tzinfo=UTC)),
        ("wednesday", datetime(2026, 11, 25, tzinfo=UTC)),
        ("thursday", datetime(2026, 11, 19, tzinfo=UTC)),
        ("2 days ago", datetime(2026, 11, 23, 15, 30, tzinfo=UTC)),
        ("in 1 hour", datetime(2026, 11, 25, 16, 30, tzinfo=UTC)),
    ],
)
def test_instants_are_seen_from_the_present(text: str, expected: datetime) -> None:
    query = parse_query(f"control_since >= {text}")

    assert isinstance(query, Compare)
    assert isinstance(query.value, Moment)
    assert query.value.seen_from(WEDNESDAY) == expected

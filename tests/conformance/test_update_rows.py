"""Many rows are updated by their keys at once, each with values of its own, on both engines alike."""

from datetime import UTC, datetime, timedelta

import sqlalchemy as sa
from tests.conformance.fleet import enroll

from muster.protocol.identifiers import ChannelId
from muster.storage import reviews, schema
from muster.storage.engine import Engine

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
TABLE = schema.reviews


def stored(engine: Engine) -> list[tuple[str, datetime, datetime | None]]:
    """The rows, by their keys."""
    select = sa.select(TABLE.c.channel_id, TABLE.c.next_review_at, TABLE.c.reviewed_at).order_by(TABLE.c.channel_id)
    return [tuple(row) for row in engine.read(lambda tx: tx.connection.execute(select).all())]


def test_each_row_gets_values_of_its_own_and_those_that_are_shared(engine: Engine) -> None:
    later = {ChannelId("a"): NOW + timedelta(hours=1), ChannelId("b"): NOW + timedelta(hours=2, microseconds=7)}
    enroll(engine, "a", "b", "c")
    engine.write(lambda tx: reviews.schedule_all(tx, [*later, ChannelId("c")], NOW))

    engine.write(lambda tx: reviews.done(tx, later, at=NOW))

    assert stored(engine) == [*((name, at, NOW) for name, at in later.items()), ("c", NOW, None)]


def test_value_may_be_absent_in_some_rows_or_in_all(engine: Engine) -> None:
    enroll(engine, "a", "b")
    engine.write(lambda tx: reviews.schedule_all(tx, [ChannelId("a"), ChannelId("b")], NOW))
    for times in ([NOW, None], [None, None]):
        columns = {"channel_id": ["a", "b"], "reviewed_at": times}

        engine.write(lambda tx, columns=columns: tx.update_rows(TABLE, "channel_id", columns, {}))  # type: ignore[misc]

        assert [at for _, _, at in stored(engine)] == times


def test_rows_that_are_not_there_are_passed_over_and_none_is_nothing(engine: Engine) -> None:
    engine.write(lambda tx: reviews.done(tx, {ChannelId("nobody"): NOW}, at=NOW))
    engine.write(lambda tx: reviews.done(tx, {}, at=NOW))

    assert stored(engine) == []

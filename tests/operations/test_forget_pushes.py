"""Outcomes of pushes are kept for a quarter of a year."""

from datetime import timedelta

from tests.conformance.test_push_log import ACCEPTED
from tests.support.site import Site

from muster.operations.forget_pushes import forget_pushes
from muster.storage import pushes
from muster.storage.hot_pushes import RecordedPush


def log_of(site: Site) -> tuple[RecordedPush, ...]:
    since = ACCEPTED.at - timedelta(days=1)
    return site.engine.read(lambda tx: pushes.of_channel(tx, ACCEPTED.channel_id, since=since, limit=9))


def test_outcome_is_kept_for_a_quarter_of_a_year_and_then_forgotten(site: Site) -> None:
    site.engine.write(lambda tx: tx.ensure_partitions(ACCEPTED.at))
    site.engine.write(lambda tx: pushes.append(tx, [ACCEPTED]))
    site.runner.time = ACCEPTED.at

    site.wait(days=90)
    assert site.do(forget_pushes, None) == [False]
    assert log_of(site) == (ACCEPTED,)

    site.wait(days=31)
    assert site.do(forget_pushes, None) == [False]
    assert log_of(site) == ()

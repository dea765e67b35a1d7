"""Cohorts of theirs are counted every hour, once for all nodes: sites that fell silent together, builds that hang."""

from datetime import datetime, timedelta

from muster.domain.control.cohorts import REFRESH_EVERY, REMEMBERED, SILENT_AFTER, SiteCount
from muster.domain.control.dossier import SiteRecord
from muster.domain.control.own_side import OwnAttributes, deaf_times, faults_touching
from muster.operations.context import Context
from muster.storage import cohorts, heartbeats, outages
from muster.storage.engine import Transaction
from muster.storage.heartbeats import ALL_NODES


def count_cohorts(tx: Transaction, ctx: Context) -> bool:
    """Count the cohorts when an hour is over; tells whether they were counted."""
    counted_at = heartbeats.read_one(tx, ALL_NODES, _COHORTS)
    if counted_at is not None and timedelta(0) <= ctx.now - counted_at < REFRESH_EVERY:
        return False
    heartbeats.begin(tx, ALL_NODES, [_COHORTS], ctx.now)
    cohorts.note_visits(tx, ctx.now - REMEMBERED if counted_at is None else counted_at)
    cohorts.forget_visits(tx, ctx.now - REMEMBERED)
    since, silent_before = ctx.now - REMEMBERED, _silent_before(tx, ctx.now)
    unpushable = cohorts.count_unpushable(tx)
    found = [
        _site(tx, one, unpushable.get(one.address, 0))
        for one in cohorts.count_sites(tx, heard_since=since, silent_before=silent_before)
    ]
    cohorts.store(tx, found, cohorts.count_hung(tx, heard_since=since, silent_before=silent_before))
    return True


_COHORTS = "cohorts"


def _silent_before(tx: Transaction, now: datetime) -> datetime:
    """Return the moment from which on a silence is SILENT_AFTER long, where deaf times don't count."""
    lately = outages.between(tx, now - REMEMBERED, now)
    left, at = SILENT_AFTER, now
    for began_at, ended_at in reversed(
        deaf_times(faults_touching(OwnAttributes(), lately, now - REMEMBERED, now), now)
    ):
        if at - ended_at >= left:
            break
        left -= max(at - ended_at, left * 0)
        at = began_at
    return at - left


def _site(tx: Transaction, counted: SiteCount, unpushable: int) -> SiteRecord:
    if not counted.is_silent or counted.last_at is None:
        return SiteRecord(counted.address, counted.members, 0, None, unpushable=unpushable)
    together = cohorts.silent_together(tx, counted)
    return SiteRecord(
        counted.address,
        counted.members,
        len(together),
        counted.last_at,
        heard_elsewhere=cohorts.count_heard_elsewhere(tx, counted),
        unpushable=unpushable,
        witnessed=cohorts.count_witnessed(tx, counted.address, together, counted.last_at + SILENT_AFTER),
    )

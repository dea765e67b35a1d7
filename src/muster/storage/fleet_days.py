"""What the fleet did on each finished day: one row a day, measured once."""

from collections.abc import Sequence
from typing import Final

import sqlalchemy as sa

from muster.domain.control.fleet_activity import FleetActivity, FleetDay, activity_of
from muster.domain.control.rhythm import SKETCH_DAYS, Rhythm, read_rhythm
from muster.domain.enrollment import EnrollmentState
from muster.storage.device_channels import are_devices
from muster.storage.engine import Transaction
from muster.storage.schema import channels, fleet_days

DAYS_KEPT: Final = 400
"""As long as the days of contact: a bit more than a year."""

_RHYTHMS = sa.select(channels.c.rhythm).where(
    are_devices(),
    channels.c.state == EnrollmentState.ENROLLED.value,
    channels.c.rhythm.is_not(None),
)
_SINCE = sa.select(fleet_days).where(fleet_days.c.day > sa.bindparam("day")).order_by(fleet_days.c.day)
_LAST = sa.select(sa.func.max(fleet_days.c.day))
# made once: building a statement costs more than running it on SQLite


def rhythms(tx: Transaction) -> list[Rhythm]:
    """Read the rhythms of all enrolled devices, in no order; those never heard have none."""
    return [read_rhythm(sketch) for sketch in tx.connection.scalars(_RHYTHMS)]


def last_day(tx: Transaction) -> int | None:
    """Tell which day was measured last; None when none was."""
    day: int | None = tx.connection.scalar(_LAST)
    return day


def activity(tx: Transaction, today: int) -> FleetActivity:
    """Read what the fleet did on the days that sketches of *today* know."""
    rows = tx.connection.execute(_SINCE, {"day": today - SKETCH_DAYS})
    return activity_of([FleetDay(row.day, row.active, row.heard, row.expected) for row in rows])


def keep(tx: Transaction, days: Sequence[FleetDay]) -> None:
    """Keep measured days; one that another node has kept stays as it is, and those that are too old go."""
    if not days:
        return
    for one in days:
        tx.connection.execute(
            tx.insert(fleet_days)
            .values(day=one.day, active=one.active, heard=one.heard, expected=one.expected)
            .on_conflict_do_nothing()
        )
    oldest = max(one.day for one in days) - DAYS_KEPT
    tx.connection.execute(sa.delete(fleet_days).where(fleet_days.c.day < oldest))

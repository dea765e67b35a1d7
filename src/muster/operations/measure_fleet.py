"""The whole fleet's activity on each finished day, by which a holiday of everybody is told from a silence."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from muster.domain.control.fleet_activity import FleetDay, measure_day
from muster.domain.control.silence_clock import day_of
from muster.operations.context import Context
from muster.storage import fleet_days
from muster.storage.engine import Transaction

CAUGHT_UP: Final = 21
"""Days measured at once where nobody measured for long: what lies further back few silences go back to."""


def measure_fleet(tx: Transaction, now: datetime) -> tuple[FleetDay, ...]:
    """Measure the finished days that nobody has measured, oldest first; nothing is written.

    All devices' rows are read once: a second or two for 100,000, which a transaction that writes should not take.
    """
    today = day_of(now)
    measured_to = fleet_days.last_day(tx)
    first = today - CAUGHT_UP if measured_to is None else max(measured_to + 1, today - CAUGHT_UP)
    if first >= today:
        return ()
    known = fleet_days.activity(tx, today)
    rhythms = fleet_days.rhythms(tx)
    return tuple(measure_day(rhythms, day, known) for day in range(first, today))


def keep_fleet_days(tx: Transaction, days: Sequence[FleetDay], ctx: Context) -> list[None]:
    """Keep what `measure_fleet` measured."""
    del ctx
    fleet_days.keep(tx, days)
    return [None for _ in days]

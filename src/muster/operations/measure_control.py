"""How much of the fleet was under control when each day ended, kept once a day."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from muster.domain.control.silence_clock import day_of
from muster.operations.context import Context
from muster.storage import control_days
from muster.storage.engine import Transaction

CAUGHT_UP: Final = 21
"""Days made up for at once where no node ran when they ended: the steps of verdicts tell how it stood."""


def keep_control_days(tx: Transaction, items: Sequence[datetime], ctx: Context) -> list[None]:
    """Keep how it stood when the days ended that are over at each of *items*, and that nobody has kept."""
    del ctx
    for now in items:
        today, kept_to = day_of(now), control_days.last_day(tx)
        first = today - CAUGHT_UP if kept_to is None else max(kept_to + 1, today - CAUGHT_UP)
        days = {day: control_days.standing_at_end_of(tx, day) for day in range(first, today)}
        control_days.keep(tx, {day: standing for day, standing in days.items() if standing})
    return [None for _ in items]

"""Measures the day that has ended, soon after midnight UTC: before it counts as a day of anybody's silence.

How much of the fleet was under control is kept with it.
"""

from datetime import datetime
from typing import Final

from muster.domain.control.silence_clock import DAY_SETTLES, day_of, start_of
from muster.operations.measure_control import keep_control_days
from muster.operations.measure_fleet import keep_fleet_days, measure_fleet
from muster.operations.ports import Runner

AFTER_MIDNIGHT: Final = DAY_SETTLES / 6
"""What was heard before midnight is stored by then, and there is time to try again."""


class FleetDayWorker:
    """Measures finished days."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner

    async def step(self) -> datetime | None:
        """Measure what nobody has measured; returns when the next day can be."""
        now = self._runner.now()
        days = await self._runner.read(lambda tx: measure_fleet(tx, now - AFTER_MIDNIGHT))
        if days:
            await self._runner.write(keep_fleet_days, days)
        await self._runner.write(keep_control_days, [now - AFTER_MIDNIGHT])
        return start_of(day_of(now - AFTER_MIDNIGHT) + 1) + AFTER_MIDNIGHT

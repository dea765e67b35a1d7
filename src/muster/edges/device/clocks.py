"""Clocks of devices that are wrong, as the signing times of their messages tell; most signatures have none.

Only what is worth a note leaves here, once an hour for each device, so that the hot path has nothing to do with it.
"""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.evidence import CLOCK_OFF_BY
from muster.protocol.identifiers import DeviceId

NOTED_EVERY: Final = timedelta(hours=1)
"""While a clock is wrong it is noted so often on this node: often enough to see that it was set right."""
MAXIMUM_DEVICES: Final = 10_000
"""Remembered as noted, a few hundred bytes each; the longest noted go first, and are noted again at worst."""


class ClockWatch:
    """Remembers of which devices it was noted lately that their clock is wrong."""

    def __init__(self) -> None:
        self._noted: dict[DeviceId, datetime] = {}

    def to_note(self, device_id: DeviceId, signing_time: datetime, now: datetime) -> int | None:
        """Return how many seconds the device's clock is ahead of ours (behind: negative), if that is to be noted.

        None: the time is near enough and was when it was noted last, or it was noted lately.
        """
        noted_at = self._noted.pop(device_id, None)
        if abs(signing_time - now) < CLOCK_OFF_BY:
            return None if noted_at is None else round((signing_time - now).total_seconds())
        if noted_at is not None and timedelta(0) <= now - noted_at < NOTED_EVERY:
            self._noted[device_id] = noted_at
            return None
        if len(self._noted) >= MAXIMUM_DEVICES:
            del self._noted[next(iter(self._noted))]
        self._noted[device_id] = now
        return round((signing_time - now).total_seconds())

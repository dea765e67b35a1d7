"""How often strangers may ask from one address: a window for each, in bounded memory."""

from collections import OrderedDict
from datetime import datetime, timedelta
from typing import Final

from muster.domain.enrollment_users import network_of

WINDOW: Final = timedelta(minutes=1)
VISITS: Final = 60
"""From one network in a window: an office in which many open the page at once is behind one address."""
KEPT: Final = 10_000
"""Networks that are counted at a time; who comes from more is a flood, and each of them is let in sometimes."""


class VisitCount:
    """Counts the visits of each network."""

    def __init__(self) -> None:
        self._windows: OrderedDict[str, tuple[datetime, int]] = OrderedDict()

    def is_too_many(self, source: str, now: datetime) -> bool:
        """Count a visit from *source*, and tell whether it is one too many."""
        network = network_of(source)
        began_at, count = self._windows.pop(network, (now, 0))
        if not began_at <= now < began_at + WINDOW:
            began_at, count = now, 0
        self._windows[network] = began_at, count + 1
        if len(self._windows) > KEPT:
            self._windows.popitem(last=False)
        return count >= VISITS

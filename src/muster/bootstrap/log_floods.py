"""Lines that strangers cause as often as they like are written a few times, and then told by their count.

A fleet whose authority is gone, a scanner, a program with an old token: each has its refusals by the thousand, and a
disk that is full of them keeps devices from being heard. /metrics counts what is refused, whatever is written here.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import structlog
from structlog.typing import EventDict

from muster.domain.enrollment_users import network_of

WINDOW_SECONDS: Final = 600.0
"""After so long equal lines are new again."""
OF_ONE: Final = 20
"""Equal lines of one network in a window that are written; then the fortieth, the eightieth, and so on."""
OF_ALL: Final = 500
"""Likewise of all together: somebody has many addresses, or a whole fleet is refused."""
COUNTED: Final = 10_000
"""Kinds of lines that are counted at a time; beyond them those that came last the longest ago are forgotten."""
UNAVAILABLE: Final = "unavailable"
"""What is said of each request while the database is away."""


@dataclass(slots=True)
class _Window:
    began_at: float
    count: int = 0


class FloodGate:
    """A processor of log lines: passes most on, and drops what was told often enough. *clock*: seconds that only grow.

    It minds warnings that tell a `source`, which are about what somebody out there did, and UNAVAILABLE. Two are equal
    that have the same event and code. A line that stands for others, too, says in `times` how many there were by then.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._windows: OrderedDict[tuple[str, ...], _Window] = OrderedDict()

    @property
    def counted(self) -> int:
        """How many kinds of lines are counted now."""
        return len(self._windows)

    def __call__(self, _logger: object, method: str, event: EventDict) -> EventDict:
        """Return *event*. Raises structlog.DropEvent for one that is not to be written."""
        name = str(event.get("event"))
        source = event.get("source") if method == "warning" else None
        if not isinstance(source, str) and name != UNAVAILABLE:
            return event
        kind = (name, str(event.get("code", "")))
        of_one = 0 if not isinstance(source, str) else self._count((*kind, network_of(source)))
        if not _is_written(of_one, OF_ONE):
            raise structlog.DropEvent
        of_all = self._count(kind)  # of those alone that their network doesn't have left out
        if not _is_written(of_all, OF_ALL):
            raise structlog.DropEvent
        times = of_one if of_one > OF_ONE else of_all if of_all > OF_ALL else 0
        return {**event, "times": times} if times else event

    def _count(self, kind: tuple[str, ...]) -> int:
        """Count a line; the first of a window is 1."""
        now = self._clock()
        window = self._windows.get(kind)
        if window is None or now - window.began_at >= WINDOW_SECONDS:
            window = self._windows[kind] = _Window(now)
            if len(self._windows) > COUNTED:
                self._windows.popitem(last=False)
        window.count += 1
        self._windows.move_to_end(kind)
        return window.count


def _is_written(count: int, limit: int) -> bool:
    """Tell whether the line of that number is: the first *limit*, then twice as many, and so on."""
    doublings, rest = divmod(count, limit)
    return count <= limit or (rest == 0 and doublings & (doublings - 1) == 0)

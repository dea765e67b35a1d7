"""What processes cost, as the kernel counts it (Linux: proc_pid_stat(5))."""

import os
from collections.abc import Iterable
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PARENT, _USER_TIME = 1, 11  # fields of stat, counted from behind the name in brackets
_TIMES = 4  # user, system, and both of children that ended


def cpu_seconds(root: int) -> float:
    """Return the processor time that *root* and its descendants have used, those that ended included.

    Counted in ticks of 10 ms, each for every process, so measure for seconds. A process that ends while this reads
    may be missed. Raises FileNotFoundError where there is no /proc.
    """
    stats = dict(_stats())
    members = _descendants(root, {process: int(stat[_PARENT]) for process, stat in stats.items()})
    ticks = sum(int(field) for member in members for field in stats[member][_USER_TIME : _USER_TIME + _TIMES])
    return ticks / _TICKS_PER_SECOND


def _stats() -> Iterable[tuple[int, list[str]]]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                text = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue
            # the name may hold spaces and brackets, and ends at the last bracket
            yield int(entry.name), text.rpartition(")")[2].split()


def _descendants(root: int, parents: dict[int, int]) -> list[int]:
    members = [root]
    for member in members:
        members.extend(process for process, parent in parents.items() if parent == member)
    return members

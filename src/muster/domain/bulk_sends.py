"""A command for everyone whom a query finds: how many that may be, and at which pace they are woken."""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.command_queue import ONCE_ONLY_REQUEST_TYPES
from muster.domain.errors import Refusal, RefusalCode

WOKEN_PER_SECOND: Final = 500
"""Channels that one order wakes: each connects within seconds, asks and answers. A node bears several times as many."""


def wrong_count(request_type: str, *, is_disruptive: bool, matched: int, named_count: int | None) -> Refusal | None:
    """Tell why a command can't go to the *matched* channels that a query finds, or None when it can.

    What erases, locks, restarts, shuts down or unenrolls goes to a query's devices only where somebody says how many
    they are. *named_count* has to be right for every command.
    """
    if matched == 0:
        return Refusal(
            RefusalCode.NOT_FOUND,
            "the query finds nobody who is enrolled; nothing was sent",
            "See `muster devices list --where`.",
        )
    if named_count is None and is_disruptive:
        return Refusal(
            RefusalCode.COUNT_WRONG,
            f"{request_type} by a query has to name how many are meant; this one finds {matched:,}",
            f"Look at them with `muster devices list --where`; if all are meant, add --count {matched}.",
        )
    if named_count is not None and named_count != matched:
        return Refusal(
            RefusalCode.COUNT_WRONG,
            f"the count named is {named_count:,}, and the query finds {matched:,}; nothing was sent",
            "Look at them again with `muster devices list --where`.",
        )
    return None


def is_disruptive(request_type: str, *, removes_enrollment: bool) -> bool:
    """Tell whether a command stops people's work, or ends enrollments."""
    return removes_enrollment or request_type in ONCE_ONLY_REQUEST_TYPES


def wake_at(now: datetime, ordered_at: datetime, queued: int, coalescing: timedelta) -> datetime:
    """Tell when those are woken on whose queues a command is put at *now*, after *queued* others of the same order."""
    return max(now, ordered_at + timedelta(seconds=queued / WOKEN_PER_SECOND)) + coalescing

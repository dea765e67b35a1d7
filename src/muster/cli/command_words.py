"""Where a command stands, in words, and its times with their distances."""

from datetime import datetime, timedelta

from muster.cli.output import ago
from muster.domain.command_queue import HoldReason, OwnStatus
from muster.operations.views.commands import HELD, CommandRow


def standing(row: CommandRow, now: datetime) -> str:
    """Say where a command stands: Apple's word for an answer, ours with what is behind it for all else."""
    match row.status:
        case HoldReason.AFTER:
            return f"waits for {row.after_uuid}"
        case HoldReason.RETRY:
            return f"failed, tried again in {ago(row.retry_at, now).removesuffix(' left')}"
        case HoldReason.PARKED:
            return "parked: never answered"
        case HoldReason.UNREADABLE:
            return "held back: can't be opened"
        case HoldReason.ERASED:
            return "held back: the device erases itself"
        case str(word) if word == HELD:
            return "held back since a restore"
        case OwnStatus.CANCELLED:
            return f"cancelled by {row.because}"
        case OwnStatus.SUPERSEDED:
            return f"superseded by {row.because}"
        case OwnStatus.DEPENDENCY_FAILED:
            return f"closed with {row.because}"
        case OwnStatus.VERIFIED:
            return f"done, verified: {row.because}"
        case _:
            return row.status if row.failure is None else f"{row.status}: {row.failure}"


def times(row: CommandRow) -> list[str]:
    """Say when a command was queued, pushed, handed out last and answered, each with its distance from the one before;
    what did not happen is left out.
    """
    ended = "ended" if row.status in set(OwnStatus) else "answered"
    known = [
        (name, at)
        for name, at in (
            ("queued", row.queued_at),
            ("pushed", row.pushed_at),
            ("handed out", row.handed_out_at),
            (ended, row.reported_at),
        )
        if at is not None
    ]
    lines = []
    for number, (name, at) in enumerate(known):
        since = "" if number == 0 else f"  {_distance(at - known[number - 1][1])}"
        lines.append(f"{name:<11} {at:%Y-%m-%d %H:%M:%S}Z{since}")
    if row.expires_at is not None:
        lines.append(f"{'expires':<11} {row.expires_at:%Y-%m-%d %H:%M:%S}Z")
    return lines


def _distance(distance: timedelta) -> str:
    """Say how much later, in the largest unit that tells something; a device may take what was pushed for another."""
    seconds = distance.total_seconds()
    sign, seconds = ("+" if seconds >= 0 else "-"), abs(seconds)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{sign}{seconds / size:.1f} {unit}"
    return f"{sign}{seconds:.1f} s"

"""What our own signs mean: when a gap was a downtime, a worker is dead, errors are more than single ones."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

BEAT_EVERY: Final = timedelta(minutes=5)
"""How often a node says that it lives: a slot of the contacts' strip."""
NOTABLE_GAP: Final = timedelta(minutes=15)
"""A gap between signs of life of all nodes that is a downtime. Shorter ones are restarts, which no silence hangs on."""
DEAD_AFTER: Final = timedelta(minutes=15)
"""How long a worker may owe a step, or fail at it, before it is dead: its slowest steps take minutes."""
FORGET_NODES_AFTER: Final = timedelta(days=30)

SPAN: Final = timedelta(minutes=15)
"""How far back errors are counted at least."""
LOOK_BACK: Final = timedelta(hours=24)
"""How far back at most, where fewer than REQUESTS came in SPAN: a quiet fleet comes once a day."""
REQUESTS: Final = 20
"""Requests that make a share worth computing."""
ERRORS_TO_OPEN: Final = 3
"""Errors below this number are no more than single ones."""
SHARE_TO_OPEN: Final = 0.2
SHARE_TO_CLOSE: Final = 0.05
"""Between the two shares an outage lasts if it does: it shall not open and close by turns."""

CLAIMANTS_TO_OPEN: Final = 3
"""Enrolled devices that come without an identity, and none with one, before it is the proxy that drops them."""
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
"""How far our clock may be from others' before it is wrong: what certificates are back-dated by."""
DIFFERING_CLOCKS: Final = 3
"""Devices that all name the same other time than ours, and none that names ours, before it is ours that is wrong."""
SHARE_DIFFERING: Final = 0.8
"""The share of those whose clocks differ from ours that has to agree on the time."""
SHARE_OF_HEARD: Final = 0.25
"""The share of all devices heard in LOOK_BACK whose clocks have to differ: a few that were set up alike are wrong
themselves. Not more, for not every signature says its time, and each of several nodes hears only some devices."""
MAXIMUM_CLOCKS: Final = 100
"""Devices whose clocks differ from ours, as many as a node remembers; so many are enough in a fleet of any size."""
LATE_CONTACTS: Final = timedelta(minutes=10)
"""After something went wrong with our address devices that were connected may still be heard for so long."""
HEARD_BEFORE: Final = 3
"""Devices heard on the day before that has to be, and none after, before their silence is laid to our address."""
SILENT_AFTER_CHANGE: Final = timedelta(hours=12)
"""How long nobody is heard after a change of the TLS certificate, which mostly is none's fault, before it is to blame:
longer than a night."""
_GIB: Final = 1 << 30
SCARCE_SHARE: Final = 0.05
SCARCE_OCTETS: Final = 5 * _GIB
"""A disk with less than this free is nearly full: of a small one the share, of a large one so much, for it is days of
journal and database whatever the disk's size."""
ENOUGH_AGAIN: Final = 1.5
"""It has to have so many times as much free again before that is over."""
AUTHORITY_ENDS_SOON: Final = timedelta(days=90)
"""No identity outlives the authority that issues it, and a fleet takes months to follow to another."""
SILENT_AFTER_FAILURE: Final = timedelta(hours=3)
"""Likewise where a test of ours fails, or the certificate has expired: two signs in place of one."""


def downtime(latest: datetime | None, now: datetime) -> tuple[datetime, datetime] | None:
    """Tell since when and until when nobody of us lived, by the *latest* sign of any node; None: no notable gap.

    None, too, where there was never a sign: the first start of all.
    """
    if latest is None or now - latest < NOTABLE_GAP:
        return None
    return latest, now


class DiskSpace(NamedTuple):
    """What a node's disk has *free* for it and in *total*, in octets."""

    free: int
    total: int


def is_scarce(disk: DiskSpace, *, was_scarce: bool) -> bool:
    """Tell whether a disk is nearly full, or is so still."""
    limit = min(SCARCE_SHARE * disk.total, SCARCE_OCTETS)
    return disk.free < (limit * ENOUGH_AGAIN if was_scarce else limit)


def ends_soon(authority_ends_at: datetime, now: datetime) -> bool:
    """Tell whether the authority that issues identities ends so soon that another has to take its place."""
    return authority_ends_at - now <= AUTHORITY_ENDS_SOON


def dead_workers(beats: Iterable[tuple[str, datetime]], now: datetime) -> Mapping[str, datetime]:
    """Tell which workers live on no node, and since when, by the signs of workers of those nodes that live."""
    latest: dict[str, datetime] = {}
    for worker, beat_at in beats:
        latest[worker] = max(beat_at, latest.get(worker, beat_at))
    return {worker: at for worker, at in sorted(latest.items()) if now - at >= DEAD_AFTER + BEAT_EVERY}


def own_clock_error(others: Collection[int]) -> int | None:
    """Tell by how many seconds our clock is ahead of the time (behind: negative), by how many *others*' are ahead of
    ours, none of which is near ours; None: too few differ, or they differ from one another as well."""
    if len(others) < DIFFERING_CLOCKS:
        return None
    middle = sorted(others)[len(others) // 2]
    agreeing = sum(abs(one - middle) <= CLOCK_TOLERANCE.total_seconds() for one in others)
    return -middle if agreeing >= max(DIFFERING_CLOCKS, SHARE_DIFFERING * len(others)) else None


def are_enough_to_differ(differing: int, heard: int) -> bool:
    """Tell whether as many devices name another time than ours as it takes where *heard* were heard in LOOK_BACK."""
    return differing >= min(MAXIMUM_CLOCKS, SHARE_OF_HEARD * heard)


@dataclass(frozen=True, slots=True)
class Bucket:
    """What an endpoint answered in a few minutes from *at* on: *answered* in all, *failed* of them with a 5xx."""

    at: datetime
    answered: int
    failed: int


def recent_share(buckets: Sequence[Bucket], now: datetime) -> tuple[int, int]:
    """Count what was answered lately and what failed of it: in SPAN, or as far back as REQUESTS need."""
    answered = failed = 0
    for bucket in reversed(buckets):
        age = now - bucket.at
        if age > LOOK_BACK or (age > SPAN and answered >= REQUESTS):
            break
        answered += bucket.answered
        failed += bucket.failed
    return answered, failed


def is_failing(buckets: Sequence[Bucket], now: datetime, *, was_failing: bool) -> bool:
    """Tell whether an endpoint fails so often that it is an outage, or is one still."""
    last_failed_at = max((one.at for one in buckets if one.failed), default=None)
    if last_failed_at is None:
        return False
    has_answered = any(one.at > last_failed_at and one.answered for one in buckets)
    if has_answered and now - last_failed_at > SPAN + BEAT_EVERY:
        return False  # it has come right, and what it failed at before opens nothing any more
    answered, failed = recent_share(buckets, now)
    if was_failing:
        return failed > SHARE_TO_CLOSE * answered
    return failed >= ERRORS_TO_OPEN and failed >= SHARE_TO_OPEN * answered


def failing_since(buckets: Sequence[Bucket], now: datetime) -> datetime:
    """Tell when the failing began: with the first bucket that failed after the last one that did not at all."""
    began_at = now
    for bucket in reversed(buckets):
        if bucket.answered and not bucket.failed:
            break
        if bucket.failed:
            began_at = bucket.at
    return began_at

"""When a channel is asked about itself: at once when it enrolled, then once in each interval, at a time of its own.

The times are spread by the channel's id, so that a fleet is asked evenly over the day.
"""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

from muster.domain.inventory.kinds import KINDS, InventoryKind
from muster.protocol.identifiers import ChannelId
from muster.protocol.records import record

SILENT_AFTER: Final = timedelta(days=2)
"""A channel that was not heard for so long is pushed for no question; it finds them when it comes back. It is longer
than a night and a day off, and shorter than the silence after which a push is stored anyway."""
UNANSWERED_FOR: Final = timedelta(days=7)
"""A question that was handed out and not answered for so long is given up, and asked anew."""
STALE_AFTER: Final = 2
"""Intervals after which what was learned counts as stale."""
SET_UP_PATIENCE: Final = timedelta(days=1)
"""How long a device in Setup Assistant is left alone: it waits for answers there, and a person waits for it."""

STANDING_KINDS: Final = frozenset({InventoryKind.DEVICE_INFORMATION, InventoryKind.USER_LIST})
"""How a device stands, and which of its users are there."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@record(frozen=True, slots=True)
class Due:
    """What a channel is to be asked now, and when to look again."""

    kinds: frozenset[InventoryKind]
    look_again_at: datetime


def interval_of(kind: InventoryKind, interval: timedelta, others_every: int = 1) -> timedelta:
    """Tell how often a kind is asked: a device about itself and its users once in *interval*.

    For all else it is asked once in *others_every* of them; what hardly changes a seventh as often, or as often as
    all else where that is less.
    """
    return interval * (KINDS[kind].every if kind in STANDING_KINDS else max(KINDS[kind].every, others_every))


def next_at(
    channel_id: ChannelId, kind: InventoryKind, asked_at: datetime | None, interval: timedelta, others_every: int = 1
) -> datetime:
    """Tell when to ask next what was asked at *asked_at*; never asked is long ago.

    That is the channel's next time which is at least half an interval away.
    """
    if asked_at is None:
        return _EPOCH
    every = interval_of(kind, interval, others_every)
    return _next_time(_EPOCH + every * _share(channel_id), every, asked_at)


def due(
    channel_id: ChannelId,
    asked: Mapping[InventoryKind, datetime],
    interval: timedelta,
    now: datetime,
    others_every: int = 1,
) -> Due:
    """Tell what of all kinds is due now that was *asked* when it was; *interval* is longer than nothing."""
    share = _share(channel_id)
    kinds: list[InventoryKind] = []
    again: list[datetime] = []
    for intervals, group in _groups(":" in channel_id, others_every):
        every = interval * intervals
        place = _EPOCH + every * share
        times = [asked.get(kind) for kind in group]
        together = times.count(times[0]) == len(times)  # as most kinds were
        for asked_at, some in [(times[0], group)] if together else zip(times, zip(group, strict=True), strict=True):
            at = _EPOCH if asked_at is None else _next_time(place, every, asked_at)
            if at <= now:
                kinds += some
                at = _next_time(place, every, now)
            again.append(at)
    return Due(frozenset(kinds), min(again))


@lru_cache(maxsize=16)
def _groups(is_of_user: bool, others_every: int) -> tuple[tuple[int, tuple[InventoryKind, ...]], ...]:
    """Put together the kinds that are asked equally often, with the intervals that pass between two questions."""
    groups: dict[int, list[InventoryKind]] = {}
    for kind in InventoryKind:
        # a user's channel is asked for nothing else by which it shows that it lives
        is_often = kind in STANDING_KINDS or (is_of_user and kind is InventoryKind.PROFILE_LIST)
        groups.setdefault(KINDS[kind].every if is_often else max(KINDS[kind].every, others_every), []).append(kind)
    return tuple((intervals, tuple(group)) for intervals, group in groups.items())


def is_stale(
    kind: InventoryKind, learned_at: datetime, interval: timedelta, now: datetime, others_every: int = 1
) -> bool:
    """Tell whether what was learned at *learned_at* should have been learned again by now. Asked never, it is stale
    after the usual day's."""
    return now - learned_at > STALE_AFTER * interval_of(kind, interval or timedelta(days=1), others_every)


def _next_time(place: datetime, every: timedelta, asked_at: datetime) -> datetime:
    """Return the first of the times a multiple of *every* from *place* that lies half of that after a question."""
    earliest = asked_at + every / 2
    return earliest + (place - earliest) % every


def _share(channel_id: ChannelId) -> float:
    """Return the channel's place in every interval, from 0 to 1."""
    return int.from_bytes(hashlib.sha256(channel_id.encode(errors="replace")).digest()[:4], "big") / 2**32

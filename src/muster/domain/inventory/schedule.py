"""When a channel is asked about itself: at once when it enrolled, then once in each interval, at a time of its own.

The times are spread by the channel's id, so that a fleet is asked evenly over the day.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from muster.domain.inventory.kinds import KINDS, InventoryKind
from muster.protocol.identifiers import ChannelId

SILENT_AFTER: Final = timedelta(days=2)
"""A channel that was not heard for so long is pushed for no question; it finds them when it comes back. It is longer
than a night and a day off, and shorter than the silence after which a push is stored anyway."""
UNANSWERED_FOR: Final = timedelta(days=7)
"""A question that was handed out and not answered for so long is given up, and asked anew."""
STALE_AFTER: Final = 2
"""Intervals after which what was learned counts as stale."""
SET_UP_PATIENCE: Final = timedelta(days=1)
"""How long a device in Setup Assistant is left alone: it waits for answers there, and a person waits for it."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Due:
    """What a channel is to be asked now, and when to look again."""

    kinds: frozenset[InventoryKind]
    look_again_at: datetime


def interval_of(kind: InventoryKind, interval: timedelta) -> timedelta:
    """Tell how often a kind is asked, where those of every day are asked once in *interval*."""
    return interval * KINDS[kind].every


def next_at(channel_id: ChannelId, kind: InventoryKind, asked_at: datetime | None, interval: timedelta) -> datetime:
    """Tell when to ask next what was asked at *asked_at*; never asked is long ago.

    That is the channel's next time which is at least half an interval away.
    """
    if asked_at is None:
        return _EPOCH
    every = interval_of(kind, interval)
    first = _EPOCH + every * _share(channel_id)
    earliest = asked_at + every / 2
    return earliest + (first - earliest) % every


def due(channel_id: ChannelId, asked: Mapping[InventoryKind, datetime], interval: timedelta, now: datetime) -> Due:
    """Tell what of all kinds is due now that was *asked* when it was; *interval* is longer than nothing."""
    times = {kind: next_at(channel_id, kind, asked.get(kind), interval) for kind in InventoryKind}
    kinds = frozenset(kind for kind, at in times.items() if at <= now)
    again = min(next_at(channel_id, kind, now, interval) if kind in kinds else at for kind, at in times.items())
    return Due(kinds, again)


def is_stale(kind: InventoryKind, learned_at: datetime, interval: timedelta, now: datetime) -> bool:
    """Tell whether what was learned at *learned_at* should have been learned again by now. Asked never, it is stale
    after the usual day's."""
    return now - learned_at > STALE_AFTER * interval_of(kind, interval or timedelta(days=1))


def _share(channel_id: ChannelId) -> float:
    """Return the channel's place in every interval, from 0 to 1."""
    return int.from_bytes(hashlib.sha256(channel_id.encode(errors="replace")).digest()[:4], "big") / 2**32

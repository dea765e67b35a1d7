"""A contact costs no row of its own: it is a tick in the day's strip that the channel's row carries.

A day (UTC) is 288 slots of five minutes, one bit each: 36 bytes, written with the row's one update. When a contact
falls on a later day, the finished strip is handed on to be kept as that day's row.
"""

from datetime import UTC, datetime, timedelta
from functools import lru_cache

from muster.protocol.records import record

SLOT = timedelta(minutes=5)
"""Fine enough for a picture of a month and for a rhythm of hours; coarser than the bursts of one dialogue."""
SLOTS_PER_DAY = timedelta(days=1) // SLOT
STRIP_BYTES = SLOTS_PER_DAY // 8
EMPTY_STRIP = bytes(STRIP_BYTES)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAYS_KEPT = 64
"""Whose slots are kept: a fleet is judged by the same few weeks, over and over."""


@record(frozen=True, slots=True)
class ContactDay:
    """One day's contacts. *day* counts days since 1970-01-01 UTC; bit *i* of *strip* (lowest first) is slot *i*."""

    day: int
    strip: bytes


@record(frozen=True, slots=True)
class FoldedContact:
    """The strip to write into the channel's row, and the day that is finished, when a new one began."""

    current: ContactDay
    finished: ContactDay | None


def fold_contact(current: ContactDay | None, at: datetime) -> FoldedContact:
    """Tick the contact *at* into the channel's strip.

    A contact earlier than the strip's day (a clock set back) is ticked into the present strip's first slot rather
    than losing the finished days.
    """
    day, within = divmod(at - _EPOCH, timedelta(days=1))
    slot = within // SLOT
    if current is None or day > current.day:
        return FoldedContact(ContactDay(day, _tick(EMPTY_STRIP, slot)), finished=current)
    if day < current.day:
        slot = 0
    return FoldedContact(ContactDay(current.day, _tick(current.strip, slot)), finished=None)


def contacts_of(day: ContactDay) -> tuple[datetime, ...]:
    """Return the start of each slot of *day* in which there was contact, in order."""
    starts = _starts(day.day)
    found = []
    left = int.from_bytes(day.strip, "little")
    while left:  # most days have few contacts, and fleets many days
        lowest = left & -left
        found.append(starts[lowest.bit_length() - 1])
        left ^= lowest
    return tuple(found)


@lru_cache(maxsize=DAYS_KEPT)
def _starts(day: int) -> tuple[datetime, ...]:
    """Return the start of each slot of a day."""
    start = _EPOCH + timedelta(days=day)
    return tuple(start + slot * SLOT for slot in range(SLOTS_PER_DAY))


def _tick(strip: bytes, slot: int) -> bytes:
    byte, bit = divmod(slot, 8)
    return strip[:byte] + bytes([strip[byte] | 1 << bit]) + strip[byte + 1 :]

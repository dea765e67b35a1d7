"""On which days a channel is heard: the sketch of its rhythm, which its row carries.

A sketch is 20 bytes: the day of the last contact, and one bit for each of the SKETCH_DAYS days that end with it, set
where there was contact. A contact that is the first of its day moves it on; every other leaves it as it is. So a
contact reads no history, and what a history means is worked out when somebody asks (`muster.domain.control.suspicion`).
"""

import struct
from dataclasses import dataclass
from typing import Final

SKETCH_DAYS: Final = 128
"""Eighteen weeks: what lies further back says little of a rhythm, which changes with the seasons and the jobs."""
_FORM: Final = struct.Struct(">I16s")
SKETCH_BYTES: Final = _FORM.size
_KEPT: Final = (1 << SKETCH_DAYS) - 1


@dataclass(frozen=True, slots=True)
class Rhythm:
    """A sketch, read. *last_day* counts days since 1970-01-01 UTC; bit *i* of *days* is the day *i* days before it.

    Bit 0 is always set. Where no bit is set beyond one, nothing is known of what lies before that.
    """

    last_day: int
    days: int

    @property
    def first_day(self) -> int:
        """The earliest day of contact that it knows."""
        return self.last_day - self.days.bit_length() + 1

    def was_heard(self, day: int) -> bool:
        """Tell whether there was contact on *day*; False also for what lies outside of the sketch."""
        return 0 <= self.last_day - day < SKETCH_DAYS and bool(self.days >> (self.last_day - day) & 1)

    def was_heard_within(self, first: int, after: int) -> bool:
        """Tell whether there was contact on a day from *first* on and before *after*."""
        newest = max(self.last_day - after + 1, 0)
        oldest = self.last_day - first
        return oldest >= newest and bool(self.days >> newest & (1 << oldest - newest + 1) - 1)


def fold_rhythm(sketch: bytes | None, day: int) -> bytes:
    """Return *sketch* with a contact on *day* (days since 1970-01-01 UTC); the very same when it says so already.

    *sketch* absent: this is the first contact. A day before the last one (a clock set back) changes nothing.
    """
    if sketch is None:
        return _FORM.pack(day, (1).to_bytes(16, "big"))
    last_day, packed = _FORM.unpack(sketch)
    if day <= last_day:
        return sketch
    days = 1 if day - last_day >= SKETCH_DAYS else (int.from_bytes(packed, "big") << (day - last_day) | 1) & _KEPT
    return _FORM.pack(day, days.to_bytes(16, "big"))


def read_rhythm(sketch: bytes) -> Rhythm:
    """Read what `fold_rhythm` wrote; ValueError when *sketch* is not of SKETCH_BYTES, which nothing else writes."""
    if len(sketch) != SKETCH_BYTES:
        msg = f"a sketch of a rhythm has {SKETCH_BYTES} bytes, not {len(sketch)}"
        raise ValueError(msg)
    last_day, packed = _FORM.unpack(sketch)
    return Rhythm(last_day, int.from_bytes(packed, "big"))

"""The clock of silence: it counts only time in which we could have heard the device, or called it.

Our own downtime, a broken push certificate, an outage of APNs and the like stop it (which of them touch a channel is
told by `muster.domain.control.own_side`). So a restart after a week's outage declares no fleet lost.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from muster.domain.control.control_policy import SUSPICION_OF_QUIET
from muster.domain.control.dossier import Silence
from muster.domain.control.fleet_activity import FleetActivity
from muster.domain.control.rhythm import read_rhythm
from muster.domain.control.suspicion import day_of_suspicion, expectation_of, suspicion

DAY: Final = timedelta(days=1)
DEAF_DAY: Final = DAY / 2
"""A day of which we could not hear more than this says nothing of whom we did not hear on it."""
DAY_SETTLES: Final = timedelta(hours=1)
"""A day counts so long after its end (UTC): by then it is known how active the fleet was on it."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Interval(Protocol):
    """A time in which we were deaf or dumb. *ended_at* absent: it lasts."""

    @property
    def began_at(self) -> datetime:
        """When it began, aware UTC."""

    @property
    def ended_at(self) -> datetime | None:
        """When it ended; None while it lasts."""


def silence_of(
    since: datetime, outages: Iterable[Interval], sketch: bytes | None, fleet: FleetActivity, now: datetime
) -> Silence:
    """Tell how long a channel has not been heard since *since*, its last contact, and how surprising that is.

    *outages* are those that touch it, in any order; where they overlap, time is taken out once. *sketch* absent: it was
    never heard. Suspicion is 0, and when it will be reached isn't told, before a whole day (UTC) of silence has passed:
    no day alone reaches it.
    """
    if since >= now:
        return Silence(since, timedelta(0))
    deaf = merged(outages, since, now)
    if not deaf and now - since <= DAY:
        return Silence(since, now - since)  # no day of it is whole
    deaf_for = sum((ended_at - began_at for began_at, ended_at in deaf), timedelta(0))
    counted = now - since - deaf_for
    today = day_of(now - DAY_SETTLES)
    first = day_of(since) + 1
    if first >= today:
        return Silence(since, counted, deaf=deaf_for)
    lost = _deaf_days(deaf)
    days = [day for day in range(first, today) if lost.get(day, timedelta(0)) <= DEAF_DAY]
    if not days:
        return Silence(since, counted, deaf=deaf_for)
    expectation = expectation_of(None if sketch is None else read_rhythm(sketch), fleet)
    found = suspicion(expectation, days)
    is_deaf_now = bool(deaf) and deaf[-1][1] == now
    suspicious_at = None
    if found < SUSPICION_OF_QUIET and not is_deaf_now:
        last_day = day_of_suspicion(expectation, days, today)
        suspicious_at = None if last_day is None else start_of(last_day + 1) + DAY_SETTLES
    return Silence(since, counted, found, suspicious_at, deaf_for)


def merged(outages: Iterable[Interval], since: datetime, until: datetime) -> tuple[tuple[datetime, datetime], ...]:
    """Return what of *outages* lies between *since* and *until*, in order and without overlaps."""
    clipped = sorted(
        (max(one.began_at, since), until if one.ended_at is None else min(one.ended_at, until)) for one in outages
    )
    parts: list[tuple[datetime, datetime]] = []
    for began_at, ended_at in clipped:
        if ended_at <= began_at:
            continue
        if parts and began_at <= parts[-1][1]:
            parts[-1] = (parts[-1][0], max(parts[-1][1], ended_at))
        else:
            parts.append((began_at, ended_at))
    return tuple(parts)


def day_of(at: datetime) -> int:
    """Return the day (UTC) that *at* lies in, counted from 1970-01-01."""
    return (at - _EPOCH) // DAY


def start_of(day: int) -> datetime:
    """Return when a day begins."""
    return _EPOCH + day * DAY


def _deaf_days(deaf: Sequence[tuple[datetime, datetime]]) -> dict[int, timedelta]:
    """Tell of each day on which we were deaf for how long we were."""
    lost: dict[int, timedelta] = {}
    for began_at, ended_at in deaf:
        for day in range(day_of(began_at), day_of(ended_at) + 1):
            part = min(ended_at, start_of(day + 1)) - max(began_at, start_of(day))
            lost[day] = lost.get(day, timedelta(0)) + part
    return lost

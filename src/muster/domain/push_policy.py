"""When a channel is pushed: a wish is due after a short while, is dropped when it was met, and comes back later.

A wish is one row per channel and level-triggered: ten queued commands are one wish. Source: Apple, "Sending push
notifications to devices"; APNs keeps the last push for a device that is away, so one stored push is enough.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class PushReason(StrEnum):
    """Why a push is wanted."""

    COMMAND_QUEUED = "command_queued"
    ENROLLED = "enrolled"
    ASKED_FOR = "asked_for"
    COMMAND_WAITING = "command_waiting"
    NOT_NOW = "not_now"


AFTER_TOKEN_UPDATE = (timedelta(seconds=10), timedelta(seconds=30), timedelta(seconds=120))
"""The first push after an enrollment may come before the device listens: it is repeated after these delays."""
UNANSWERED = (timedelta(hours=1), timedelta(hours=4), timedelta(days=1))
"""While commands wait and the device stays away: again after these delays, then once a week (see below)."""
STANDING = timedelta(days=7)
"""APNs keeps a push for up to 30 days; once a week keeps one stored without being seen as noise."""


SENT_ANYWAY = frozenset({PushReason.ENROLLED, PushReason.ASKED_FOR})
"""Wishes for the push itself: the first proof of a new token, and an administrator's test. Contact doesn't meet them
before they were sent once."""


@dataclass(frozen=True, slots=True)
class PushSituation:
    """What is known of a channel when its wish is due."""

    wanted_at: datetime
    reason: PushReason
    attempts: int
    """Pushes sent for this wish so far."""
    last_contact_at: datetime | None
    commands_waiting: int


@dataclass(frozen=True, slots=True)
class PushNow:
    """Send one, and look again at *next_at*."""

    next_at: datetime


@dataclass(frozen=True, slots=True)
class WishMet:
    """The device has been in contact and nothing waits: no push is needed any more."""


def decide_push(situation: PushSituation, now: datetime) -> PushNow | WishMet:
    """Decide what to do with a wish that is due at *now*."""
    contact = situation.last_contact_at
    # the message that made the wish is no answer to it, hence later, not as late
    heard_since = contact is not None and contact > situation.wanted_at
    is_owed = situation.attempts == 0 and situation.reason in SENT_ANYWAY
    if heard_since and situation.commands_waiting == 0 and not is_owed:
        return WishMet()
    delays = AFTER_TOKEN_UPDATE + UNANSWERED if situation.reason is PushReason.ENROLLED else UNANSWERED
    delay = delays[situation.attempts] if situation.attempts < len(delays) else STANDING
    return PushNow(now + delay)

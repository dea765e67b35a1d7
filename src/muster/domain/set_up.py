"""When a device that waits in Setup Assistant is let go on: as soon as everything queued for it is answered.

A Shared iPad's user waits at the first login in the same way. Sources: Apple, "TokenUpdate" (AwaitingConfiguration),
"DeviceConfigured" and "UserConfigured".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from muster.protocol.identifiers import ChannelKind

RELEASES = {ChannelKind.DEVICE: "DeviceConfigured", ChannelKind.SHARED_IPAD: "UserConfigured"}
"""The command that ends the wait, by the kind of channel that waits; other kinds don't wait for a command."""
RELEASE_REQUEST_TYPES = frozenset(RELEASES.values())

LOOK_INTERVAL = timedelta(seconds=10)
"""How soon a waiting channel with unanswered commands is looked at again: a person sits in front of it."""

RELEASE_PRIORITY = 999_999
"""Next to a renewal: it overtakes commands that hang, which would hold the device before it for ever."""


@dataclass(frozen=True, slots=True)
class LookAgain:
    """It waits on; look again at *at*."""

    at: datetime


@dataclass(frozen=True, slots=True)
class Release:
    """Let it go on. *is_overtaking*: commands hang before it in the queue."""

    is_overtaking: bool


def decide_release(
    since: datetime, queued_at: Sequence[datetime], *, hold: timedelta, patience: timedelta, now: datetime
) -> LookAgain | Release:
    """Decide about a channel that waits since *since*, with commands unanswered that were queued at *queued_at*.

    For *hold* it waits in any case, so that what is assigned to new devices gets to be queued; a command that is not
    answered for *patience* holds it no longer.
    """
    if now < since + hold:
        return LookAgain(since + hold)
    gives_up_at = [max(queued, since) + patience for queued in queued_at]
    if any(now < at for at in gives_up_at):
        return LookAgain(now + LOOK_INTERVAL)
    return Release(is_overtaking=bool(queued_at))

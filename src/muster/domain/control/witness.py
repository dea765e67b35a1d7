"""Other witnesses, which see devices where we can't: what kinds there are, and how often each may speak."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from muster.domain.errors import Refusal, RefusalCode

POSTS_WINDOW: Final = timedelta(minutes=1)
MAXIMUM_POSTS: Final = 60
"""Of one witness in a window, thirty thousand sightings: a fleet of 100,000 is told within four minutes."""
NOTED_AGAIN_AFTER: Final = timedelta(minutes=10)
"""What a witness says of a device is evidence, and may have it reviewed, once in so long unless it says something else:
one that posts every minute would keep the server judging."""
MAXIMUM_NAME_CHARACTERS: Final = 40
_NAME_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-_.")


class WitnessKind(StrEnum):
    """What a witness is."""

    AGENT = "agent"
    """A program on the device, osquery and the like."""
    IDP = "idp"
    """Where people sign in."""
    NETWORK = "network"
    """Wi-Fi, VPN."""
    EDR = "edr"


@dataclass(frozen=True, slots=True)
class Witness:
    """Somebody who may post sightings. *heard_at*: the last post; *sightings*, *unknown*: how many were posted in all,
    and how many of devices that are not known here. *window_began_at*, *posts*: how often it has spoken lately.
    """

    id: str
    name: str
    kind: WitnessKind
    created_at: datetime
    created_by: str
    token_changed_at: datetime
    heard_at: datetime | None = None
    sightings: int = 0
    unknown: int = 0
    window_began_at: datetime | None = None
    posts: int = 0


def unfit_name(name: str) -> Refusal | None:
    """Tell why a witness can't have this name; it stands in sentences and policies."""
    if 0 < len(name) <= MAXIMUM_NAME_CHARACTERS and set(name) <= _NAME_CHARACTERS:
        return None
    limit = MAXIMUM_NAME_CHARACTERS
    return Refusal(
        RefusalCode.ORDER_UNFIT,
        f"a witness has a name of 1 to {limit} lower-case letters, digits, hyphens, dots and underscores",
        "Such as osquery, or okta-signins.",
    )


def count_post(witness: Witness, now: datetime) -> tuple[datetime, int]:
    """Return the window in which a post at *now* falls, and how many there are in it with this one."""
    began_at = witness.window_began_at
    if began_at is None or not began_at <= now < began_at + POSTS_WINDOW:
        return now, 1
    return began_at, witness.posts + 1

"""A device's own link to the page that says whether it reaches us; what was found there is evidence (S18).

Whoever has the link may open it anywhere, so that this never makes a device in control, and decides no verdict: it is
shown beside them.
"""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from muster.crypto.errors import CryptoError
from muster.domain.control.evidence import Observation, Signal
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.reach import Reach
from muster.operations.context import Context
from muster.operations.permit import act, itself
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, evidence, people
from muster.storage.engine import Transaction

LIFETIME: Final = timedelta(days=7)
"""Of a link: somebody opens it while they are asked to."""
MAXIMUM_TOKEN: Final = 1000
"""Characters of a link's token that are looked at; ids of devices are a few dozen."""
_ROW: Final = "reach"


@dataclass(frozen=True, slots=True)
class ReachLink:
    """A link for one device. *token* is its secret; it is kept nowhere, for it holds what it means, sealed."""

    device_id: ChannelId
    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Visited:
    """Somebody opened the link of *token* and had what was found sent."""

    token: str = field(repr=False)
    reach: Reach


@act(Permission.WAKE, about=itself)
def make_reach_links(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> list[ReachLink | Refusal]:
    """Make a link for each device, good for LIFETIME; refused where there is no such device."""
    known = enrollments.find(tx, channel_ids)
    outcomes: list[ReachLink | Refusal] = []
    for channel_id in channel_ids:
        if channel_id not in known:
            outcomes.append(Refusal(RefusalCode.NOT_FOUND, "no such device is known", "See `muster devices list`."))
            continue
        expires_at = ctx.now + LIFETIME
        said = f"{int(expires_at.timestamp())} {channel_id}".encode()
        sealed = ctx.seal(said, table="reach_links", column="token", row=_ROW)
        token = base64.urlsafe_b64encode(sealed).decode().rstrip("=")
        people.record_act(tx, ctx.actor, "reach_link.create", channel_id, {}, ctx.now)
        outcomes.append(ReachLink(channel_id, token, expires_at))
    return outcomes


def note_visits(tx: Transaction, visits: Sequence[Visited], ctx: Context) -> list[ChannelId | Refusal]:
    """Note what was found on a device's own link, once a day for each way; refused where the link opens nothing."""
    return [_note(tx, visit, ctx) for visit in visits]


def _note(tx: Transaction, visit: Visited, ctx: Context) -> ChannelId | Refusal:
    channel_id = _device_of(visit.token, ctx)
    enrollment = None if channel_id is None else enrollments.find(tx, [channel_id]).get(channel_id)
    if channel_id is None or enrollment is None:
        return _CLOSED
    reach = visit.reach
    detail = {"network": reach.address, "hops": ", ".join(reach.hops) or None, "proxy": reach.is_through_proxy or None}
    observation = Observation(
        channel_id, Signal.REACH, reach.way.value, ctx.now, enrollment.epoch, reach.address, detail
    )
    evidence.append(tx, [observation], ctx.new_id)
    return channel_id


_CLOSED: Final = Refusal(
    RefusalCode.LINK_UNKNOWN,
    "this link is not known, or has expired",
    "Ask your administrator for a new one; what this page shows holds all the same.",
)


def _device_of(token: str, ctx: Context) -> ChannelId | None:
    """Return whose link this is; None where it is none of ours, or its time is over."""
    if len(token) > MAXIMUM_TOKEN or not token.isascii():
        return None
    try:
        sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        said = ctx.open(sealed, table="reach_links", column="token", row=_ROW).decode()
    except (CryptoError, binascii.Error, ValueError):
        return None
    seconds, _, channel_id = said.partition(" ")
    is_open = ctx.now < datetime.fromtimestamp(int(seconds), UTC)
    return ChannelId(channel_id) if is_open else None

"""What became of pushes that somebody waits for: APNs' answer, or why none is sent."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from muster.domain.push_policy import NoPush
from muster.domain.push_standing import Answer, Standing
from muster.operations.views.pushing import explain_channels
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId
from muster.storage import pushes
from muster.storage.engine import Transaction
from muster.storage.hot_pushes import RecordedPush

_SERVED_BY_THE_LAST: Final = frozenset({NoPush.UNDER_WAY, NoPush.STORED})
"""APNs has one that wakes the device for this, too."""
LOOKED_THROUGH: Final = 20
"""Of the last pushes of a channel, to find the one that APNs accepted last."""


@dataclass(frozen=True, slots=True)
class PushResult:
    """How it ended: by *push*, which APNs answered; or without one, which *words* explain.

    *refusal*: what APNs said when it refused the channel's token, which is not pushed any more. *is_known* is False
    where there is no such channel, or no TokenUpdate has said where to push it. A channel that came by itself meanwhile
    has neither.
    """

    push: RecordedPush | None = None
    words: str = ""
    refusal: Answer | None = None
    is_known: bool = True


def push_results(
    tx: Transaction, channel_ids: Collection[ChannelId], *, since: datetime, now: datetime
) -> dict[ChannelId, PushResult]:
    """Tell what became of a push wished for at *since*; channels whose push is still under way are absent."""
    answered = pushes.last_of(tx, channel_ids, since=since)
    found = {channel_id: PushResult(one) for channel_id, one in answered.items()}
    rest = [channel_id for channel_id in channel_ids if channel_id not in found]
    explained = {one.channel_id: one for one in explain_channels(tx, rest, now)}
    for channel_id in rest:
        one = explained.get(channel_id)
        if one is None or one.verdict.because is NoPush.NO_TOKEN:
            found[channel_id] = PushResult(is_known=False)
            continue
        verdict = one.verdict
        if verdict.standing is Standing.WAITING and verdict.because in _SERVED_BY_THE_LAST:
            found[channel_id] = PushResult(_accepted_last(tx, channel_id, now), one.words)
        elif verdict.standing in (Standing.WAITING, Standing.HELD, Standing.NOT_PUSHED):
            found[channel_id] = PushResult(words=one.words, refusal=one.known.refusal)
        elif verdict.standing in (Standing.ANSWERED, Standing.NOT_WANTED):
            found[channel_id] = PushResult()
    return found


def _accepted_last(tx: Transaction, channel_id: ChannelId, now: datetime) -> RecordedPush | None:
    last = pushes.of_channel(tx, channel_id, since=now - pushes.KEPT_FOR, limit=LOOKED_THROUGH)
    return next((one for one in last if one.outcome.outcome_class is OutcomeClass.ACCEPTED), None)

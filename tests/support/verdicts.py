"""Verdicts put straight into the tables, with the steps that led to them."""

from collections.abc import Sequence
from datetime import datetime
from itertools import count

from muster.domain.control.finding import Cited, Verdict, VerdictChange
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.protocol.identifiers import ChannelId
from muster.storage import verdicts
from muster.storage.engine import Engine, Transaction
from muster.storage.verdicts import HeldVerdict

_numbers = count()


def make_verdict(
    state: ControlState,
    reason: Reason,
    since: datetime,
    sentence: str = "not heard for 8 days",
    *,
    forecast: Forecast = Forecast.NOTHING_TO_DO,
    next_step: str = "",
    candidates: Sequence[Reason] = (),
    evidence: Sequence[Cited] = (),
) -> Verdict:
    """Make a verdict that was proved when it began."""
    return Verdict(
        state,
        reason,
        since,
        sentence,
        forecast,
        next_step,
        ProofLevel.OBEYED,
        since,
        candidates=tuple(candidates),
        evidence=tuple(evidence),
    )


def hold(
    engine: Engine,
    channel_id: str,
    state: ControlState,
    reason: Reason,
    *,
    at: datetime,
    since: datetime | None = None,
    sentence: str = "not heard for 8 days",
    forecast: Forecast = Forecast.NOTHING_TO_DO,
    next_step: str = "",
    candidates: Sequence[Reason] = (),
    evidence: Sequence[Cited] = (),
) -> None:
    """Have a channel be held to be so from *at* on, as a review would."""
    now = make_verdict(
        state,
        reason,
        since or at,
        sentence,
        forecast=forecast,
        next_step=next_step,
        candidates=candidates,
        evidence=evidence,
    )
    id_, device_id = ChannelId(channel_id), ChannelId(channel_id.partition(":")[0])
    change_id = f"change-{next(_numbers):06}"

    def work(tx: Transaction) -> None:
        before = verdicts.read(tx, [id_])
        verdicts.record(tx, [HeldVerdict(id_, now, change_id, at, at)], before, at)
        was = before[id_].verdict if id_ in before else None
        verdicts.append_changes(tx, [VerdictChange(change_id, id_, device_id, 1, at, was, now)])

    engine.write(work)

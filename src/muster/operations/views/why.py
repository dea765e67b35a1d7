"""Why a channel is held to be as it is, as the command line and programs are told."""

from dataclasses import dataclass

from muster.domain.control.finding import Verdict
from muster.operations.context import Present
from muster.operations.judge_channels import reason_about
from muster.operations.views.verdicts import Answer, VerdictRow, answers_of, verdicts_of
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction
from muster.storage.verdicts import HeldVerdict


@dataclass(frozen=True, slots=True)
class Why:
    """Why a channel is held to be as it is.

    *held*: what the last review recorded, in sentences; absent before the first. *found*: what a review would find now.
    *rules*: what each rule says of that, in the order in which they are asked. *recorded*: the last review's verdict
    as it is kept.
    """

    channel_id: ChannelId
    held: VerdictRow | None
    found: Verdict
    rules: tuple[Answer, ...]
    recorded: HeldVerdict | None


def tell_why(tx: Transaction, channel_id: ChannelId, reading: Present) -> Why | None:
    """Judge a channel as a review would now, and tell how; None when there is no such channel."""
    reasoning = reason_about(tx, channel_id, reading)
    if reasoning is None:
        return None
    held = verdicts_of(tx, [channel_id], reading.now).get(channel_id)
    judgement = reasoning.judgement
    return Why(channel_id, held, judgement.verdict, answers_of(judgement), reasoning.held)

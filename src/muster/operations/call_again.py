"""A fault by which devices could not reach us is over: whoever was woken in vain meanwhile is called once more."""

from muster.domain.control.own_side import SPENDING, Outage, touches_channels
from muster.domain.push_policy import PushReason
from muster.operations.context import Context
from muster.storage import outages, push
from muster.storage.engine import Transaction


def end_outage(tx: Transaction, outage: Outage, ctx: Context) -> bool:
    """End a fault of ours now; False when it had ended. Where devices could not reach us for it, they are called."""
    is_ended = outages.close(tx, outage.reason, outage.scope, ctx.now)
    if is_ended:
        call_again(tx, outage, ctx)
    return is_ended


def call_again(tx: Transaction, outage: Outage, ctx: Context) -> None:
    """Call, for *outage* is over, all whose last push had no answer: APNs may have spent it on that time.

    Else they would be called by the next stored push alone, days later.
    """
    if outage.reason in SPENDING and touches_channels(outage.scope):
        push.wish_unanswered(tx, reason=PushReason.REACHABLE_AGAIN, at=ctx.now)

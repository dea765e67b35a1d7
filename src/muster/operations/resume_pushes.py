"""What kept a topic from being pushed is gone: its devices are pushed again."""

from typing import Final

from muster.domain.push_policy import PushReason
from muster.operations.context import Context
from muster.protocol.apns import OutcomeClass
from muster.storage import push, push_breakers
from muster.storage.engine import Transaction

TOKEN_REFUSALS: Final = frozenset({OutcomeClass.TOKEN_BAD, OutcomeClass.TOPIC_MISMATCH})
"""Refusals that may be a fault of the certificate or the environment, and then concern every token."""


def resume_pushes(tx: Transaction, topic: str, ctx: Context, *, could_push: bool) -> None:
    """Push *topic* again at once, for an administrator has put a certificate into use for it.

    What was held is released, and tokens refused for a certificate's sake are tried again. Where nobody could be pushed
    before (*could_push*: the certificate before it was there and had not expired), everybody is: their silence
    meanwhile says nothing.
    """
    breaker = push_breakers.lock(tx, [topic]).get(topic)
    if breaker is not None:
        push_breakers.store(tx, topic, None)
    push.forget_refusals(tx, topic, TOKEN_REFUSALS, since=None)
    push.release_held(tx, topic, ctx.now)
    if not could_push or (breaker is not None and breaker.is_open):
        push.wish_for_topic(tx, topic, reason=PushReason.PUSHES_WORK_AGAIN, at=ctx.now)

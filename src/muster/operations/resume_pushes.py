"""What kept a topic from being pushed is gone: its devices are pushed again."""

from typing import Final

from muster.domain.push_breaker import BreakerCause
from muster.domain.push_outcomes import TOKEN_REFUSALS
from muster.domain.push_policy import PushReason
from muster.operations.context import Context
from muster.operations.note_deaf_topics import note_resumed
from muster.storage import push, push_breakers
from muster.storage.engine import Transaction

_OF_THE_CERTIFICATE: Final = frozenset({BreakerCause.CERTIFICATE_REFUSED, BreakerCause.TOKENS_REFUSED})
"""What another certificate mends; an outage it does not."""


def resume_pushes(tx: Transaction, topic: str, ctx: Context, *, could_push: bool) -> None:
    """Push *topic* again at once, for an administrator has put a certificate into use for it.

    What was held is released, and tokens refused for a certificate's sake are tried again. Where nobody could be pushed
    before (*could_push*: the certificate before it was there and had not expired; and it was not refused), everybody
    is: their silence meanwhile says nothing.
    """
    breaker = push_breakers.lock(tx, [topic]).get(topic)
    if breaker is not None:
        push_breakers.store(tx, topic, None)
        could_push = could_push and not (breaker.is_open and breaker.cause in _OF_THE_CERTIFICATE)
    note_resumed(tx, topic, ctx)
    forgotten = push.forget_refusals(tx, topic, TOKEN_REFUSALS, since=None)
    push.release_held(tx, topic, ctx.now)
    push.wish_at_pace(tx, forgotten, reason=PushReason.PUSHES_WORK_AGAIN, at=ctx.now)
    if not could_push:
        push.wish_for_topic(tx, topic, reason=PushReason.PUSHES_WORK_AGAIN, at=ctx.now)

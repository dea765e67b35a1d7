"""What the outcomes of a topic make of its breaker, and what follows for everybody who is pushed by it."""

from collections.abc import Sequence
from dataclasses import dataclass

from muster.domain.push_breaker import Breaker, BreakerCause, after_outcomes
from muster.domain.push_outcomes import TOKEN_REFUSALS
from muster.domain.push_policy import PushReason
from muster.operations.context import Context
from muster.operations.note_deaf_topics import note_breaker
from muster.protocol.apns import OutcomeClass
from muster.storage import push, push_breakers
from muster.storage.engine import Transaction, Work


@dataclass(frozen=True, slots=True)
class TurnedBreaker:
    """A topic's breaker before and after some outcomes; absent: closed."""

    before: Breaker | None
    after: Breaker | None

    @property
    def is_open(self) -> bool:
        """Tell whether the topic's pushes are held from now on."""
        return self.after is not None and self.after.is_open

    @property
    def blames_all_tokens(self) -> bool:
        """Tell whether every token of the topic is refused, so that no refusal is a token's own."""
        return self.after is not None and self.after.is_open and self.after.cause is BreakerCause.TOKENS_REFUSED

    @property
    def opened(self) -> Breaker | None:
        """The breaker, if it was these outcomes that opened it."""
        return self.after if self.is_open and not (self.before is not None and self.before.is_open) else None

    @property
    def closed(self) -> Breaker | None:
        """The breaker as it was, if it was these outcomes that closed it."""
        return self.before if self.before is not None and self.before.is_open and not self.is_open else None


def turn_breaker(
    tx: Transaction, topic: str, known: Breaker | None, outcomes: Sequence[OutcomeClass], ctx: Context
) -> TurnedBreaker:
    """Store what *outcomes* make of the breaker of *topic*, which was *known* a moment ago.

    When it opens because all tokens are refused, refusals since that began are forgotten, and their wishes made again:
    one was dropped with each. When it closes, what was held is released. Only a breaker that changes is locked.
    """
    jitter = ctx.jitter()
    if after_outcomes(known, outcomes, ctx.now, jitter) == known:
        return TurnedBreaker(known, known)
    before = push_breakers.lock(tx, [topic]).get(topic)
    turned = TurnedBreaker(before, after_outcomes(before, outcomes, ctx.now, jitter))
    push_breakers.store(tx, topic, turned.after)
    note_breaker(tx, topic, turned.before, turned.after, ctx)
    if turned.after is not None and turned.after.retry_at is not None:
        tx.made_due(Work.PUSH, turned.after.retry_at)
    if turned.opened is not None and turned.blames_all_tokens:
        forgotten = push.forget_refusals(tx, topic, TOKEN_REFUSALS, since=turned.opened.since)
        push.wish_at_pace(tx, forgotten, reason=PushReason.PUSHES_WORK_AGAIN, at=ctx.now)
    if turned.closed is not None:
        push.release_held(tx, topic, ctx.now)
    return turned

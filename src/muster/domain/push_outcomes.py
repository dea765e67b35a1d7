"""What APNs' answer to a push means for its wish and its token."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from muster.domain.push_policy import BUDGET_REFILL, HELD_FOR, NoPush, TargetState
from muster.protocol.apns import OutcomeClass, PushOutcome


class Consequence(StrEnum):
    """What followed from an outcome; it is kept beside it."""

    PUSHED = "pushed"
    """APNs has it; the wish is looked at again later."""
    STOPPED = "stopped"
    """The token is not pushed any more, until a TokenUpdate or a contact revives it."""
    IGNORED = "ignored"
    """It tells of a time before a TokenUpdate brought this token; tried again."""
    SLOWED = "slowed"
    """Fewer pushes to this token for a while."""
    TRIED_AGAIN = "tried_again"
    """It says nothing of the token; tried again soon."""
    HELD = "held"
    """It is the whole topic's, not the token's; tried again when the topic's breaker closes."""
    SET_ASIDE = "set_aside"
    """Our request was wrong, and would be wrong again; tried again tomorrow."""


CONSEQUENCES: Final = {
    OutcomeClass.ACCEPTED: Consequence.PUSHED,
    OutcomeClass.TOKEN_UNREGISTERED: Consequence.STOPPED,
    OutcomeClass.TOKEN_BAD: Consequence.STOPPED,
    OutcomeClass.TOPIC_MISMATCH: Consequence.STOPPED,
    OutcomeClass.THROTTLED: Consequence.SLOWED,
    OutcomeClass.CERTIFICATE_REFUSED: Consequence.TRIED_AGAIN,
    OutcomeClass.APNS_UNAVAILABLE: Consequence.TRIED_AGAIN,
    OutcomeClass.NO_ANSWER: Consequence.TRIED_AGAIN,
    OutcomeClass.OUR_FAULT: Consequence.SET_ASIDE,
}

RETRY: Final = (timedelta(seconds=30), timedelta(minutes=2), timedelta(minutes=15), timedelta(hours=1))
"""Pauses after a push that says nothing of its token, by how many there were in a row. Apple advises a quarter of an
hour and more after a 5xx; the breaker keeps a whole topic from trying at once."""
AFTER_STALE: Final = (timedelta(minutes=15), timedelta(hours=4), timedelta(days=1))
"""Pauses after a 410 that is older than the token."""
THROTTLE: Final = (timedelta(minutes=5), timedelta(minutes=30), timedelta(hours=4), timedelta(days=1))
"""Pauses after a 429 about one token, by how many there were in a row."""
SET_ASIDE_FOR: Final = timedelta(days=1)

TOKEN_REFUSALS: Final = frozenset({OutcomeClass.TOKEN_BAD, OutcomeClass.TOPIC_MISMATCH})
"""Refusals that may be a fault of the certificate or the environment, and then concern every token."""


class SentPush(NamedTuple):
    """A push as it was claimed: the target as it was then, and the wish."""

    target: TargetState
    last_contact_at: datetime | None
    failures: int
    """Pushes in a row of this wish that said nothing of the token."""
    next_at: datetime
    """When the wish is looked at again if APNs accepts."""


class OutcomeDecision(NamedTuple):
    """What to store: *due_at* None drops the wish; *is_attempt*: it counts as a push of the wish."""

    consequence: Consequence
    due_at: datetime | None
    failures: int
    is_attempt: bool
    target: TargetState
    held_because: NoPush | None = None


def decide_outcome(
    sent: SentPush,
    outcome: PushOutcome,
    now: datetime,
    jitter: float,
    *,
    held_because: NoPush | None = None,
    is_tokens_own: bool = True,
) -> OutcomeDecision:
    """Decide what follows from *outcome*, which came at *now*. *jitter* (0 to 1) keeps retries apart.

    A 410 whose timestamp lies before the TokenUpdate that brought the token first is ignored: it tells of another one.
    *held_because*: what now keeps the whole topic from being pushed; a push that failed waits for its end.
    *is_tokens_own*: false where every token is refused like this one, or the push was sent under a certificate that is
    not in use any more; then TOKEN_REFUSALS are no fault of the token.
    """
    consequence = CONSEQUENCES[outcome.outcome_class]
    if consequence is not Consequence.PUSHED:
        consequence = _in_its_circumstances(consequence, sent, outcome, held_because, is_tokens_own=is_tokens_own)
    paid_until = _spend(sent.target.budget_until, now) if outcome.status else sent.target.budget_until
    if consequence is Consequence.PUSHED:
        return OutcomeDecision(consequence, sent.next_at, 0, True, _accepted(sent, paid_until, now))
    target = sent.target._replace(budget_until=paid_until)
    match consequence:
        case Consequence.STOPPED:
            stopped = target._replace(refused_at=now, refusals=target.refusals + 1)
            return OutcomeDecision(consequence, None, 0, True, stopped)
        case Consequence.IGNORED:
            due_at = now + _pause(AFTER_STALE, sent.failures, jitter)
            return OutcomeDecision(consequence, due_at, sent.failures + 1, False, target)
        case Consequence.SLOWED:
            until = now + _pause(THROTTLE, target.throttles, jitter)
            slowed = target._replace(throttled_until=until, throttles=target.throttles + 1)
            return OutcomeDecision(consequence, until, sent.failures, False, slowed)
        case Consequence.TRIED_AGAIN:
            due_at = now + _pause(RETRY, sent.failures, jitter)
            return OutcomeDecision(consequence, due_at, sent.failures + 1, False, target)
        case Consequence.HELD:
            return OutcomeDecision(consequence, now + HELD_FOR, sent.failures, False, target, held_because)
        case Consequence.SET_ASIDE:
            return OutcomeDecision(consequence, now + SET_ASIDE_FOR, sent.failures + 1, False, target)


def _in_its_circumstances(
    usually: Consequence, sent: SentPush, outcome: PushOutcome, held_because: NoPush | None, *, is_tokens_own: bool
) -> Consequence:
    """What follows from a failure, given what usually follows from one of its class."""
    consequence = usually
    if consequence is Consequence.STOPPED and _is_stale(outcome, sent.target):
        consequence = Consequence.IGNORED
    if outcome.outcome_class in TOKEN_REFUSALS and not is_tokens_own:
        consequence = Consequence.TRIED_AGAIN
    if consequence in (Consequence.TRIED_AGAIN, Consequence.SET_ASIDE) and held_because is not None:
        consequence = Consequence.HELD
    return consequence


def _is_stale(outcome: PushOutcome, target: TargetState) -> bool:
    token_since = target.token_since or target.updated_at
    return outcome.unregistered_at is not None and outcome.unregistered_at <= token_since


def _accepted(sent: SentPush, paid_until: datetime | None, now: datetime) -> TargetState:
    target = sent.target
    was_answered = (
        sent.last_contact_at is not None
        and target.accepted_at is not None
        and sent.last_contact_at > target.accepted_at
    )
    return TargetState(
        target.updated_at,
        budget_until=paid_until,
        accepted_at=now,
        unanswered=1 if was_answered else target.unanswered + 1,
        token_since=target.token_since,
    )


def _spend(paid_until: datetime | None, now: datetime) -> datetime:
    return (now if paid_until is None else max(paid_until, now)) + BUDGET_REFILL


def _pause(steps: tuple[timedelta, ...], index: int, jitter: float) -> timedelta:
    """The step, longer by up to a half of it."""
    return steps[min(index, len(steps) - 1)] * (1 + jitter / 2)

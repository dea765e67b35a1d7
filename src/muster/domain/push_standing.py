"""How a channel stands with being pushed at this moment: what `decide_push` says of its wish, or of one made now."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import assert_never

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_policy import (
    OBSTACLES,
    DropWish,
    NoPush,
    PushDecision,
    PushNow,
    PushReason,
    PushSituation,
    TargetState,
    Wait,
    decide_push,
)
from muster.domain.push_topics import TopicState, obstacle_of
from muster.protocol.apns import OutcomeClass


@dataclass(frozen=True, slots=True)
class Wish:
    """A wish to push a channel, as it is stored. *failures*: pushes in a row that said nothing of the token."""

    reason: PushReason
    wanted_at: datetime
    due_at: datetime
    attempts: int
    failures: int
    held_because: NoPush | None


@dataclass(frozen=True, slots=True)
class Answer:
    """What APNs said of a push, and when. *status* is absent where it isn't known any more, 0 where nobody answered."""

    at: datetime
    outcome: OutcomeClass
    status: int | None = None
    reason: str | None = None
    unregistered_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownOfPushing:
    """Everything that decides whether a channel is pushed.

    *target* and *topic* are absent before its first TokenUpdate, *wish* where no push is wanted. *refusal* is why its
    token is refused, *last* what APNs said last.
    """

    state: EnrollmentState
    last_contact_at: datetime | None
    commands_waiting: int
    declined: int
    target: TargetState | None = None
    topic: TopicState | None = None
    wish: Wish | None = None
    refusal: Answer | None = None
    last: Answer | None = None


class Standing(StrEnum):
    """Where a channel stands."""

    PUSH_NOW = "push_now"
    """The push is due, and nothing is in its way."""
    PUSH_LATER = "push_later"
    """It has its time."""
    UNDER_WAY = "under_way"
    """It is sent, or about to be; APNs' answer is awaited."""
    PUSHED = "pushed"
    """APNs accepted it; another follows at its time unless the channel answers."""
    RETRYING = "retrying"
    """It said nothing of the token, and is tried again at its time."""
    WAITING = "waiting"
    """A rule has it wait."""
    HELD = "held"
    """An obstacle that is ours or APNs' is in its way."""
    ANSWERED = "answered"
    """The channel was in contact, and nothing waits: the wish ends."""
    NOT_PUSHED = "not_pushed"
    """It can't be pushed."""
    NOT_WANTED = "not_wanted"
    """It could be pushed, and there is no reason to."""


@dataclass(frozen=True, slots=True)
class PushVerdict:
    """How a channel stands. *because* is the rule that keeps it from being pushed; *next_at* is when it is pushed or
    looked at next, absent where nothing is to come by itself. Where no push is wanted, *if_wanted* is what would
    become of a command queued now."""

    standing: Standing
    because: NoPush | None = None
    next_at: datetime | None = None
    if_wanted: PushDecision | None = None


def verdict_of(known: KnownOfPushing, now: datetime) -> PushVerdict:
    """Tell how a channel stands at *now*."""
    situation = situation_now(known, now)
    decision = decide_push(situation, now)
    if known.wish is None:
        return _without_wish(decision)
    look_at = max(known.wish.due_at, now)
    if isinstance(decision, Wait) and decision.because not in OBSTACLES and decision.until < look_at:
        decision = decide_push(situation, look_at)  # over before anybody looks: not what it waits for
    match decision:
        case PushNow():
            return PushVerdict(_standing_of_push(known, known.wish, now), next_at=look_at)
        case Wait(_, because) if because in OBSTACLES:
            return PushVerdict(Standing.HELD, because, _end_of_obstacle(known, because))
        case Wait(until, because):
            return PushVerdict(Standing.WAITING, because, max(until, look_at))
        case DropWish(NoPush.MET):
            return PushVerdict(Standing.ANSWERED, NoPush.MET, look_at)
        case DropWish(because):
            return PushVerdict(Standing.NOT_PUSHED, because)
        case _:
            assert_never(decision)


def situation_now(known: KnownOfPushing, now: datetime) -> PushSituation:
    """Return what is decided by: the wish, or where there is none, that of a command queued *now*."""
    wish = known.wish or Wish(PushReason.COMMAND_QUEUED, now, now, 0, 0, None)
    return PushSituation(
        wish.wanted_at,
        wish.reason,
        wish.attempts,
        known.last_contact_at,
        known.commands_waiting + (known.wish is None),
        known.declined,
        is_enrolled=known.state is EnrollmentState.ENROLLED,
        target=known.target,
        obstacle=None if known.topic is None else obstacle_of(known.topic, now),
    )


def is_unanswered(known: KnownOfPushing) -> bool:
    """Tell whether APNs accepted a push for the channel, and it was not in contact since."""
    accepted_at = None if known.target is None else known.target.accepted_at
    return accepted_at is not None and (known.last_contact_at is None or known.last_contact_at <= accepted_at)


def _without_wish(decision: PushDecision) -> PushVerdict:
    if isinstance(decision, DropWish):
        return PushVerdict(Standing.NOT_PUSHED, decision.because)
    return PushVerdict(Standing.NOT_WANTED, if_wanted=decision)


def _standing_of_push(known: KnownOfPushing, wish: Wish, now: datetime) -> Standing:
    if wish.due_at <= now:
        return Standing.PUSH_NOW
    if wish.attempts:
        accepted_at = None if known.target is None else known.target.accepted_at
        return Standing.PUSHED if accepted_at is not None and accepted_at >= wish.wanted_at else Standing.UNDER_WAY
    return Standing.RETRYING if wish.failures else Standing.PUSH_LATER


def _end_of_obstacle(known: KnownOfPushing, because: NoPush) -> datetime | None:
    """When the next probe is sent; where a person has to act, nobody knows."""
    breaker = None if known.topic is None else known.topic.breaker
    return breaker.retry_at if because is NoPush.BREAKER_OPEN and breaker is not None else None

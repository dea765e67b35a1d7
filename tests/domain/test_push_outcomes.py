"""What follows from APNs' answers, for the wish and for the token."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.push_outcomes import (
    AFTER_STALE,
    CONSEQUENCES,
    RETRY,
    SET_ASIDE_FOR,
    THROTTLE,
    TOKEN_REFUSALS,
    Consequence,
    OutcomeDecision,
    SentPush,
    decide_outcome,
)
from muster.domain.push_policy import BUDGET_REFILL, HELD_FOR, NoPush, TargetState
from muster.protocol.apns import OutcomeClass, PushOutcome

HOUR = timedelta(hours=1)
UPDATED = NOON - timedelta(days=30)
TOKEN = TargetState(UPDATED)
SENT = SentPush(TOKEN, last_contact_at=None, failures=0, next_at=NOON + HOUR)


def decide(outcome_class: OutcomeClass, sent: SentPush = SENT, jitter: float = 0.0, **more: object) -> OutcomeDecision:
    outcome = replace(PushOutcome(outcome_class, 503), **more)  # type: ignore[arg-type]
    return decide_outcome(sent, outcome, NOON, jitter)


def test_every_class_of_outcome_has_a_consequence() -> None:
    assert CONSEQUENCES.keys() == set(OutcomeClass)


def test_accepted_push_clears_what_was_held_against_the_token() -> None:
    troubled = TOKEN._replace(refused_at=NOON - HOUR, refusals=2, throttled_until=NOON - HOUR, throttles=1)

    decision = decide(OutcomeClass.ACCEPTED, SENT._replace(target=troubled, failures=3))

    token = TargetState(UPDATED, budget_until=NOON + BUDGET_REFILL, accepted_at=NOON, unanswered=1)
    assert decision == OutcomeDecision(Consequence.PUSHED, NOON + HOUR, 0, True, token)


@pytest.mark.parametrize(("heard", "unanswered"), [(None, 3), (-3 * HOUR, 3), (-1 * HOUR, 1)])
def test_accepted_pushes_without_a_contact_between_them_are_counted(heard: timedelta | None, unanswered: int) -> None:
    pushed = TOKEN._replace(accepted_at=NOON - 2 * HOUR, unanswered=2)

    decision = decide(
        OutcomeClass.ACCEPTED, SENT._replace(target=pushed, last_contact_at=None if heard is None else NOON + heard)
    )

    assert decision.target.unanswered == unanswered


@pytest.mark.parametrize(
    "outcome_class", [OutcomeClass.TOKEN_UNREGISTERED, OutcomeClass.TOKEN_BAD, OutcomeClass.TOPIC_MISMATCH]
)
def test_permanent_refusal_stops_pushing_the_token(outcome_class: OutcomeClass) -> None:
    decision = decide(outcome_class, SENT._replace(target=TOKEN._replace(refusals=1)))

    assert (decision.consequence, decision.due_at) == (Consequence.STOPPED, None)
    assert (decision.target.refused_at, decision.target.refusals) == (NOON, 2)


@pytest.mark.parametrize(
    ("since", "consequence"),
    [
        (timedelta(seconds=1), Consequence.STOPPED),
        (timedelta(0), Consequence.IGNORED),
        (timedelta(days=-9), Consequence.IGNORED),
    ],
)
def test_410_from_before_the_last_token_update_is_ignored(since: timedelta, consequence: Consequence) -> None:
    decision = decide(OutcomeClass.TOKEN_UNREGISTERED, unregistered_at=UPDATED + since)

    assert decision.consequence is consequence
    assert (decision.target.refused_at is None) == (consequence is Consequence.IGNORED)
    if consequence is Consequence.IGNORED:
        assert decision.due_at == NOON + AFTER_STALE[0]


def test_410_from_before_a_token_update_that_brought_the_same_token_again_stops_it() -> None:
    again = TOKEN._replace(updated_at=NOON - HOUR, token_since=UPDATED)

    dead = decide(OutcomeClass.TOKEN_UNREGISTERED, SENT._replace(target=again), unregistered_at=NOON - 2 * HOUR)
    stale = decide(OutcomeClass.TOKEN_UNREGISTERED, SENT._replace(target=again), unregistered_at=UPDATED)

    assert (dead.consequence, stale.consequence) == (Consequence.STOPPED, Consequence.IGNORED)


def test_throttled_token_waits_longer_each_time() -> None:
    first = decide(OutcomeClass.THROTTLED)
    last = decide(OutcomeClass.THROTTLED, SENT._replace(target=TOKEN._replace(throttles=9)))

    assert first.due_at == first.target.throttled_until == NOON + THROTTLE[0]
    assert first.target.throttles == 1
    assert last.due_at == NOON + THROTTLE[-1]


@pytest.mark.parametrize(
    "outcome_class", [OutcomeClass.APNS_UNAVAILABLE, OutcomeClass.NO_ANSWER, OutcomeClass.CERTIFICATE_REFUSED]
)
def test_what_says_nothing_of_the_token_is_tried_again_and_no_attempt(outcome_class: OutcomeClass) -> None:
    first = decide(outcome_class)
    fifth = decide(outcome_class, SENT._replace(failures=4), jitter=1.0)

    assert (first.due_at, first.failures, first.is_attempt) == (NOON + RETRY[0], 1, False)
    assert (fifth.due_at, fifth.failures) == (NOON + RETRY[-1] * 1.5, 5)


def test_a_push_without_an_answer_costs_no_budget() -> None:
    assert decide(OutcomeClass.NO_ANSWER, status=0).target == TOKEN


def test_a_request_that_is_wrong_is_set_aside_for_a_day() -> None:
    decision = decide(OutcomeClass.OUR_FAULT)

    assert (decision.consequence, decision.due_at) == (Consequence.SET_ASIDE, NOON + SET_ASIDE_FOR)


@pytest.mark.parametrize(
    "outcome_class",
    [
        OutcomeClass.APNS_UNAVAILABLE,
        OutcomeClass.NO_ANSWER,
        OutcomeClass.CERTIFICATE_REFUSED,
        OutcomeClass.OUR_FAULT,
    ],
)
def test_what_fails_while_the_topic_is_blocked_is_held_until_it_is_not(outcome_class: OutcomeClass) -> None:
    sent = SENT._replace(failures=2)

    decision = decide_outcome(sent, PushOutcome(outcome_class, 0), NOON, 0.5, held_because=NoPush.BREAKER_OPEN)

    assert decision == OutcomeDecision(Consequence.HELD, NOON + HELD_FOR, 2, False, TOKEN, NoPush.BREAKER_OPEN)


@pytest.mark.parametrize("outcome_class", sorted(TOKEN_REFUSALS))
@pytest.mark.parametrize(
    ("held_because", "consequence"), [(None, Consequence.TRIED_AGAIN), (NoPush.BREAKER_OPEN, Consequence.HELD)]
)
def test_refusal_that_is_not_the_tokens_own_stops_no_token(
    outcome_class: OutcomeClass, held_because: NoPush | None, consequence: Consequence
) -> None:
    outcome = PushOutcome(outcome_class, 400)

    decision = decide_outcome(SENT, outcome, NOON, 0.0, held_because=held_because, is_tokens_own=False)

    assert decision.consequence is consequence
    assert (decision.is_attempt, decision.target.refused_at) == (False, None)
    assert decision.due_at is not None


def test_token_that_is_unregistered_is_so_whatever_the_others_meet() -> None:
    outcome = PushOutcome(OutcomeClass.TOKEN_UNREGISTERED, 410)

    decision = decide_outcome(SENT, outcome, NOON, 0.0, held_because=NoPush.BREAKER_OPEN, is_tokens_own=False)

    assert decision.consequence is Consequence.STOPPED

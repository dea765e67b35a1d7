"""When the pushes of a topic are held, tried, and let go again."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.push_breaker import (
    FAILURES_TO_OPEN,
    PAUSES,
    PROBE_PATIENCE,
    PROBES,
    REFUSALS_TO_OPEN,
    Breaker,
    BreakerCause,
    after_outcomes,
    take_probe,
)
from muster.protocol.apns import OutcomeClass

ACCEPTED, BAD, GONE = OutcomeClass.ACCEPTED, OutcomeClass.TOKEN_BAD, OutcomeClass.TOKEN_UNREGISTERED
LOST, BUSY, REFUSED = OutcomeClass.NO_ANSWER, OutcomeClass.APNS_UNAVAILABLE, OutcomeClass.CERTIFICATE_REFUSED
LATER = NOON + timedelta(minutes=1)


def after(breaker: Breaker | None, *outcomes: OutcomeClass) -> Breaker | None:
    return after_outcomes(breaker, outcomes, NOON, 0.0)


def opened(cause: BreakerCause, outcomes: list[OutcomeClass]) -> Breaker:
    breaker = after(None, *outcomes)
    assert breaker is not None
    assert (breaker.cause, breaker.is_open) == (cause, True)
    return breaker


@pytest.mark.parametrize(
    ("cause", "outcome", "count"),
    [
        (BreakerCause.APNS_UNREACHABLE, LOST, FAILURES_TO_OPEN),
        (BreakerCause.APNS_UNAVAILABLE, BUSY, FAILURES_TO_OPEN),
        (BreakerCause.CERTIFICATE_REFUSED, REFUSED, 1),
        (BreakerCause.PUSHES_REFUSED, OutcomeClass.OUR_FAULT, FAILURES_TO_OPEN),
        (BreakerCause.TOKENS_REFUSED, BAD, REFUSALS_TO_OPEN),
        (BreakerCause.TOKENS_REFUSED, OutcomeClass.TOPIC_MISMATCH, REFUSALS_TO_OPEN),
    ],
)
def test_breaker_opens_after_so_many_failures_in_a_row(cause: BreakerCause, outcome: OutcomeClass, count: int) -> None:
    before = None
    for _ in range(count - 1):
        before = after(before, outcome)
        assert before is None or not before.is_open

    breaker = after(before, outcome)

    assert breaker == Breaker(cause, count, NOON, NOON, NOON + PAUSES[cause][0])


@pytest.mark.parametrize("answer", [ACCEPTED, GONE, OutcomeClass.THROTTLED])
@pytest.mark.parametrize("failure", [LOST, BAD])
def test_an_answer_between_them_begins_the_count_anew(failure: OutcomeClass, answer: OutcomeClass) -> None:
    assert after(after(None, *[failure] * 9), failure, answer) is None


def test_failures_beside_answers_are_each_ones_own() -> None:
    assert after(None, *[LOST] * 50, ACCEPTED) is None


def test_a_refused_certificate_opens_though_something_was_accepted_before() -> None:
    breaker = after(None, ACCEPTED, REFUSED)

    assert breaker is not None
    assert breaker.is_open


def test_probe_is_sent_when_it_is_time_and_by_one_node() -> None:
    breaker = opened(BreakerCause.APNS_UNREACHABLE, [LOST] * 10)

    assert take_probe(breaker, NOON) is None
    probing = take_probe(breaker, LATER)
    assert probing == replace(breaker, is_probing=True, retry_at=LATER + PROBE_PATIENCE)
    assert take_probe(probing, LATER) is None
    assert take_probe(probing, LATER + PROBE_PATIENCE) is not None


def test_closed_breaker_takes_no_probe() -> None:
    assert take_probe(Breaker(BreakerCause.APNS_UNREACHABLE, 1, NOON), LATER) is None


def test_probe_that_fails_doubles_the_pause_up_to_the_longest() -> None:
    breaker: Breaker | None = opened(BreakerCause.APNS_UNREACHABLE, [LOST] * 10)
    pauses = []
    for _ in range(40):
        assert breaker is not None
        assert breaker.retry_at is not None
        probing = take_probe(breaker, breaker.retry_at)
        assert probing is not None
        breaker = after(probing, LOST)
        assert breaker is not None
        assert breaker.retry_at is not None
        pauses.append(breaker.retry_at - NOON)

    first, longest = PAUSES[BreakerCause.APNS_UNREACHABLE]
    assert pauses[:2] == [first * 2, first * 4]
    assert pauses[-1] == longest


def test_late_failures_of_what_was_under_way_put_no_probe_off() -> None:
    breaker = opened(BreakerCause.APNS_UNREACHABLE, [LOST] * 10)

    later = after(breaker, *[LOST] * 100)

    assert later == replace(breaker, failures=110)


@pytest.mark.parametrize("answer", [ACCEPTED, GONE, BAD])
def test_probe_that_is_answered_closes_the_breaker_of_an_outage(answer: OutcomeClass) -> None:
    probing = take_probe(opened(BreakerCause.APNS_UNAVAILABLE, [BUSY] * 10), LATER)

    breaker = after(probing, answer)

    assert breaker is None or not breaker.is_open


def test_breaker_of_refused_tokens_stays_open_until_one_is_accepted() -> None:
    breaker = opened(BreakerCause.TOKENS_REFUSED, [BAD] * 20)
    probing = take_probe(breaker, NOON + timedelta(days=1))

    refused_again, unreachable = after(probing, *[BAD] * 5), after(probing, LOST)

    assert refused_again is not None
    assert refused_again.is_open
    assert unreachable is not None
    assert unreachable.is_open
    assert after(probing, *[BAD] * 4, ACCEPTED) is None


def test_one_token_does_not_speak_for_all() -> None:
    assert PROBES[BreakerCause.TOKENS_REFUSED] > 1
    assert {PROBES[cause] for cause in BreakerCause if cause is not BreakerCause.TOKENS_REFUSED} == {1}


def test_jitter_puts_probes_apart() -> None:
    early, late = (after_outcomes(None, [REFUSED], NOON, jitter) for jitter in (0.0, 1.0))

    assert early is not None
    assert late is not None
    assert early.retry_at is not None
    assert late.retry_at is not None
    assert early.retry_at < late.retry_at

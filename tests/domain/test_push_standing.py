"""How a channel stands with being pushed: the rules asked about its wish, or about one made now."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_breaker import Breaker, BreakerCause
from muster.domain.push_policy import (
    ANSWER_TIME,
    STANDING,
    UNANSWERED,
    NoPush,
    PushNow,
    PushReason,
    TargetState,
    Wait,
)
from muster.domain.push_standing import KnownOfPushing, PushVerdict, Standing, Wish, is_unanswered, verdict_of
from muster.domain.push_topics import TopicState

HOUR = timedelta(hours=1)
TOPIC = TopicState("topic", NOON + 100 * STANDING, None)
TARGET = TargetState(NOON - 100 * HOUR)
KNOWN = KnownOfPushing(EnrollmentState.ENROLLED, NOON - 10 * HOUR, 1, 0, TARGET, TOPIC)
WISH = Wish(PushReason.COMMAND_QUEUED, NOON - HOUR, NOON, 0, 0, None)
PROBE_AT = NOON + HOUR
OPEN = Breaker(BreakerCause.APNS_UNREACHABLE, 10, NOON, NOON, PROBE_AT)


def _wished(**changes: object) -> KnownOfPushing:
    return replace(KNOWN, wish=replace(WISH, **changes))  # type: ignore[arg-type] # fields of Wish


PUSHED = replace(
    _wished(attempts=1, due_at=NOON + HOUR), target=TARGET._replace(accepted_at=NOON - HOUR / 2, unanswered=1)
)
REFUSED = TARGET._replace(refused_at=NOON - HOUR, refusals=1)
STORED = TARGET._replace(accepted_at=NOON - HOUR, unanswered=len(UNANSWERED) + 1)
ONCE_MORE = STORED._replace(unanswered=len(UNANSWERED))


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        (_wished(), PushVerdict(Standing.PUSH_NOW, next_at=NOON)),
        (_wished(due_at=NOON + HOUR), PushVerdict(Standing.PUSH_LATER, next_at=NOON + HOUR)),
        (_wished(due_at=NOON + HOUR, failures=2), PushVerdict(Standing.RETRYING, next_at=NOON + HOUR)),
        (_wished(due_at=NOON + HOUR, attempts=1), PushVerdict(Standing.UNDER_WAY, next_at=NOON + HOUR)),
        (PUSHED, PushVerdict(Standing.PUSHED, next_at=NOON + HOUR)),
        (
            replace(PUSHED, last_contact_at=NOON, commands_waiting=0),
            PushVerdict(Standing.ANSWERED, NoPush.MET, NOON + HOUR),
        ),
        (
            replace(PUSHED, last_contact_at=NOON, declined=1),
            PushVerdict(Standing.WAITING, NoPush.DECLINED, NOON + HOUR),
        ),
        (replace(_wished(), target=REFUSED), PushVerdict(Standing.NOT_PUSHED, NoPush.TOKEN_REFUSED)),
        (
            replace(_wished(), target=STORED, last_contact_at=NOON - 48 * HOUR),
            PushVerdict(Standing.WAITING, NoPush.STORED, NOON - HOUR + STANDING),
        ),
        (
            replace(_wished(), target=ONCE_MORE, last_contact_at=NOON - 48 * HOUR),
            PushVerdict(Standing.WAITING, NoPush.STORED, NOON - HOUR + UNANSWERED[-1]),
        ),
        (
            replace(_wished(), topic=replace(TOPIC, breaker=OPEN)),
            PushVerdict(Standing.HELD, NoPush.BREAKER_OPEN, PROBE_AT),
        ),
        (
            replace(_wished(), topic=replace(TOPIC, certificate_until=None)),
            PushVerdict(Standing.HELD, NoPush.NO_CERTIFICATE),
        ),
        (replace(_wished(), target=None, topic=None), PushVerdict(Standing.NOT_PUSHED, NoPush.NO_TOKEN)),
        (
            replace(_wished(), state=EnrollmentState.DORMANT),
            PushVerdict(Standing.NOT_PUSHED, NoPush.NOT_ENROLLED),
        ),
    ],
)
def test_a_wish_stands_where_the_rules_say(known: KnownOfPushing, verdict: PushVerdict) -> None:
    assert verdict_of(known, NOON) == verdict


def test_what_is_over_before_anybody_looks_is_no_reason_to_wait() -> None:
    slowed = TARGET._replace(throttled_until=NOON + HOUR / 2, throttles=1)

    verdict = verdict_of(replace(_wished(due_at=NOON + HOUR), target=slowed), NOON)

    assert verdict == PushVerdict(Standing.PUSH_LATER, next_at=NOON + HOUR)


def test_without_a_wish_it_is_said_what_would_become_of_one() -> None:
    quiet = replace(KNOWN, commands_waiting=0)
    moments_ago = TARGET._replace(accepted_at=NOON - ANSWER_TIME / 2)

    assert isinstance(verdict_of(quiet, NOON).if_wanted, PushNow)
    assert verdict_of(replace(quiet, target=moments_ago), NOON) == PushVerdict(
        Standing.NOT_WANTED, if_wanted=Wait(NOON + ANSWER_TIME / 2, NoPush.UNDER_WAY)
    )


def test_without_a_wish_a_refused_token_is_named_as_the_reason() -> None:
    assert verdict_of(replace(KNOWN, target=REFUSED), NOON) == PushVerdict(Standing.NOT_PUSHED, NoPush.TOKEN_REFUSED)


def test_an_accepted_push_is_unanswered_until_a_later_contact() -> None:
    assert is_unanswered(PUSHED)
    assert not is_unanswered(replace(PUSHED, last_contact_at=NOON))
    assert not is_unanswered(KNOWN)

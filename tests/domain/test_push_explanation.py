"""Every reason, answer, consequence and cause has its sentence, and the figures are in it."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.domain.test_push_standing import KNOWN, OPEN, PUSHED, TARGET, TOPIC, WISH
from tests.support.instants import NOON

from muster.domain import push_outcomes
from muster.domain.enrollment import EnrollmentState
from muster.domain.push_breaker import BreakerCause
from muster.domain.push_explanation import (
    CONSEQUENCES,
    OUTCOMES,
    REASONS,
    answer_sentence,
    breaker_sentence,
    length,
    moment,
    no_push_sentence,
    verdict_sentence,
    wish_sentence,
)
from muster.domain.push_outcomes import Consequence
from muster.domain.push_policy import NoPush, PushReason
from muster.domain.push_standing import Answer, KnownOfPushing, verdict_of
from muster.protocol.apns import OutcomeClass

DAY = timedelta(days=1)
GONE = Answer(NOON - DAY, OutcomeClass.TOKEN_UNREGISTERED, 410, "Unregistered", NOON - 2 * DAY)
FULL = replace(
    KNOWN,
    target=TARGET._replace(refused_at=NOON - DAY, refusals=2, accepted_at=NOON - 2 * DAY, unanswered=3, throttles=4),
    topic=replace(TOPIC, breaker=OPEN),
    refusal=GONE,
    commands_waiting=2,
    declined=2,
)


def test_every_word_of_the_domain_has_its_sentence() -> None:
    assert set(REASONS) == set(PushReason)
    assert set(OUTCOMES) == set(OutcomeClass)
    assert set(CONSEQUENCES) == set(Consequence)


@pytest.mark.parametrize("because", NoPush)
@pytest.mark.parametrize("known", [FULL, KnownOfPushing(EnrollmentState.ENDED, None, 0, 0)])
def test_every_reason_not_to_push_has_a_sentence_whatever_is_known(because: NoPush, known: KnownOfPushing) -> None:
    for until in (None, NOON + DAY):
        said = no_push_sentence(because, known, until, NOON)

        assert said.endswith(".")
        assert "None" not in said


@pytest.mark.parametrize("cause", BreakerCause)
def test_every_open_breaker_says_since_when_why_what_it_means_and_what_to_do(cause: BreakerCause) -> None:
    said = breaker_sentence("topic", replace(OPEN, cause=cause, probes=2), NOON)

    for part in ("Pushes of topic have been held since 2 Nov 12:00", "One is tried on 2 Nov 13:00", "2 probes have"):
        assert part in said
    assert "Devices are not judged by their silence meanwhile." in said
    assert len(said.partition("meanwhile. ")[2]) > 20


def test_a_breaker_that_only_counts_holds_nothing() -> None:
    counting = replace(OPEN, opened_at=None, retry_at=None, failures=3)

    assert breaker_sentence("topic", counting, NOON) == (
        "3 pushes in a row found no connection to APNs, or got no answer from it; pushes of topic go on for now."
    )


@pytest.mark.parametrize(
    ("because", "said"),
    [
        (
            NoPush.TOKEN_REFUSED,
            (
                "Not pushed: APNs refused its token on 1 Nov 12:00 (410 Unregistered since 31 Oct 12:00), 2 times "
                "since its last TokenUpdate. It was in contact on 2 Nov 02:00, so the token is tried again on "
                "3 Nov 12:00."
            ),
        ),
        (
            NoPush.BREAKER_OPEN,
            (
                "Held: so are all pushes of its topic since 2 Nov 12:00:00. 10 pushes in a row found no connection to "
                "APNs, or got no answer from it. One is tried on 2 Nov 13:00; when it succeeds, the others follow."
            ),
        ),
        (
            NoPush.STORED,
            (
                "Kept under a stored push: the last 3 went unanswered. APNs keeps the one of 31 Oct 12:00 for it; "
                "the next is sent on 3 Nov 12:00."
            ),
        ),
        (
            NoPush.THROTTLED,
            "Slowed: APNs asked for fewer pushes to its token, 4 times in a row. It is pushed again on 3 Nov 12:00.",
        ),
        (
            NoPush.BUDGET,
            (
                "Slowed: its budget of 30 pushes, and one more each minute, is used up. "
                "It is pushed again on 3 Nov 12:00."
            ),
        ),
        (
            NoPush.DECLINED,
            (
                "Left alone for now: it answered NotNow to all that waits (2 of 2) and asks again by itself "
                "once it can. It is pushed again on 3 Nov 12:00."
            ),
        ),
    ],
)
def test_the_figures_are_in_the_sentence(because: NoPush, said: str) -> None:
    assert no_push_sentence(because, FULL, NOON + DAY, NOON) == said


def test_a_token_that_nothing_revived_says_what_would() -> None:
    said = no_push_sentence(NoPush.TOKEN_REFUSED, FULL, None, NOON)

    assert said.endswith("and it has not been in contact since. A TokenUpdate or a contact revives it.")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        (EnrollmentState.ENROLLING, "its TokenUpdate has not come yet"),
        (EnrollmentState.DORMANT, "its user is logged out"),
        (EnrollmentState.ENDED, "its enrollment has ended"),
    ],
)
def test_who_is_not_enrolled_is_not_pushed_for_a_reason_of_its_state(state: EnrollmentState, said: str) -> None:
    assert said in no_push_sentence(NoPush.NOT_ENROLLED, replace(FULL, state=state), None, NOON)


@pytest.mark.parametrize(
    ("known", "said"),
    [
        (replace(KNOWN, wish=WISH), "Pushed now, for a command was queued: the running server sends it within"),
        (replace(KNOWN, wish=replace(WISH, due_at=NOON + DAY)), "Pushed on 3 Nov 12:00, for a command was queued."),
        (
            PUSHED,
            (
                "Pushed on 2 Nov 11:30, for a command was queued, and not in contact since, while 1 command waits. "
                "Pushed again on 2 Nov 13:00."
            ),
        ),
        (
            replace(
                KNOWN,
                wish=replace(WISH, due_at=NOON + DAY, failures=1),
                last=Answer(NOON, OutcomeClass.NO_ANSWER, 0, "refused"),
            ),
            "Tried again on 3 Nov 12:00, for a command was queued: APNs gave no answer to a push (refused).",
        ),
        (
            replace(KNOWN, wish=replace(WISH, due_at=NOON + DAY, attempts=1)),
            "A push is under way, for a command was queued; if no answer is recorded, it is sent again on 3 Nov 12:00.",
        ),
        (
            replace(KNOWN, commands_waiting=0),
            (
                "No push is wanted: nothing waits for it, and it was in contact on 2 Nov 02:00. "
                "A command queued now would be pushed at once."
            ),
        ),
        (KNOWN, "No push is wanted at this moment, though 1 command waits: the next review, within a day, asks"),
        (
            replace(KNOWN, commands_waiting=0, topic=replace(TOPIC, certificate_until=NOON)),
            "A command queued now would not be pushed at once. Held: the push certificate of its topic topic expired",
        ),
    ],
)
def test_the_verdict_is_a_sentence(known: KnownOfPushing, said: str) -> None:
    assert said in verdict_sentence(known, verdict_of(known, NOON), NOON)


def test_answers_and_wishes_are_said_with_their_times() -> None:
    assert answer_sentence(GONE, NOON) == (
        "1 Nov 12:00: APNs says that the push token is not registered any more (410 Unregistered since 31 Oct 12:00)."
    )
    assert wish_sentence(replace(WISH, attempts=1, failures=2), NOON) == (
        "Wanted since 2 Nov 11:00, for a command was queued; 1 push so far; the last 2 said nothing of the token."
    )


def test_times_have_the_year_when_it_is_another_and_seconds_when_they_are_near() -> None:
    assert moment(NOON, NOON + timedelta(days=400)) == "2 Nov 2026 12:00"
    assert moment(NOON, NOON + timedelta(seconds=10)) == "2 Nov 12:00:00"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0 seconds"), (1, "1 second"), (90, "90 seconds"), (60, "1 minute"), (7200, "2 hours"), (604800, "7 days")],
)
def test_durations_are_whole_numbers_of_the_largest_unit(seconds: int, said: str) -> None:
    assert length(timedelta(seconds=seconds)) == said


def test_the_pauses_in_the_consequences_are_those_of_the_code() -> None:
    assert length(push_outcomes.THROTTLE[0]) in CONSEQUENCES[Consequence.SLOWED]
    assert length(push_outcomes.SET_ASIDE_FOR) in CONSEQUENCES[Consequence.SET_ASIDE]

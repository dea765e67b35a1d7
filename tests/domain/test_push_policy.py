"""When a wish to push is sent, repeated, and dropped."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.push_policy import (
    AFTER_TOKEN_UPDATE,
    STANDING,
    UNANSWERED,
    PushNow,
    PushReason,
    PushSituation,
    WishMet,
    decide_push,
)

WISH = PushSituation(NOON, PushReason.COMMAND_QUEUED, attempts=0, last_contact_at=None, commands_waiting=1)
LATER = NOON + timedelta(seconds=1)


def test_a_device_never_heard_of_is_pushed() -> None:
    decision = decide_push(WISH, LATER)

    assert decision == PushNow(LATER + UNANSWERED[0])


def test_a_wish_is_met_by_a_later_contact_when_nothing_waits() -> None:
    decision = decide_push(replace(WISH, last_contact_at=LATER, commands_waiting=0), LATER)

    assert decision == WishMet()


def test_a_contact_does_not_meet_a_wish_while_commands_wait() -> None:
    decision = decide_push(replace(WISH, last_contact_at=LATER), LATER)

    assert isinstance(decision, PushNow)


def test_the_token_update_itself_does_not_meet_the_wish_it_made() -> None:
    enrolled = replace(WISH, reason=PushReason.ENROLLED, attempts=1, last_contact_at=NOON, commands_waiting=0)

    decision = decide_push(enrolled, LATER)

    assert isinstance(decision, PushNow)


@pytest.mark.parametrize("reason", [PushReason.ENROLLED, PushReason.ASKED_FOR])
def test_a_push_wanted_for_itself_is_sent_though_the_device_is_in_contact(reason: PushReason) -> None:
    wish = replace(WISH, reason=reason, last_contact_at=LATER, commands_waiting=0)

    first = decide_push(wish, LATER)
    second = decide_push(replace(wish, attempts=1), LATER)

    assert isinstance(first, PushNow)
    assert second == WishMet()


def test_pushes_grow_rare_and_stay_at_one_a_week() -> None:
    delays = []
    for attempts in range(8):
        decision = decide_push(replace(WISH, reason=PushReason.ENROLLED, attempts=attempts), LATER)
        assert isinstance(decision, PushNow)
        delays.append(decision.next_at - LATER)

    assert delays == [*AFTER_TOKEN_UPDATE, *UNANSWERED, STANDING, STANDING]

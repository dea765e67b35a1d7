"""Steps 4 and 6: what APNs said of a token, and devices that come and never by a push."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.domain.control.dossiers import (
    DAY,
    ENROLLED_AT,
    HOUR,
    NOW,
    WELL,
    ago,
    noted,
    push,
    silent,
    user,
    verdict_on,
    well,
)

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import DdmRecord, Dossier, OwnFault, PushRecord, SiteRecord, WitnessRecord
from muster.domain.control.judging import judge
from muster.domain.control.own_side import CALLED_AGAIN_WITHIN
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.protocol.apns import OutcomeClass

UNREGISTERED, BAD = OutcomeClass.TOKEN_UNREGISTERED, OutcomeClass.TOKEN_BAD


def refused(outcome: OutcomeClass, at: datetime, **changes: Any) -> PushRecord:
    return push(refusal=outcome, refused_at=at, **changes)


@pytest.mark.parametrize(
    ("outcome", "reason"), [(UNREGISTERED, Reason.PUSH_TOKEN_UNREGISTERED), (BAD, Reason.PUSH_TOKEN_BAD)]
)
@pytest.mark.parametrize(
    ("length", "refused_at", "state"),
    [
        (HOUR, ago(days=5), ControlState.AT_RISK),  # it still comes
        (2 * DAY, ago(hours=23), ControlState.AT_RISK),
        (2 * DAY, ago(hours=24), ControlState.OUT_OF_CONTROL),
        (5 * HOUR, ago(hours=4), ControlState.AT_RISK),
    ],
)
def test_a_dead_token_is_a_risk_at_once_and_a_loss_after_a_day_without_contact(
    outcome: OutcomeClass, reason: Reason, length: timedelta, refused_at: datetime, state: ControlState
) -> None:
    one = silent(length, suspicion=0, push=refused(outcome, refused_at))

    assert verdict_on(one) == (state, reason)


def test_a_token_that_was_brought_again_is_as_dead_as_before() -> None:
    dead = {"unregistered_at": ago(days=3), "updated_at": ago(days=2)}

    other = well(push=refused(UNREGISTERED, ago(days=1), **dead))
    same = well(push=refused(UNREGISTERED, ago(days=1), **dead, token_since=ago(days=9)))

    assert verdict_on(other) == WELL
    assert verdict_on(same) == (ControlState.AT_RISK, Reason.PUSH_TOKEN_UNREGISTERED)


def test_time_in_which_we_were_deaf_is_not_held_against_a_dead_token() -> None:
    deaf = OwnFault(Reason.OWN_DOWNTIME, ago(hours=20), ago(hours=10), "our server was down")
    one = silent(2 * DAY, suspicion=0, push=refused(UNREGISTERED, ago(hours=30)), faults=(deaf,))

    verdict = judge(one, ControlPolicy(), NOW).verdict
    assert (verdict.state, verdict.look_again_at) == (ControlState.AT_RISK, NOW + 4 * HOUR + CALLED_AGAIN_WITHIN)


@pytest.mark.parametrize(
    "one",
    [
        well(push=refused(UNREGISTERED, ago(days=2), unregistered_at=ENROLLED_AT - HOUR)),
        well(push=refused(UNREGISTERED, ENROLLED_AT - HOUR)),  # another TokenUpdate came since
        well(push=push(refusal=UNREGISTERED)),
        well(push=None),
    ],
)
def test_what_is_said_of_a_former_token_is_ignored(one: Dossier) -> None:
    assert verdict_on(one) == WELL


def test_a_device_that_reports_another_token_has_a_bad_one_with_us() -> None:
    reported = DdmRecord(ago(hours=1), push_token_differs=True)

    assert verdict_on(well(ddm=reported)) == (ControlState.AT_RISK, Reason.PUSH_TOKEN_BAD)
    assert verdict_on(well(ddm=reported, push=push(updated_at=ago(minutes=30)))) == WELL


@pytest.mark.parametrize(
    ("way", "is_found"),
    [
        (push(has_certificate=False), True),
        (refused(OutcomeClass.TOPIC_MISMATCH, ago(hours=1)), True),
        (push(refusal=OutcomeClass.TOPIC_MISMATCH), False),
        (push(), False),
    ],
)
def test_one_device_of_another_topic_is_at_risk(way: PushRecord, *, is_found: bool) -> None:
    assert verdict_on(well(push=way)) == ((ControlState.AT_RISK, Reason.PUSH_TOPIC_MISMATCH) if is_found else WELL)


def test_throttling_is_shown_while_it_lasts() -> None:
    assert noted(well(push=push(throttled_until=NOW + HOUR))) == {Reason.PUSH_THROTTLED}
    assert noted(well(push=push(throttled_until=NOW))) == set()


# --- the way of the push ----------------------------------------------------------------------------------------------

EVERY_FOUR_HOURS = tuple(ago(hours=hours) for hours in range(96, 0, -4))
PUSHES = tuple(ago(days=days, hours=-1) for days in (4, 3.5, 3, 2.5, 2, 1.5))
WELL_THEN = (ago(days=6), ago(days=5))
"""Pushes that were answered, before any was missed."""
APART = (ago(hours=2), ago(hours=2) + timedelta(minutes=7))
"""Pushed again as soon as what comes can't be taken for the contact before."""
SINCE_WELL = (*WELL_THEN, *PUSHES)
SEVEN = (ago(days=4.5, hours=-1), *PUSHES)
SOON, LATER = timedelta(minutes=2), timedelta(minutes=3)
TWICE = (*PUSHES[:4], PUSHES[3] + timedelta(seconds=10), *PUSHES[4:])


def comes(
    *, pushes: Sequence[datetime] = PUSHES, contacts: Sequence[datetime] = EVERY_FOUR_HOURS, **changes: Any
) -> Dossier:
    way = {"accepted": tuple(pushes), "accepted_at": max(pushes), **changes.pop("way", {})}
    return well(push=push(**way), contacts=tuple(contacts), last_contact_at=max(contacts), **changes)


BLOCKED = (ControlState.AT_RISK, Reason.PUSH_PATH_BLOCKED)
WRONG_MAGIC = (ControlState.AT_RISK, Reason.PUSH_MAGIC_WRONG)
ALIKE = SiteRecord("1.2.3.4", 5, 0, None, unpushable=4)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (comes(), BLOCKED),
        (comes(pushes=PUSHES[:4]), WELL),  # too few
        (comes(pushes=[ago(days=2) + index * HOUR for index in range(6)]), WELL),  # too soon after one another
        (comes(contacts=[ago(days=5), ago(hours=1)]), WELL),  # no contact between
        (comes(way={"answered": {PUSHES[3]: PUSHES[3]}}), BLOCKED),  # one of six: it came by itself just then
        (comes(way={"answered": {PUSHES[2]: PUSHES[2], PUSHES[3]: PUSHES[3]}}), WELL),  # two in a row
        (comes(pushes=SINCE_WELL, way={"answered": {at: at for at in (*WELL_THEN, PUSHES[4])}}), BLOCKED),  # and one
        (comes(pushes=TWICE, way={"answered": {PUSHES[3]: PUSHES[3], TWICE[4]: TWICE[4]}}), BLOCKED),  # by one contact
        (comes(pushes=(*PUSHES, *APART), way={"answered": {at: at for at in APART}}), WELL),  # by two
        (comes(way={"answered": {PUSHES[1]: PUSHES[1], PUSHES[3]: PUSHES[3]}}), WELL),  # too many for chance
        (comes(way={"answered": {PUSHES[5]: PUSHES[5]}}), BLOCKED),  # the last one, which the next has to confirm
        (comes(way={"answered": {PUSHES[4]: PUSHES[4], PUSHES[5]: PUSHES[5]}}), WELL),
        (comes(pushes=SEVEN, way={"answered": {SEVEN[3]: SEVEN[3] + SOON, SEVEN[4]: SEVEN[4] + SOON}}), WELL),
        (comes(pushes=SEVEN, way={"answered": {SEVEN[3]: SEVEN[3] + LATER, SEVEN[4]: SEVEN[4]}}), BLOCKED),  # by itself
        (comes(way={"answered": {at: at + LATER for at in PUSHES[:2]}}), WELL),  # by itself, and too few are left
        (comes(way={"updated_at": ago(days=2)}), BLOCKED),  # it updates its token, and is pushed in vain all the same
        (comes(way={"updated_at": PUSHES[4], "answered": {PUSHES[4]: PUSHES[4]}}), BLOCKED),  # of the update itself
        (comes(way={"updated_at": ago(days=2), "answered": {PUSHES[5]: PUSHES[5]}}), WELL),  # the first one after it
        (comes(enrolled_at=ago(days=2)), WELL),  # of another life
        (comes(site=ALIKE), BLOCKED),
        (comes(way={"magic_changed_at": ago(days=5)}), WRONG_MAGIC),
        (comes(way={"magic_changed_at": ago(days=50)}), BLOCKED),
        (comes(way={"magic_changed_at": ago(days=2), "updated_at": ago(days=2)}), BLOCKED),  # which mended nothing
        (comes(way={"magic_changed_at": ago(days=5)}, site=ALIKE), BLOCKED),
        (well(ddm=DdmRecord(ago(hours=1), push_magic_differs=True)), WRONG_MAGIC),
        (well(ddm=DdmRecord(ago(hours=1), push_magic_differs=True), push=push(updated_at=ago(minutes=5))), WELL),
    ],
)
def test_a_device_that_comes_and_never_by_a_push_is_at_risk(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


def test_causes_that_leave_the_same_traces_are_ranked_both_ways() -> None:
    alone, changed, alike = (
        judge(one, ControlPolicy(), NOW).verdict.candidates
        for one in (comes(), comes(way={"magic_changed_at": ago(days=5)}), comes(site=ALIKE))
    )

    assert alone == (Reason.PUSH_PATH_BLOCKED, Reason.PUSH_MAGIC_WRONG)
    assert changed == (Reason.PUSH_MAGIC_WRONG, Reason.PUSH_PATH_BLOCKED)
    assert alike == (Reason.PUSH_PATH_BLOCKED,)


def test_a_device_that_sleeps_whenever_it_is_pushed_is_not_held_to_be_blocked() -> None:
    nightly = [ago(days=days, hours=9) for days in range(7, 0, -1)]
    mornings = [ago(days=days, hours=4) for days in range(7, -1, -1)]
    one = comes(pushes=nightly, contacts=mornings)

    assert (verdict_on(one), noted(one)) == (WELL, {Reason.PUSH_PATH_BLOCKED})


def test_where_one_more_push_would_be_enough_it_is_looked_for() -> None:
    few = comes(pushes=[ago(days=3) + index * HOUR for index in range(6)])

    verdict = judge(few, ControlPolicy(), NOW).verdict
    assert (verdict.state, verdict.look_again_at) == (ControlState.IN_CONTROL, NOW + 6 * HOUR)


def test_a_device_that_is_shut_down_before_the_question_of_each_evening_is_not_held_to_be_blocked() -> None:
    evenings = [ago(days=days, hours=9) for days in range(7, 0, -1)]
    leaves = [at - timedelta(minutes=40) for at in evenings]
    mornings = [ago(days=days, hours=-2) for days in range(7, 0, -1)]
    one = comes(pushes=evenings, contacts=sorted([*leaves, *mornings]))

    assert (verdict_on(one), noted(one)) == (WELL, {Reason.PUSH_PATH_BLOCKED})


def test_a_push_that_may_still_be_answered_says_nothing_yet() -> None:
    one = comes(pushes=(*PUSHES[:4], ago(minutes=9)))

    verdict = judge(one, ControlPolicy(), NOW).verdict
    assert (verdict.state, verdict.look_again_at) == (ControlState.IN_CONTROL, NOW + timedelta(minutes=1))
    assert verdict_on(comes(pushes=(*PUSHES[:4], ago(minutes=10)))) == BLOCKED


def test_a_users_dead_token_is_nobodys_worry_while_he_is_away() -> None:
    login = user().login
    assert login is not None
    away = user(login=type(login)(False, None, NOW, ago(hours=1)), push=refused(UNREGISTERED, ago(days=2)))

    assert verdict_on(away) == (ControlState.DORMANT, Reason.USER_NOT_LOGGED_IN)


def test_a_witness_tells_more_of_a_dead_token_than_apns() -> None:
    saw = (WitnessRecord("agent", "agent", ago(hours=2)),)
    one = silent(2 * DAY, push=refused(UNREGISTERED, ago(days=1.5)), witnesses=saw)

    assert verdict_on(one) == (ControlState.OUT_OF_CONTROL, Reason.PROFILE_REMOVED_UNREPORTED)

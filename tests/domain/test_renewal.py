"""When an identity is renewed: a table of cases, and what must hold for every device."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.instants import NOON

from muster.domain.policy import Policy
from muster.domain.renewal import (
    CHALLENGE_LIFETIME,
    RENDER_AGAIN_AFTER,
    Attempt,
    CannotRenew,
    Decision,
    LookAgain,
    NotUsed,
    RenewalReason,
    RenewalSituation,
    RenewalState,
    SendRenewal,
    WhyNot,
    account_renewal,
    decide_renewal,
    due_notice,
    expiry_renewal,
    next_renewal,
    renewal_state,
    retry_delay,
)
from muster.protocol.identifiers import DeviceId

POLICY = Policy()
ISSUED = NOON
ENDS = NOON + timedelta(days=365)
MAC = RenewalSituation(DeviceId("MAC"), ISSUED, ENDS, is_profile_known=True)
DUE = expiry_renewal(MAC, POLICY)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SENT = Attempt(RenewalReason.EXPIRING, attempts=1, sent_at=DUE, is_waiting=True)
FAILED = replace(SENT, failures=1, failed_at=DUE + HOUR, is_waiting=False)


def with_attempt(attempt: Attempt) -> RenewalSituation:
    return replace(MAC, attempt=attempt)


@pytest.mark.parametrize(
    ("situation", "now", "decision"),
    [
        # begins
        (MAC, DUE - HOUR, LookAgain(DUE)),
        (MAC, DUE, SendRenewal(RenewalReason.EXPIRING)),
        (MAC, ENDS, SendRenewal(RenewalReason.EXPIRED)),
        (MAC, ENDS + 89 * DAY, SendRenewal(RenewalReason.EXPIRED)),
        # can't be
        (replace(MAC, is_profile_known=False), DUE - HOUR, LookAgain(DUE)),
        (replace(MAC, is_profile_known=False), DUE, CannotRenew(WhyNot.PROFILE_UNKNOWN)),
        (MAC, ENDS + 90 * DAY, CannotRenew(WhyNot.EXPIRED_TOO_LONG)),
        (with_attempt(SENT), ENDS + 90 * DAY, CannotRenew(WhyNot.EXPIRED_TOO_LONG)),
        # was opened for another reason
        (with_attempt(Attempt(RenewalReason.SUPERSEDED)), ISSUED, SendRenewal(RenewalReason.SUPERSEDED)),
        (with_attempt(Attempt(RenewalReason.ASKED_FOR)), ISSUED, SendRenewal(RenewalReason.ASKED_FOR)),
        # waits for its answer
        (with_attempt(SENT), DUE + DAY, LookAgain(DUE + RENDER_AGAIN_AFTER)),
        (
            with_attempt(SENT),
            DUE + RENDER_AGAIN_AFTER,
            SendRenewal(RenewalReason.EXPIRING, is_first_news=False),
        ),
        (with_attempt(replace(SENT, asked_at=DUE + HOUR)), DUE + DAY, LookAgain(DUE + RENDER_AGAIN_AFTER)),
        (with_attempt(replace(SENT, sent_at=ENDS - DAY)), ENDS, LookAgain(ENDS - DAY + RENDER_AGAIN_AFTER)),
        # was lost
        (with_attempt(replace(SENT, is_waiting=False)), DUE + DAY, SendRenewal(RenewalReason.EXPIRING)),
        # was acknowledged
        (
            with_attempt(replace(SENT, is_waiting=False, acknowledged_at=DUE + HOUR)),
            DUE + 2 * HOUR,
            LookAgain(DUE + HOUR + DAY),
        ),
        (with_attempt(replace(SENT, is_waiting=False, acknowledged_at=DUE + HOUR)), DUE + HOUR + DAY, NotUsed()),
        (
            with_attempt(
                replace(SENT, is_waiting=False, acknowledged_at=DUE + HOUR, asked_at=DUE + 2 * HOUR),
            ),
            DUE + 2 * HOUR,
            SendRenewal(RenewalReason.EXPIRING),
        ),
        # failed
        (with_attempt(FAILED), DUE + HOUR, LookAgain(DUE + 2 * HOUR)),
        (with_attempt(FAILED), DUE + 2 * HOUR, SendRenewal(RenewalReason.EXPIRING)),
        (with_attempt(replace(FAILED, failures=2)), DUE + 2 * HOUR, LookAgain(DUE + 7 * HOUR)),
        (with_attempt(replace(FAILED, failures=3)), DUE + 7 * HOUR, LookAgain(DUE + 25 * HOUR)),
        (with_attempt(replace(FAILED, asked_at=DUE + HOUR)), DUE + HOUR, SendRenewal(RenewalReason.EXPIRING)),
        # a failure or an acknowledgement before it was sent again is over
        (
            with_attempt(replace(SENT, failures=1, failed_at=DUE - HOUR, acknowledged_at=DUE - HOUR)),
            DUE + DAY,
            LookAgain(DUE + RENDER_AGAIN_AFTER),
        ),
    ],
)
def test_decision(situation: RenewalSituation, now: datetime, decision: Decision) -> None:
    assert decide_renewal(situation, now, POLICY) == decision


@pytest.mark.parametrize(
    ("lifetime", "margin", "left_at_first", "left_at_last"),
    [
        (365 * DAY, 180 * DAY, 121.67 * DAY, 109.5 * DAY),
        (730 * DAY, 180 * DAY, 180 * DAY, 162 * DAY),
        (3650 * DAY, 30 * DAY, 30 * DAY, 27 * DAY),
        (30 * DAY, 180 * DAY, 10 * DAY, 9 * DAY),
    ],
)
def test_renewal_is_due_at_the_margin_or_a_third_of_the_lifetime_whichever_is_later(
    lifetime: timedelta, margin: timedelta, left_at_first: timedelta, left_at_last: timedelta
) -> None:
    policy = Policy(renew_before=margin)
    fleet = [replace(MAC, device_id=DeviceId(f"device {number}"), not_after=ISSUED + lifetime) for number in range(200)]

    left = [one.not_after - expiry_renewal(one, policy) for one in fleet]

    assert max(left) <= left_at_first
    assert min(left) >= left_at_last - HOUR
    assert max(left) - min(left) > (left_at_first - left_at_last) * 0.9


@pytest.mark.parametrize(
    ("failures", "left", "delay"),
    [
        (1, 100 * DAY, HOUR),
        (2, 100 * DAY, 6 * HOUR),
        (3, 100 * DAY, DAY),
        (50, 100 * DAY, DAY),
        (1, 10 * DAY, HOUR),
        (2, 10 * DAY, 6 * HOUR),
        (3, 10 * DAY, 6 * HOUR),
        (9, -10 * DAY, 6 * HOUR),
    ],
)
def test_retries_become_rarer_unless_few_days_are_left(failures: int, left: timedelta, delay: timedelta) -> None:
    assert retry_delay(failures, left) == delay


def test_rotation_is_paced_over_the_days_that_it_may_take() -> None:
    rotated_at = ISSUED + 10 * DAY
    fleet = [replace(MAC, device_id=DeviceId(str(number)), rotated_at=rotated_at) for number in range(300)]

    due = sorted(next_renewal(one, POLICY) for one in fleet)

    assert {reason for _, reason in due} == {RenewalReason.AUTHORITY_ROTATED}
    assert due[0][0] >= rotated_at
    assert due[-1][0] < rotated_at + POLICY.rotation_span
    a_third = sum(at < rotated_at + POLICY.rotation_span / 3 for at, _ in due)
    assert 70 < a_third < 130


def test_an_identity_that_expires_before_its_turn_in_the_rotation_is_renewed_for_that() -> None:
    rotated = replace(MAC, rotated_at=DUE + HOUR)

    assert next_renewal(rotated, POLICY) == (DUE, RenewalReason.EXPIRING)


def test_challenge_outlives_the_making_of_the_next_and_the_last_stored_push() -> None:
    assert RENDER_AGAIN_AFTER < CHALLENGE_LIFETIME
    assert timedelta(days=30) < CHALLENGE_LIFETIME


@pytest.mark.parametrize(
    ("left", "told", "notice"),
    [
        (31 * DAY, None, None),
        (30 * DAY, None, 30),
        (8 * DAY, 30, None),
        (7 * DAY, 30, 7),
        (7 * DAY, None, 7),
        (DAY, 7, 1),
        (HOUR, 1, None),
        (0 * DAY, 1, 0),
        (-5 * DAY, 0, None),
        (-5 * DAY, None, 0),
    ],
)
def test_each_notice_of_expiry_is_told_once(left: timedelta, told: int | None, notice: int | None) -> None:
    assert due_notice(MAC, told, ENDS - left, POLICY) == notice


def test_no_notice_is_told_of_a_short_lived_identity_before_its_renewal_is_due() -> None:
    short = replace(MAC, not_after=ISSUED + 9 * DAY)

    told = [due_notice(short, None, short.not_after - left, POLICY) for left in (7 * DAY, 2 * DAY, DAY)]

    assert told == [None, None, 1]


@pytest.mark.parametrize(
    ("situation", "now", "state"),
    [
        (MAC, ISSUED, RenewalState.NOT_DUE),
        (MAC, DUE, RenewalState.DUE),
        (with_attempt(SENT), DUE, RenewalState.SENT),
        (with_attempt(replace(SENT, acknowledged_at=DUE)), DUE, RenewalState.ACKNOWLEDGED),
        (with_attempt(FAILED), DUE + DAY, RenewalState.FAILED),
        (with_attempt(Attempt(RenewalReason.ASKED_FOR)), ISSUED, RenewalState.DUE),
        (replace(MAC, is_profile_known=False), ISSUED, RenewalState.IMPOSSIBLE),
        (MAC, ENDS + 90 * DAY, RenewalState.IMPOSSIBLE),
    ],
)
def test_state_for_people(situation: RenewalSituation, now: datetime, state: RenewalState) -> None:
    assert renewal_state(situation, now, POLICY) is state


_MOMENTS = st.none() | st.floats(0, 500).map(lambda days: ISSUED + days * DAY)


@given(
    attempt=st.none()
    | st.builds(
        Attempt,
        st.sampled_from(RenewalReason),
        attempts=st.integers(0, 9),
        failures=st.integers(0, 9),
        sent_at=_MOMENTS,
        acknowledged_at=_MOMENTS,
        failed_at=_MOMENTS,
        asked_at=_MOMENTS,
        is_waiting=st.booleans(),
    ),
    now=st.floats(0, 500).map(lambda days: ISSUED + days * DAY),
)
def test_who_is_told_to_look_again_is_told_a_later_time(attempt: Attempt | None, now: datetime) -> None:
    decision = decide_renewal(replace(MAC, attempt=attempt), now, POLICY)

    assert not isinstance(decision, LookAgain) or decision.at > now


@pytest.mark.parametrize(("lifetime", "left"), [(365, 30), (91, 30), (90, 30), (30, 10), (3, 1)])
def test_certificate_of_an_account_is_renewed_a_month_or_a_third_before_its_end(lifetime: int, left: int) -> None:
    ends = ISSUED + lifetime * DAY

    assert account_renewal(ISSUED, ends) == ends - left * DAY

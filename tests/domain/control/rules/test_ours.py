"""Step 1: our own faults make verdicts unknown, of those whom they touch, and end nothing."""

from datetime import timedelta

import pytest
from tests.domain.control.dossiers import DAY, NOW, WELL, ago, ended, noted, push, silent, user, verdict_on, well

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import AdeRecord, Dossier, LoginRecord, OwnFault
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EndReason
from muster.domain.push_breaker import BreakerCause

BLINDING = [
    Reason.DATABASE_ROLLED_BACK,
    Reason.OWN_CLOCK_WRONG,
    Reason.OWN_PROXY_DROPS_IDENTITY,
    Reason.OWN_TLS_CHANGED,
    Reason.OWN_ERRORS,
    Reason.OWN_WORKER_DEAD,
    Reason.PUSH_CERTIFICATE_EXPIRED,
    Reason.PUSH_TOPIC_MISMATCH,
    Reason.APNS_OUTAGE,
]


def fault(reason: Reason, *, is_over: bool = False) -> OwnFault:
    return OwnFault(reason, ago(hours=5), ago(hours=2) if is_over else None, "our server was at fault")


@pytest.mark.parametrize("reason", BLINDING)
def test_a_lasting_fault_of_ours_makes_unknown_whatever_else_is_wrong_with_the_device(reason: Reason) -> None:
    verdict = judge(silent(30 * DAY, faults=(fault(reason),)), ControlPolicy(), NOW).verdict

    assert (verdict.state, verdict.reason, verdict.since) == (ControlState.UNKNOWN, reason, ago(hours=5))
    assert verdict.look_again_at == NOW + timedelta(hours=1)


@pytest.mark.parametrize("reason", BLINDING)
def test_a_fault_that_is_over_is_shown_and_judges_nobody(reason: Reason) -> None:
    one = well(faults=(fault(reason, is_over=True),))

    assert (verdict_on(one), noted(one)) == (WELL, {reason})


@pytest.mark.parametrize("reason", BLINDING)
def test_an_end_on_record_outlives_our_faults(reason: Reason) -> None:
    assert verdict_on(ended(EndReason.CHECKED_OUT, faults=(fault(reason),)))[0] is ControlState.ENDED


def test_our_downtime_stops_a_clock_and_makes_nothing_unknown() -> None:
    one = well(faults=(fault(Reason.OWN_DOWNTIME, is_over=True),))

    assert (verdict_on(one), noted(one)) == (WELL, {Reason.OWN_DOWNTIME})


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (well(push=push(certificate_not_after=ago(minutes=1))), Reason.PUSH_CERTIFICATE_EXPIRED),
        (well(push=push(certificate_not_after=NOW + DAY)), Reason.NONE),
        (well(push=push(breaker=BreakerCause.CERTIFICATE_REFUSED)), Reason.PUSH_CERTIFICATE_EXPIRED),
        (well(push=push(breaker=BreakerCause.APNS_UNREACHABLE)), Reason.APNS_OUTAGE),
        (well(push=push(breaker=BreakerCause.APNS_UNAVAILABLE)), Reason.APNS_OUTAGE),
        (well(push=push(breaker=BreakerCause.PUSHES_REFUSED)), Reason.APNS_OUTAGE),
        (well(push=push(breaker=BreakerCause.TOKENS_REFUSED)), Reason.PUSH_TOPIC_MISMATCH),
        (well(push=push(breaker=None, breaker_opened_at=ago(hours=1))), Reason.NONE),
    ],
)
def test_what_keeps_us_from_pushing_a_topic_makes_unknown(one: Dossier, expected: Reason) -> None:
    state = ControlState.IN_CONTROL if expected is Reason.NONE else ControlState.UNKNOWN

    assert verdict_on(one) == (state, expected)


def test_users_who_are_away_need_neither_to_be_heard_nor_called() -> None:
    away = user(login=LoginRecord(False, None, NOW, ago(hours=1)), faults=(fault(Reason.APNS_OUTAGE),))

    assert verdict_on(away) == (ControlState.DORMANT, Reason.USER_NOT_LOGGED_IN)


def test_a_server_token_that_ended_is_shown_where_assignments_rest_on_it() -> None:
    frozen = AdeRecord("pushed", assigned_here=True, is_deleted=False, changed_at=ago(days=90), is_frozen=True)

    assert (verdict_on(well(ade=frozen)), noted(well(ade=frozen))) == (WELL, {Reason.ADE_TOKEN_EXPIRED})

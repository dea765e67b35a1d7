"""Claims meet: the verdict has to be as grave as the gravest asks, and need not be before its time."""

from datetime import UTC, datetime, timedelta

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.claims import Claim, Truth, combine

BEGIN = datetime(2026, 1, 5, tzinfo=UTC)
DAY = timedelta(days=1)
IN_CONTROL, AT_RISK, LOST = ControlState.IN_CONTROL, ControlState.AT_RISK, ControlState.OUT_OF_CONTROL


def claim(state: ControlState, reason: Reason, begins: float, ends: float, right_by: float | None) -> Claim:
    return Claim(
        cause=reason.value,
        began_at=BEGIN + begins * DAY,
        ended_at=BEGIN + ends * DAY,
        right_by=None if right_by is None else BEGIN + right_by * DAY,
        states=frozenset({state}),
        reasons=frozenset({reason}),
        lingers_until=BEGIN + (ends + 1) * DAY,
    )


def at(truths: tuple[Truth, ...], day: float) -> Truth:
    [found] = [one for one in truths if one.began_at <= BEGIN + day * DAY < one.ended_at]
    return found


def truths(*claims: Claim) -> tuple[Truth, ...]:
    return combine(claims, BEGIN, BEGIN + 20 * DAY)


def test_nothing_claimed_is_health() -> None:
    [whole] = truths()

    assert whole.states == {IN_CONTROL}
    assert whole.reasons == {Reason.NONE}
    assert whole.is_healthy
    assert not whole.is_faulted


def test_what_was_right_stays_right_until_the_delay_is_over_and_for_a_while_after_the_end() -> None:
    found = truths(claim(AT_RISK, Reason.NOT_OBEYING, 2, 8, 4))

    assert at(found, 1).is_healthy
    assert at(found, 3).states == {IN_CONTROL, AT_RISK}
    assert not at(found, 3).is_faulted
    assert at(found, 5).states == {AT_RISK}
    assert at(found, 5).is_faulted
    assert at(found, 8.5).states == {IN_CONTROL, AT_RISK}
    assert at(found, 10).is_healthy


def test_the_graver_of_two_faults_decides_and_either_reason_will_do() -> None:
    risk = claim(AT_RISK, Reason.NOT_OBEYING, 2, 12, 3)
    loss = claim(LOST, Reason.IDENTITY_EXPIRED, 5, 9, 6)

    found = truths(risk, loss)

    assert at(found, 5.5).states == {AT_RISK, LOST}
    assert at(found, 7).states == {LOST}
    assert at(found, 7).reasons == {Reason.NOT_OBEYING, Reason.IDENTITY_EXPIRED}
    assert at(found, 7).causes == ("identity_expired", "not_obeying")
    assert at(found, 9.5).states == {AT_RISK, LOST}
    assert at(found, 11).states == {AT_RISK}


def test_what_nobody_has_to_notice_asks_for_nothing() -> None:
    found = truths(claim(AT_RISK, Reason.ACKNOWLEDGEMENT_LOST, 2, 8, None))

    assert at(found, 5).states == {IN_CONTROL, AT_RISK}
    assert not at(found, 5).is_faulted

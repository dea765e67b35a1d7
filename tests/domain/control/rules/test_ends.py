"""Step 2: ends that are on record, and devices that left without a word but not without a trace."""

from datetime import timedelta
from typing import Any

import pytest
from tests.domain.control.dossiers import DAY, HOUR, NOW, WELL, ago, ended, noted, push, silent, verdict_on, well

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import AdeRecord, Dossier, EraseRecord, LinkedDevice
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast
from muster.domain.enrollment import EndReason
from muster.protocol.apns import OutcomeClass
from muster.protocol.identifiers import ChannelId, ChannelKind


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (ended(EndReason.CHECKED_OUT), Reason.PROFILE_REMOVED),
        (ended(None), Reason.PROFILE_REMOVED),
        (ended(EndReason.CHECKED_OUT, kind=ChannelKind.USER_ENROLLMENT_DEVICE), Reason.USER_ENDED_ENROLLMENT),
        (ended(EndReason.UNENROLLED, kind=ChannelKind.USER_ENROLLMENT_DEVICE), Reason.UNENROLLED_BY_US),
        (ended(EndReason.UNENROLLED), Reason.UNENROLLED_BY_US),
        (ended(EndReason.REJECTED), Reason.UNENROLLED_BY_US),
        (ended(EndReason.NEVER_COMPLETED), Reason.ENROLLMENT_INCOMPLETE),
        (ended(EndReason.USER_EVICTED, channel_id=ChannelId("A:B"), kind=ChannelKind.SHARED_IPAD), Reason.USER_EVICTED),
        (ended(EndReason.USER_DELETED, channel_id=ChannelId("A:B"), kind=ChannelKind.SHARED_IPAD), Reason.USER_EVICTED),
        (ended(EndReason.RE_ENROLLED, channel_id=ChannelId("A:B"), kind=ChannelKind.USER), Reason.USER_EVICTED),
    ],
)
def test_an_end_on_record_is_told_by_its_reason(one: Dossier, reason: Reason) -> None:
    verdict = judge(one, ControlPolicy(), NOW).verdict

    assert (verdict.state, verdict.reason, verdict.since, verdict.others) == (
        ControlState.ENDED,
        reason,
        ago(days=3),
        (),
    )


def erased(*, acknowledged: bool, since: timedelta, **changes: Any) -> Dossier:
    at = NOW - since
    silence = changes.pop("silent_for", since)
    return silent(silence, erase=EraseRecord(at, at if acknowledged else None), **changes)


ERASED = (ControlState.ENDED, Reason.ERASED_BY_US)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (erased(acknowledged=True, since=timedelta(minutes=1)), ERASED),
        (erased(acknowledged=True, since=5 * HOUR, silent_for=5 * HOUR - timedelta(minutes=9)), ERASED),
        (erased(acknowledged=True, since=5 * HOUR, silent_for=HOUR), WELL),  # it came back, so it wasn't erased
        (erased(acknowledged=False, since=timedelta(minutes=59)), WELL),
        (erased(acknowledged=False, since=HOUR), ERASED),
        (erased(acknowledged=False, since=10 * HOUR, silent_for=HOUR), WELL),
        (erased(acknowledged=False, since=timedelta(minutes=5), provisional_since=ago(minutes=2)), ERASED),
        (erased(acknowledged=True, since=5 * DAY, silent_for=HOUR, enrolled_at=ago(days=4)), WELL),
    ],
)
def test_a_device_that_was_told_to_erase_itself_is_gone_unless_it_speaks(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


def test_an_erased_device_that_is_expected_back_is_asked_for_in_time() -> None:
    due, late = NOW + DAY, NOW - DAY
    waiting = judge(silent(5 * DAY, erase=EraseRecord(ago(days=5), ago(days=5), due)), ControlPolicy(), NOW).verdict
    missing = judge(silent(5 * DAY, erase=EraseRecord(ago(days=5), ago(days=5), late)), ControlPolicy(), NOW).verdict

    assert waiting.look_again_at == due
    assert "expected back by 31 May" in missing.sentence
    assert missing.next_step == "find out where the device is"


def replaced_by(*, seen_at: Any, is_enrolled: bool = True, device_id: str = "Z") -> LinkedDevice:
    return LinkedDevice(ChannelId(device_id), seen_at, "S", is_new_hardware=True, is_enrolled=is_enrolled)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent(2 * DAY, linked=(replaced_by(seen_at=ago(days=1)),)), (ControlState.ENDED, Reason.HARDWARE_REPLACED)),
        (silent(2 * DAY, linked=(replaced_by(seen_at=ago(hours=23)),)), WELL),
        (silent(HOUR, linked=(replaced_by(seen_at=ago(days=5)),)), WELL),
        (silent(2 * DAY, linked=(replaced_by(seen_at=ago(days=1), is_enrolled=False),)), WELL),
        (
            silent(2 * DAY, linked=(replaced_by(seen_at=ago(days=1)), replaced_by(seen_at=ago(days=1), device_id="Y"))),
            WELL,  # virtual machines of one image
        ),
    ],
)
def test_new_hardware_ends_the_old_only_where_that_is_silent_since(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected
    assert Reason.DUPLICATE_SERIAL in noted(one)


def assigned(*, here: bool = False, deleted: bool = False, days: float = 5, **changes: Any) -> AdeRecord:
    return AdeRecord("pushed", assigned_here=here, is_deleted=deleted, changed_at=ago(days=days), **changes)


@pytest.mark.parametrize("reason", [Reason.TAKEN_BY_OTHER_SERVICE, Reason.RELEASED])
@pytest.mark.parametrize(
    ("length", "suspicion", "has_ended"),
    [
        (23 * HOUR, 5.0, False),
        (25 * HOUR, 0.9, False),
        (25 * HOUR, 1.0, True),
        (71 * HOUR, 0.0, False),
        (72 * HOUR, 0.0, True),
    ],
)
def test_who_belongs_to_others_now_has_ended_once_it_is_silent(
    reason: Reason, length: timedelta, suspicion: float, *, has_ended: bool
) -> None:
    one = silent(length, suspicion=suspicion, ade=assigned(deleted=reason is Reason.RELEASED))

    assert (verdict_on(one) == (ControlState.ENDED, reason)) is has_ended


def test_who_belongs_to_others_now_has_ended_a_day_after_its_token_did() -> None:
    refused = push(refusal=OutcomeClass.TOKEN_UNREGISTERED, refused_at=ago(hours=20))

    assert verdict_on(silent(25 * HOUR, suspicion=0, ade=assigned(), push=refused)) == (
        ControlState.ENDED,
        Reason.TAKEN_BY_OTHER_SERVICE,
    )


def test_who_belongs_to_others_now_and_still_comes_has_not_ended() -> None:
    assert verdict_on(well(ade=assigned())) == (ControlState.AT_RISK, Reason.ADE_ASSIGNED_ELSEWHERE)
    released = well(ade=assigned(deleted=True))
    assert (verdict_on(released), noted(released)) == (WELL, {Reason.RELEASED})


def test_what_is_known_of_assignments_ends_nothing_after_the_server_token_did() -> None:
    before = silent(5 * DAY, ade=assigned(days=10, is_frozen=True, heard_at=ago(days=3)))
    after = silent(5 * DAY, ade=assigned(days=10, is_frozen=True, heard_at=ago(days=4.5)))

    assert verdict_on(before)[0] is ControlState.ENDED
    assert verdict_on(after) == (ControlState.AT_RISK, Reason.ADE_ASSIGNED_ELSEWHERE)


def test_an_erased_device_of_automated_enrollment_comes_back_with_our_help() -> None:
    one = silent(DAY, erase=EraseRecord(ago(days=1), ago(days=1)), ade=assigned(here=True))

    assert judge(one, ControlPolicy(), NOW).verdict.forecast is Forecast.WITH_US
    assert judge(well(), ControlPolicy(), NOW).verdict.forecast is Forecast.NOTHING_TO_DO

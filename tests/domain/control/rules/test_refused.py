"""Step 3: knocks that were refused."""

import pytest
from tests.domain.control.dossiers import (
    DAY,
    HOUR,
    NOW,
    WELL,
    ago,
    identity,
    noted,
    seen,
    silent,
    user,
    verdict_on,
    well,
)

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState, Forecast

BY_ANOTHER = (ControlState.AT_RISK, Reason.NOT_OBEYING)
"""Its present identity is good; it comes by one before that."""
EXPIRED = (ControlState.OUT_OF_CONTROL, Reason.IDENTITY_EXPIRED)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (
            silent(5 * DAY, refused=(seen("identity_expired", ago(days=1)),), identity=identity(not_after=ago(days=3))),
            EXPIRED,
        ),
        (silent(5 * DAY, refused=(seen("identity_expired", ago(days=1)),), identity=None), EXPIRED),
        (well(refused=(seen("identity_expired", ago(days=1)),)), WELL),  # renewed since, and in contact
        (silent(2 * DAY, suspicion=0, refused=(seen("identity_expired", ago(days=1)),)), BY_ANOTHER),
    ],
)
def test_a_knock_with_an_expired_identity_is_a_loss(one: Dossier, expected: tuple[ControlState, Reason]) -> None:
    assert verdict_on(one) == expected


def test_a_user_who_knocks_with_it_is_brought_back_with_his_device() -> None:
    refused = (seen("identity_expired", ago(hours=20)),)
    verdict = judge(user(last_contact_at=ago(days=3), refused=refused), ControlPolicy(), NOW).verdict

    assert (verdict.state, verdict.reason, verdict.forecast) == (*EXPIRED, Forecast.WITH_US)
    assert "the device's own" in verdict.sentence


def test_an_expired_identity_is_told_with_what_the_server_can_still_do() -> None:
    refused = (seen("identity_expired", ago(hours=20)),)
    lane = silent(5 * DAY, refused=refused, identity=identity(not_after=ago(days=3), lane_ends_at=NOW + 87 * DAY))
    over = silent(5 * DAY, refused=refused, identity=identity(not_after=ago(days=3), lane_ends_at=ago(days=1)))
    foreign = silent(
        5 * DAY,
        refused=refused,
        identity=identity(not_after=ago(days=3), lane_ends_at=NOW + DAY, is_profile_known=False),
    )

    told = [judge(one, ControlPolicy(), NOW).verdict for one in (lane, over, foreign)]
    assert [one.forecast for one in told] == [Forecast.WITH_US, Forecast.WITH_A_PERSON, Forecast.WITH_A_PERSON]
    assert told[0].sentence == (
        "knocked on 31 May at 16:00 UTC with an identity that expired on 29 May at 12:00 UTC; "
        "the server can renew it by itself for 87 days more"
    )
    assert told[0].since == ago(days=3)


@pytest.mark.parametrize("word", ["identity_not_pinned", "identity_of_earlier_life", "identity_mismatch"])
def test_a_knock_by_another_identity_of_ours_is_a_loss_only_where_the_rightful_one_is_silent(word: str) -> None:
    knock = (seen(word, ago(hours=1), claimed_id="A"),)
    lost = (ControlState.OUT_OF_CONTROL, Reason.IDENTITY_UNRECOGNIZED)

    assert verdict_on(silent(25 * HOUR, refused=knock)) == lost
    assert verdict_on(silent(23 * HOUR, refused=knock)) == WELL
    alive = well(refused=(seen(word, ago(minutes=1), first_at=ago(days=1), claimed_id="A"),))
    assert (verdict_on(alive), noted(alive)) == (WELL, {Reason.IDENTITY_UNRECOGNIZED})


def test_who_speaks_by_its_identity_in_another_name_has_come_by_it() -> None:
    one = silent(25 * HOUR, suspicion=0, refused=(seen("identity_of_another_device", ago(hours=1), claimed_id="Z"),))

    assert (noted(one), verdict_on(one)[1]) == ({Reason.IDENTITY_UNRECOGNIZED}, Reason.IDENTITY_CLONED)


RESTORED = (ControlState.AT_RISK, Reason.RESTORED_OLDER_BACKUP)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent(2 * DAY, suspicion=0, refused=(seen("identity_superseded", ago(days=1)),)), RESTORED),
        (silent(2 * DAY, suspicion=0, identity=identity(speaks_superseded_at=ago(days=1))), RESTORED),
        (well(refused=(seen("identity_superseded", ago(days=1)),)), WELL),
    ],
)
def test_a_superseded_identity_tells_of_an_older_backup_until_it_is_renewed(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


CLOCK = (ControlState.AT_RISK, Reason.DEVICE_CLOCK_WRONG)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (well(clock=seen("clock_wrong", ago(hours=1), seconds=7200)), CLOCK),
        (well(clock=seen("clock_wrong", ago(hours=1), seconds=-301)), CLOCK),
        (well(clock=seen("clock_wrong", ago(hours=1), seconds=299)), WELL),
        (well(clock=seen("clock_wrong", ago(hours=1))), WELL),
        (well(clock=seen("clock_wrong", ago(hours=4), seconds=7200)), WELL),  # it obeyed since, and it is not noted
        (well(clock=seen("clock_wrong", ago(hours=4), seconds=7200), last_proof_at=ago(hours=4)), CLOCK),  # it came
        (silent(2 * HOUR, refused=(seen("identity_not_yet_valid", ago(hours=1)),)), CLOCK),
        (well(refused=(seen("identity_not_yet_valid", ago(hours=2)),)), WELL),
    ],
)
def test_a_clock_is_wrong_until_a_contact_says_otherwise(one: Dossier, expected: tuple[ControlState, Reason]) -> None:
    assert verdict_on(one) == expected


def test_who_knocks_is_not_silent_and_what_is_refused_for_a_day_is_told() -> None:
    knock = (seen("body_malformed", ago(hours=1), first_at=ago(days=9), count=40),)

    assert verdict_on(silent(9 * DAY, refused=knock)) == (ControlState.AT_RISK, Reason.NOT_OBEYING)
    assert verdict_on(silent(22 * DAY, refused=knock)) == (ControlState.OUT_OF_CONTROL, Reason.SILENT)
    assert verdict_on(silent(9 * DAY, refused=(seen("body_malformed", ago(days=2)),)))[0] is ControlState.INACTIVE

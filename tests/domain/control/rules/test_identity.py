"""Step 5: identities that end, whose renewal fails, that others have, and that are gone."""

from datetime import datetime
from typing import Any

import pytest
from tests.domain.control.dossiers import DAY, HOUR, NOW, WELL, ago, identity, noted, seen, silent, verdict_on, well

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier, InventoryRecord, LinkedDevice
from muster.domain.control.finding import Finding
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.identity import ca_changed
from muster.domain.control.states import ControlState, Forecast
from muster.domain.renewal_failures import RenewalFailure
from muster.protocol.identifiers import ChannelId

EXPIRED = (ControlState.OUT_OF_CONTROL, Reason.IDENTITY_EXPIRED)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent(HOUR, identity=identity(not_after=ago(minutes=1))), EXPIRED),
        (silent(5 * DAY, identity=identity(not_after=ago(days=4.1))), EXPIRED),
        (silent(5 * DAY, identity=identity(not_after=ago(days=3.9))), (ControlState.OUT_OF_CONTROL, Reason.SILENT)),
        (silent(2 * DAY, suspicion=0, identity=identity(not_after=ago(hours=1))), WELL),  # away as ever
        (silent(5 * DAY, identity=identity(not_after=ago(days=4), lane_ends_at=ago(days=1))), EXPIRED),
    ],
)
def test_a_silence_that_begins_where_the_identity_ends_is_explained_by_it(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


def test_the_restricted_lane_decides_whether_the_server_brings_it_back() -> None:
    inside = silent(HOUR, identity=identity(not_after=ago(minutes=1), lane_ends_at=NOW + 90 * DAY))
    outside = silent(95 * DAY, identity=identity(not_after=ago(days=95), lane_ends_at=ago(days=5)))

    told = [judge(one, ControlPolicy(), NOW).verdict for one in (inside, outside)]
    assert [(one.reason, one.forecast) for one in told] == [
        (Reason.IDENTITY_EXPIRED, Forecast.WITH_US),
        (Reason.IDENTITY_EXPIRED, Forecast.WITH_A_PERSON),
    ]


EXPIRING = (ControlState.AT_RISK, Reason.IDENTITY_EXPIRING)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (well(identity=identity(not_after=NOW + 30 * DAY)), EXPIRING),
        (well(identity=identity(not_after=NOW + 30 * DAY + HOUR)), WELL),
        (well(identity=identity(not_before=ago(days=5), not_after=NOW + 5 * DAY)), WELL),  # lives for ten days
        (well(identity=identity(not_before=ago(days=8), not_after=NOW + 2 * DAY, renew_from=ago(days=1))), EXPIRING),
        # its renewal began just now
        (well(identity=identity(not_before=ago(days=20), not_after=NOW + 10 * DAY, renew_from=NOW - 2 * DAY)), WELL),
        (well(identity=identity(not_before=ago(days=22), not_after=NOW + 8 * DAY, renew_from=NOW - 2 * DAY)), WELL),
        (well(identity=identity(not_before=ago(days=23), not_after=NOW + 7 * DAY, renew_from=NOW - 3 * DAY)), EXPIRING),
        # it begins late: half of the time is not to pass unsaid
        (well(identity=identity(not_before=ago(days=25), not_after=NOW + 5 * DAY, renew_from=NOW)), EXPIRING),
    ],
)
def test_an_identity_is_a_risk_in_its_last_month_or_third(one: Dossier, expected: tuple[ControlState, Reason]) -> None:
    assert verdict_on(one) == expected


def test_an_identity_is_looked_at_when_it_becomes_a_risk_and_when_it_ends() -> None:
    early, late = (well(identity=identity(not_after=NOW + days * DAY)) for days in (40, 20))

    assert judge(early, ControlPolicy(), NOW).verdict.look_again_at is not None
    assert judge(late, ControlPolicy(), NOW).verdict.sentence == "its identity expires on 21 June, in 20 days"


@pytest.mark.parametrize("failure", RenewalFailure)
def test_a_renewal_that_fails_is_a_risk_at_once(failure: RenewalFailure) -> None:
    failed = identity(failure=failure, failed_at=ago(hours=2), failures=3)
    verdict = judge(well(identity=failed), ControlPolicy(), NOW).verdict

    assert (verdict.state, verdict.reason) == (ControlState.AT_RISK, Reason.IDENTITY_RENEWAL_REFUSED)
    assert verdict.sentence.startswith("3 renewals of its identity failed, the last on 1 June at 10:00 UTC: ")


CLONED = (ControlState.AT_RISK, Reason.IDENTITY_CLONED)
MOVED = Reason.RESTORED_OTHER_DEVICE


def knocks(at: datetime) -> dict[str, Any]:
    """Another device speaks by its identity, and is refused each time."""
    return {"refused": (seen("identity_of_another_device", at, first_at=ago(days=30), claimed_id="Z"),)}


def clone(at: datetime, **changes: Any) -> dict[str, Any]:
    return {"check_ins": (seen("cloned", at, newcomer="Z"),), **changes}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (well(**clone(ago(days=3))), CLONED),
        (well(refused=(seen("identity_mismatch", ago(days=3), claimed_id="Z"),)), CLONED),  # it never authenticated
        (well(refused=(seen("identity_mismatch", ago(days=3), claimed_id=None),)), WELL),
        (well(linked=(LinkedDevice(ChannelId("Z"), ago(days=3), None, used_our_identity=True),)), CLONED),
        (well(**clone(ago(days=3), identity=identity(not_before=ago(days=1)))), WELL),  # renewed since
        (silent(2 * DAY, suspicion=0, **clone(ago(days=1))), CLONED),
        (silent(4 * DAY, **clone(ago(days=1))), (ControlState.QUIET, MOVED)),
        (silent(8 * DAY, **clone(ago(days=1))), (ControlState.INACTIVE, MOVED)),
        (silent(21 * DAY, **clone(ago(days=1))), (ControlState.OUT_OF_CONTROL, MOVED)),
        (silent(8 * DAY, **clone(ago(days=10))), (ControlState.INACTIVE, Reason.SILENT)),  # both lived on
        (silent(8 * DAY, **knocks(ago(hours=1))), (ControlState.INACTIVE, MOVED)),
        (silent(21 * DAY, **knocks(ago(days=2))), (ControlState.OUT_OF_CONTROL, MOVED)),
        (silent(8 * DAY, **knocks(ago(days=10))), (ControlState.INACTIVE, Reason.SILENT)),
    ],
)
def test_an_identity_in_other_hands_is_a_risk_or_tells_where_its_owner_went(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


@pytest.mark.parametrize(
    ("checked_at", "has_identity", "length", "is_found"),
    [
        (ago(days=2), False, 2 * DAY, True),
        (ago(hours=23), False, 23 * HOUR, False),
        (ago(days=2), True, 2 * DAY, False),
        (ago(days=2), None, 2 * DAY, False),
        (ago(days=5), False, HOUR, False),  # it speaks by that very identity
    ],
)
def test_a_list_without_its_identity_and_silence_is_a_loss(
    checked_at: datetime, has_identity: bool | None, length: Any, *, is_found: bool
) -> None:
    listed = InventoryRecord(ago(days=1), has_identity_certificate=has_identity, checked_certificates_at=checked_at)

    expected = (ControlState.OUT_OF_CONTROL, Reason.IDENTITY_MISSING) if is_found else WELL
    assert verdict_on(silent(length, suspicion=0, inventory=listed)) == expected


def test_an_identity_of_the_former_authority_is_shown_and_counts_as_before() -> None:
    one = well(identity=identity(rotated_at=ago(days=5)))

    assert (verdict_on(one), noted(one)) == (WELL, {Reason.CA_CHANGED})


@pytest.mark.parametrize(("is_known", "forecast"), [(True, Forecast.WITH_US), (False, Forecast.WITH_A_PERSON)])
def test_an_identity_of_another_server_is_not_said_to_be_renewed_in_its_turn(
    *, is_known: bool, forecast: Forecast
) -> None:
    one = well(identity=identity(rotated_at=ago(days=5), is_profile_known=is_known))

    found = ca_changed(one, ControlPolicy(), NOW)

    assert isinstance(found, Finding)
    assert found.forecast is forecast

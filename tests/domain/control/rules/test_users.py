"""Users' channels follow their users and their devices."""

from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from tests.domain.control.dossiers import HOUR, NOW, WELL, ago, push, user, verdict_on, well

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier, InventoryRecord, LoginRecord, OwnFault, Silence, UsersRecord
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.rhythm import Rhythm
from muster.domain.control.silence_clock import day_of
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import ChannelKind

AWAY = (ControlState.DORMANT, Reason.USER_NOT_LOGGED_IN)


def silent_user(days: float, *, pushes: tuple[datetime, ...] = (), **login: Any) -> Dossier:
    since = ago(days=days)
    facts = {
        "is_logged_in": True,
        "is_on_console": None,
        "told_at": ago(hours=3),
        "device_heard_at": ago(hours=1),
        "device_state": ControlState.IN_CONTROL,
        "device_reason": Reason.NONE,
        **login,
    }
    return user(
        silence=Silence(since, NOW - since, 2 * days / 3),
        last_contact_at=since,
        last_proof_at=since,
        login=LoginRecord(**facts),
        push=push(accepted=pushes, accepted_at=max(pushes, default=None)),
    )


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent_user(9, is_logged_in=False), AWAY),
        (silent_user(90, is_logged_in=False), AWAY),
        (silent_user(9, is_on_console=False), AWAY),
        (silent_user(0.1, is_on_console=False, told_at=ago(days=1)), AWAY),  # he says so himself at each contact
        (silent_user(9, is_logged_in=None), (ControlState.INACTIVE, Reason.SILENT)),
        (silent_user(0.1, is_logged_in=False, told_at=ago(days=1)), WELL),  # heard after the device said so
        (user(state=EnrollmentState.DORMANT, kind=ChannelKind.SHARED_IPAD, login=None), AWAY),
    ],
)
def test_a_user_who_is_not_there_is_dormant_and_nothing_is_wrong(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


@pytest.mark.parametrize("state", [ControlState.QUIET, ControlState.INACTIVE, ControlState.OUT_OF_CONTROL])
def test_a_user_of_a_silent_device_follows_it(state: ControlState) -> None:
    lost: dict[str, Any] = {"device_state": state, "device_reason": Reason.SILENT, "device_heard_at": ago(days=4)}

    for days in (4, 12, 40):
        assert verdict_on(silent_user(days, told_at=ago(days=4), **lost)) == (state, Reason.SILENT)
    assert verdict_on(silent_user(4, is_logged_in=False, **lost)) == AWAY
    assert verdict_on(silent_user(0.1, **lost)) == WELL  # heard after it: its verdict will follow


def test_a_user_of_a_device_that_lost_its_identity_is_lost_for_the_same_reason() -> None:
    one = silent_user(
        2,
        told_at=ago(days=4),
        device_state=ControlState.OUT_OF_CONTROL,
        device_reason=Reason.IDENTITY_EXPIRED,
        device_heard_at=ago(days=2),
    )

    assert verdict_on(one) == (ControlState.OUT_OF_CONTROL, Reason.IDENTITY_EXPIRED)


def test_a_user_obeys_whatever_the_age_of_his_devices_inventory() -> None:
    old = silent_user(0.5, device_state=ControlState.OUT_OF_CONTROL, device_reason=Reason.NO_INVENTORY)

    assert verdict_on(old) == WELL


THREE = (ago(hours=30), ago(hours=20), ago(hours=10))
DEAD = (ControlState.OUT_OF_CONTROL, Reason.USER_CHANNEL_DEAD)
OUR_OUTAGE = OwnFault(Reason.OWN_TLS_CHANGED, ago(hours=31), ago(hours=19), "our TLS certificate was changed")
BRIEF = OwnFault(Reason.APNS_OUTAGE, ago(hours=18), ago(hours=16), "APNs was out of order")


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent_user(2, pushes=THREE), DEAD),
        (silent_user(2, pushes=THREE[1:]), WELL),
        (replace(silent_user(2, pushes=THREE), faults=(OUR_OUTAGE,)), WELL),  # what was sent meanwhile was in vain
        (silent_user(2, pushes=(ago(hours=4), ago(hours=3.9), ago(hours=3.8))), WELL),  # one attempt
        (silent_user(2, pushes=THREE, device_since=ago(hours=15)), WELL),  # before that the device was lost itself
        (silent_user(2, pushes=THREE, device_since=ago(days=3)), DEAD),
        (replace(silent_user(2, pushes=THREE, device_since=ago(hours=15)), faults=(BRIEF,)), DEAD),  # it was our fault
        (silent_user(2, pushes=THREE, device_state=ControlState.UNKNOWN), WELL),  # and so is what keeps us from it
        (silent_user(2, pushes=THREE, device_state=ControlState.AT_RISK, device_since=ago(hours=15)), DEAD),
        (silent_user(2, pushes=THREE, device_heard_at=ago(hours=10)), WELL),  # the device may sleep since
        (
            silent_user(2, pushes=(*THREE, ago(hours=2)), device_heard_at=ago(hours=3)),
            DEAD,
        ),  # and the others were heard
        (silent_user(2, pushes=THREE, is_device_deaf=True), WELL),  # no push reaches anybody there
        (silent_user(2, pushes=THREE, device_missed=THREE), WELL),  # nor reached the device itself
        (silent_user(2, pushes=THREE, device_missed=THREE[:1], device_answered=THREE[1:]), WELL),  # then two are left
        (silent_user(2, pushes=THREE, device_answered=THREE), DEAD),
        (silent_user(2, pushes=THREE, device_missed=(ago(days=3),), device_answered=THREE[1:2]), DEAD),
        (silent_user(2, pushes=THREE, device_rhythm=Rhythm(day_of(NOW), 0b111)), DEAD),
        (silent_user(2, pushes=THREE, device_rhythm=Rhythm(day_of(NOW), 0b1)), WELL),  # it was not about before today
        (silent_user(2, pushes=THREE, told_at=ago(hours=31)), WELL),  # he may have left since
        (silent_user(2, pushes=THREE, is_logged_in=None), WELL),
        (silent_user(2, pushes=THREE, is_logged_in=False), AWAY),
        (silent_user(2, pushes=THREE, changed_at=ago(hours=15)), WELL),  # logged in after the first two
        (silent_user(1.1, pushes=THREE), WELL),  # heard after the first
    ],
)
def test_a_user_who_is_there_and_silent_through_three_pushes_has_a_dead_channel(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


def test_the_silence_of_a_user_counts_from_his_login() -> None:
    fresh = silent_user(25, changed_at=ago(hours=5))

    assert verdict_on(fresh) == WELL
    assert verdict_on(silent_user(25, changed_at=ago(days=24))) == (ControlState.OUT_OF_CONTROL, Reason.SILENT)


MISSING = (ControlState.AT_RISK, Reason.USER_CHANNEL_MISSING)
APPROVED = InventoryRecord(ago(days=1), family="Mac", is_user_approved=True)


@pytest.mark.parametrize(
    ("one", "policy", "expected"),
    [
        (well(inventory=APPROVED, users=UsersRecord(0, ago(days=1))), ControlPolicy(), MISSING),
        (well(inventory=APPROVED, users=UsersRecord(0, ago(hours=23))), ControlPolicy(), WELL),
        (well(inventory=APPROVED, users=UsersRecord(1, ago(days=5))), ControlPolicy(), WELL),
        (well(inventory=APPROVED, users=UsersRecord(0, None)), ControlPolicy(), WELL),
        (well(users=UsersRecord(0, ago(days=5))), ControlPolicy(), WELL),
        (well(inventory=APPROVED, users=UsersRecord(0, ago(days=5))), ControlPolicy(expects_user_channel=False), WELL),
    ],
)
def test_a_mac_with_a_user_and_without_his_channel_is_at_risk(
    one: Dossier, policy: ControlPolicy, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one, policy) == expected


def test_the_day_after_a_login_is_looked_at() -> None:
    one = well(inventory=APPROVED, users=UsersRecord(0, ago(hours=20)))

    verdict = judge(one, ControlPolicy(), NOW).verdict
    assert verdict.look_again_at == NOW + 4 * HOUR

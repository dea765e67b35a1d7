"""Step 9: who comes and doesn't obey; and the way in."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.domain.control.dossiers import DAY, HOUR, NOW, WELL, ago, noted, push, seen, silent, user, verdict_on, well

from muster.domain.command_queue import QueuePurpose
from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import (
    AdeRecord,
    DdmRecord,
    Dossier,
    InventoryRecord,
    LinkedDevice,
    Obedience,
    Seen,
    SetUp,
    StuckCommand,
)
from muster.domain.control.judging import judge
from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.domain.enrollment import EnrollmentState
from muster.protocol.identifiers import ChannelId


def at_risk(reason: Reason) -> tuple[ControlState, Reason]:
    return ControlState.AT_RISK, reason


def stuck(count: int, *, last: datetime | None = None, parked: bool = False) -> StuckCommand:
    first = ago(days=3)
    return StuckCommand("InstallProfile", "u", QueuePurpose.COMMAND, count, last or ago(hours=2), parked, first)


BLOCKED = at_risk(Reason.COMMAND_BLOCKS_QUEUE)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (well(obedience=Obedience(stuck=(stuck(5),)), last_proof_at=ago(days=3)), BLOCKED),
        (well(obedience=Obedience(stuck=(stuck(4),)), last_proof_at=ago(days=3)), WELL),
        (well(obedience=Obedience(stuck=(stuck(5, parked=True),)), last_proof_at=ago(days=3)), BLOCKED),
        (well(obedience=Obedience(stuck=(stuck(5, parked=True),)), last_proof_at=ago(hours=1)), WELL),  # it goes on
    ],
)
def test_a_command_that_is_never_answered_blocks_until_the_rest_goes_on(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


def test_a_parked_command_is_shown_while_the_device_obeys_the_rest() -> None:
    one = well(obedience=Obedience(stuck=(stuck(5, parked=True),)))

    assert noted(one) == {Reason.COMMAND_BLOCKS_QUEUE}


def in_contact(*, proof_days: float, **obedience: Any) -> Dossier:
    return well(last_proof_at=ago(days=proof_days), obedience=Obedience(**obedience))


NOT_NOW = at_risk(Reason.ALWAYS_NOT_NOW)
PUTS_OFF: Any = {"handed_out_at": ago(hours=1), "not_now_last_at": ago(hours=1), "not_now_count": 20}


BACK = well(
    last_proof_at=ago(days=20),
    contacts=(ago(days=20), ago(hours=1)),
    obedience=Obedience(not_now_since=ago(hours=1), **PUTS_OFF),
)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (in_contact(proof_days=14, not_now_since=ago(days=13), **PUTS_OFF), NOT_NOW),
        (in_contact(proof_days=13.9, not_now_since=ago(days=13), **PUTS_OFF), WELL),
        (in_contact(proof_days=14, not_now_since=ago(hours=23), **PUTS_OFF), WELL),
        (BACK, WELL),  # back from an absence, it has a day
    ],
)
def test_who_says_only_not_now_through_the_proof_window_is_at_risk(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


DISOBEYS = at_risk(Reason.NOT_OBEYING)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (in_contact(proof_days=14, handed_out_at=ago(days=13)), DISOBEYS),
        (in_contact(proof_days=13.9, handed_out_at=ago(days=13)), WELL),
        (in_contact(proof_days=50), WELL),  # never asked: nothing is known against it
        (in_contact(proof_days=50, handed_out_at=ago(days=50, hours=1)), WELL),  # not since it obeyed
        (in_contact(proof_days=50, handed_out_at=ago(minutes=59)), WELL),  # asked for the first time
        (in_contact(proof_days=50, handed_out_at=ago(minutes=60)), DISOBEYS),
        (in_contact(proof_days=50, handed_out_at=ago(minutes=5), answered_at=ago(days=2)), DISOBEYS),
        (in_contact(proof_days=50, handed_out_at=ago(days=1), stuck=(stuck(5),)), BLOCKED),
    ],
)
def test_who_comes_and_is_asked_and_proves_nothing_does_not_obey(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


def test_errors_are_named_where_a_device_answers_nothing_else() -> None:
    error = seen("Error", ago(hours=2), count=7)
    one = in_contact(proof_days=15, handed_out_at=ago(days=1), answered_at=ago(hours=2), last_error=error)

    sentence = judge(one, ControlPolicy(), NOW).verdict.sentence
    assert sentence == (
        "in contact, and obeyed last on 17 May at 12:00 UTC, 15 days ago; answered 7 commands with an error, "
        "the last on 1 June at 10:00 UTC"
    )


def hung(length: timedelta, *, alike: int, handed_out: timedelta = timedelta(0)) -> Dossier:
    last = NOW - length - handed_out
    return silent(length, suspicion=0, hung_alike=alike, obedience=Obedience(stuck=(stuck(1, last=last),)))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (hung(24 * HOUR, alike=3), at_risk(Reason.CLIENT_HUNG)),
        (hung(24 * HOUR, alike=2), WELL),
        (hung(23 * HOUR, alike=3), WELL),
        (hung(24 * HOUR, alike=3, handed_out=HOUR), WELL),  # it spoke after that
        (hung(8 * DAY, alike=3), (ControlState.INACTIVE, Reason.CLIENT_HUNG)),
        (hung(22 * DAY, alike=3), (ControlState.OUT_OF_CONTROL, Reason.CLIENT_HUNG)),
    ],
)
def test_a_client_hangs_where_several_of_its_build_stopped_in_mid_dialogue(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


# --- the way in -------------------------------------------------------------------------------------------------------

NEW: Any = {"last_proof_at": None, "epoch": 1}


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (
            well(enrolled_at=ago(hours=1), obedience=Obedience(handed_out_at=ago(hours=1)), **NEW),
            at_risk(Reason.NOT_YET_PROVED),
        ),
        (well(enrolled_at=ago(minutes=59), obedience=Obedience(handed_out_at=ago(minutes=59)), **NEW), WELL),
        (well(enrolled_at=ago(hours=5), obedience=Obedience(), **NEW), WELL),  # came, and was never asked
        (silent(5 * HOUR, enrolled_at=ago(hours=5), **NEW), at_risk(Reason.NOT_YET_PROVED)),  # never came
        (silent(4.9 * HOUR, enrolled_at=ago(hours=5), **NEW), WELL),  # came by the first push, and was never asked
        (well(enrolled_at=ago(hours=5), last_proof_at=ago(hours=6)), WELL),
        (silent(5 * HOUR, enrolled_at=ago(hours=5), last_proof_at=ago(hours=6)), at_risk(Reason.NOT_YET_PROVED)),
        (user(enrolled_at=ago(hours=5), last_proof_at=None), WELL),
        (
            user(enrolled_at=ago(hours=5), last_proof_at=None, obedience=Obedience(1, ago(hours=2))),
            at_risk(Reason.NOT_YET_PROVED),
        ),
        (silent(2 * HOUR, provisional_since=ago(minutes=15)), at_risk(Reason.ENROLLMENT_INCOMPLETE)),
        (silent(2 * HOUR, provisional_since=ago(minutes=14)), WELL),
        (well(state=EnrollmentState.ENROLLING, first_seen_at=ago(minutes=20)), at_risk(Reason.ENROLLMENT_INCOMPLETE)),
        (well(was_resurrected_at=ago(minutes=30)), at_risk(Reason.RECORD_DELETED_WHILE_ENROLLED)),
        (well(was_resurrected_at=ago(hours=2)), WELL),
        (well(sign_in_wanted_since=ago(hours=2)), at_risk(Reason.AWAITING_USER_SIGN_IN)),
        (
            well(set_up=SetUp(ago(hours=2), True, ago(minutes=30))),
            at_risk(Reason.STUCK_AWAITING_CONFIGURATION),
        ),
        (well(set_up=SetUp(ago(hours=2), True, ago(minutes=29))), WELL),
        (well(set_up=SetUp(ago(hours=2), False, None)), WELL),
    ],
)
def test_the_way_in_is_followed_to_its_first_proof(one: Dossier, expected: tuple[ControlState, Reason]) -> None:
    assert verdict_on(one) == expected


FETCHED = (seen("automated_enrollment", ago(hours=3)),)
RETURNING = at_risk(Reason.ERASED_REENROLLING)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent(5 * HOUR, fetches=FETCHED), RETURNING),
        (silent(2 * HOUR, fetches=FETCHED, provisional_since=ago(minutes=5)), RETURNING),
        (well(fetches=FETCHED), WELL),  # goes on as it was
        (silent(2 * HOUR, fetches=FETCHED, enrolled_at=ago(hours=2.5), last_proof_at=None, epoch=2), RETURNING),
        (silent(2 * HOUR, fetches=FETCHED, enrolled_at=ago(hours=2.5), epoch=2), WELL),  # proved
        (well(fetches=FETCHED, enrolled_at=ago(minutes=50), last_proof_at=None, epoch=1), WELL),  # its first life
        (well(state=EnrollmentState.ENROLLING, epoch=0, fetches=FETCHED, provisional_since=ago(minutes=5)), WELL),
    ],
)
def test_a_known_device_that_fetches_its_enrollment_profile_was_erased(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


# --- declarative management, assignments, inventory -------------------------------------------------------------------

THREE = push(accepted=(ago(hours=30), ago(hours=20), ago(hours=10)), accepted_at=ago(hours=10))
ONLY_DDM = (ControlState.OUT_OF_CONTROL, Reason.MDM_DEAD_DDM_ALIVE)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (silent(2 * DAY, push=THREE, ddm=DdmRecord(ago(hours=5))), ONLY_DDM),
        (well(last_connect_at=ago(days=2), push=THREE, ddm=DdmRecord(ago(hours=5))), ONLY_DDM),
        (silent(2 * DAY, suspicion=0, push=THREE, ddm=DdmRecord(ago(hours=15))), WELL),  # not after the third
        (silent(2 * DAY, suspicion=0, push=THREE, ddm=DdmRecord(ago(minutes=9))), WELL),  # it has just come back
        (silent(2 * DAY, push=THREE, ddm=DdmRecord(ago(minutes=10))), ONLY_DDM),
        (silent(2 * DAY, push=THREE, ddm=DdmRecord(ago(minutes=1)), contacts=(ago(hours=2),)), ONLY_DDM),  # once more
        (silent(25 * HOUR, suspicion=0, push=THREE, ddm=DdmRecord(ago(hours=5))), WELL),  # two since it connected
        (well(ddm=DdmRecord(ago(hours=5), ago(days=2))), WELL),
        (well(ddm=DdmRecord(None, ago(days=1))), at_risk(Reason.DDM_DEAD)),
        (well(ddm=DdmRecord(ago(days=3), ago(days=2))), at_risk(Reason.DDM_DEAD)),
        (well(ddm=DdmRecord(None, ago(hours=23))), WELL),
        (silent(2 * DAY, suspicion=0, ddm=DdmRecord(None, ago(days=2))), WELL),  # it left at once
    ],
)
def test_declarative_management_alone_is_a_loss_and_dead_beside_a_living_client_a_risk(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


FEWER = DdmRecord(ago(days=4), reports=Seen("status", ago(days=10), ago(days=4), 5))
"""Five in six days."""
DAILY = tuple(ago(days=day) for day in range(10, 3, -1))
ON_WEEKDAYS = (*DAILY[:3], *DAILY[5:])
SINCE = tuple(ago(days=day / 2) for day in range(6, 0, -1))


def reported(last: datetime, count: int = 9) -> DdmRecord:
    """Status reports twice a day, the last one at *last*."""
    first = last - (count - 1) * 12 * HOUR
    return DdmRecord(last, reports=Seen("status", first, last, count))


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (well(ddm=reported(ago(days=4))), at_risk(Reason.DDM_DEAD)),
        (well(ddm=replace(reported(ago(days=4)), asked_at=ago(hours=2))), at_risk(Reason.DDM_DEAD)),  # asked again
        (well(ddm=reported(ago(days=4), count=4)), WELL),  # it has no habit
        (well(ddm=DdmRecord(ago(days=4), reports=Seen("status", ago(days=14), ago(days=4), 6))), WELL),  # not daily
        (well(ddm=FEWER, contacts=(*ON_WEEKDAYS, *SINCE)), at_risk(Reason.DDM_DEAD)),  # daily, but for a weekend
        (well(ddm=FEWER, contacts=(*DAILY, *SINCE)), WELL),
        (well(ddm=reported(ago(hours=47))), WELL),
        (well(ddm=reported(ago(days=3)), contacts=(ago(hours=30), ago(hours=20), ago(hours=7))), WELL),  # for too short
        (well(ddm=reported(ago(days=6)), contacts=(ago(days=5), ago(days=4), ago(minutes=9))), WELL),  # just back
        (silent(3 * DAY, suspicion=0, ddm=reported(ago(days=4))), WELL),
    ],
)
def test_who_reported_its_status_daily_and_comes_without_has_dead_declarative_management(
    one: Dossier, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(one) == expected


@pytest.mark.parametrize(
    ("status", "here", "deleted", "expected"),
    [
        ("empty", True, False, at_risk(Reason.ADE_PROFILE_UNASSIGNED)),
        ("removed", True, False, at_risk(Reason.ADE_PROFILE_UNASSIGNED)),
        ("assigned", True, False, WELL),
        ("pushed", True, False, WELL),
        ("empty", False, False, at_risk(Reason.ADE_ASSIGNED_ELSEWHERE)),
        ("empty", False, True, WELL),
    ],
)
def test_what_its_next_activation_will_bring_is_told(
    status: str, here: bool, deleted: bool, expected: tuple[ControlState, Reason]
) -> None:
    assert verdict_on(well(ade=AdeRecord(status, here, deleted, ago(days=2)))) == expected


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (well(inventory=InventoryRecord(ago(days=30))), at_risk(Reason.NO_INVENTORY)),
        (well(inventory=InventoryRecord(ago(days=29.9))), WELL),
        (well(inventory=InventoryRecord(ago(days=60))), (ControlState.OUT_OF_CONTROL, Reason.NO_INVENTORY)),
        (well(inventory=InventoryRecord(ago(days=60), is_asked=False)), WELL),
        (well(inventory=InventoryRecord(None)), (ControlState.OUT_OF_CONTROL, Reason.NO_INVENTORY)),
        (well(inventory=InventoryRecord(None), enrolled_at=ago(days=20)), WELL),
        (well(inventory=InventoryRecord(ago(days=60)), contacts=(ago(days=60), ago(hours=1))), WELL),  # just back
    ],
)
def test_inventory_that_is_too_old_though_it_comes_is_told(one: Dossier, expected: tuple[ControlState, Reason]) -> None:
    assert verdict_on(one) == expected


@pytest.mark.parametrize(
    ("one", "reasons"),
    [
        (well(inventory=InventoryRecord(ago(days=1), is_lost=True)), {Reason.LOST_MODE}),
        (
            well(linked=(LinkedDevice(ChannelId("Z"), ago(days=9), "S", is_new_hardware=True),)),
            {Reason.DUPLICATE_SERIAL},
        ),
        (
            well(
                obedience=Obedience(
                    verified=(seen("acknowledgement_lost", ago(days=1), request_type="InstallProfile"),)
                )
            ),
            {Reason.ACKNOWLEDGEMENT_LOST},
        ),
    ],
)
def test_what_decides_nothing_is_shown(one: Dossier, reasons: set[Reason]) -> None:
    assert (verdict_on(one), noted(one)) == (WELL, reasons)

"""Playbooks are followed step by step, and a recovery is over when the channel has proved itself, not before."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.domain.control.dossiers import DAY, HOUR, NOW, ago, identity, push, user, well

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import DdmRecord, Dossier, LoginRecord
from muster.domain.control.finding import Finding, Verdict
from muster.domain.control.playbooks import NOTHING, PLAYBOOKS
from muster.domain.control.reasons import REASONS, Reason, Recovery
from muster.domain.control.recovery import (
    ALWAYS,
    NEED_A_PERSON,
    PROOF_AWAITED,
    Act,
    AskPerson,
    Found,
    GiveUp,
    Prove,
    Recovered,
    Run,
    Step,
    StepKind,
    WaitUntil,
    after,
    doable_step,
    looked_at,
    needs_person,
    next_step,
    plan,
    quiet_hours_end,
)
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.domain.enrollment import EnrollmentState
from muster.protocol.apns import OutcomeClass

POLICY: Final = ControlPolicy()
MINUTE: Final = timedelta(minutes=1)
HERE: Final = well(last_contact_at=ago(minutes=1), last_proof_at=ago(days=20))
"""In contact a minute ago, and obeyed last three weeks ago."""
AWAY: Final = well(last_contact_at=ago(days=5), last_proof_at=ago(days=6))


def verdict(
    reason: Reason = Reason.NONE, state: ControlState | None = None, *, notes: tuple[Reason, ...] = ()
) -> Verdict:
    """A verdict for a reason, at risk unless it is of another state."""
    if state is None:
        state = ControlState.IN_CONTROL if reason is Reason.NONE else ControlState.AT_RISK
    found = tuple(Finding(one, None, NOW, "words", Forecast.BY_ITSELF) for one in notes)
    return Verdict(state, reason, NOW, "words", Forecast.WITH_US, "", ProofLevel.CONTACT, NOW, notes=found)


def run(reason: Reason, opened_at: datetime = NOW, **changes: Any) -> Run:
    """A recovery that was opened at *opened_at*."""
    return replace(Run(reason, opened_at), **changes)


def decide(one: Run, dossier: Dossier = HERE, held: Verdict | None = None, now: datetime = NOW, **policy: Any) -> Any:
    """What is done for it."""
    held = verdict(one.reason) if held is None else held
    return next_step(PLAYBOOKS[one.reason], one, dossier, held, ControlPolicy(**policy), now)


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_reason_has_a_playbook() -> None:
    assert set(PLAYBOOKS) == set(Reason)


def test_what_the_server_alone_can_mend_is_tried_for_ever_or_needs_nothing() -> None:
    ends = [
        reason
        for reason, facts in REASONS.items()
        if facts.recovery == (Recovery.SERVER,)
        and PLAYBOOKS[reason].steps
        and PLAYBOOKS[reason].steps[-1].times != ALWAYS
        and StepKind.RENEWAL not in {step.kind for step in PLAYBOOKS[reason].steps}  # tried again by itself
        and PLAYBOOKS[reason].steps[-1].kind is not StepKind.REASSIGN
    ]

    assert ends == []


def test_normal_ends_and_what_is_only_shown_have_no_recovery() -> None:
    for reason, facts in REASONS.items():
        if facts.recovery == (Recovery.NOBODY,):
            assert PLAYBOOKS[reason] is NOTHING, reason


def test_nothing_follows_a_step_that_is_repeated_for_ever() -> None:
    for reason, playbook in PLAYBOOKS.items():
        assert all(step.times != ALWAYS or step.applies for step in playbook.steps[:-1]), reason


@pytest.mark.parametrize("kind", sorted(NEED_A_PERSON))
def test_what_disturbs_is_never_done_by_itself(kind: StepKind) -> None:
    assert needs_person(Step(kind, "words"), POLICY)
    assert needs_person(Step(kind, "words"), ControlPolicy(remedies=frozenset({kind.value})))


FIRST: Final[Mapping[Reason, StepKind]] = {
    Reason.SILENT: StepKind.STORED_PUSH,
    Reason.PUSH_PATH_BLOCKED: StepKind.PUSH_AT_CONTACT,
    Reason.NETWORK_BLOCKS_SERVER: StepKind.TELL,
    Reason.PUSH_TOKEN_UNREGISTERED: StepKind.PUSH_AT_CONTACT,
    Reason.PUSH_TOKEN_BAD: StepKind.PUSH_AT_CONTACT,
    Reason.PUSH_TOPIC_MISMATCH: StepKind.TELL,
    Reason.PUSH_MAGIC_WRONG: StepKind.PUSH_AT_CONTACT,
    Reason.IDENTITY_EXPIRING: StepKind.RENEWAL,
    Reason.IDENTITY_EXPIRED: StepKind.RENEWAL,
    Reason.IDENTITY_RENEWAL_REFUSED: StepKind.RENEWAL,
    Reason.IDENTITY_MISSING: StepKind.RE_ENROLL,
    Reason.IDENTITY_CLONED: StepKind.RE_ENROLL,
    Reason.IDENTITY_UNRECOGNIZED: StepKind.RE_ENROLL,
    Reason.DEVICE_CLOCK_WRONG: StepKind.PROBE,
    Reason.OWN_TLS_CHANGED: StepKind.PUSH,
    Reason.PROFILE_REMOVED: StepKind.RE_ENROLL,
    Reason.PROFILE_REMOVED_UNREPORTED: StepKind.RE_ENROLL,
    Reason.ERASED_BY_US: StepKind.WAIT,
    Reason.ERASED_REENROLLING: StepKind.WAIT,
    Reason.ENROLLMENT_INCOMPLETE: StepKind.RE_ENROLL,
    Reason.NOT_YET_PROVED: StepKind.PROBE,
    Reason.RESTORED_OTHER_DEVICE: StepKind.RE_ENROLL,
    Reason.RESTORED_OLDER_BACKUP: StepKind.RENEWAL,
    Reason.TAKEN_BY_OTHER_SERVICE: StepKind.TELL,
    Reason.RELEASED: StepKind.TELL,
    Reason.USER_CHANNEL_MISSING: StepKind.TELL,
    Reason.USER_CHANNEL_DEAD: StepKind.PROFILE_AGAIN,
    Reason.AWAITING_USER_SIGN_IN: StepKind.TELL,
    Reason.DDM_DEAD: StepKind.DDM_AGAIN,
    Reason.MDM_DEAD_DDM_ALIVE: StepKind.PUSH,
    Reason.ALWAYS_NOT_NOW: StepKind.PROBE,
    Reason.COMMAND_BLOCKS_QUEUE: StepKind.WAIT,
    Reason.NOT_OBEYING: StepKind.PROBE,
    Reason.STUCK_AWAITING_CONFIGURATION: StepKind.DEVICE_CONFIGURED,
    Reason.NO_INVENTORY: StepKind.ASK_INVENTORY,
    Reason.CLIENT_HUNG: StepKind.STORED_PUSH,
    Reason.ADE_PROFILE_UNASSIGNED: StepKind.REASSIGN,
    Reason.ADE_ASSIGNED_ELSEWHERE: StepKind.TELL,
    Reason.RECORD_DELETED_WHILE_ENROLLED: StepKind.PROBE,
}
LATE: Final = 30 * DAY
_BOOK: Final = PLAYBOOKS[Reason.IDENTITY_MISSING]


@pytest.mark.parametrize("reason", [reason for reason in Reason if PLAYBOOKS[reason].steps])
def test_first_step_of_every_reason(reason: Reason) -> None:
    """Opened long ago, so that pauses are over; a contact a minute ago."""
    found = decide(run(reason, NOW - LATE / 60))

    assert isinstance(found, Act | AskPerson)
    assert found.step.kind is FIRST[reason]
    assert isinstance(found, AskPerson) is (found.step.kind in NEED_A_PERSON)


def test_a_device_that_lives_without_answering_is_pushed_once_a_day_while_a_person_is_asked() -> None:
    asked = after(
        run(Reason.IDENTITY_MISSING, ago(days=3)), decide(run(Reason.IDENTITY_MISSING, ago(days=3))), _BOOK, NOW
    )
    pushed = decide(asked, AWAY)
    again = after(asked, pushed, _BOOK, NOW)

    assert isinstance(pushed, Act)
    assert pushed.step.kind is StepKind.PUSH
    assert decide(again, AWAY, now=NOW + 23 * HOUR) == WaitUntil(NOW + DAY, pushed.step.sentence)
    assert decide(again, AWAY, now=NOW + DAY) == pushed


@pytest.mark.parametrize("reason", [reason for reason in Reason if PLAYBOOKS[reason].opens])
def test_every_reason_recovers_by_a_proof_after_it_was_found_last_and_not_by_one_before(reason: Reason) -> None:
    found_until = ago(hours=2)
    gone = run(reason, ago(days=3), found_until=found_until)

    proved = decide(gone, replace(HERE, last_proof_at=ago(hours=1)), verdict())
    not_yet = decide(gone, replace(HERE, last_proof_at=found_until), verdict())

    assert proved == Recovered(ago(hours=1))
    assert not_yet == Prove(wakes=True)


@pytest.mark.parametrize("reason", [reason for reason in Reason if PLAYBOOKS[reason].steps])
def test_a_proof_while_the_reason_is_found_is_no_recovery(reason: Reason) -> None:
    assert not isinstance(decide(run(reason, ago(days=3)), replace(HERE, last_proof_at=NOW)), Recovered)


# --- when -------------------------------------------------------------------------------------------------------------


def test_steps_come_one_after_the_other_with_their_pauses() -> None:
    one, now, kinds = run(Reason.NOT_OBEYING), NOW, []
    for _ in range(8):
        dossier = replace(HERE, last_contact_at=now)
        decision = decide(one, dossier, now=now)
        if isinstance(decision, WaitUntil):
            assert decision.at is not None
            now = decision.at
        else:
            kinds.append((decision.step.kind, now - NOW))
            one = after(one, decision, PLAYBOOKS[one.reason], now)

    assert kinds == [
        (StepKind.PROBE, timedelta(0)),
        (StepKind.PROBE, HOUR),
        (StepKind.PROBE, HOUR + DAY),
        (StepKind.RESTART, HOUR + 2 * DAY),
    ]


def test_a_step_for_a_person_does_not_keep_what_comes_after_it() -> None:
    asked = after(
        run(Reason.NOT_OBEYING, step=0, attempts=3, acted_at=ago(days=1)),
        decide(run(Reason.NOT_OBEYING, ago(days=9), step=0, attempts=3, acted_at=ago(days=1))),
        PLAYBOOKS[Reason.NOT_OBEYING],
        NOW,
    )

    later = decide(asked, replace(HERE, last_contact_at=NOW + DAY), now=NOW + DAY)

    assert isinstance(later, Act)
    assert later.step.kind is StepKind.PROBE


def test_a_push_at_contact_waits_for_one() -> None:
    one = run(Reason.PUSH_PATH_BLOCKED, ago(hours=1))

    away = decide(one, replace(HERE, last_contact_at=ago(hours=2)))
    stale = decide(one, replace(HERE, last_contact_at=ago(minutes=30)))

    assert [(found.at, found.at_contact) for found in (away, stale)] == [(None, True), (None, True)]
    assert isinstance(decide(one), Act)


def test_a_doubt_is_settled_by_pushes_at_contact_and_by_nothing_else() -> None:
    held = verdict(notes=(Reason.PUSH_MAGIC_WRONG,))
    pushed = run(Reason.PUSH_MAGIC_WRONG, ago(days=1), step=0, attempts=2, acted_at=ago(hours=5))

    assert decide(run(Reason.PUSH_MAGIC_WRONG, ago(hours=1)), HERE, held).step.kind is StepKind.PUSH_AT_CONTACT
    assert isinstance(decide(pushed, HERE, held), WaitUntil)
    assert decide(pushed, HERE).step.kind is StepKind.PROFILE_AGAIN


def test_what_does_not_apply_is_passed_over() -> None:
    told = replace(HERE, ddm=DdmRecord(ago(hours=1), push_magic_differs=True))
    too_late = replace(HERE, identity=identity(lane_ends_at=ago(days=1)))

    assert decide(run(Reason.PUSH_MAGIC_WRONG, ago(hours=1)), told).step.kind is StepKind.PROFILE_AGAIN
    assert decide(run(Reason.IDENTITY_EXPIRED, ago(hours=1)), too_late).step.kind is StepKind.STORED_PUSH


def test_patience_with_a_device_that_does_not_come_ends() -> None:
    one = run(Reason.PUSH_TOKEN_UNREGISTERED, ago(days=3))

    found = decide(one, AWAY, verdict(one.reason, ControlState.OUT_OF_CONTROL))

    assert isinstance(found, AskPerson)
    assert found.step.kind is StepKind.RE_ENROLL


@pytest.mark.parametrize(
    ("state", "since", "is_pushed"),
    [
        (ControlState.IN_CONTROL, ago(days=1), True),
        (ControlState.IN_CONTROL, ago(days=4), False),  # what befell the user never befell his device
        (ControlState.AT_RISK, ago(days=1), False),
    ],
)
def test_a_users_refused_token_is_tried_again_once_the_device_has_come_back(
    state: ControlState, since: datetime, *, is_pushed: bool
) -> None:
    refused = push(refusal=OutcomeClass.TOKEN_BAD, refused_at=ago(days=3))
    login = LoginRecord(True, None, ago(hours=2), ago(hours=1), state, device_since=since)
    unheard = user(push=refused, login=login, last_contact_at=ago(days=5))
    told = run(Reason.PUSH_TOKEN_BAD, ago(days=9), step=2, attempts=1, acted_at=ago(days=2))

    found = decide(told, unheard, verdict(told.reason, ControlState.OUT_OF_CONTROL))

    assert isinstance(found, Act if is_pushed else WaitUntil)


@pytest.mark.parametrize("reason", [Reason.NOT_OBEYING, Reason.DDM_DEAD, Reason.NO_INVENTORY, Reason.USER_CHANNEL_DEAD])
def test_a_silent_channel_is_asked_nothing(reason: Reason) -> None:
    found = decide(run(reason, ago(days=4)), AWAY)

    assert isinstance(found, WaitUntil)
    assert found.at_contact


def test_a_silent_device_gets_one_push() -> None:
    one, silent = run(Reason.SILENT, ago(days=1)), verdict(Reason.SILENT, ControlState.INACTIVE)
    pushed = after(one, decide(one, AWAY, silent), PLAYBOOKS[Reason.SILENT], NOW)

    later = [decide(pushed, AWAY, silent, now=NOW + days * DAY) for days in range(1, 14)]

    assert {type(found) for found in later} == {WaitUntil}
    assert decide(pushed, AWAY, silent, now=NOW + 14 * DAY).step.kind is StepKind.TELL


@pytest.mark.parametrize("state", [ControlState.UNKNOWN, ControlState.ENDED])
def test_our_fault_holds_steps_and_an_end_closes_them(state: ControlState) -> None:
    held = replace(verdict(Reason.APNS_OUTAGE, state), others=(Reason.DDM_DEAD,))

    found = decide(run(Reason.DDM_DEAD, ago(days=1)), HERE, held)

    assert isinstance(found, WaitUntil if state is ControlState.UNKNOWN else GiveUp)


def test_an_end_is_no_end_of_its_own_recovery() -> None:
    ended = replace(HERE, state=EnrollmentState.ENDED)

    found = decide(run(Reason.PROFILE_REMOVED), ended, verdict(Reason.PROFILE_REMOVED, ControlState.ENDED))

    assert isinstance(found, AskPerson)


def test_it_is_given_up_once_when_all_was_tried_and_goes_on_when_proved() -> None:
    playbook = PLAYBOOKS[Reason.IDENTITY_CLONED]
    asked = run(Reason.IDENTITY_CLONED, ago(days=1), step=0, attempts=1, acted_at=ago(hours=1))
    given_up = after(asked, decide(asked), playbook, NOW)

    assert isinstance(decide(asked), GiveUp)
    assert isinstance(decide(given_up), WaitUntil)
    assert isinstance(decide(replace(given_up, found_until=ago(days=1)), well(), verdict()), Recovered)


# --- quiet hours and remedies -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hours", "ends"),
    [
        ((time(11), time(13)), NOW + HOUR),
        ((time(22), time(12, 30)), NOW + 30 * MINUTE),
        ((time(12, 1), time(11, 59)), None),
        ((time(12), time(12)), None),
        ((time(11), time(12)), None),
        (None, None),
    ],
)
def test_quiet_hours(hours: tuple[time, time] | None, ends: datetime | None) -> None:
    assert quiet_hours_end(ControlPolicy(quiet_hours=hours), NOW) == ends


def test_nobody_is_pushed_in_quiet_hours() -> None:
    hours = (time(11), time(13))

    step = decide(run(Reason.NOT_OBEYING, ago(days=1)), quiet_hours=hours)
    proof = decide(run(Reason.SILENT, ago(days=1), found_until=ago(hours=1)), HERE, verdict(), quiet_hours=hours)

    assert step == WaitUntil(NOW + HOUR, "the quiet hours have to end first")
    assert proof == Prove(wakes=False)


def test_what_the_policy_does_not_allow_needs_a_person() -> None:
    allowed = frozenset({"push"})

    assert isinstance(decide(run(Reason.DDM_DEAD, ago(days=1)), remedies=allowed), AskPerson)
    assert isinstance(decide(run(Reason.USER_CHANNEL_MISSING, ago(days=1)), remedies=allowed), Act)
    proof = decide(run(Reason.DDM_DEAD, ago(days=1), found_until=ago(hours=1)), HERE, verdict(), remedies=allowed)
    assert isinstance(proof, WaitUntil)


# --- the proof --------------------------------------------------------------------------------------------------------


def test_the_proof_is_asked_for_again_after_growing_pauses() -> None:
    one, now, asked = run(Reason.SILENT, ago(days=9), found_until=ago(hours=1)), NOW, []
    for _ in range(10):
        decision = decide(one, replace(HERE, last_contact_at=now, last_proof_at=None), verdict(), now=now)
        if isinstance(decision, WaitUntil):
            assert decision.at is not None
            now = decision.at
        else:
            asked.append(now - NOW)
            one = after(one, decision, PLAYBOOKS[one.reason], now)

    assert asked[:4] == [timedelta(0), 10 * MINUTE, 70 * MINUTE, 70 * MINUTE + 4 * HOUR]


def test_a_proof_is_awaited_while_something_graver_is_found() -> None:
    gone = run(Reason.NO_INVENTORY, ago(days=9), found_until=ago(days=6))

    found = decide(gone, AWAY, verdict(Reason.SILENT, ControlState.INACTIVE))

    assert isinstance(found, WaitUntil)
    assert found.at_contact


def test_a_proof_is_awaited_for_weeks_and_not_for_ever() -> None:
    gone = run(Reason.SILENT, ago(days=90), found_until=NOW - PROOF_AWAITED)

    assert decide(gone, replace(HERE, last_proof_at=None), verdict()) == GiveUp("it never obeyed since", is_over=True)


def test_a_reason_that_is_found_again_goes_on_where_it_was() -> None:
    playbook = PLAYBOOKS[Reason.NOT_OBEYING]
    one = run(Reason.NOT_OBEYING, ago(days=9), step=2, attempts=4, acted_at=ago(days=2))

    gone = looked_at(one, Found.NOT, playbook, ago(hours=1))
    back = looked_at(replace(gone, probes=2), Found.GRADED, playbook, NOW)

    assert gone.found_until == ago(hours=1)
    assert looked_at(gone, Found.NOT, playbook, NOW) == gone
    assert back == one


# --- by hand, and beforehand ------------------------------------------------------------------------------------------


def test_a_plan_tells_what_is_done_until_it_repeats_itself() -> None:
    steps = plan(PLAYBOOKS[Reason.NOT_OBEYING], run(Reason.NOT_OBEYING), HERE, POLICY, NOW)

    assert [one.step.kind for one in steps[:4]] == [StepKind.PROBE] * 3 + [StepKind.RESTART]
    assert [one.needs_person for one in steps[:4]] == [False, False, False, True]
    assert [one.at for one in steps] == sorted(one.at for one in steps)
    assert len(steps) <= 12


def test_the_next_step_that_can_be_done_is_none_that_is_said_or_needs_a_person() -> None:
    blocked = PLAYBOOKS[Reason.COMMAND_BLOCKS_QUEUE]
    found = doable_step(blocked, run(Reason.COMMAND_BLOCKS_QUEUE), HERE, POLICY, NOW)
    nothing = doable_step(PLAYBOOKS[Reason.PROFILE_REMOVED], run(Reason.PROFILE_REMOVED), HERE, POLICY, NOW)

    assert found is not None
    assert found[1].kind is StepKind.PROBE
    assert nothing is None


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.sampled_from([reason for reason in Reason if PLAYBOOKS[reason].opens]),
    st.lists(st.integers(1, 60 * 24 * 20), min_size=1, max_size=30),
    st.booleans(),
)
def test_any_recovery_goes_forward_and_does_nothing_alone_that_needs_a_person(
    reason: Reason, pauses: list[int], comes: bool
) -> None:
    one, now = run(reason), NOW
    for pause in pauses:
        now += pause * MINUTE
        dossier = replace(HERE, last_contact_at=now if comes else ago(days=3))
        decision = decide(one, dossier, now=now)
        assert not (isinstance(decision, Act) and decision.step.kind in NEED_A_PERSON)
        assert not isinstance(decision, WaitUntil) or decision.at is None or decision.at > now
        moved = after(one, decision, PLAYBOOKS[reason], now)
        assert (moved.step, moved.attempts) >= (one.step, 0)
        assert moved.step > one.step or moved.attempts >= one.attempts
        one = moved

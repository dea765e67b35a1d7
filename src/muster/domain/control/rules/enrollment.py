"""The way in: is its enrollment complete, and proved?"""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.obedience import asked_since
from muster.domain.control.rules.reading import ANSWER_WINDOW, Said, heard_after, is_away, is_enrolled
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import duration, instant
from muster.domain.enrollment import EnrollmentState

COMPLETES_WITHIN: Final = timedelta(minutes=15)
"""From Authenticate to TokenUpdate: seconds, but for people who read what Setup Assistant shows."""
PROVES_WITHIN: Final = timedelta(hours=1)
"""Pushes go out 10, 30 and 120 seconds after its TokenUpdate, and again after an hour."""
SET_UP_ENDS_WITHIN: Final = timedelta(minutes=30)


def enrollment_incomplete(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did it begin an enrollment that it has not finished?"""
    is_first = dossier.state is EnrollmentState.ENROLLING
    since = dossier.provisional_since or (dossier.first_seen_at if is_first else None)
    if since is None or dossier.state is EnrollmentState.ENDED:
        return None
    if since + COMPLETES_WITHIN > now:
        return NotYet(since + COMPLETES_WITHIN)
    sentence = f"its Authenticate came {instant(since, now)}, and no TokenUpdate followed"
    if not is_first:
        sentence = f"{sentence}; its former enrollment stays in force"
    return Finding(
        Reason.ENROLLMENT_INCOMPLETE,
        ControlState.AT_RISK,
        since,
        sentence,
        Forecast.WITH_A_PERSON,
        "install the enrollment profile again, and watch what the device says",
        (Cited("S7", since, "Authenticate without TokenUpdate"),),
    )


def erased_reenrolling(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Was it erased, and is on its way back?"""
    if not dossier.fetches or dossier.state is EnrollmentState.ENDED or dossier.epoch < 1 or not dossier.is_device:
        return None
    fetched_at = max(one.last_at for one in dossier.fetches)
    enrolled_at = dossier.enrolled_at
    if enrolled_at is not None and enrolled_at >= fetched_at:  # the new life began
        if dossier.epoch == 1 or (dossier.last_proof_at is not None and dossier.last_proof_at >= enrolled_at):
            return None
        step, what = "what was assigned to it is restored as soon as it obeys", "and has enrolled, but not obeyed yet"
    elif heard_after(dossier, fetched_at + ANSWER_WINDOW) and dossier.provisional_since is None:
        return None  # it goes on as it was
    else:
        step, what = "its enrollment goes on by itself in Setup Assistant", "and has not enrolled yet"
    sentence = f"fetched its enrollment profile {instant(fetched_at, now)}, so it was erased, {what}"
    return Finding(
        Reason.ERASED_REENROLLING,
        ControlState.AT_RISK,
        fetched_at,
        sentence,
        Forecast.WITH_US,
        step,
        (Cited("S12", fetched_at, "the enrollment profile was fetched"),),
    )


def record_deleted_while_enrolled(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did it speak though its record had been deleted, and has not proved itself since?"""
    at = dossier.was_resurrected_at
    if at is None or not is_enrolled(dossier) or (dossier.last_proof_at is not None and dossier.last_proof_at > at):
        return None
    sentence = f"spoke {instant(at, now)} though its record had been deleted, and was taken back"
    return Finding(
        Reason.RECORD_DELETED_WHILE_ENROLLED,
        ControlState.AT_RISK,
        at,
        sentence,
        Forecast.WITH_US,
        "it is asked a harmless question at its next contact; unenroll it first if it is to be deleted",
        (Cited("S1", at, "spoke by an identity that is bound to it"),),
    )


def stuck_awaiting_configuration(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does it wait in Setup Assistant, though all that was meant for it is answered?"""
    set_up = dossier.set_up
    if set_up is None or set_up.answered_at is None or not is_enrolled(dossier):
        return None
    if set_up.answered_at + SET_UP_ENDS_WITHIN > now:
        return NotYet(set_up.answered_at + SET_UP_ENDS_WITHIN)
    released = "its DeviceConfigured is queued" if set_up.is_released else "no DeviceConfigured is queued"
    sentence = (
        f"waits in Setup Assistant since {instant(set_up.since, now).removeprefix('on ')}, though all that was meant "
        f"for it was answered {instant(set_up.answered_at, now)}; {released}"
    )
    return Finding(
        Reason.STUCK_AWAITING_CONFIGURATION,
        ControlState.AT_RISK,
        set_up.answered_at,
        sentence,
        Forecast.WITH_US,
        "DeviceConfigured is sent, and sent again",
        (Cited("S6", set_up.since, "AwaitingConfiguration"),),
    )


def awaiting_user_sign_in(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does its account-driven enrollment wait for its user to sign in?"""
    since = dossier.sign_in_wanted_since
    if since is None or not is_enrolled(dossier):
        return None
    sentence = f"its user has to sign in again since {instant(since, now).removeprefix('on ')}, when his token ran out"
    step = "the user signs in, in Settings, under the account of the organization"
    cited = (Cited("S2", since, "came without a token that is good"),)
    return Finding(
        Reason.AWAITING_USER_SIGN_IN, ControlState.AT_RISK, since, sentence, Forecast.WITH_A_PERSON, step, cited
    )


def not_yet_proved(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has it enrolled, and obeyed nothing yet?"""
    enrolled_at = dossier.enrolled_at or dossier.first_seen_at
    if not is_enrolled(dossier) or is_away(dossier):
        return None
    if dossier.last_proof_at is not None and dossier.last_proof_at >= enrolled_at:
        return None
    asked_at = asked_since(dossier)
    if asked_at is None and (not dossier.is_device or heard_after(dossier, enrolled_at)):
        return None
    due_at = max(enrolled_at, asked_at or enrolled_at) + PROVES_WITHIN
    if due_at > now:
        return NotYet(due_at)
    came = "has come since" if heard_after(dossier, enrolled_at) else "has not come since"
    sentence = (
        f"enrolled {instant(enrolled_at, now)}, {duration(now - enrolled_at)} ago, {came}, and has obeyed nothing yet"
    )
    return Finding(
        Reason.NOT_YET_PROVED,
        ControlState.AT_RISK,
        enrolled_at,
        sentence,
        Forecast.WITH_US,
        "it is pushed, and asked a harmless question at its next contact",
        (Cited("S6", enrolled_at, "enrolled"),),
    )

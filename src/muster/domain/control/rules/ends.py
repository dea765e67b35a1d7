"""Step 2: is the end on record? A known end stays the end, whatever else is found."""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import AdeRecord, Dossier
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import (
    A_DAY,
    Said,
    heard_after,
    is_enrolled,
    is_gone,
    last_heard,
    return_step,
    returns,
    unheard_since,
    until_gone,
    until_unheard,
)
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import instant
from muster.domain.enrollment import EndReason, EnrollmentState
from muster.protocol.identifiers import ChannelKind

LAST_WORDS: Final = timedelta(minutes=10)
"""A device that was told to erase itself may finish what it was saying for so long."""
ERASES_WITHIN: Final = timedelta(hours=1)
"""The answer to EraseDevice is sent once and may be lost; one who was handed it and is silent for so long obeyed it."""
_USER_ENROLLMENTS: Final = frozenset({ChannelKind.USER_ENROLLMENT_DEVICE, ChannelKind.USER_ENROLLMENT_USER})
_BY_US: Final = frozenset({EndReason.UNENROLLED, EndReason.REJECTED})
_OF_USERS: Final = {
    EndReason.USER_EVICTED: "the device has this user no more",
    EndReason.USER_DELETED: "the user was deleted from the device by an administrator",
    EndReason.RE_ENROLLED: "the device was enrolled anew, and the user has not come back since",
}


def unenrolled_by_us(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did we let it go?"""
    if dossier.ended_reason not in _BY_US:
        return None
    how = (
        "it was turned away, as an administrator had ordered"
        if dossier.ended_reason is EndReason.REJECTED
        else "it removed its enrollment profile, as an administrator had ordered"
    )
    return _ended(dossier, Reason.UNENROLLED_BY_US, "S5", how, now, Forecast.NOTHING_TO_DO, "")


def erased_by_us(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Was it erased by our command, and has not enrolled again?"""
    erase = dossier.erase
    if erase is None or dossier.state is EnrollmentState.ENDED:
        return None
    obeyed_at = erase.acknowledged_at or erase.handed_out_at
    enrolled_at = dossier.enrolled_at
    if (enrolled_at is not None and enrolled_at > erase.handed_out_at) or heard_after(dossier, obeyed_at + LAST_WORDS):
        return None
    if erase.acknowledged_at is None and dossier.provisional_since is None:
        waiting = until_unheard(dossier, erase.handed_out_at, ERASES_WITHIN, now)
        if waiting is not None:
            return waiting
    how = "acknowledged" if erase.acknowledged_at is not None else "was handed out, and nothing was heard since"
    sentence = f"our EraseDevice {how}, {instant(obeyed_at, now)}"
    if erase.acknowledged_at is not None:
        sentence = f"it acknowledged our EraseDevice {instant(obeyed_at, now)}"
    expected_by, step, look_again_at = erase.expected_by, return_step(dossier), None
    if expected_by is not None and expected_by <= now:
        sentence = f"{sentence}; it was expected back by {instant(expected_by, now).removeprefix('on ')}, and is not"
        step = "find out where the device is"
    elif expected_by is not None:
        look_again_at = expected_by
    cited = (Cited("S5", obeyed_at, f"EraseDevice {how}"),)
    return Finding(
        Reason.ERASED_BY_US,
        ControlState.ENDED,
        obeyed_at,
        sentence,
        returns(dossier),
        step,
        cited,
        look_again_at=look_again_at,
    )


def user_ended_enrollment(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did the user of a User Enrollment end it?"""
    if dossier.ended_reason is not EndReason.CHECKED_OUT or dossier.kind not in _USER_ENROLLMENTS:
        return None
    how = "its user ended the enrollment"
    return _ended(dossier, Reason.USER_ENDED_ENROLLMENT, "S8", how, now, Forecast.NOTHING_TO_DO, "")


def user_evicted(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has the device this user no more?"""
    how = None if dossier.ended_reason is None else _OF_USERS.get(dossier.ended_reason)
    if how is None:
        return None
    return _ended(dossier, Reason.USER_EVICTED, "S5", how, now, Forecast.NOTHING_TO_DO, "")


def never_completed(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Was its enrollment given up before it was complete?"""
    if dossier.ended_reason is not EndReason.NEVER_COMPLETED:
        return None
    how, step = "its enrollment was never completed", "its user has to enroll it again"
    return _ended(dossier, Reason.ENROLLMENT_INCOMPLETE, "S7", how, now, Forecast.WITH_A_PERSON, step)


def profile_removed(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did it check out?"""
    if dossier.ended_reason is EndReason.CHECKED_OUT and dossier.kind in _USER_ENROLLMENTS:
        return None
    if dossier.ended_reason not in {EndReason.CHECKED_OUT, None}:
        return None
    how = "it checked out: its enrollment profile was removed"
    return _ended(dossier, Reason.PROFILE_REMOVED, "S8", how, now, returns(dossier), return_step(dossier))


def hardware_replaced(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has other hardware its serial number since, and is itself silent?"""
    new = [one for one in dossier.linked if one.is_new_hardware and one.is_enrolled]
    if not is_enrolled(dossier) or not dossier.is_device or len(new) != 1 or heard_after(dossier, new[0].seen_at):
        return None
    successor = new[0]
    waiting = until_unheard(dossier, successor.seen_at, A_DAY, now)
    if waiting is not None:
        return waiting
    sentence = (
        f"{successor.device_id} enrolled with its serial number {instant(successor.seen_at, now)}, and it has not been "
        "heard since"
    )
    cited = (Cited("S7", successor.seen_at, f"another device has its serial number: {successor.device_id}"),)
    step = "its keys and tokens in escrow are kept; retire its record once the repair is confirmed"
    since = successor.seen_at
    return Finding(Reason.HARDWARE_REPLACED, ControlState.ENDED, since, sentence, Forecast.NOT_AT_ALL, step, cited)


def taken_by_other_service(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it assigned to another service, and silent since?"""
    ade = dossier.ade
    if ade is None or ade.is_deleted or ade.assigned_here or not is_enrolled(dossier):
        return None
    how, step = "assigned to another service", "confirm that it was meant to move, or assign it back"
    return _left(dossier, ade, Reason.TAKEN_BY_OTHER_SERVICE, how, step, now)


def released(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it released from the organization, and silent since?"""
    ade = dossier.ade
    if ade is None or not ade.is_deleted or not is_enrolled(dossier):
        return None
    step = "retire its record, or see who released it"
    found = _left(dossier, ade, Reason.RELEASED, "released from the organization", step, now)
    if isinstance(found, Finding):
        return found
    words = f"released from the organization {instant(ade.changed_at, now)}, and it still comes"
    look_again_at = None if found is None else found.look_again_at
    cited = (Cited("S11", ade.changed_at, "released from the organization"),)
    return Finding(
        Reason.RELEASED,
        None,
        ade.changed_at,
        words,
        Forecast.WITH_A_PERSON,
        step,
        cited,
        look_again_at=look_again_at,
    )


def _left(
    dossier: Dossier, ade: AdeRecord, reason: Reason, how: str, step: str, now: datetime
) -> Finding | NotYet | None:
    """Tell of a device that Automated Device Enrollment says has gone. What is frozen ends nothing later than that."""
    heard_at = ade.heard_at or ade.changed_at
    is_late = ade.is_frozen and unheard_since(dossier, ade.changed_at, now) < now - heard_at + A_DAY
    if is_late:
        return None
    if not is_gone(dossier, ade.changed_at, now):
        at = until_gone(dossier, ade.changed_at, now)
        return None if at is None else NotYet(at)
    sentence = f"{how} {instant(ade.changed_at, now)}, and not heard since {instant(dossier.silence.since, now)}"
    cited = (Cited("S11", ade.changed_at, how), *last_heard(dossier, now))
    since = max(ade.changed_at, dossier.silence.since)
    return Finding(reason, ControlState.ENDED, since, sentence, Forecast.WITH_A_PERSON, step, cited)


def _ended(
    dossier: Dossier, reason: Reason, signal: str, how: str, now: datetime, forecast: Forecast, step: str
) -> Finding | None:
    if dossier.state is not EnrollmentState.ENDED:
        return None
    ended_at = dossier.ended_at or dossier.silence.since
    cited = (Cited(signal, ended_at, how),)
    return Finding(reason, ControlState.ENDED, ended_at, f"{how}, {instant(ended_at, now)}", forecast, step, cited)

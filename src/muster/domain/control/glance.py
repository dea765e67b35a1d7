"""A glance at a device: is it plainly well, so that no rule need be asked?

Of a fleet nearly all devices are so on nearly all days: they come, they obey, and nothing speaks against them. Whoever
is not plainly well may be so all the same, and is judged in full. Who is, the judge would find well, too: a property
test holds every rule to that.
"""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import AdeRecord, DdmRecord, Silence
from muster.domain.control.finding import Verdict
from muster.domain.control.judging import OBEYS
from muster.domain.control.reasons import Reason
from muster.domain.control.review_schedule import ROUTINE, again_at
from muster.domain.control.rules.ddm import OVERDUE
from muster.domain.control.rules.identity import EXPIRES_SOON, SHARE_OF_LIFE
from muster.domain.control.rules.reading import A_DAY, silence_changes, state_of_silence
from muster.domain.control.states import ControlState, Forecast, ProofLevel
from muster.protocol.records import record

PROOF_RENEWED_AT: Final = 2
"""The proof of a channel that comes is renewed when so great a part of its window is over: one half."""
_UNASSIGNED: Final = frozenset({"empty", "removed"})


@record(frozen=True, slots=True)
class Glance:
    """What shows at a glance of a device's own channel that is enrolled and has obeyed. Times are aware UTC.

    Where a dossier has a field of this name it is the same. *enrolled_at*: when it was first seen, where that isn't
    known. *told_at*: when it told of itself last, else *enrolled_at*; None: it is not asked. *is_push_answered*: a
    contact followed the push that APNs accepted last, or none was accepted. *certificate_not_after*: of its push topic;
    None: there is none, or the topic's breaker is open.
    """

    enrolled_at: datetime
    last_contact_at: datetime
    last_proof_at: datetime
    silence: Silence
    is_push_proved: bool
    is_push_answered: bool
    is_push_refused: bool
    throttled_until: datetime | None
    certificate_not_after: datetime | None
    identity_not_before: datetime
    identity_not_after: datetime
    is_renewal_failing: bool
    rotated_at: datetime | None
    told_at: datetime | None
    has_enrollment_profile: bool | None
    has_identity_certificate: bool | None
    is_lost: bool | None
    ade: AdeRecord | None
    ddm: DdmRecord | None
    is_on_record: bool
    """Something else is on record of which rules tell: it was refused, cloned, erased or is in set-up, a command has no
    answer, another device has its serial number, its network is silent, a fault of ours touched it, and the like."""


def is_plainly_well(glance: Glance, policy: ControlPolicy, now: datetime) -> bool:
    """Tell whether nothing at all is to be said of a device: it is in control, and its proof not yet to be renewed."""
    return (
        not glance.is_on_record
        and not policy.agent
        and _obeys(glance, policy, now)
        and _is_called(glance, now)
        and _is_identified(glance, now)
        and _tells_of_itself(glance, policy)
        and _is_ours_for_others(glance, now)
        and state_of_silence(glance.silence.counted, glance.silence, policy) is None
    )


def verdict_on(glance: Glance, policy: ControlPolicy, now: datetime) -> Verdict:
    """Return the verdict on a device that is plainly well, as the judge would give it.

    Of the times at which time alone may change it there is only the one by its silence; the others are further off
    than the day's routine.
    """
    return Verdict(
        state=ControlState.IN_CONTROL,
        reason=Reason.NONE,
        since=glance.last_proof_at,
        sentence=OBEYS,
        forecast=Forecast.NOTHING_TO_DO,
        next_step="",
        proof_level=ProofLevel.OBEYED,
        proof_at=glance.last_proof_at,
        is_push_proved=glance.is_push_proved,
        look_again_at=silence_changes(glance.silence.counted, glance.silence, policy, now),
    )


def glance_again_at(glance: Glance, policy: ControlPolicy, now: datetime) -> datetime:
    """Tell when a device that is plainly well is to be judged again though nothing happens meanwhile."""
    changes_at = silence_changes(glance.silence.counted, glance.silence, policy, now)
    return again_at(glance.silence, changes_at, policy, now)


def _obeys(glance: Glance, policy: ControlPolicy, now: datetime) -> bool:
    """Tell whether it obeyed in this enrollment, and so lately that nothing that it left unanswered is remarkable."""
    age, window = now - glance.last_proof_at, policy.proof_window
    return glance.last_proof_at >= glance.enrolled_at and age < window / PROOF_RENEWED_AT and age + A_DAY < window


def _is_called(glance: Glance, now: datetime) -> bool:
    """Tell whether pushes reach it."""
    ends_at = glance.certificate_not_after
    return (
        glance.is_push_answered
        and not glance.is_push_refused
        and glance.throttled_until is None
        and ends_at is not None
        and ends_at >= now + ROUTINE
    )


def _is_identified(glance: Glance, now: datetime) -> bool:
    """Tell whether its identity is in order, and good for longer than the margin of any that expires soon."""
    if glance.is_renewal_failing or glance.rotated_at is not None:
        return False
    life = max(glance.identity_not_after - glance.identity_not_before, timedelta(0))
    return glance.identity_not_after - min(EXPIRES_SOON, life / SHARE_OF_LIFE) >= now + ROUTINE


def _tells_of_itself(glance: Glance, policy: ControlPolicy) -> bool:
    """Tell whether it told of itself lately, and nothing that calls for thought."""
    if glance.is_lost or glance.has_enrollment_profile is False or glance.has_identity_certificate is False:
        return False
    return glance.told_at is None or glance.last_contact_at <= glance.told_at + policy.inventory_limit / 2 - A_DAY


def _is_ours_for_others(glance: Glance, now: datetime) -> bool:
    """Tell whether Automated Device Enrollment and declarative management say so, where they say anything."""
    ade, ddm = glance.ade, glance.ddm
    if ade is not None and (ade.is_frozen or ade.is_deleted or not ade.assigned_here):
        return False
    if ade is not None and ade.profile_status in _UNASSIGNED:
        return False
    if ddm is None:
        return True
    if ddm.asked_at is not None or ddm.push_magic_differs or ddm.push_token_differs:
        return False
    if ddm.status_at is None:
        return True
    return ddm.status_at <= glance.last_contact_at and ddm.status_at + OVERDUE >= now + ROUTINE

"""Step 8: will it come back to us at its next activation? What Automated Device Enrollment says of its assignment."""

from datetime import datetime

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Cited, Finding
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import Said, is_enrolled
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import instant


def ade_profile_unassigned(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it assigned to us, and has no enrollment profile for its next activation?"""
    ade = dossier.ade
    if ade is None or not is_enrolled(dossier) or not ade.assigned_here or ade.is_deleted:
        return None
    if ade.profile_status not in {"empty", "removed"}:
        return None
    how = "is removed" if ade.profile_status == "removed" else "is not assigned"
    since = instant(ade.changed_at, now).removeprefix("on ")
    sentence = f"its enrollment profile {how} since {since}: erased, it would not come back"
    return Finding(
        Reason.ADE_PROFILE_UNASSIGNED,
        ControlState.AT_RISK,
        ade.changed_at,
        sentence,
        Forecast.WITH_US,
        "the profile is assigned again, and that is verified",
        (Cited("S11", ade.changed_at, f"profile status: {ade.profile_status}"),),
    )


def ade_assigned_elsewhere(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it assigned to another service, and still here?"""
    ade = dossier.ade
    if ade is None or not is_enrolled(dossier) or ade.assigned_here or ade.is_deleted:
        return None
    sentence = f"assigned to another service {instant(ade.changed_at, now)}: erased, it would go there"
    return Finding(
        Reason.ADE_ASSIGNED_ELSEWHERE,
        ControlState.AT_RISK,
        ade.changed_at,
        sentence,
        Forecast.WITH_A_PERSON,
        "confirm that it is meant to move, or assign it back in Apple Business Manager or Apple School Manager",
        (Cited("S11", ade.changed_at, "assigned to another service"),),
    )

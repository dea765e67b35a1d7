"""Step 6, too: declarative management speaks for itself. Does it live alone, or lie dead beside a living client?"""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import DdmRecord, Dossier, Seen
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import (
    A_DAY,
    ANSWER_WINDOW,
    Said,
    heard_after,
    is_away,
    is_enrolled,
    pushes_that_count,
)
from muster.domain.control.silence_clock import day_of
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import count, duration, instant

PUSHES: Final = 3
HABITUAL_REPORTS: Final = 5
"""So many status reports, one or more on a day on which it was heard, on the average, are a habit: Apple's devices send
a full one about once a day (`FullReport`), but only who has something to report."""
OVERDUE: Final = timedelta(days=2)
"""So long after its last report one of that habit is overdue, if it was about for a day of it."""
CAME: Final = 3
"""Contacts without a report."""
JUST_BACK: Final = timedelta(hours=1)
"""Who comes back reports its status before that."""


def mdm_dead_ddm_alive(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did it send status reports, and not connect through three pushes?"""
    push, ddm = dossier.push, dossier.ddm
    if push is None or ddm is None or ddm.status_at is None or not is_enrolled(dossier) or is_away(dossier):
        return None
    connected_at = dossier.last_connect_at or dossier.last_contact_at or dossier.silence.since
    pushes = tuple(at for at in pushes_that_count(dossier) if at > connected_at)
    if len(pushes) < PUSHES or ddm.status_at < pushes[PUSHES - 1] + ANSWER_WINDOW:
        return None
    alive_at = min((at for at in dossier.contacts if at >= pushes[PUSHES - 1] + ANSWER_WINDOW), default=ddm.status_at)
    if min(alive_at, ddm.status_at) + ANSWER_WINDOW > now:
        return NotYet(min(alive_at, ddm.status_at) + ANSWER_WINDOW)  # it has just come back, and connects presently
    if pushes[0] + A_DAY > now:
        return NotYet(pushes[0] + A_DAY)
    through = count(len(pushes), "push")
    sentence = (
        f"sent a status report {instant(ddm.status_at, now)}, and has not connected through {through} "
        f"since {instant(connected_at, now).removeprefix('on ')}"
    )
    return Finding(
        Reason.MDM_DEAD_DDM_ALIVE,
        ControlState.OUT_OF_CONTROL,
        connected_at,
        sentence,
        Forecast.WITH_A_PERSON,
        "what can be said by declarations is said; a person restarts it, else enrolls it again",
        (
            Cited("S10", ddm.status_at, "an authenticated status report"),
            Cited("S3", pushes[-1], f"{count(len(pushes), 'push')} accepted, none led to a connect"),
        ),
    )


def ddm_dead(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did it acknowledge DeclarativeManagement a day ago, or used to report daily, and come since without a status?"""
    ddm = dossier.ddm
    if ddm is None or not is_enrolled(dossier):
        return None
    overdue = _overdue(dossier, ddm, now)
    if isinstance(overdue, Finding):
        return overdue
    if ddm.asked_at is None or (ddm.status_at is not None and ddm.status_at >= ddm.asked_at):
        return overdue
    if not heard_after(dossier, ddm.asked_at + ANSWER_WINDOW):
        return None  # it left as soon as it had acknowledged
    if ddm.asked_at + A_DAY > now:
        return NotYet(ddm.asked_at + A_DAY)
    sentence = f"acknowledged DeclarativeManagement {instant(ddm.asked_at, now)}, and has sent no status since"
    return Finding(
        Reason.DDM_DEAD,
        ControlState.AT_RISK,
        ddm.asked_at,
        sentence,
        Forecast.WITH_US,
        "DeclarativeManagement is sent again, with the present tokens",
        (Cited("S5", ddm.asked_at, "DeclarativeManagement acknowledged"),),
    )


def _overdue(dossier: Dossier, ddm: DdmRecord, now: datetime) -> Said:
    """Tell of a device that reported its status day by day, and comes without."""
    status_at, reports = ddm.status_at, ddm.reports
    if status_at is None or reports is None or reports.count < HABITUAL_REPORTS:
        return None
    if reports.last_at - reports.first_at - _away_between(dossier, reports) > (reports.count - 1) * A_DAY:
        return None
    if status_at + OVERDUE > now:
        return NotYet(status_at + OVERDUE)
    since = [at for at in dossier.contacts if at > status_at + ANSWER_WINDOW]
    if len(since) < CAME or since[-1] - since[0] < A_DAY:
        return None
    if since[-1] - since[-2] > A_DAY and since[-1] + JUST_BACK > now:
        return NotYet(since[-1] + JUST_BACK)
    every = duration((reports.last_at - reports.first_at) / (reports.count - 1))
    sentence = f"sent a status report every {every} until {instant(status_at, now)}, and none since, though it came"
    return Finding(
        Reason.DDM_DEAD,
        ControlState.AT_RISK,
        status_at,
        sentence,
        Forecast.WITH_US,
        "DeclarativeManagement is sent again, with the present tokens",
        (Cited("S10", status_at, f"the last of {count(reports.count, 'status report')}"),),
    )


def _away_between(dossier: Dossier, reports: Seen) -> timedelta:
    """Return how many of the days between the first and the last of *reports* it was not heard on at all: weekends,
    for one. Days before the first contact that is remembered count as if it had been."""
    known = [at for at in dossier.contacts if reports.first_at <= at <= reports.last_at]
    if not known:
        return timedelta(0)
    days = {day_of(at) for at in known}
    return (day_of(reports.last_at) - min(days) + 1 - len(days)) * A_DAY

"""What several rules read of a dossier: whether a channel was heard since, for how long it wasn't, and who is alive."""

from datetime import datetime, timedelta
from typing import Final, TypeAlias

from muster.domain.control.control_policy import SUSPICION_OF_QUIET, ControlPolicy
from muster.domain.control.dossier import Dossier, Seen, Silence
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.own_side import deaf_times
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import instant
from muster.domain.enrollment import EnrollmentState

Said: TypeAlias = Finding | NotYet | None

A_DAY: Final = timedelta(days=1)
"""So long evidence of a loss must stand without a contact that contradicts it."""
ANSWER_WINDOW: Final = timedelta(minutes=10)
"""A contact so soon after an accepted push answered it."""
SUSPICION_WITH_A_CAUSE: Final = 1.0
"""Where a cause of leaving is on record, a silence of one in ten is enough to believe it."""
SILENCE_WITH_A_CAUSE: Final = timedelta(days=3)
"""Or one that is longer than a weekend."""


def pushes_that_count(dossier: Dossier) -> tuple[datetime, ...]:
    """Return when APNs accepted pushes in LOOK_BACK that could have been answered: while a fault of ours kept devices
    from reaching us, they were heard in vain."""
    if dossier.push is None:
        return ()
    ours = [(one.began_at - ANSWER_WINDOW, one.ended_at) for one in dossier.faults]
    return tuple(
        at
        for at in dossier.push.accepted
        if not any(began <= at and (ended is None or at <= ended) for began, ended in ours)
    )


def is_enrolled(dossier: Dossier) -> bool:
    """Tell whether the channel's enrollment is in force, so that it ought to obey."""
    return dossier.state is EnrollmentState.ENROLLED


def is_away(dossier: Dossier) -> bool:
    """Tell whether this is the channel of a user who is not there: asleep, not logged in, or not on the console.

    A contact after the device listed him as logged out contradicts it; not that he is off the console, which his own
    messages say anew each time.
    """
    login = dossier.login
    if dossier.is_device or dossier.state is EnrollmentState.DORMANT:
        return dossier.state is EnrollmentState.DORMANT
    if login is None:
        return False
    is_contradicted = login.told_at is not None and heard_after(dossier, login.told_at)
    return login.is_on_console is False or (login.is_logged_in is False and not is_contradicted)


def heard_after(dossier: Dossier, at: datetime) -> bool:
    """Tell whether the channel was heard after *at*."""
    return dossier.last_contact_at is not None and dossier.last_contact_at > at


def silence_of(dossier: Dossier, now: datetime) -> timedelta:
    """Return for how long the channel has been silent, on the clock of silence.

    A user's silence counts from his login on, for before it he had nothing to say.
    """
    login = dossier.login
    if dossier.is_device or login is None or login.is_logged_in is not True or login.changed_at is None:
        return dossier.silence.counted
    return min(dossier.silence.counted, max(now - login.changed_at, timedelta(0)))


def by_silence(dossier: Dossier, policy: ControlPolicy, now: datetime) -> ControlState | None:
    """Return what the silence makes of a channel, by its rhythm and the policy's limits; None: nothing."""
    return state_of_silence(silence_of(dossier, now), dossier.silence, policy)


def state_of_silence(counted: timedelta, silence: Silence, policy: ControlPolicy) -> ControlState | None:
    """Return what a silence of *counted* makes of a channel; None: nothing."""
    if counted < policy.contact_window:
        return None
    if counted >= policy.silence_limit:
        return ControlState.OUT_OF_CONTROL
    if counted >= policy.tolerance:
        return ControlState.INACTIVE
    return ControlState.QUIET if silence.suspicion >= SUSPICION_OF_QUIET else None


def silence_changes_at(dossier: Dossier, policy: ControlPolicy, now: datetime) -> datetime | None:
    """Return when `by_silence` may say something else, if nothing is heard until then."""
    return silence_changes(silence_of(dossier, now), dossier.silence, policy, now)


def silence_changes(counted: timedelta, silence: Silence, policy: ControlPolicy, now: datetime) -> datetime | None:
    """Return when a silence of *counted* may make something else of a channel, if nothing is heard until then."""
    window_ends_at = now + (policy.contact_window - counted)
    moments = [max(now + (limit - counted), window_ends_at) for limit in (policy.tolerance, policy.silence_limit)]
    if silence.suspicion >= SUSPICION_OF_QUIET:
        moments.append(window_ends_at)
    elif silence.suspicious_at is not None:
        moments.append(max(silence.suspicious_at, window_ends_at))
    return min((at for at in moments if at > now), default=None)


def unheard_since(dossier: Dossier, at: datetime, now: datetime) -> timedelta:
    """Return for how long, on the clock of silence, the channel has not been heard that was not heard since *at*."""
    began_at = max(at, dossier.silence.since)
    deaf = sum(
        (max(ended - max(began, began_at), timedelta(0)) for began, ended in deaf_times(dossier.faults, now)),
        timedelta(0),
    )
    return max(min(now - began_at - deaf, dossier.silence.counted), timedelta(0))


def until_unheard(dossier: Dossier, at: datetime, delay: timedelta, now: datetime) -> NotYet | None:
    """Return when the channel will not have been heard for *delay* since *at*; None: that is so already."""
    unheard = unheard_since(dossier, at, now)
    return NotYet(now + (delay - unheard)) if unheard < delay else None


def is_gone(dossier: Dossier, since: datetime, now: datetime) -> bool:
    """Tell whether the channel has been silent for long enough, since a cause of leaving that is on record at *since*.

    APNs saying since then that its token is dead says it, too.
    """
    push, unheard = dossier.push, unheard_since(dossier, since, now)
    if heard_after(dossier, since + A_DAY):
        unheard = dossier.silence.counted  # it stayed for days after the cause; its leaving is the silence now
    if unheard < A_DAY:
        return False
    is_refused = push is not None and push.refused_at is not None and not heard_after(dossier, push.refused_at)
    return (
        is_refused
        or dossier.silence.suspicion >= SUSPICION_WITH_A_CAUSE
        or dossier.silence.counted >= SILENCE_WITH_A_CAUSE
    )


def until_gone(dossier: Dossier, since: datetime, now: datetime) -> datetime | None:
    """Return when time alone may make `is_gone` true; None: no time, or it is so already."""
    unheard = dossier.silence.counted if heard_after(dossier, since + A_DAY) else unheard_since(dossier, since, now)
    moments = [now + (A_DAY - unheard), now + (SILENCE_WITH_A_CAUSE - dossier.silence.counted)]
    if dossier.silence.suspicious_at is not None:
        moments.append(dossier.silence.suspicious_at)
    return min((at for at in moments if at > now), default=None)


def claimed_by_other(dossier: Dossier, refused: Seen) -> str:
    """Return which other device spoke by an identity of this one, and was refused; empty: none, or its own did."""
    claimed = refused.detail.get("claimed_id")
    device_id = claimed.partition(":")[0] if isinstance(claimed, str) else ""
    return "" if device_id == dossier.device_id else device_id


def knocked_at(dossier: Dossier) -> datetime | None:
    """Return when the device last gave a sign of life under its identity that is no contact, since its last contact:
    it was refused, or sent a status of declarative management. Another device that shows its identity is none."""
    signs = [one.last_at for one in dossier.refused if not claimed_by_other(dossier, one)]
    if dossier.ddm is not None and dossier.ddm.status_at is not None:
        signs.append(dossier.ddm.status_at)
    return max((at for at in signs if dossier.last_contact_at is None or at > dossier.last_contact_at), default=None)


def last_refused(dossier: Dossier, words: frozenset[str]) -> Seen | None:
    """Return the last refused contact for one of the reasons *words*."""
    if not dossier.refused:
        return None
    return max((one for one in dossier.refused if one.word in words), key=lambda one: one.last_at, default=None)


def presence_since(dossier: Dossier, policy: ControlPolicy) -> datetime | None:
    """Return since when the channel has been in contact without a gap longer than the tolerance, as far as is known."""
    since, tolerance = dossier.last_contact_at, policy.tolerance
    for at in reversed(dossier.contacts):
        if since is not None and since - at > tolerance:
            break
        if since is None or at < since:
            since = at
    return since


def returns(dossier: Dossier) -> Forecast:
    """Tell how a device that lost its enrollment comes back: by Automated Device Enrollment, or by a person."""
    ade = dossier.ade
    is_ours = ade is not None and ade.assigned_here and not ade.is_deleted
    return Forecast.WITH_US if is_ours else Forecast.WITH_A_PERSON


def return_step(dossier: Dossier) -> str:
    """Say what brings a device back that lost its enrollment."""
    if returns(dossier) is Forecast.WITH_US:
        return "Automated Device Enrollment asks it to enroll again when it is next set up"
    return "its user has to enroll it again"


def push_answer(dossier: Dossier, now: datetime) -> tuple[Cited, ...]:
    """Cite what APNs said of its token, or that it accepted a push since the last contact."""
    push = dossier.push
    if push is None:
        return ()
    if push.refused_at is not None and push.refusal is not None:
        return (Cited("S3", push.refused_at, f"APNs refused its token: {push.refusal.value}"),)
    if push.accepted_at is not None and push.accepted_at > dossier.silence.since:
        return (Cited("S3", push.accepted_at, f"APNs accepted a push {instant(push.accepted_at, now)}, unanswered"),)
    return ()


def last_heard(dossier: Dossier, now: datetime) -> tuple[Cited, ...]:
    """Cite the last contact."""
    at = dossier.last_contact_at
    return () if at is None else (Cited("S1", at, f"last contact {instant(at, now)}"),)

"""Users' channels: is that user there, is the device itself lost, and does the user's client live?"""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier, LoginRecord
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.own_side import CALLED_AGAIN_WITHIN
from muster.domain.control.reasons import REASONS, Reason
from muster.domain.control.rules.reading import (
    A_DAY,
    ANSWER_WINDOW,
    Said,
    heard_after,
    is_away,
    is_enrolled,
    last_heard,
    pushes_that_count,
)
from muster.domain.control.silence_clock import day_of
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import count, instant
from muster.domain.enrollment import EnrollmentState

PUSHES_TO_USER: Final = 3
APART: Final = timedelta(hours=1)
"""The first pushes after a TokenUpdate come within two minutes, and are one attempt."""
_OF_WHO_COMES: Final = frozenset({Reason.NO_INVENTORY})
"""Reasons for which a device is lost that is in contact, and says nothing of its users' channels."""
_LOST: Final = frozenset({ControlState.QUIET, ControlState.INACTIVE, ControlState.OUT_OF_CONTROL, ControlState.ENDED})


def user_not_logged_in(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is this the channel of a user who is not logged in, or not on the console?"""
    if dossier.state is EnrollmentState.ENDED or not is_away(dossier):
        return None
    login = dossier.login
    told_at = None if login is None else (login.changed_at or login.told_at)
    since = told_at or dossier.silence.since
    is_logged_in = login is not None and login.is_logged_in is True
    what = "the user is logged in, and not on the console" if is_logged_in else "the user is not logged in"
    cited = () if told_at is None else (Cited("S9", told_at, what),)
    sentence = f"{what}, since {instant(since, now).removeprefix('on ')}"
    return Finding(
        Reason.USER_NOT_LOGGED_IN, ControlState.DORMANT, since, sentence, Forecast.BY_ITSELF, "nothing", cited
    )


def device_of_user_lost(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is the device itself silent or lost, so that its user can't be heard?"""
    login = dossier.login
    if login is None or login.device_state is None or not is_device_lost(dossier) or is_away(dossier):
        return None
    reason = login.device_reason
    if reason is None or reason is Reason.NONE:
        reason = Reason.SILENT
    forecast = Forecast.BY_ITSELF if login.device_state in _MAY_COME_BACK else Forecast.WITH_A_PERSON
    sentence = f"nothing is heard of the device itself: {REASONS[reason].title}"
    step = "what is done for the device is done for its users"
    since = max(dossier.silence.since, login.device_heard_at or dossier.silence.since)
    return Finding(reason, login.device_state, since, sentence, forecast, step, last_heard(dossier, now))


def is_device_lost(dossier: Dossier) -> bool:
    """Tell whether this is a user's channel whose device is silent or lost, and was not heard after it."""
    login = dossier.login
    if dossier.is_device or login is None or login.device_state not in _LOST or not is_enrolled(dossier):
        return False
    if login.device_reason in _OF_WHO_COMES:
        return False
    return login.device_heard_at is None or not heard_after(dossier, login.device_heard_at)


def user_channel_dead(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is the device fresh and this user logged in, and has he been silent through three pushes?"""
    login, push = dossier.login, dossier.push
    if dossier.is_device or not is_enrolled(dossier) or login is None or push is None or is_away(dossier):
        return None
    if login.is_logged_in is not True or is_device_lost(dossier) or login.device_heard_at is None:
        return None
    if login.device_state is ControlState.UNKNOWN:
        return None  # what keeps us from the device keeps us from its users
    if login.is_device_deaf:
        return None  # it comes by itself: what goes unanswered are pushes to anybody there
    begun_at = max(
        at for at in (dossier.silence.since, login.changed_at, _answers_since(dossier, login)) if at is not None
    )
    last = login.device_heard_at - ANSWER_WINDOW  # the device may sleep since, and what was pushed later tells nothing
    pushes = tuple(at for at in pushes_that_count(dossier) if begun_at < at <= last and _was_about(login, at))
    if len(pushes) < PUSHES_TO_USER or pushes[-1] - pushes[0] < APART:
        return None
    if login.told_at is None or login.told_at < pushes[0]:
        return None  # he may have left since
    since = instant(dossier.silence.since, now).removeprefix("on ")
    sentence = (
        f"not heard since {since} through {count(len(pushes), 'push')}, "
        f"though logged in, and the device came {instant(login.device_heard_at, now)}"
    )
    evidence = (
        Cited("S3", pushes[-1], f"{count(len(pushes), 'push')} accepted, none answered"),
        Cited("S9", login.told_at, "the user is logged in"),
        Cited("S1", login.device_heard_at, "the device's own channel was heard"),
    )
    step = "the MDM profile is installed again by the device's channel"
    return Finding(
        Reason.USER_CHANNEL_DEAD,
        ControlState.OUT_OF_CONTROL,
        begun_at,
        sentence,
        Forecast.WITH_US,
        step,
        evidence,
    )


def _was_about(login: LoginRecord, at: datetime) -> bool:
    """Tell whether the device itself was heard on the day of *at*, and did not miss the push of its own next to that:
    other pushes may have reached nobody."""
    if login.device_rhythm is not None and not login.device_rhythm.was_heard(day_of(at)):
        return False
    answered = min((abs(one - at) for one in login.device_answered), default=None)
    missed = min((abs(one - at) for one in login.device_missed), default=None)
    if missed is None or missed > A_DAY:
        return True
    return answered is not None and answered <= missed


def _answers_since(dossier: Dossier, login: LoginRecord) -> datetime | None:
    """Return since when the device has been in control: while it was lost, so were its users; None: it isn't, or was
    not lost before but could not be judged, for a fault of ours that was over just then."""
    since = login.device_since
    if since is None or login.device_state is not ControlState.IN_CONTROL:
        return None
    ends = (one.ended_at for one in dossier.faults if one.ended_at is not None)
    return None if any(at <= since <= at + CALLED_AGAIN_WITHIN for at in ends) else since


def user_channel_missing(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has somebody been logged in to a user-approved Mac for a day, and no user's channel opened?"""
    inventory, users = dossier.inventory, dossier.users
    if not is_enrolled(dossier) or not dossier.is_device or not policy.expects_user_channel or users.channels:
        return None
    if inventory is None or inventory.is_user_approved is not True or users.login_seen_at is None:
        return None
    if users.login_seen_at + A_DAY > now:
        return NotYet(users.login_seen_at + A_DAY)
    sentence = f"a user was seen logged in {instant(users.login_seen_at, now)}, and no user's channel has opened since"
    step = "see that the enrollment profile allows users' channels; the user signs out and in again"
    return Finding(
        Reason.USER_CHANNEL_MISSING,
        ControlState.AT_RISK,
        users.login_seen_at,
        sentence,
        Forecast.WITH_A_PERSON,
        step,
        (Cited("S9", users.login_seen_at, "a user is logged in"),),
    )


_MAY_COME_BACK: Final = frozenset({ControlState.QUIET, ControlState.INACTIVE})

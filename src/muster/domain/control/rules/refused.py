"""Step 3: did it knock and get refused? Whoever knocks is alive, and believes to be ours."""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier, Seen
from muster.domain.control.evidence import CLOCK_OFF_BY
from muster.domain.control.finding import Cited, Finding
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import (
    Said,
    heard_after,
    is_enrolled,
    last_refused,
    silence_of,
    until_unheard,
)
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import count, duration, instant
from muster.domain.errors import RefusalCode

EXPIRED: Final = frozenset({RefusalCode.IDENTITY_EXPIRED.value})
UNBOUND: Final = frozenset(
    {
        RefusalCode.IDENTITY_NOT_PINNED.value,
        RefusalCode.IDENTITY_OF_EARLIER_LIFE.value,
        RefusalCode.IDENTITY_OF_ANOTHER_DEVICE.value,
        RefusalCode.IDENTITY_MISMATCH.value,
        RefusalCode.IDENTITY_UNKNOWN.value,
    }
)
"""Refused for an identity of our authority that is not this device's present one."""
SUPERSEDED: Final = frozenset({RefusalCode.IDENTITY_SUPERSEDED.value})
CLOCK_NOTED_WITHIN: Final = timedelta(hours=2)
"""While a clock is wrong this is noted once an hour; who obeyed so long after the last note has set it right. What it
says without a connect is not looked at for that."""
_NOT_YET_VALID: Final = "not_yet_valid"


def identity_expired_and_refused(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does it knock with an identity that has expired?"""
    refused = last_refused(dossier, EXPIRED)
    if refused is None or not is_enrolled(dossier) or heard_after(dossier, refused.last_at):
        return None
    identity = dossier.identity
    if identity is not None and identity.not_after > refused.last_at:
        return None  # it was an older one
    ended_at = refused.first_at if identity is None else identity.not_after
    sentence = f"knocked {instant(refused.last_at, now)} with an identity that expired {instant(ended_at, now)}"
    forecast, what, look_again_at = expired_forecast(dossier, now)
    return Finding(
        Reason.IDENTITY_EXPIRED,
        ControlState.OUT_OF_CONTROL,
        ended_at,
        f"{sentence}; {what}",
        forecast,
        "its renewal is handed to it when it knocks again" if forecast is Forecast.WITH_US else "enroll it again",
        _cited(refused),
        look_again_at=look_again_at,
    )


def expired_forecast(dossier: Dossier, now: datetime) -> tuple[Forecast, str, datetime | None]:
    """Tell whether the server can still renew an expired identity: the forecast, the words, and until when it holds."""
    identity = dossier.identity
    if not dossier.is_device:
        return Forecast.WITH_US, "it is the device's own, whose verdict says how long the server can renew it", None
    if identity is None:
        return Forecast.WITH_A_PERSON, "it has to enroll again", None
    if not identity.is_profile_known:
        return (
            Forecast.WITH_A_PERSON,
            "with which profile it was enrolled is not known, so it has to enroll again",
            None,
        )
    if identity.lane_ends_at <= now:
        ended = instant(identity.lane_ends_at, now)
        return Forecast.WITH_A_PERSON, f"the server could have renewed it until {ended.removeprefix('on ')}", None
    left = duration(identity.lane_ends_at - now)
    return Forecast.WITH_US, f"the server can renew it by itself for {left} more", identity.lane_ends_at


def identity_unrecognized(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does it knock with an identity of ours that is not the one given to it?"""
    refused = last_refused(dossier, UNBOUND)
    if refused is None or not is_enrolled(dossier) or not dossier.is_device:
        return None
    claimed = refused.detail.get("claimed_id")
    is_own = claimed is None or claimed == dossier.channel_id
    knocks = f"{count(refused.count, 'contact')}, the last {instant(refused.last_at, now)}, came by an identity of ours"
    if not is_own or heard_after(dossier, refused.first_at):
        whose = "under another's name" if not is_own else "that is not its present one; it goes on by that"
        words = f"{knocks} {whose}, and {'was' if refused.count == 1 else 'were'} refused"
        step = "if that is a second device, enroll it by a link of its own"
        noted_at, cited = refused.first_at, _cited(refused)
        return Finding(Reason.IDENTITY_UNRECOGNIZED, None, noted_at, words, Forecast.WITH_A_PERSON, step, cited)
    waiting = until_unheard(dossier, dossier.silence.since, policy.contact_window, now)
    if waiting is not None:
        return waiting
    return Finding(
        Reason.IDENTITY_UNRECOGNIZED,
        ControlState.OUT_OF_CONTROL,
        refused.first_at,
        f"{knocks} that is not its present one, and by that nothing was heard for {duration(silence_of(dossier, now))}",
        Forecast.WITH_A_PERSON,
        "enroll it again",
        _cited(refused),
    )


def restored_older_backup(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does it speak by an identity that was renewed since, so that it was restored from an older backup?"""
    identity, refused = dossier.identity, last_refused(dossier, SUPERSEDED)
    spoke_at = None if identity is None else identity.speaks_superseded_at
    if refused is not None and (spoke_at is None or refused.last_at > spoke_at):
        spoke_at = refused.last_at
    if spoke_at is None or not is_enrolled(dossier) or heard_after(dossier, spoke_at):
        return None
    return Finding(
        Reason.RESTORED_OLDER_BACKUP,
        ControlState.AT_RISK,
        spoke_at if refused is None else refused.first_at,
        f"spoke {instant(spoke_at, now)} by an identity that was renewed since: restored from an older backup",
        Forecast.WITH_US,
        "its identity is renewed once more at its next contact",
        _cited(refused) if refused is not None else (Cited("S6", spoke_at, "spoke by an identity renewed since"),),
    )


def device_clock_wrong(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is its clock wrong?"""
    if not is_enrolled(dossier):
        return None
    seen = dossier.clock
    words_of_clocks = frozenset(one.word for one in dossier.refused if _NOT_YET_VALID in one.word)
    refused = last_refused(dossier, words_of_clocks) if words_of_clocks else None
    if refused is not None and not heard_after(dossier, refused.last_at):
        words = f"refused {instant(refused.last_at, now)}, for by one of our clocks its identity is not valid yet"
        return _clock(refused.first_at, words, _cited(refused))
    seconds = None if seen is None else seen.detail.get("seconds")
    proof_at = dossier.last_proof_at
    if seen is None or (proof_at is not None and proof_at > seen.last_at + CLOCK_NOTED_WITHIN):
        return None
    if not isinstance(seconds, int) or timedelta(seconds=abs(seconds)) < CLOCK_OFF_BY:
        return None
    words = f"its clock was {duration(timedelta(seconds=abs(seconds)))} {'ahead' if seconds > 0 else 'behind'}"
    sentence = f"{words} {instant(seen.last_at, now)}"
    return _clock(seen.first_at, sentence, (Cited("S1", seen.last_at, words),))


def _clock(since: datetime, sentence: str, cited: tuple[Cited, ...]) -> Finding:
    step = "identities are made valid from an hour ago on; have the device set its clock by itself"
    return Finding(Reason.DEVICE_CLOCK_WRONG, ControlState.AT_RISK, since, sentence, Forecast.BY_ITSELF, step, cited)


def _cited(refused: Seen) -> tuple[Cited, ...]:
    times = count(refused.count, "time")
    return (Cited("S2", refused.last_at, f"refused {times}: {refused.word.replace('_', ' ')}"),)

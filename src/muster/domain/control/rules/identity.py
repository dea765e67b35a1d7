"""Step 5: the arithmetic of identities. Does the silence begin where the identity ends; does its renewal fail?"""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import (
    A_DAY,
    Said,
    by_silence,
    claimed_by_other,
    heard_after,
    is_enrolled,
    last_heard,
    return_step,
    returns,
    silence_changes_at,
    until_unheard,
)
from muster.domain.control.rules.refused import expired_forecast
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import count, day, duration, instant
from muster.domain.renewal_failures import EXPLANATIONS

EXPIRES_SOON: Final = timedelta(days=30)
SHARE_OF_LIFE: Final = 3
SHARE_TO_RENEW: Final = 4
"""Of the last third of a shorter life its renewal, which begins then, has a quarter: devices have to come for it."""
"""Identities that live for less than three months are at risk in the last third of their life instead."""


def identity_expired(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has its identity expired, and does its silence begin there?"""
    identity = dossier.identity
    if identity is None or not is_enrolled(dossier):
        return None
    if identity.not_after > now:
        return NotYet(identity.not_after)
    if dossier.silence.since < identity.not_after - policy.contact_window:
        return None  # it had gone before; what the end of its identity adds is the silence's to tell
    forecast, what, look_again_at = expired_forecast(dossier, now)
    sentence = f"its identity expired {instant(identity.not_after, now)}, and it has not been heard since; {what}"
    if heard_after(dossier, identity.not_after):
        sentence = f"its identity expired {instant(identity.not_after, now)}; {what}"
    return Finding(
        Reason.IDENTITY_EXPIRED,
        ControlState.OUT_OF_CONTROL,
        identity.not_after,
        sentence,
        forecast,
        "its renewal is pushed, and handed to it when it knocks" if forecast is Forecast.WITH_US else "enroll it again",
        (Cited("S13", identity.not_after, "its identity ended"), *last_heard(dossier, now)),
        look_again_at=look_again_at,
    )


def identity_renewal_refused(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does the renewal of its identity fail?"""
    identity = dossier.identity
    if identity is None or identity.failure is None or not is_enrolled(dossier):
        return None
    failed_at = identity.failed_at or identity.sent_at or identity.not_before
    explained = EXPLANATIONS[identity.failure]
    what = explained.what[:1].lower() + explained.what[1:].removesuffix(".")
    failures = count(max(identity.failures, 1), "renewal")
    sentence = f"{failures} of its identity failed, the last {instant(failed_at, now)}: {what}"
    if identity.not_after > now:
        sentence = f"{sentence}; the present one is good for {duration(identity.not_after - now)} more"
    step = explained.remedy[:1].lower() + explained.remedy[1:].removesuffix(".")
    shows = f"renewal failed: {identity.failure.value}"
    return Finding(
        Reason.IDENTITY_RENEWAL_REFUSED,
        ControlState.AT_RISK,
        failed_at,
        sentence,
        Forecast.WITH_US,
        step,
        (Cited("S5", failed_at, shows),),
    )


def identity_expiring(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does its identity expire soon, unrenewed?"""
    identity = dossier.identity
    if identity is None or not is_enrolled(dossier) or identity.not_after <= now:
        return None
    margin = min(EXPIRES_SOON, max(identity.not_after - identity.not_before, timedelta(0)) / SHARE_OF_LIFE)
    since = identity.not_after - margin
    if margin < EXPIRES_SOON:
        since = min(max(since, identity.renew_from + margin / SHARE_TO_RENEW), identity.not_after - margin / 2)
    if since > now:
        return NotYet(since)
    sentence = f"its identity expires {day(identity.not_after, now)}, in {duration(identity.not_after - now)}"
    if identity.sent_at is not None:
        sentence = f"{sentence}; a renewal was sent {instant(identity.sent_at, now)}, and is not in use yet"
    if not identity.is_profile_known:
        forecast, step = Forecast.WITH_A_PERSON, "with which profile it was enrolled is not known: enroll it again"
    else:
        forecast, step = Forecast.WITH_US, "its renewal goes before all other commands, at its next contact"
    cited = (Cited("S13", identity.not_after, f"its identity ends {instant(identity.not_after, now)}"),)
    return Finding(
        Reason.IDENTITY_EXPIRING,
        ControlState.AT_RISK,
        since,
        sentence,
        forecast,
        step,
        cited,
        look_again_at=identity.not_after,
    )


def identity_cloned(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did another device come by its identity?"""
    identity = dossier.identity
    if not is_enrolled(dossier) or not dossier.is_device:
        return None
    seen = [
        (one.first_at, one.last_at, one.detail.get("newcomer")) for one in dossier.check_ins if one.word == "cloned"
    ]
    seen += [(one.seen_at, one.seen_at, one.device_id) for one in dossier.linked if one.used_our_identity]
    seen += [
        (one.first_at, one.last_at, claimed) for one in dossier.refused if (claimed := claimed_by_other(dossier, one))
    ]
    if identity is not None:  # an identity that was issued since is in nobody else's hands
        seen = [one for one in seen if one[1] >= identity.not_before]
    if not seen or (_is_left_behind(dossier) and by_silence(dossier, policy, now) is not None):
        return None
    since, last_at = min(one[0] for one in seen), max(one[1] for one in seen)
    others = {str(one[2]) for one in seen if one[2] is not None}
    sentence = f"{count(max(len(others), 1), 'other device')} came by its identity, the last {instant(last_at, now)}"
    return Finding(
        Reason.IDENTITY_CLONED,
        ControlState.AT_RISK,
        since,
        f"{sentence}, and {'was' if len(others) <= 1 else 'were'} refused",
        Forecast.WITH_A_PERSON,
        "enroll one of the two again, so that each has an identity of its own",
        (Cited("S7", last_at, f"its identity was shown by {', '.join(sorted(others)) or 'another device'}"),),
        (Reason.IDENTITY_CLONED, Reason.RESTORED_OTHER_DEVICE) if _is_left_behind(dossier) else (),
        look_again_at=silence_changes_at(dossier, policy, now) if _is_left_behind(dossier) else None,
    )


def restored_other_device(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has it been silent since another device came by its identity: did its owner move there?"""
    if not is_enrolled(dossier) or not dossier.is_device or not _is_left_behind(dossier):
        return None
    state, changes_at = by_silence(dossier, policy, now), silence_changes_at(dossier, policy, now)
    if state is None:
        return None if changes_at is None else NotYet(changes_at)
    newcomers = [(one.seen_at, str(one.device_id)) for one in dossier.linked if one.used_our_identity]
    newcomers += [
        (one.last_at, str(one.detail.get("newcomer") or "another device"))
        for one in dossier.check_ins
        if one.word == "cloned"
    ]
    newcomers += [(one.last_at, claimed) for one in dossier.refused if (claimed := claimed_by_other(dossier, one))]
    at, newcomer = max(newcomers)
    sentence = (
        f"{newcomer} came by its identity {instant(at, now)}, and it has itself not been heard for "
        f"{duration(dossier.silence.counted)}: its owner moved there"
    )
    return Finding(
        Reason.RESTORED_OTHER_DEVICE,
        state,
        dossier.silence.since,
        sentence,
        Forecast.WITH_A_PERSON,
        "enroll the other device anew, and retire this one",
        (Cited("S7", at, f"its identity was shown by {newcomer}"), *last_heard(dossier, now)),
        (Reason.RESTORED_OTHER_DEVICE, Reason.IDENTITY_CLONED, Reason.SILENT),
        look_again_at=changes_at,
    )


def identity_missing(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did its list of certificates lack its identity, and was nothing heard since?"""
    inventory = dossier.inventory
    if inventory is None or inventory.has_identity_certificate is not False or not is_enrolled(dossier):
        return None
    checked_at = inventory.checked_certificates_at
    if checked_at is None or not dossier.is_device:
        return None
    if heard_after(dossier, checked_at + policy.contact_window):
        return None  # it speaks by that very identity
    waiting = until_unheard(dossier, checked_at, A_DAY, now)
    if waiting is not None:
        return waiting
    sentence = f"its list of certificates lacked its identity {instant(checked_at, now)}, and nothing was heard since"
    return Finding(
        Reason.IDENTITY_MISSING,
        ControlState.OUT_OF_CONTROL,
        checked_at,
        sentence,
        returns(dossier),
        return_step(dossier),
        (Cited("S9", checked_at, "its identity is not among its certificates"), *last_heard(dossier, now)),
    )


def ca_changed(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Was its identity issued by an authority that is not the current one?"""
    identity = dossier.identity
    if identity is None or identity.rotated_at is None or not is_enrolled(dossier):
        return None
    words = (
        f"its identity is of another authority than the one that was made {instant(identity.rotated_at, now)}, "
        "and counts as before"
    )
    if not identity.is_profile_known:  # another server issued it
        forecast, step = Forecast.WITH_A_PERSON, "with which profile it was enrolled is not known: supply it"
    else:
        forecast, step = Forecast.WITH_US, "it is renewed by the current authority in its turn"
    return Finding(Reason.CA_CHANGED, None, identity.rotated_at, words, forecast, step)


def _is_left_behind(dossier: Dossier) -> bool:
    """Tell whether nothing was heard since another device came by its identity."""
    shown = [one.seen_at for one in dossier.linked if one.used_our_identity]
    shown += [one.last_at for one in dossier.check_ins if one.word == "cloned"]
    shown += [one.last_at for one in dossier.refused if claimed_by_other(dossier, one)]
    return bool(shown) and not heard_after(dossier, max(shown))

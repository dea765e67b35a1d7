"""Step 9, last: nothing explains it better, so how long has it been silent?"""

from datetime import datetime

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import (
    Said,
    by_silence,
    is_away,
    is_enrolled,
    knocked_at,
    last_heard,
    push_answer,
    return_step,
    silence_changes_at,
    silence_of,
)
from muster.domain.control.rules.users import is_device_lost
from muster.domain.control.rules.witnesses import SILENT_TOGETHER
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import duration, instant


def silence(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Has it been silent for longer than its rhythm explains, or than the policy allows?"""
    if not is_enrolled(dossier) or is_away(dossier) or is_device_lost(dossier):
        return None
    state, changes_at = by_silence(dossier, policy, now), _changes_at(dossier, policy, now)
    knocked = knocked_at(dossier)
    lives_until = None if knocked is None else knocked + policy.contact_window
    if state is not ControlState.OUT_OF_CONTROL and lives_until is not None and lives_until > now:
        # not silent on every witness: it spoke to us, though not as it should
        return NotYet(lives_until if changes_at is None else min(lives_until, changes_at))
    is_expired = state is not None and _is_expired(dossier, now)
    if state is None:
        return None if changes_at is None else NotYet(changes_at)
    sentence = f"not heard for {duration(silence_of(dossier, now))}"
    if is_expired:
        assert dossier.identity is not None
        state = ControlState.OUT_OF_CONTROL
        sentence = f"{sentence}, and its identity expired {instant(dossier.identity.not_after, now)}"
    elif state is ControlState.QUIET:
        sentence = f"{sentence}, longer than its rhythm explains"
    elif state is ControlState.INACTIVE:
        sentence = f"{sentence}, longer than the {duration(policy.tolerance)} that are tolerated"
    else:
        sentence = f"{sentence}, past the limit of {duration(policy.silence_limit)}"
    is_lost = state is ControlState.OUT_OF_CONTROL
    return Finding(
        Reason.SILENT,
        state,
        dossier.silence.since,
        sentence,
        Forecast.WITH_A_PERSON if is_lost else Forecast.BY_ITSELF,
        _next_step(dossier, is_lost=is_lost),
        (*last_heard(dossier, now), *push_answer(dossier, now)),
        _candidates(dossier),
        look_again_at=changes_at,
    )


def _is_expired(dossier: Dossier, now: datetime) -> bool:
    return dossier.identity is not None and dossier.identity.not_after <= now


def _changes_at(dossier: Dossier, policy: ControlPolicy, now: datetime) -> datetime | None:
    at, identity = silence_changes_at(dossier, policy, now), dossier.identity
    if identity is None or identity.not_after <= now:
        return at
    return identity.not_after if at is None else min(at, identity.not_after)


def _next_step(dossier: Dossier, *, is_lost: bool) -> str:
    push = dossier.push
    if is_lost:
        return f"look for the device, or ask its user; if it was erased or lost its profile, {return_step(dossier)}"
    if push is not None and push.accepted_at is not None and push.accepted_at > dossier.silence.since:
        return "APNs keeps a push for it and delivers that when it comes back"
    return "it is pushed once; APNs keeps that push until it comes back"


def _candidates(dossier: Dossier) -> tuple[Reason, ...]:
    """Rank the causes that leave these same traces, the likeliest first."""
    if not dossier.is_device:
        return (Reason.SILENT, Reason.USER_NOT_LOGGED_IN, Reason.USER_CHANNEL_DEAD)
    ranked = [Reason.SILENT]
    site, inventory, ade = dossier.site, dossier.inventory, dossier.ade
    if site is not None and site.silent >= SILENT_TOGETHER:
        ranked.append(Reason.NETWORK_BLOCKS_SERVER)
    stuck, heard_at = dossier.obedience.stuck, dossier.last_contact_at
    if stuck and heard_at is not None and stuck[-1].last_handed_out_at >= heard_at:
        ranked.append(Reason.CLIENT_HUNG)
    is_locked = inventory is not None and inventory.is_enrollment_removable is False
    if not is_locked:
        ranked.append(Reason.PROFILE_REMOVED_UNREPORTED)
    if ade is not None and not ade.assigned_here:
        ranked.append(Reason.TAKEN_BY_OTHER_SERVICE)
    ranked.append(Reason.IDENTITY_MISSING)
    return tuple(ranked)

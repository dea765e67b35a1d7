"""Step 7: do other witnesses, or its neighbours, say that it lives? Then this is a loss of control, not an absence."""

from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import LOOK_BACK, Dossier, WitnessRecord
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import (
    A_DAY,
    Said,
    by_silence,
    heard_after,
    is_enrolled,
    last_heard,
    push_answer,
    return_step,
    returns,
    silence_changes_at,
    until_unheard,
)
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import count, duration, instant

SILENT_TOGETHER: Final = 3
"""Devices of one address that are silent at once, this one included: two may be chance."""


def profile_removed_unreported(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it silent here, and does a witness say that it lives without our profile?"""
    if not is_enrolled(dossier) or not dossier.is_device:
        return None
    push, inventory = dossier.push, dossier.inventory
    token_dead_at = None if push is None or push.refusal is None else push.refused_at
    said: tuple[datetime, str, WitnessRecord | None] | None = None
    for one in _seen_since_contact(dossier):
        if one.says_unmanaged:
            said = (one.seen_at, f"{one.name} said that it has no enrollment profile", one)
        elif said is None and token_dead_at is not None and one.seen_at > token_dead_at:
            said = (one.seen_at, f"APNs says that its token is dead, and {one.name} saw it", one)
    if said is None and inventory is not None and inventory.has_enrollment_profile is False:
        checked_at = inventory.inventory_at
        if checked_at is None or heard_after(dossier, checked_at + policy.contact_window):
            return None
        said = (checked_at, "its list of profiles lacked our enrollment profile", None)
    if said is None:
        return None
    at, what, witness = said
    waiting = until_unheard(dossier, dossier.silence.since, A_DAY, now)
    if waiting is not None:
        return waiting
    signal = "S9" if witness is None else "S16"
    sentence = f"{what} {instant(at, now)}, and nothing was heard of it for {duration(dossier.silence.counted)}"
    return Finding(
        Reason.PROFILE_REMOVED_UNREPORTED,
        ControlState.OUT_OF_CONTROL,
        dossier.silence.since,
        sentence,
        returns(dossier),
        return_step(dossier),
        (Cited(signal, at, what), *push_answer(dossier, now), *last_heard(dossier, now)),
    )


def network_blocks_server(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Did the devices of its network fall silent together, while some are heard from elsewhere or live there?"""
    if not is_enrolled(dossier) or not dossier.is_device or not is_network_blocking(dossier):
        return None
    site = dossier.site
    assert site is not None, "a network blocks by its site"
    waiting = until_unheard(dossier, dossier.silence.since, A_DAY, now)
    if waiting is not None:
        return waiting
    state, changes_at = by_silence(dossier, policy, now), silence_changes_at(dossier, policy, now)
    if state is None:
        return None if changes_at is None else NotYet(changes_at)
    seen = [f"{count(site.heard_elsewhere, 'other')} of it came from elsewhere"] if site.heard_elsewhere else []
    seen += [f"{count(site.witnessed, 'device')} of it lives there as others say"] if site.witnessed == 1 else []
    seen += [f"{count(site.witnessed, 'device')} of it live there as others say"] if site.witnessed > 1 else []
    seen += ["it was itself seen there by others"] if not seen else []
    since = site.silent_since or dossier.silence.since
    sentence = (
        f"{site.silent} of {count(site.members, 'device')} at {site.address} have been silent since "
        f"{instant(since, now).removeprefix('on ')}; {' and '.join(seen)}"
    )
    return Finding(
        Reason.NETWORK_BLOCKS_SERVER,
        state,
        dossier.silence.since,
        sentence,
        Forecast.WITH_A_PERSON,
        f"ask whoever runs the network at {site.address} to exempt this server from inspection and filters",
        (Cited("S14", since, f"{site.silent} of {site.members} at {site.address} silent"), *last_heard(dossier, now)),
        (Reason.NETWORK_BLOCKS_SERVER, Reason.SILENT),
        look_again_at=changes_at,
    )


def is_network_blocking(dossier: Dossier) -> bool:
    """Tell whether its neighbours are silent with it, and something says that not all of them are gone.

    Seen there counts once their silence has lasted for a day: who is seen in the evening may leave with the others.
    """
    site = dossier.site
    if site is None or site.silent < SILENT_TOGETHER:
        return False
    lasts_from = (site.silent_since or dossier.silence.since) + A_DAY
    is_seen_there = any(
        one.network == site.address and one.seen_at > lasts_from for one in _seen_since_contact(dossier)
    )
    return site.heard_elsewhere > 0 or site.witnessed > 0 or is_seen_there


def alive_elsewhere(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Was it pushed and not heard for a day, while another witness saw it since?"""
    push = dossier.push
    if not is_enrolled(dossier) or not dossier.is_device or push is None or is_network_blocking(dossier):
        return None
    first = next((at for at in push.accepted if at > dossier.silence.since), None)
    if first is None:
        return None
    saw = [one for one in _seen_since_contact(dossier) if one.seen_at >= max(first, dossier.silence.since + A_DAY)]
    if not saw:
        return None
    waiting = until_unheard(dossier, max(first, dossier.silence.since), A_DAY, now)
    if waiting is not None:
        return waiting
    last = saw[-1]
    sentence = (
        f"not heard for {duration(dossier.silence.counted)}, though it was pushed {instant(first, now)} and "
        f"{last.name} saw it {instant(last.seen_at, now)}"
    )
    return Finding(
        Reason.IDENTITY_MISSING,
        ControlState.OUT_OF_CONTROL,
        dossier.silence.since,
        sentence,
        returns(dossier),
        f"restart it, for its client may hang; see whether its profile and identity are there; {return_step(dossier)}",
        (Cited("S16", last.seen_at, f"seen by {last.name}"), *push_answer(dossier, now), *last_heard(dossier, now)),
        (
            Reason.IDENTITY_MISSING,
            Reason.PROFILE_REMOVED_UNREPORTED,
            Reason.NETWORK_BLOCKS_SERVER,
            Reason.CLIENT_HUNG,
        ),
    )


def agent_dead(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Is it in contact, and its agent silent for longer than the tolerance?"""
    if not policy.agent or not is_enrolled(dossier) or not dossier.is_device:
        return None
    seen = [one.seen_at for one in dossier.witnesses if one.name == policy.agent]
    # what was said before is not read any more: no longer silence could be told
    limit = min(policy.tolerance, LOOK_BACK - _RECENT)
    since = max(seen, default=max(dossier.enrolled_at or dossier.first_seen_at, now - LOOK_BACK))
    if not heard_after(dossier, since + limit - _RECENT):
        return None
    if since + limit > now:
        return NotYet(since + limit)
    words = f"{policy.agent} has not spoken since {instant(since, now).removeprefix('on ')}, though it is in contact"
    if not seen:
        within = "in this enrollment" if since > now - LOOK_BACK else f"for {duration(LOOK_BACK)}"
        words = f"{policy.agent} has not spoken {within}, though it is in contact"
    step = f"install {policy.agent} again by a command"
    return Finding(Reason.AGENT_DEAD, None, since, words, Forecast.WITH_US, step)


_RECENT: Final = timedelta(days=1)


def _seen_since_contact(dossier: Dossier) -> list[WitnessRecord]:
    return [
        one
        for one in dossier.witnesses
        if not heard_after(dossier, one.seen_at) and one.seen_at > dossier.silence.since
    ]

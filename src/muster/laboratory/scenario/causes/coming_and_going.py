"""Devices that enroll, are erased, or leave."""

from collections.abc import Iterable
from datetime import timedelta

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.silence import is_witnessed, users_silent
from muster.laboratory.scenario.causes.terms import (
    A_DAY,
    AT_RISK,
    AWAY,
    DEAD_TOKEN,
    ENDED,
    LOST,
    OF_USERS,
    PROMPT,
    SILENCE,
)
from muster.laboratory.scenario.claims import DEVICE, Claim
from muster.laboratory.scenario.life import Life, span_of, text
from muster.laboratory.scenario.model import Way
from muster.laboratory.scenario.played import Episode
from muster.laboratory.scenario.spans import covering, merged


def enroll(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if text(episode, "ends_after") != "Authenticate":
        return
    again = [one.began_at for one in life.of("enroll")]
    if life.device.enrolled_at is not None:
        again.append(life.device.enrolled_at)
    ended = min((at for at in again if at > episode.began_at), default=life.ended_at)
    reasons = frozenset({Reason.ENROLLMENT_INCOMPLETE, Reason.ERASED_REENROLLING})
    span = (episode.began_at, ended)
    states = AT_RISK
    yield life.claim(Reason.ENROLLMENT_INCOMPLETE, number, episode, states, PROMPT, reasons=reasons, span=span)
    # one that never completes is given up some day, which is an end
    yield life.claim(
        Reason.ENROLLMENT_INCOMPLETE, number, episode, ENDED, None, reasons=reasons, span=(span[0] + A_DAY, span[1])
    )


def erase(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    back = span_of(episode, "back")
    way_back = returning(life, number, episode)
    if text(episode, "by") == "administrator":
        if episode.note:
            return
        yield life.claim(Reason.ERASED_BY_US, number, episode, ENDED, A_DAY, needs_contact=True)
        yield from users_silent(life, number, episode, Reason.ERASED_BY_US, frozenset({Reason.ERASED_BY_US}))
        yield from way_back
        return
    reasons = frozenset({Reason.SILENT, Reason.ERASED_REENROLLING} if back is not None else {Reason.SILENT})
    yield from life.by_silence(Reason.SILENT, number, (episode.began_at, life.end_of(episode)), reasons)
    for user in (DEVICE, *life.users()):  # sooner or later APNs knows its token no more
        dead = DEAD_TOKEN if user == DEVICE else DEAD_TOKEN | OF_USERS
        yield life.claim(Reason.SILENT, number, episode, AT_RISK | LOST, None, reasons=dead, user=user)
    yield from way_back


def returning(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """On its way back it is at risk until it has obeyed, which takes minutes."""
    if episode.ended_at is None or episode.ended_at >= life.ended_at:
        return
    span = (max(episode.began_at, episode.ended_at - A_DAY), life.awake_after(episode.ended_at, A_DAY))
    for user in (DEVICE, *life.users()):
        reasons = frozenset(
            {Reason.ERASED_REENROLLING, Reason.NOT_YET_PROVED, Reason.ENROLLMENT_INCOMPLETE, Reason.USER_EVICTED}
        )
        states = AT_RISK if user == DEVICE else AT_RISK | ENDED | AWAY
        yield life.claim(
            Reason.ERASED_REENROLLING, number, episode, states, None, reasons=reasons | OF_USERS, span=span, user=user
        )


def remove_profile(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if episode.note and "did not come back" not in episode.note:
        return
    yield from returning(life, number, episode)
    # it checks out once, and whoever can't hear it then never does
    is_reported = episode.parameters.get("reported") is not False and not is_unheard(life, episode)
    is_by_chance = is_reported and _may_be_unheard(life, episode)
    reasons = {Reason.PROFILE_REMOVED}
    if life.cohort.way is Way.ACCOUNT:
        reasons.add(Reason.USER_ENDED_ENROLLMENT)
    if is_reported and not is_by_chance:
        for user in (DEVICE, *life.users()):
            yield life.claim(
                Reason.PROFILE_REMOVED,
                number,
                episode,
                ENDED if user == DEVICE else ENDED | AWAY,
                PROMPT,
                reasons=frozenset(reasons) if user == DEVICE else frozenset(reasons | OF_USERS),
                user=user,
                needs_contact=True,
            )
        return
    # its token ends with it, so APNs says what it did not
    reasons = {Reason.PROFILE_REMOVED_UNREPORTED, *(reasons if is_by_chance else ())}
    if not is_witnessed(life, episode):
        reasons.add(Reason.PUSH_TOKEN_UNREGISTERED)
    cause, states = Reason.PROFILE_REMOVED_UNREPORTED, LOST | ENDED if is_by_chance else LOST
    yield life.claim(cause, number, episode, states, timedelta(days=3), reasons=frozenset(reasons), needs_contact=True)
    earlier = frozenset(reasons | {Reason.SILENT, Reason.PUSH_TOKEN_UNREGISTERED})
    yield life.claim(
        cause,
        number,
        episode,
        SILENCE | AT_RISK,
        None,
        reasons=earlier,
        span=(episode.began_at, min(life.end_of(episode), life.awake_after(episode.began_at, timedelta(days=3)))),
    )
    yield from users_silent(life, number, episode, cause, earlier)
    for user in life.users():  # a token that APNs knows no more is a risk for a day
        yield life.claim(cause, number, episode, AT_RISK, None, reasons=frozenset(DEAD_TOKEN), user=user)


def is_unheard(life: Life, episode: Episode) -> bool:
    """Whether what the device said of it could not be heard."""
    unheard = merged((*life.cuts, *life.deafened("tls_changed", "proxy_drops_identity", "errors")))
    return covering(unheard, episode.began_at) is not None


def _may_be_unheard(life: Life, episode: Episode) -> bool:
    """Whether it was left to chance: a share of what was said then was lost, or answered with an error."""
    by_chance = (one for _, one in life.episodes if one.primitive in {"errors", "lose_requests"})
    return any(covering(life.during(one), episode.began_at) is not None for one in by_chance)


def unenroll(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if episode.note:
        return
    ended = life.end_of(episode)
    # it is told to leave once, and whoever does not hear that stays
    has_stayed = life.heard_after(life.awake_after(episode.began_at, 2 * A_DAY)) < ended
    for user in (DEVICE, *life.users()):
        yield life.claim(
            Reason.UNENROLLED_BY_US,
            number,
            episode,
            ENDED if user == DEVICE else ENDED | AWAY,
            None if has_stayed else A_DAY,
            reasons=frozenset({Reason.UNENROLLED_BY_US} if user == DEVICE else {Reason.UNENROLLED_BY_US, *OF_USERS}),
            span=(episode.began_at, ended),
            user=user,
            is_fault=not has_stayed,
        )


def send(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if text(episode, "command") == "EraseDevice" and not episode.note:
        yield life.claim(Reason.ERASED_BY_US, number, episode, ENDED, A_DAY, span=(episode.began_at, life.ended_at))

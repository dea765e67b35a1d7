"""The truth of each primitive: what is right to say of a device that it befell, from when on. One table.

Causes that leave the same traces share their reasons: naming either is right. What a platform makes ineffective makes
nothing true. Delays are those of the manual's table of reasons, in time that the device is about.
"""

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Final, TypeAlias

from muster.domain.control.reasons import Reason
from muster.domain.control.states import ControlState
from muster.laboratory.scenario.claims import DEVICE, Claim
from muster.laboratory.scenario.life import Life, share_of, span_of, text
from muster.laboratory.scenario.model import Way
from muster.laboratory.scenario.played import Episode
from muster.laboratory.scenario.spans import Interval, covering, merged
from muster.simulator.facts import Platform

Cause: TypeAlias = Callable[[Life, int, Episode], Iterable[Claim]]

AT_RISK: Final = frozenset({ControlState.AT_RISK})
LOST: Final = frozenset({ControlState.OUT_OF_CONTROL})
ENDED: Final = frozenset({ControlState.ENDED})
UNKNOWN: Final = frozenset({ControlState.UNKNOWN})
AWAY: Final = frozenset({ControlState.DORMANT})
SILENCE: Final = frozenset({ControlState.QUIET, ControlState.INACTIVE, ControlState.OUT_OF_CONTROL})

PROMPT: Final = timedelta(hours=2)
A_DAY: Final = timedelta(days=1)
ONE_DAY_ON: Final = timedelta(days=2)
"""A reason with a delay of a day: one to the push or question that shows it, and one of its own."""
FIVE_PUSHES: Final = timedelta(days=6)
"""A device is asked something once a day, and five pushes have to go unanswered."""
THREE_PUSHES: Final = timedelta(days=4)
FIVE_TIMES: Final = timedelta(days=6)
"""A command is handed out five times before it is said to block the queue: once a day, and when it comes by itself."""
CLOCK_TOLERANCE: Final = timedelta(minutes=5)
WAITS_FOR_APNS: Final = timedelta(seconds=10)
"""A push that takes longer may count as one without an answer."""

_DEAD_TOKEN: Final = frozenset({Reason.PUSH_TOKEN_UNREGISTERED, Reason.PUSH_TOKEN_BAD})
_NO_PUSH: Final = frozenset({Reason.PUSH_MAGIC_WRONG, Reason.PUSH_PATH_BLOCKED})
"""A device that comes by itself and never by a push: whether its magic or its network is wrong shows in its neighbours,
and where it has none that speak, nowhere."""
_ALIVE_ELSEWHERE: Final = frozenset({Reason.IDENTITY_MISSING, Reason.NETWORK_BLOCKS_SERVER, Reason.CLIENT_HUNG})
"""Silent here, alive for another witness."""
_CLONED: Final = frozenset({Reason.IDENTITY_CLONED, Reason.RESTORED_OTHER_DEVICE})
_DISOBEYS: Final = frozenset({Reason.COMMAND_BLOCKS_QUEUE, Reason.NOT_OBEYING, Reason.NO_INVENTORY})


def _nothing(_life: Life, _number: int, _episode: Episode) -> list[Claim]:
    return []


# --- silence ----------------------------------------------------------------------------------------------------------


def _silent(life: Life, number: int, episode: Episode, *others: Reason, is_deaf: bool = False) -> list[Claim]:
    reasons = frozenset({Reason.SILENT, *others})
    return [
        claim
        for span in life.during(episode)
        for claim in life.by_silence(Reason.SILENT, number, span, reasons, is_deaf=is_deaf)
    ]


def _power_off(life: Life, number: int, episode: Episode) -> list[Claim]:
    return _silent(life, number, episode)


def _locked(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if text(episode, "how") == "disk":
        return _silent(life, number, episode)
    return _not_now(life, number, episode)


def _lose_requests(life: Life, number: int, episode: Episode) -> list[Claim]:
    if share_of(episode, "lost") < 1:
        return []
    return _silent(life, number, episode, Reason.NETWORK_BLOCKS_SERVER, is_deaf=True)


def _blocked(life: Life, number: int, episode: Episode) -> list[Claim]:
    """A site from which nothing arrives. Only who is heard from elsewhere, or seen there, tells it from a power cut."""
    assert episode.site is not None, "it befalls sites"
    reasons = {Reason.NETWORK_BLOCKS_SERVER, Reason.SILENT}
    if episode.primitive != "outage" and _is_witnessed(life, episode):
        reasons |= _ALIVE_ELSEWHERE
    claims = []
    for span in life.during(episode):
        is_deaf = episode.primitive != "outage"
        claims += life.by_silence(Reason.NETWORK_BLOCKS_SERVER, number, span, frozenset(reasons), is_deaf=is_deaf)
        if Reason.IDENTITY_MISSING in reasons:
            claims.append(
                life.claim(
                    Reason.NETWORK_BLOCKS_SERVER, number, episode, LOST, None, reasons=frozenset(reasons), span=span
                )
            )
    return claims


def _is_witnessed(life: Life, episode: Episode) -> bool:
    """Whether another witness saw the device while *episode* lasted."""
    ended = life.end_of(episode)
    return any(one.began_at < ended and life.end_of(one) > episode.began_at for one in life.of("sees"))


def _drop_identity(life: Life, number: int, episode: Episode) -> list[Claim]:
    if _is_witnessed(life, episode):
        return _lost_though_alive(life, number, episode, _ALIVE_ELSEWHERE)
    return _silent(life, number, episode, Reason.IDENTITY_MISSING, is_deaf=True)


def _lost_though_alive(life: Life, number: int, episode: Episode, reasons: frozenset[Reason]) -> list[Claim]:
    """Out of control a day after the witness could contradict the silence; until then what silence makes of it."""
    cause = Reason.IDENTITY_MISSING if Reason.IDENTITY_MISSING in reasons else Reason.PROFILE_REMOVED_UNREPORTED
    lost = life.claim(cause, number, episode, LOST, timedelta(days=3), reasons=reasons, needs_contact=True)
    quiet = life.claim(cause, number, episode, SILENCE, None, reasons=reasons | {Reason.SILENT})
    return [lost, quiet, *_users_silent(life, number, episode, cause, reasons)]


def _users_silent(
    life: Life, number: int, episode: Episode, cause: Reason, reasons: frozenset[Reason]
) -> Iterable[Claim]:
    """Users of a device that is lost: silent with it, or away."""
    states = SILENCE | AWAY | ENDED
    for user in life.users():
        yield life.claim(cause, number, episode, states, None, reasons=reasons | _OF_USERS, user=user)


_OF_USERS: Final = frozenset({Reason.SILENT, Reason.USER_NOT_LOGGED_IN, Reason.PROFILE_REMOVED})


def _use_unknown_identity(life: Life, number: int, episode: Episode) -> list[Claim]:
    if episode.note:
        return []
    reasons = frozenset({Reason.IDENTITY_UNRECOGNIZED, Reason.SILENT})
    by_silence = life.by_silence(
        Reason.IDENTITY_UNRECOGNIZED, number, (episode.began_at, life.end_of(episode)), reasons, is_deaf=True
    )
    known = life.claim(Reason.IDENTITY_UNRECOGNIZED, number, episode, AT_RISK | LOST, None)
    return [*by_silence, known]


# --- coming and going -------------------------------------------------------------------------------------------------


def _enroll(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
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


def _erase(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    back = span_of(episode, "back")
    returning = _returning(life, number, episode)
    if text(episode, "by") == "administrator":
        if episode.note:
            return
        yield life.claim(Reason.ERASED_BY_US, number, episode, ENDED, A_DAY, needs_contact=True)
        yield from _users_silent(life, number, episode, Reason.ERASED_BY_US, frozenset({Reason.ERASED_BY_US}))
        yield from returning
        return
    reasons = frozenset({Reason.SILENT, Reason.ERASED_REENROLLING} if back is not None else {Reason.SILENT})
    yield from life.by_silence(Reason.SILENT, number, (episode.began_at, life.end_of(episode)), reasons)
    for user in (DEVICE, *life.users()):  # sooner or later APNs knows its token no more
        dead = _DEAD_TOKEN if user == DEVICE else _DEAD_TOKEN | _OF_USERS
        yield life.claim(Reason.SILENT, number, episode, AT_RISK | LOST, None, reasons=dead, user=user)
    yield from returning


def _returning(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
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
            Reason.ERASED_REENROLLING, number, episode, states, None, reasons=reasons | _OF_USERS, span=span, user=user
        )


def _remove_profile(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if episode.note and "did not come back" not in episode.note:
        return
    yield from _returning(life, number, episode)
    # it checks out once, and whoever can't hear it then never does
    is_reported = episode.parameters.get("reported") is not False and not _is_unheard(life, episode)
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
                reasons=frozenset(reasons) if user == DEVICE else frozenset(reasons | _OF_USERS),
                user=user,
                needs_contact=True,
            )
        return
    # its token ends with it, so APNs says what it did not
    reasons = {Reason.PROFILE_REMOVED_UNREPORTED, *(reasons if is_by_chance else ())}
    if not _is_witnessed(life, episode):
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
    yield from _users_silent(life, number, episode, cause, earlier)
    for user in life.users():  # a token that APNs knows no more is a risk for a day
        yield life.claim(cause, number, episode, AT_RISK, None, reasons=frozenset(_DEAD_TOKEN), user=user)


def _is_unheard(life: Life, episode: Episode) -> bool:
    """Whether what the device said of it could not be heard."""
    unheard = merged((*life.cuts, *life.deafened("tls_changed", "proxy_drops_identity", "errors")))
    return covering(unheard, episode.began_at) is not None


def _may_be_unheard(life: Life, episode: Episode) -> bool:
    """Whether it was left to chance: a share of what was said then was lost, or answered with an error."""
    by_chance = (one for _, one in life.episodes if one.primitive in {"errors", "lose_requests"})
    return any(covering(life.during(one), episode.began_at) is not None for one in by_chance)


def _unenroll(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
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
            reasons=frozenset({Reason.UNENROLLED_BY_US} if user == DEVICE else {Reason.UNENROLLED_BY_US, *_OF_USERS}),
            span=(episode.began_at, ended),
            user=user,
            is_fault=not has_stayed,
        )


def _send(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if text(episode, "command") == "EraseDevice" and not episode.note:
        yield life.claim(Reason.ERASED_BY_US, number, episode, ENDED, A_DAY, span=(episode.began_at, life.ended_at))


def _restore_to_same(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """An identity that was renewed since comes back with a backup that is older than that; or one of an earlier life,
    which is nobody's any more, so that only another enrollment helps."""
    if episode.note:
        return
    taken_at = episode.began_at - (span_of(episode, "age") or timedelta(0))
    if any(taken_at < at <= episode.began_at for at in life.lives_began_at):
        yield from _of_earlier_life(life, number, episode)
        return
    if _is_unheard(life, episode):  # nobody was told of the token that came with it
        yield from _dead_token(life, number, episode, Reason.PUSH_TOKEN_UNREGISTERED)
    issued = [one.issued_at for one in life.identities if one.issued_at <= episode.began_at]
    is_superseded = any(taken_at < at for at in issued[1:])
    renewed_at = next((one.issued_at for one in life.identities if one.issued_at > episode.began_at), life.ended_at)
    if is_superseded:
        span = (episode.began_at, max(episode.began_at, renewed_at))
        # soon after its renewal it can't be told from one that failed in its last step
        reasons = frozenset({Reason.RESTORED_OLDER_BACKUP, Reason.IDENTITY_RENEWAL_REFUSED})
        yield life.claim(Reason.RESTORED_OLDER_BACKUP, number, episode, AT_RISK, A_DAY, reasons=reasons, span=span)


def _of_earlier_life(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    cause = Reason.IDENTITY_UNRECOGNIZED
    span = (episode.began_at, min((at for at in life.lives_began_at if at > episode.began_at), default=life.ended_at))
    yield life.claim(cause, number, episode, LOST, timedelta(days=3), span=span)
    yield life.claim(cause, number, episode, SILENCE, None, reasons=frozenset({cause, Reason.SILENT}), span=span)
    states, reasons = SILENCE | AWAY | ENDED, _OF_USERS | {cause, Reason.USER_EVICTED}
    for user in life.users():
        yield life.claim(cause, number, episode, states, None, reasons=reasons, span=span, user=user)


def _restore_to_other(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if not episode.note.startswith("onto "):
        return
    span = (episode.began_at, life.ended_at)
    yield from life.by_silence(Reason.RESTORED_OTHER_DEVICE, number, span, frozenset({*_CLONED, Reason.SILENT}))
    yield life.claim(Reason.RESTORED_OTHER_DEVICE, number, episode, AT_RISK, None, reasons=_CLONED, span=span)


def _migrate_identity_to(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if not episode.note.startswith("to "):
        return
    span = (episode.began_at, life.ended_at)
    yield life.claim(Reason.IDENTITY_CLONED, number, episode, AT_RISK, A_DAY, reasons=_CLONED, span=span)


def _replace_board(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """What is judged is the record of the old board: it ends when the new one enrolled."""
    # the new record is healthy, and the only one that is scored: see truth.of_device
    yield from _returning(life, number, episode)
    if episode.ended_at is None:
        span = (episode.began_at, life.ended_at)
        yield from life.by_silence(Reason.SILENT, number, span, frozenset({Reason.SILENT}))


# --- tokens and pushes ------------------------------------------------------------------------------------------------


def _until_told(life: Life, episode: Episode) -> datetime:
    """When it was over, or the device told of its token anew: a profile that is installed once more has it say which
    token it listens to, and brings another magic. A token that is dead stays so until the device gets another."""
    soon = episode.began_at + timedelta(minutes=5)
    ended = life.end_of(episode)
    told = list(life.device.tokens_at)
    if episode.primitive != "unregister":
        told += [one.issued_at for one in life.identities]
    return min((at for at in told if soon < at < ended), default=ended)


def _dead_token(life: Life, number: int, episode: Episode, cause: Reason) -> Iterable[Claim]:
    """At risk while it still comes by itself; else out of control a day after APNs said so."""
    comes = life.cohort.own_connects is not None
    ended = life.end_of(episode) if episode.primitive == "reject" else _until_told(life, episode)
    if not comes and episode.ended_at is not None:
        ended = max(ended, min(life.heard_after(episode.ended_at), life.ended_at))
    states = AT_RISK if comes else LOST
    delay = ONE_DAY_ON if comes else timedelta(days=3)
    reasons = _DEAD_TOKEN
    earlier = SILENCE | AT_RISK
    times = life.heard()
    spoke = () if comes else times[bisect_right(times, episode.began_at) : bisect_left(times, ended)]
    for began, until in itertools.pairwise([episode.began_at, *spoke, ended]):  # who speaks is lost a day later at most
        span = (began, until)
        yield life.claim(cause, number, episode, states, delay, reasons=reasons, span=span, needs_contact=True)
        span = (began, min(until, life.awake_after(began, delay)))
        yield life.claim(cause, number, episode, earlier, None, reasons=reasons | {Reason.SILENT}, span=span)
    yield from _users_unpushed(life, number, episode, cause, (episode.began_at, ended), reasons)


def _users_unpushed(
    life: Life, number: int, episode: Episode, cause: Reason, span: Interval, reasons: frozenset[Reason]
) -> Iterable[Claim]:
    """Users of a device that no push reaches. They come by pushes alone, each by a token of his own, and whose token
    was refused is pushed no more: until they are heard nothing need be known of them."""
    states = SILENCE | AWAY | AT_RISK
    of_users = reasons | _OF_USERS | {Reason.USER_CHANNEL_DEAD}
    for user in life.users():
        until = span[1] if span[1] >= life.ended_at else min(life.heard_after(span[1], user), life.ended_at)
        yield life.claim(cause, number, episode, states, None, reasons=of_users, span=(span[0], until), user=user)


def _change_token(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if episode.parameters.get("reported") is not False or episode.note:
        return []
    return _dead_token(life, number, episode, Reason.PUSH_TOKEN_UNREGISTERED)


def _unregister(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    return [] if episode.note else _dead_token(life, number, episode, Reason.PUSH_TOKEN_UNREGISTERED)


def _stale_unregister(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """An answer that is out of date changes nothing; but what it refuses does not arrive."""
    if not episode.note:
        yield from _unheard_pushes(life, number, episode, frozenset({*_NO_PUSH, *_DEAD_TOKEN}), is_fault=False)


def _unheard_pushes(
    life: Life, number: int, episode: Episode, reasons: frozenset[Reason], *, is_fault: bool = True
) -> Iterable[Claim]:
    """At risk where it still comes by itself; else it is silent."""
    cause = Reason.PUSH_PATH_BLOCKED if episode.site is not None else Reason.PUSH_MAGIC_WRONG
    for began, ended in life.during(episode):
        span = (began, min(ended, _until_told(life, episode)) if episode.primitive == "change_magic" else ended)
        if episode.primitive != "change_magic":  # which is the device's own
            yield from _users_unpushed(life, number, episode, cause, span, reasons)
        if life.cohort.own_connects is not None:
            yield life.claim(
                cause,
                number,
                episode,
                AT_RISK,
                FIVE_PUSHES if is_fault else None,
                reasons=reasons,
                span=span,
                is_fault=is_fault,
            )
        else:
            yield from life.by_silence(
                cause,
                number,
                span,
                frozenset({Reason.SILENT, Reason.NETWORK_BLOCKS_SERVER, *reasons}),
                user=DEVICE,
                is_fault=is_fault,
                is_deaf=episode.site is None,  # else APNs keeps the last push for it
            )


def _no_push(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """The magic is another, or APNs drops what it takes: either way it hears no push."""
    if episode.note:
        return []
    if episode.device is None:  # the whole topic: ours
        return _ours(Reason.PUSH_TOPIC_MISMATCH, None, *_NO_PUSH, Reason.APNS_OUTAGE)(life, number, episode)
    return _unheard_pushes(life, number, episode, _NO_PUSH)


def _block_apns(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    there = [
        device
        for device in life.played.devices
        if any(name == episode.site for _, name in device.sites) and device.name != life.device.name
    ]
    reasons = _NO_PUSH if not there else frozenset({Reason.PUSH_PATH_BLOCKED})
    yield from _unheard_pushes(life, number, episode, reasons)


_TOPIC: Final = frozenset({"DeviceTokenNotForTopic", "TopicDisallowed", "BadTopic", "MissingTopic"})
_CERTIFICATE: Final = frozenset({"BadCertificate", "BadCertificateEnvironment", "Forbidden", "ExpiredProviderToken"})
_OUT_OF_ORDER: Final = frozenset({"InternalServerError", "ServiceUnavailable", "Shutdown"})


def _reject(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    word = text(episode, "reason")
    if episode.note:
        return
    if episode.device is None:
        pushes = (Reason.APNS_OUTAGE, Reason.PUSH_CERTIFICATE_EXPIRED, Reason.PUSH_TOPIC_MISMATCH)
        cause = Reason.APNS_OUTAGE if word in _OUT_OF_ORDER else Reason.PUSH_TOPIC_MISMATCH
        cause = Reason.PUSH_CERTIFICATE_EXPIRED if word in _CERTIFICATE else cause
        yield from _ours(cause, ONE_DAY_ON, *pushes)(life, number, episode)
    elif word in {"BadDeviceToken", "Unregistered", "ExpiredToken"}:
        bad = word == "BadDeviceToken"
        yield from _dead_token(life, number, episode, Reason.PUSH_TOKEN_BAD if bad else Reason.PUSH_TOKEN_UNREGISTERED)
    elif word in _TOPIC:
        yield life.claim(Reason.PUSH_TOPIC_MISMATCH, number, episode, AT_RISK, ONE_DAY_ON, needs_contact=True)
        whole, mismatch = (episode.began_at, life.end_of(episode)), Reason.PUSH_TOPIC_MISMATCH
        yield from _users_unpushed(life, number, episode, mismatch, whole, frozenset({mismatch}))
        if life.cohort.own_connects is None:
            span = (episode.began_at, life.end_of(episode))
            reasons = frozenset({Reason.SILENT, Reason.PUSH_TOPIC_MISMATCH})
            yield from life.by_silence(Reason.PUSH_TOPIC_MISMATCH, number, span, reasons, user=DEVICE, is_fault=False)
    else:
        yield from _unheard_pushes(life, number, episode, frozenset({*_NO_PUSH, Reason.PUSH_THROTTLED}), is_fault=False)


def _outage(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if episode.site is not None:
        return _blocked(life, number, episode)
    return _ours(Reason.APNS_OUTAGE, ONE_DAY_ON)(life, number, episode)


def _slow(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """An APNs that lets us wait for longer than we do is out of order; a slow line is none's fault."""
    delay = span_of(episode, "delay")
    if episode.site is None and episode.device is None and delay is not None and delay >= WAITS_FOR_APNS:
        yield from _ours(Reason.APNS_OUTAGE, None)(life, number, episode)


# --- obedience --------------------------------------------------------------------------------------------------------


def _not_now(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """Only where nothing at all is answered for the whole proof window; phones and tablets answer questions anyhow.

    So does a Mac's device channel, UserList above all, which it is asked now and then: it may have proved itself by
    that. Its users' channels are asked nothing of that kind.
    """
    is_whole = share_of(episode, "share_of_commands") >= 1 and not text(episode, "hours")
    if not is_whole or life.cohort.platform is not Platform.MAC:
        return
    delay = life.policy.proof_window + A_DAY
    reasons = frozenset({Reason.ALWAYS_NOT_NOW, Reason.NO_INVENTORY})
    cause = Reason.ALWAYS_NOT_NOW
    yield life.claim(cause, number, episode, AT_RISK, None, reasons=reasons, is_fault=False)
    for user in life.users():
        one = life.claim(cause, number, episode, AT_RISK, delay, reasons=reasons, user=user)
        deaf = [life.end_of(dead) for dead in life.of("user_dies") if dead.parameters.get("user") == user]
        # who is heard again has a day to obey
        back = [life.awake_after(at, A_DAY) for at in deaf if one.began_at < at < one.ended_at]
        yield replace(one, right_by=max([one.right_by or one.began_at, *back]))
    yield from _inventory_limit(life, number, episode)


def _ignore_commands(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    delay = life.policy.proof_window + A_DAY
    cause = Reason.NOT_OBEYING if text(episode, "answer") == "error" else Reason.COMMAND_BLOCKS_QUEUE
    yield life.claim(cause, number, episode, AT_RISK, delay, reasons=_DISOBEYS)
    yield from _users_alike(life, cause, number, episode, _DISOBEYS)
    yield from _inventory_limit(life, number, episode)


def _users_alike(
    life: Life, cause: Reason, number: int, episode: Episode, reasons: frozenset[Reason]
) -> Iterable[Claim]:
    """A device's users answer as it does. How often they are asked is not foreseen, so it is never required."""
    for user in life.users():
        yield life.claim(cause, number, episode, AT_RISK, None, reasons=reasons, user=user, is_fault=False)


def _inventory_limit(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    limit = episode.began_at + life.policy.inventory_limit
    if limit < life.end_of(episode):
        span = (limit - A_DAY, life.end_of(episode))
        yield life.claim(Reason.NO_INVENTORY, number, episode, LOST, ONE_DAY_ON, span=span)


def _hang_on(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    command, ended = text(episode, "command"), life.end_of(episode)
    if episode.parameters.get("client") is True:
        yield from _client_hangs(life, number, episode, command, ended)
        return
    asks_for_all = command == "DeviceInformation"
    reasons = _DISOBEYS if asks_for_all else frozenset({Reason.COMMAND_BLOCKS_QUEUE})
    yield from _users_alike(life, Reason.COMMAND_BLOCKS_QUEUE, number, episode, reasons)
    first = _asked_after(life, command, episode.began_at)
    if first is None or first >= ended:
        return
    # once it is put aside, and the next is obeyed, nothing is wrong any more: where that is the same contact, at once
    span = (first, ended if asks_for_all else min(ended, life.awake_after(first, FIVE_TIMES)))
    cause = Reason.COMMAND_BLOCKS_QUEUE
    yield life.claim(cause, number, episode, AT_RISK, None, reasons=reasons, span=span, is_fault=False)


def _client_hangs(life: Life, number: int, episode: Episode, command: str, ended: datetime) -> Iterable[Claim]:
    """From the first time that it is asked to the next boot; and so again, until it is asked no more."""
    reasons, at = frozenset({Reason.CLIENT_HUNG, Reason.SILENT}), episode.began_at
    boots = [one.began_at for one in life.of("restart", "os_update")]
    boots += [life.end_of(one) for one in life.of("power_off")]
    for until in (*sorted(boot for boot in boots if at < boot < ended), ended):
        first = _asked_after(life, command, at)
        asked_at = until if first is None else min(first, until)
        for user in (DEVICE, *life.users()):  # it may be asked sooner than it has to be
            states = AT_RISK | SILENCE
            span = (at, asked_at)
            yield life.claim(Reason.CLIENT_HUNG, number, episode, states, None, reasons=reasons, span=span, user=user)
        if asked_at < until:
            span = (asked_at, until)
            yield from life.by_silence(Reason.CLIENT_HUNG, number, span, reasons)
            yield life.claim(Reason.CLIENT_HUNG, number, episode, AT_RISK, None, span=span)
        at = until


def _asked_after(life: Life, command: str, at: datetime) -> datetime | None:
    """When the device has been asked it after *at* at the latest; None: never, as far as can be foreseen."""
    asked = [one.began_at for one in life.of("send") if text(one, "command") == command and not one.note]
    if command in ASKED_BY_ITSELF:
        asked.append(life.awake_after(at, ASKED_BY_ITSELF[command]))
    return min((one for one in asked if one >= at), default=None)


ASKED_BY_ITSELF: Final[Mapping[str, timedelta]] = MappingProxyType(
    {
        "DeviceInformation": A_DAY,
        "SecurityInfo": timedelta(days=2),
        "InstalledApplicationList": timedelta(days=8),
        "ProfileList": timedelta(days=8),
        "CertificateList": timedelta(days=8),
        "UserList": timedelta(days=8),
    }
)
"""What the server asks without being told, and by when it has."""


def _answer_error(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """One command that fails is no loss of control, unless it is the one by which control is proved."""
    command = text(episode, "command")
    if command == "DeviceInformation":
        yield life.claim(Reason.NOT_OBEYING, number, episode, AT_RISK, None, reasons=_DISOBEYS | {Reason.NO_INVENTORY})
        yield from _inventory_limit(life, number, episode)
    if command == "InstallProfile":
        yield from _refuse_renewal(life, number, episode)


def _lose_answers(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    cause, reasons = Reason.ACKNOWLEDGEMENT_LOST, _DISOBEYS | {Reason.IDENTITY_RENEWAL_REFUSED}
    yield life.claim(cause, number, episode, AT_RISK, None, reasons=reasons)
    yield from _users_alike(life, cause, number, episode, reasons)


def _refuse_renewal(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """It shows when a renewal is due, and goes on until one succeeds."""
    tried = [one for one in life.identities if one.renew_from < life.end_of(episode)]
    for identity in tried:
        began = max(identity.renew_from, episode.began_at)
        until = min(life.end_of(episode), identity.replaced_at or life.ended_at, identity.not_after)
        if began >= until:
            continue
        reasons = frozenset({Reason.IDENTITY_RENEWAL_REFUSED, Reason.IDENTITY_EXPIRING})
        delay = identity.spread + ONE_DAY_ON
        span = (began, until)
        yield life.claim(Reason.IDENTITY_RENEWAL_REFUSED, number, episode, AT_RISK, delay, reasons=reasons, span=span)


def _clock_offset(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    offset = span_of(episode, "offset") or timedelta(0)
    if abs(offset) <= CLOCK_TOLERANCE:
        return
    if episode.device is None:
        yield from _ours(Reason.OWN_CLOCK_WRONG, A_DAY)(life, number, episode)
    else:
        yield life.claim(Reason.DEVICE_CLOCK_WRONG, number, episode, AT_RISK, ONE_DAY_ON)


# --- declarative management and users ---------------------------------------------------------------------------------


def _answer_ddm_only(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    span = (episode.began_at, life.end_of(episode))
    if not life.cohort.speaks_ddm:
        reasons = frozenset({Reason.SILENT})
        yield from life.by_silence(Reason.SILENT, number, span, reasons, user=DEVICE)
        return
    reasons = frozenset({Reason.MDM_DEAD_DDM_ALIVE})
    yield life.claim(Reason.MDM_DEAD_DDM_ALIVE, number, episode, LOST, THREE_PUSHES, reasons=reasons)
    yield from _users_silent(life, number, episode, Reason.MDM_DEAD_DDM_ALIVE, reasons)
    earlier = (episode.began_at, min(span[1], life.awake_after(span[0], THREE_PUSHES)))
    yield life.claim(
        Reason.MDM_DEAD_DDM_ALIVE, number, episode, SILENCE, None, reasons=reasons | {Reason.SILENT}, span=earlier
    )


def _stop_ddm(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """It shows when DeclarativeManagement is acknowledged without a status after it."""
    sent = [one.began_at for one in life.of("send") if text(one, "command") == "DeclarativeManagement"]
    after = [at for at in sent if episode.began_at <= at < life.end_of(episode)]
    if life.cohort.speaks_ddm:
        delay = ONE_DAY_ON if after else timedelta(days=3)
        began = min(after, default=episode.began_at)
        yield life.claim(Reason.DDM_DEAD, number, episode, AT_RISK, delay, span=(began, life.end_of(episode)))


def _user_never_appears(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    has_users = life.cohort.platform is Platform.MAC and life.cohort.users > 0 and life.cohort.has_user_channel
    if has_users and episode.began_at <= (life.device.enrolled_at or episode.began_at):
        logins = [one.began_at for one in life.of("restart", "os_update", "restore_to_same", "user_login")]
        logins += [life.end_of(one) for one in life.of("power_off", "user_logout", "erase", "remove_profile")]
        ended = min((at for at in logins if at > life.end_of(episode)), default=life.ended_at)
        span = (episode.began_at, ended)
        yield life.claim(Reason.USER_CHANNEL_MISSING, number, episode, AT_RISK, timedelta(days=3), span=span)


def _user_dies(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    user = episode.parameters.get("user")
    if not isinstance(user, int) or user not in life.users() or episode.note:
        return
    yield life.claim(Reason.USER_CHANNEL_DEAD, number, episode, LOST, timedelta(days=5), user=user)
    span = (episode.began_at, min(life.end_of(episode), life.awake_after(episode.began_at, timedelta(days=5))))
    reasons = frozenset({Reason.SILENT, Reason.USER_CHANNEL_DEAD})
    yield life.claim(Reason.USER_CHANNEL_DEAD, number, episode, SILENCE, None, reasons=reasons, span=span, user=user)


def _user_deleted(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    user = episode.parameters.get("user")
    if not isinstance(user, int) or user not in life.users() or episode.note:
        return
    span = (episode.began_at, life.ended_at)
    if life.cohort.platform is Platform.MAC:  # whose list proves nobody gone: it leaves out users of the network
        reasons, states = frozenset({*_OF_USERS, *_DEAD_TOKEN}), SILENCE | AWAY | AT_RISK
        delay = timedelta(days=3)
        yield life.claim(
            Reason.PUSH_TOKEN_UNREGISTERED, number, episode, LOST | AWAY, delay, reasons=reasons, span=span, user=user
        )
        yield life.claim(
            Reason.PUSH_TOKEN_UNREGISTERED, number, episode, states, None, reasons=reasons, span=span, user=user
        )
        return
    yield life.claim(Reason.USER_EVICTED, number, episode, ENDED, timedelta(days=3), span=span, user=user)
    earlier = (episode.began_at, min(life.ended_at, life.awake_after(episode.began_at, timedelta(days=3))))
    reasons = frozenset({*_OF_USERS, *_DEAD_TOKEN})
    states = SILENCE | AWAY | AT_RISK
    yield life.claim(Reason.USER_EVICTED, number, episode, states, None, reasons=reasons, span=earlier, user=user)


# --- Automated Device Enrollment --------------------------------------------------------------------------------------


def _told_at(life: Life, episode: Episode) -> datetime:
    """When the server can know of it."""
    return min(_heard_of(life, episode.began_at), life.end_of(episode))


def _heard_of(life: Life, at: datetime) -> datetime:
    """When the server hears what Apple knows *at*: while Apple refuses its token it hears nothing of assignments."""
    refused = merged((one.began_at, life.end_of(one)) for _, one in life.episodes if one.primitive == "token_expired")
    span = covering(refused, at)
    return at if span is None else span[1]


def _unassign(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if life.cohort.way is Way.SETUP_ASSISTANT:
        span = (_told_at(life, episode), life.end_of(episode))
        claim = life.claim(Reason.ADE_PROFILE_UNASSIGNED, number, episode, AT_RISK, A_DAY, span=span)
        yield replace(claim, lingers_until=max(claim.lingers_until, _heard_of(life, span[1])))


def _assign_elsewhere(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if life.cohort.way is not Way.SETUP_ASSISTANT:
        return
    leaves = span_of(episode, "leaves")
    left_at = life.end_of(episode) if leaves is None else min(episode.began_at + leaves, life.end_of(episode))
    here = (min(_told_at(life, episode), left_at), left_at)
    yield life.claim(Reason.ADE_ASSIGNED_ELSEWHERE, number, episode, AT_RISK, A_DAY, span=here)
    for began, ended in life.away:  # whether it was silent before or has left is not to be seen
        away = (max(began, here[0]), min(ended, here[1]))
        if away[1] - away[0] > A_DAY:
            yield life.claim(Reason.TAKEN_BY_OTHER_SERVICE, number, episode, ENDED, None, span=away)
    if leaves is not None and left_at < life.end_of(episode):
        yield from _gone(life, number, episode, Reason.TAKEN_BY_OTHER_SERVICE, Reason.ADE_ASSIGNED_ELSEWHERE, left_at)


def _release(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    leaves = span_of(episode, "leaves")
    if life.cohort.way is not Way.SETUP_ASSISTANT or leaves is None:
        return
    left_at = min(episode.began_at + leaves, life.ended_at)
    yield from _gone(life, number, episode, Reason.RELEASED, Reason.RELEASED, left_at)


def _gone(
    life: Life, number: int, episode: Episode, cause: Reason, before: Reason, left_at: datetime
) -> Iterable[Claim]:
    span = (left_at, life.ended_at if episode.primitive == "release" else life.end_of(episode))
    delay = timedelta(days=4)
    yield life.claim(cause, number, episode, ENDED, delay, span=span, needs_contact=True)
    earlier = (left_at, min(span[1], life.awake_after(left_at, delay)))
    reasons = frozenset({cause, before, Reason.SILENT, *_DEAD_TOKEN})
    yield life.claim(cause, number, episode, SILENCE | AT_RISK, None, reasons=reasons, span=earlier)
    yield from _users_silent(life, number, episode, cause, reasons)


# --- ourselves --------------------------------------------------------------------------------------------------------


def _ours(cause: Reason, delay: timedelta | None, *others: Reason) -> Cause:
    """Nobody can be judged, once that is known; who was found wrong before may stay so."""

    def claims(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
        if episode.note:
            return
        reasons = frozenset({cause, *others})
        for user in (DEVICE, *life.users()):
            yield life.claim(
                cause,
                number,
                episode,
                UNKNOWN if user == DEVICE else UNKNOWN | AWAY,
                delay,
                reasons=reasons if user == DEVICE else reasons | _OF_USERS,
                user=user,
                is_ours=True,
            )

    return claims


def _push_certificate(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    reasons = (Reason.PUSH_CERTIFICATE_EXPIRED, Reason.PUSH_TOPIC_MISMATCH, Reason.APNS_OUTAGE)
    if episode.primitive == "push_certificate_replaced":
        # the former certificate stays in use for those who were enrolled under it
        return _ours(Reason.PUSH_TOPIC_MISMATCH, None, *reasons)(life, number, episode)
    return _ours(Reason.PUSH_CERTIFICATE_EXPIRED, ONE_DAY_ON, *reasons)(life, number, episode)


def _errors(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """With all requests failing nobody can be judged; of a share of them, whoever gets through is in control."""
    is_whole = share_of(episode, "answered_500") >= 1 and text(episode, "endpoint") in {"", "/", "/mdm"}
    return _ours(Reason.OWN_ERRORS, A_DAY if is_whole else None)(life, number, episode)


def _worker_dead(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """Which channels it fed depends on the worker."""
    return _ours(Reason.OWN_WORKER_DEAD, None, Reason.OWN_DOWNTIME)(life, number, episode)


CAUSES: Final[Mapping[str, Cause]] = MappingProxyType(
    {
        "enroll": _enroll,
        "power_off": _power_off,
        "restart": _nothing,
        "erase": _erase,
        "restore_to_same": _restore_to_same,
        "restore_to_other": _restore_to_other,
        "migrate_identity_to": _migrate_identity_to,
        "replace_board": _replace_board,
        "drop_identity": _drop_identity,
        "use_unknown_identity": _use_unknown_identity,
        "remove_profile": _remove_profile,
        "change_token": _change_token,
        "change_magic": _no_push,
        "ignore_commands": _ignore_commands,
        "answer_error": _answer_error,
        "lose_answers": _lose_answers,
        "refuse_renewal": _refuse_renewal,
        "not_now": _not_now,
        "hang_on": _hang_on,
        "clock_offset": _clock_offset,
        "os_update": _nothing,
        "answer_ddm_only": _answer_ddm_only,
        "stop_ddm": _stop_ddm,
        "user_login": _nothing,  # by who is logged in: see truth
        "user_logout": _nothing,
        "user_never_appears": _user_never_appears,
        "user_dies": _user_dies,
        "user_deleted": _user_deleted,
        "locked": _locked,
        "join_network": _nothing,
        "block_apns": _block_apns,
        "block_server": _blocked,
        "intercept_tls": _blocked,
        "outage": _outage,
        "slow": _slow,
        "lose_requests": _lose_requests,
        "unregister": _unregister,
        "stale_unregister": _stale_unregister,
        "reject": _reject,
        "throttle": _nothing,
        "drop_wrong_topic": _no_push,
        "unassign": _unassign,
        "assign_elsewhere": _assign_elsewhere,
        "release": _release,
        "token_expired": _nothing,
        "server_down": _ours(Reason.OWN_DOWNTIME, None),
        "worker_dead": _worker_dead,
        "errors": _errors,
        "push_certificate_expires": _push_certificate,
        "push_certificate_replaced": _push_certificate,
        "push_certificate_revoked": _push_certificate,
        "rotate_ca": _nothing,
        "database_rolled_back": _ours(Reason.DATABASE_ROLLED_BACK, None),
        "proxy_drops_identity": _ours(Reason.OWN_PROXY_DROPS_IDENTITY, A_DAY, Reason.OWN_ERRORS),
        "tls_changed": _ours(Reason.OWN_TLS_CHANGED, ONE_DAY_ON),
        "send": _send,
        "unenroll": _unenroll,
        "lost_mode": _nothing,
        "sees": _nothing,
        "agent_dies": _nothing,
    }
)
"""By primitive; every primitive has its line."""

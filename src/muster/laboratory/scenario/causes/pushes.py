"""Push tokens and pushes: what APNs refuses, and what never arrives."""

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.ourselves import ours
from muster.laboratory.scenario.causes.silence import blocked
from muster.laboratory.scenario.causes.terms import AT_RISK, AWAY, DEAD_TOKEN, LOST, OF_USERS, ONE_DAY_ON, SILENCE
from muster.laboratory.scenario.claims import DEVICE, Claim
from muster.laboratory.scenario.life import Life, span_of, text
from muster.laboratory.scenario.played import Episode
from muster.laboratory.scenario.spans import Interval

FIVE_PUSHES: Final = timedelta(days=6)
"""A device is asked something once a day, and five pushes have to go unanswered."""
WAITS_FOR_APNS: Final = timedelta(seconds=10)
"""A push that takes longer may count as one without an answer."""
_NO_PUSH: Final = frozenset({Reason.PUSH_MAGIC_WRONG, Reason.PUSH_PATH_BLOCKED})
"""A device that comes by itself and never by a push: whether its magic or its network is wrong shows in its neighbours,
and where it has none that speak, nowhere."""
_TOPIC: Final = frozenset({"DeviceTokenNotForTopic", "TopicDisallowed", "BadTopic", "MissingTopic"})
_CERTIFICATE: Final = frozenset({"BadCertificate", "BadCertificateEnvironment", "Forbidden", "ExpiredProviderToken"})
_OUT_OF_ORDER: Final = frozenset({"InternalServerError", "ServiceUnavailable", "Shutdown"})


def change_token(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if episode.parameters.get("reported") is not False or episode.note:
        return []
    return dead_token(life, number, episode, Reason.PUSH_TOKEN_UNREGISTERED)


def unregister(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    return [] if episode.note else dead_token(life, number, episode, Reason.PUSH_TOKEN_UNREGISTERED)


def stale_unregister(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """An answer that is out of date changes nothing; but what it refuses does not arrive."""
    if not episode.note:
        yield from _unheard_pushes(life, number, episode, frozenset({*_NO_PUSH, *DEAD_TOKEN}), is_fault=False)


def no_push(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """The magic is another, or APNs drops what it takes: either way it hears no push."""
    if episode.note:
        return []
    if episode.device is None:  # the whole topic: ours
        return ours(Reason.PUSH_TOPIC_MISMATCH, None, *_NO_PUSH, Reason.APNS_OUTAGE)(life, number, episode)
    return _unheard_pushes(life, number, episode, _NO_PUSH)


def block_apns(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    there = [
        device
        for device in life.played.devices
        if any(name == episode.site for _, name in device.sites) and device.name != life.device.name
    ]
    reasons = _NO_PUSH if not there else frozenset({Reason.PUSH_PATH_BLOCKED})
    yield from _unheard_pushes(life, number, episode, reasons)


def reject(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    word = text(episode, "reason")
    if episode.note:
        return
    if episode.device is None:
        pushes = (Reason.APNS_OUTAGE, Reason.PUSH_CERTIFICATE_EXPIRED, Reason.PUSH_TOPIC_MISMATCH)
        cause = Reason.APNS_OUTAGE if word in _OUT_OF_ORDER else Reason.PUSH_TOPIC_MISMATCH
        cause = Reason.PUSH_CERTIFICATE_EXPIRED if word in _CERTIFICATE else cause
        yield from ours(cause, ONE_DAY_ON, *pushes)(life, number, episode)
    elif word in {"BadDeviceToken", "Unregistered", "ExpiredToken"}:
        bad = word == "BadDeviceToken"
        yield from dead_token(life, number, episode, Reason.PUSH_TOKEN_BAD if bad else Reason.PUSH_TOKEN_UNREGISTERED)
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


def outage(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if episode.site is not None:
        return blocked(life, number, episode)
    return ours(Reason.APNS_OUTAGE, ONE_DAY_ON)(life, number, episode)


def slow(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    """An APNs that lets us wait for longer than we do is out of order; a slow line is none's fault."""
    delay = span_of(episode, "delay")
    if episode.site is None and episode.device is None and delay is not None and delay >= WAITS_FOR_APNS:
        yield from ours(Reason.APNS_OUTAGE, None)(life, number, episode)


def _until_told(life: Life, episode: Episode) -> datetime:
    """When it was over, or the device told of its token anew: a profile that is installed once more has it say which
    token it listens to, and brings another magic. A token that is dead stays so until the device gets another."""
    soon = episode.began_at + timedelta(minutes=5)
    ended = life.end_of(episode)
    told = list(life.device.tokens_at)
    if episode.primitive != "unregister":
        told += [one.issued_at for one in life.identities]
    return min((at for at in told if soon < at < ended), default=ended)


def dead_token(life: Life, number: int, episode: Episode, cause: Reason) -> Iterable[Claim]:
    """At risk while it still comes by itself; else out of control a day after APNs said so."""
    comes = life.cohort.own_connects is not None
    ended = life.end_of(episode) if episode.primitive == "reject" else _until_told(life, episode)
    if not comes and episode.ended_at is not None:
        ended = max(ended, min(life.heard_after(episode.ended_at), life.ended_at))
    states = AT_RISK if comes else LOST
    delay = ONE_DAY_ON if comes else timedelta(days=3)
    reasons = DEAD_TOKEN
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
    of_users = reasons | OF_USERS | {Reason.USER_CHANNEL_DEAD}
    for user in life.users():
        until = span[1] if span[1] >= life.ended_at else min(life.heard_after(span[1], user), life.ended_at)
        yield life.claim(cause, number, episode, states, None, reasons=of_users, span=(span[0], until), user=user)


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

"""Automated Device Enrollment: what Apple's list of devices says, and who leaves by it."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from muster.domain.control.reasons import Reason
from muster.laboratory.scenario.causes.silence import users_silent
from muster.laboratory.scenario.causes.terms import A_DAY, AT_RISK, DEAD_TOKEN, ENDED, SILENCE
from muster.laboratory.scenario.claims import Claim
from muster.laboratory.scenario.life import Life, span_of
from muster.laboratory.scenario.model import Way
from muster.laboratory.scenario.played import Episode
from muster.laboratory.scenario.spans import covering, merged


def unassign(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    if life.cohort.way is Way.SETUP_ASSISTANT:
        span = (_told_at(life, episode), life.end_of(episode))
        claim = life.claim(Reason.ADE_PROFILE_UNASSIGNED, number, episode, AT_RISK, A_DAY, span=span)
        yield replace(claim, lingers_until=max(claim.lingers_until, _heard_of(life, span[1])))


def assign_elsewhere(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
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


def release(life: Life, number: int, episode: Episode) -> Iterable[Claim]:
    leaves = span_of(episode, "leaves")
    if life.cohort.way is not Way.SETUP_ASSISTANT or leaves is None:
        return
    left_at = min(episode.began_at + leaves, life.ended_at)
    yield from _gone(life, number, episode, Reason.RELEASED, Reason.RELEASED, left_at)


def _told_at(life: Life, episode: Episode) -> datetime:
    """When the server can know of it."""
    return min(_heard_of(life, episode.began_at), life.end_of(episode))


def _heard_of(life: Life, at: datetime) -> datetime:
    """When the server hears what Apple knows *at*: while Apple refuses its token it hears nothing of assignments."""
    refused = merged((one.began_at, life.end_of(one)) for _, one in life.episodes if one.primitive == "token_expired")
    span = covering(refused, at)
    return at if span is None else span[1]


def _gone(
    life: Life, number: int, episode: Episode, cause: Reason, before: Reason, left_at: datetime
) -> Iterable[Claim]:
    span = (left_at, life.ended_at if episode.primitive == "release" else life.end_of(episode))
    delay = timedelta(days=4)
    yield life.claim(cause, number, episode, ENDED, delay, span=span, needs_contact=True)
    earlier = (left_at, min(span[1], life.awake_after(left_at, delay)))
    reasons = frozenset({cause, before, Reason.SILENT, *DEAD_TOKEN})
    yield life.claim(cause, number, episode, SILENCE | AT_RISK, None, reasons=reasons, span=earlier)
    yield from users_silent(life, number, episode, cause, reasons)

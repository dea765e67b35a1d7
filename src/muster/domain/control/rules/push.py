"""Step 4: what did APNs say of its token?"""

from datetime import datetime

from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import Dossier
from muster.domain.control.finding import Finding
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import (
    A_DAY,
    Said,
    heard_after,
    is_away,
    is_enrolled,
    last_heard,
    push_answer,
    return_step,
    returns,
    until_unheard,
)
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import instant
from muster.protocol.apns import OutcomeClass


def push_token_unregistered(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does APNs say that its token is not registered any more, since its last TokenUpdate?"""
    push = dossier.push
    if push is None:
        return None
    if push.unregistered_at is not None and push.unregistered_at <= (push.token_since or push.updated_at):
        return None  # what APNs says of a time before a TokenUpdate brought this token is about another one's end
    words = "APNs says that its push token is not registered any more"
    candidates = (Reason.PUSH_TOKEN_UNREGISTERED, Reason.PROFILE_REMOVED_UNREPORTED)
    return _dead_token(dossier, OutcomeClass.TOKEN_UNREGISTERED, Reason.PUSH_TOKEN_UNREGISTERED, words, candidates, now)


def push_token_bad(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does APNs, or the device itself, say that its token is another than we have?"""
    found = _dead_token(
        dossier,
        OutcomeClass.TOKEN_BAD,
        Reason.PUSH_TOKEN_BAD,
        "APNs says that its push token is none of its own",
        (),
        now,
    )
    ddm = dossier.ddm
    if found is not None or ddm is None or not ddm.push_token_differs or not is_enrolled(dossier):
        return found
    since = ddm.status_at or dossier.silence.since
    if dossier.push is not None and dossier.push.updated_at > since:
        return None
    words = f"reported {instant(since, now)} another push token than its last TokenUpdate brought"
    step = "the token is compared with the journaled TokenUpdate, and its profile installed again at its next contact"
    return Finding(Reason.PUSH_TOKEN_BAD, ControlState.AT_RISK, since, words, Forecast.WITH_US, step)


def push_topic_mismatch(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does it listen to another topic than our push certificates have?"""
    push = dossier.push
    if push is None or not is_enrolled(dossier) or is_away(dossier):
        return None
    step = "put the push certificate back into use under which it was enrolled, or enroll it again"
    if not push.has_certificate:
        words = f"it listens to the push topic {push.topic}, for which there is no certificate"
        since = push.updated_at
    elif push.refusal is OutcomeClass.TOPIC_MISMATCH and push.refused_at is not None:
        words = f"APNs said {instant(push.refused_at, now)} that its push token belongs to another topic"
        since = push.refused_at
    else:
        return None
    return Finding(
        Reason.PUSH_TOPIC_MISMATCH,
        ControlState.AT_RISK,
        since,
        words,
        Forecast.WITH_A_PERSON,
        step,
        push_answer(dossier, now),
    )


def push_throttled(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does APNs ask for fewer pushes to it?"""
    push = dossier.push
    if push is None or push.throttled_until is None or push.throttled_until <= now:
        return None
    until = push.throttled_until
    words = f"APNs asks for fewer pushes to it: none is sent before {instant(until, now).removeprefix('on ')}"
    since = push.accepted_at or push.updated_at
    return Finding(Reason.PUSH_THROTTLED, None, since, words, Forecast.BY_ITSELF, look_again_at=until)


def _dead_token(
    dossier: Dossier,
    refusal: OutcomeClass,
    reason: Reason,
    words: str,
    candidates: tuple[Reason, ...],
    now: datetime,
) -> Finding | None:
    push = dossier.push
    if push is None or push.refusal is not refusal or push.refused_at is None:
        return None
    if not is_enrolled(dossier) or is_away(dossier) or push.refused_at < (push.token_since or push.updated_at):
        return None
    refused_at, since = push.refused_at, push.unregistered_at or push.refused_at
    evidence = (*push_answer(dossier, now), *last_heard(dossier, now))
    if heard_after(dossier, refused_at):
        step = "nothing wakes it until a TokenUpdate brings another token; its profile is installed again when it comes"
        sentence = f"{words}, since {instant(since, now).removeprefix('on ')}; it still comes by itself"
        return Finding(reason, ControlState.AT_RISK, refused_at, sentence, Forecast.WITH_US, step, evidence, candidates)
    waiting = until_unheard(dossier, refused_at, A_DAY, now)
    sentence = f"{words}, since {instant(since, now).removeprefix('on ')}, and it has not been heard since"
    return Finding(
        reason,
        ControlState.OUT_OF_CONTROL if waiting is None else ControlState.AT_RISK,
        refused_at,
        sentence,
        returns(dossier),
        f"nothing is pushed or sent any more, any contact revives it; else {return_step(dossier)}",
        evidence,
        candidates,
        look_again_at=None if waiting is None else waiting.look_again_at,
    )

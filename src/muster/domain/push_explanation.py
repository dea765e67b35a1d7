"""Pushing in sentences: one for each reason, answer, consequence and breaker, with the figures in it. Times are UTC."""

from datetime import UTC, datetime, timedelta
from typing import Final, assert_never

from muster.domain.enrollment import EnrollmentState
from muster.domain.push_breaker import Breaker, BreakerCause
from muster.domain.push_outcomes import AFTER_STALE, RETRY, SET_ASIDE_FOR, THROTTLE, Consequence
from muster.domain.push_policy import BUDGET_BURST, BUDGET_REFILL, NoPush, PushReason, Wait
from muster.domain.push_standing import Answer, KnownOfPushing, PushVerdict, Standing, Wish, is_unanswered
from muster.domain.push_topics import TopicState
from muster.protocol.apns import OutcomeClass

SECONDS_SHOWN: Final = timedelta(minutes=5)
"""Of a time as near as this the seconds are said, for pushes follow one another in seconds."""

REASONS: Final = {
    PushReason.COMMAND_QUEUED: "a command was queued",
    PushReason.ENROLLED: "it enrolled",
    PushReason.TOKEN_CHANGED: "a TokenUpdate brought another token",
    PushReason.ASKED_FOR: "an administrator asked for it",
    PushReason.COMMAND_WAITING: "a review found that a command waits",
    PushReason.SILENT: "a review found it silent",
    PushReason.PUSHES_WORK_AGAIN: "its topic can be pushed again",
    PushReason.REACHABLE_AGAIN: "we could not be reached for a while, and the last push had no answer",
    PushReason.RECOVERY: "its recovery wants it",
}
"""Why a push is wanted."""

OUTCOMES: Final = {
    OutcomeClass.ACCEPTED: "APNs accepted a push",
    OutcomeClass.TOKEN_UNREGISTERED: "APNs says that the push token is not registered any more",
    OutcomeClass.TOKEN_BAD: "APNs says that the push token is none of its own",
    OutcomeClass.TOPIC_MISMATCH: "APNs says that the push token belongs to another topic",
    OutcomeClass.CERTIFICATE_REFUSED: "APNs refused the push certificate",
    OutcomeClass.THROTTLED: "APNs asks for fewer pushes to this device",
    OutcomeClass.APNS_UNAVAILABLE: "APNs was unavailable for a push",
    OutcomeClass.OUR_FAULT: "APNs found fault with the push itself",
    OutcomeClass.NO_ANSWER: "APNs gave no answer to a push",
}
"""What APNs said."""


def length(duration: timedelta) -> str:
    """Say how long *duration* is, in the largest unit in which it is a whole number."""
    seconds = round(duration.total_seconds())
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size} {unit}{'' if seconds == size else 's'}"
    return f"{seconds} second{'' if seconds == 1 else 's'}"


CONSEQUENCES: Final = {
    Consequence.PUSHED: "APNs delivers it, or keeps it while the device is away",
    Consequence.STOPPED: "The token is not pushed any more, until a TokenUpdate or a contact revives it",
    Consequence.IGNORED: (
        f"It tells of a time before the last TokenUpdate, and is ignored: tried again after {length(AFTER_STALE[0])}, "
        f"then ever later, up to {length(AFTER_STALE[-1])}"
    ),
    Consequence.SLOWED: (
        f"The token is left alone for {length(THROTTLE[0])}, and longer each time, up to {length(THROTTLE[-1])}"
    ),
    Consequence.TRIED_AGAIN: (
        f"It says nothing of the token: tried again after {length(RETRY[0])}, then later, up to {length(RETRY[-1])}"
    ),
    Consequence.HELD: "It is the fault of no single token: held with all pushes of its topic until they work again",
    Consequence.SET_ASIDE: f"It would be found at fault again: tried again after {length(SET_ASIDE_FOR)}",
}
"""What followed."""

_CAUSES: Final = {
    BreakerCause.APNS_UNREACHABLE: "{failures} pushes in a row found no connection to APNs, or got no answer from it",
    BreakerCause.APNS_UNAVAILABLE: "APNs answered {failures} pushes in a row that it is unavailable (5xx)",
    BreakerCause.CERTIFICATE_REFUSED: "APNs refused the push certificate: revoked, expired, or of another environment",
    BreakerCause.PUSHES_REFUSED: "{failures} pushes in a row were answered as if they were wrong themselves",
    BreakerCause.TOKENS_REFUSED: "APNs refused {failures} tokens in a row, which is no fault of so many devices",
}

_REMEDIES: Final = {
    BreakerCause.APNS_UNREACHABLE: (
        "See that this server reaches api.push.apple.com on port 443 or 2197: network, firewall, proxy."
    ),
    BreakerCause.APNS_UNAVAILABLE: "This is Apple's trouble, with nothing to do here; see Apple's System Status page.",
    BreakerCause.CERTIFICATE_REFUSED: (
        "Renew that same certificate at Apple's Push Certificates Portal, and put it into use with "
        "`muster push-cert upload`."
    ),
    BreakerCause.PUSHES_REFUSED: (
        "See that `apns_host` names APNs and nothing in between answers in its place; if so, report it."
    ),
    BreakerCause.TOKENS_REFUSED: (
        "See that the push certificate is the one that these devices were enrolled under, and that the APNs host is "
        "that of its environment; `muster push-cert upload` puts the right one into use."
    ),
}


def moment(at: datetime, now: datetime) -> str:
    """Say *at*: `3 May 14:02`, with the year unless it is that of *now*, and with seconds where that is near."""
    at = at.astimezone(UTC)
    year = "" if at.year == now.year else f" {at.year}"
    seconds = f":{at:%S}" if abs(at - now) < SECONDS_SHOWN else ""
    return f"{at.day} {at:%b}{year} {at:%H:%M}{seconds}"


def verdict_sentence(known: KnownOfPushing, verdict: PushVerdict, now: datetime) -> str:
    """Say whether a channel is pushed or not, why, and what comes next."""
    match verdict.standing:
        case Standing.NOT_WANTED:
            return _not_wanted(known, verdict, now)
        case Standing.NOT_PUSHED | Standing.WAITING | Standing.HELD | Standing.ANSWERED:
            assert verdict.because is not None
            return no_push_sentence(verdict.because, known, verdict.next_at, now)
        case Standing.PUSH_NOW | Standing.PUSH_LATER | Standing.UNDER_WAY | Standing.PUSHED | Standing.RETRYING:
            assert known.wish is not None
            return _on_its_way(known, known.wish, verdict.standing, now)
        case _:
            assert_never(verdict.standing)


def wish_sentence(wish: Wish, now: datetime) -> str:
    """Say since when and why a push is wanted, and how often it was tried."""
    tried = [_count(wish.attempts, "push", "pushes") + " so far"] if wish.attempts else []
    failed = [f"the last {wish.failures} said nothing of the token"] if wish.failures else []
    first = f"Wanted since {moment(wish.wanted_at, now)}, for {REASONS[wish.reason]}"
    return "; ".join([first, *tried, *failed]) + "."


def answer_sentence(answer: Answer, now: datetime) -> str:
    """Say when APNs said what, with its own words in brackets."""
    return f"{moment(answer.at, now)}: {OUTCOMES[answer.outcome]}{_figures(answer, now)}."


def breaker_sentence(topic: str, breaker: Breaker, now: datetime) -> str:
    """Say since when and why all pushes of *topic* are held, what that means, and what to do."""
    if breaker.opened_at is None:
        return f"{_cause(breaker)}; pushes of {topic} go on for now."
    probes = f" {_count(breaker.probes, 'probe has', 'probes have')} failed so far." if breaker.probes else ""
    return (
        f"Pushes of {topic} have been held since {moment(breaker.opened_at, now)}: {_cause(breaker)}. "
        f"{_next_probe(breaker, now)}{probes} Devices are not judged by their silence meanwhile. "
        f"{_REMEDIES[breaker.cause]}"
    )


def no_push_sentence(because: NoPush, known: KnownOfPushing, until: datetime | None, now: datetime) -> str:
    """Say why a channel is not pushed, and what changes that. *until*: when it is looked at or pushed next."""
    target, topic = known.target, known.topic
    then = "soon" if until is None else f"on {moment(until, now)}"
    match because:
        case NoPush.MET:
            return f"Answered: it was in contact on {_heard(known, now)}, and nothing waits for it."
        case NoPush.NOT_ENROLLED:
            return f"Not pushed: {_STATES.get(known.state, 'it is not enrolled')}."
        case NoPush.NO_TOKEN:
            return "Not pushed: no TokenUpdate has brought a push token yet."
        case NoPush.TOKEN_REFUSED:
            return _token_refused(known, until, now)
        case NoPush.NO_CERTIFICATE | NoPush.CERTIFICATE_EXPIRED | NoPush.BREAKER_OPEN:
            return "Held." if topic is None else _held(topic, now)
        case NoPush.THROTTLED:
            times = "" if target is None else f", {_count(target.throttles, 'time', 'times')} in a row"
            return f"Slowed: APNs asked for fewer pushes to its token{times}. It is pushed again {then}."
        case NoPush.BUDGET:
            refill = length(BUDGET_REFILL).removeprefix("1 ")
            return (
                f"Slowed: its budget of {BUDGET_BURST} pushes, and one more each {refill}, is used up. "
                f"It is pushed again {then}."
            )
        case NoPush.UNDER_WAY:
            return (
                f"A push was accepted on {_accepted(known, now)}: the device that it wakes fetches this, too. "
                f"If it does not, it is pushed again {then}."
            )
        case NoPush.STORED:
            unanswered = 0 if target is None else target.unanswered
            return (
                f"Kept under a stored push: the last {unanswered} went unanswered. APNs keeps the one of "
                f"{_accepted(known, now)} for it; the next is sent {then}."
            )
        case NoPush.DECLINED:
            return (
                f"Left alone for now: it answered NotNow to all that waits ({known.declined} of "
                f"{known.commands_waiting}) and asks again by itself once it can. It is pushed again {then}."
            )
        case _:
            assert_never(because)


def _held(topic: TopicState, now: datetime) -> str:
    if topic.certificate_until is None:
        return (
            f"Held: there is no push certificate for its topic {topic.topic}. It is pushed as soon as one is put into "
            "use with `muster push-cert upload`."
        )
    if topic.certificate_until <= now:
        return (
            f"Held: the push certificate of its topic {topic.topic} expired on {moment(topic.certificate_until, now)}. "
            "It is pushed as soon as the renewed one is put into use with `muster push-cert upload`: renew that same "
            "certificate, not a new one."
        )
    breaker = topic.breaker
    if breaker is None or breaker.opened_at is None:
        return "Held."
    since = moment(breaker.opened_at, now)
    return f"Held: so are all pushes of its topic since {since}. {_cause(breaker)}. {_next_probe(breaker, now)}"


_STATES: Final = {
    EnrollmentState.ENROLLING: "its enrollment is not complete, for its TokenUpdate has not come yet",
    EnrollmentState.DORMANT: "its user is logged out, and fetches what waits at the next login",
    EnrollmentState.ENDED: "its enrollment has ended",
}


def _not_wanted(known: KnownOfPushing, verdict: PushVerdict, now: datetime) -> str:
    if known.commands_waiting:
        waiting = _count(known.commands_waiting, "command waits", "commands wait")
        return f"No push is wanted at this moment, though {waiting}: the next review, within a day, asks for one."
    heard = "" if known.last_contact_at is None else f", and it was in contact on {_heard(known, now)}"
    first = f"No push is wanted: nothing waits for it{heard}."
    if isinstance(verdict.if_wanted, Wait):
        then = no_push_sentence(verdict.if_wanted.because, known, verdict.if_wanted.until, now)
        return f"{first} A command queued now would not be pushed at once. {then}"
    return f"{first} A command queued now would be pushed at once."


def _on_its_way(known: KnownOfPushing, wish: Wish, standing: Standing, now: datetime) -> str:
    due = moment(wish.due_at, now)
    if standing is Standing.PUSH_NOW:
        return f"Pushed now, for {REASONS[wish.reason]}: the running server sends it within a second or two."
    if standing is Standing.PUSH_LATER:
        return f"Pushed on {due}, for {REASONS[wish.reason]}."
    if standing is Standing.UNDER_WAY:
        return f"A push is under way, for {REASONS[wish.reason]}; if no answer is recorded, it is sent again on {due}."
    if standing is Standing.RETRYING:
        last = "" if known.last is None else f": {OUTCOMES[known.last.outcome]}{_figures(known.last, now)}"
        return f"Tried again on {due}, for {REASONS[wish.reason]}{last}."
    heard = "and not in contact since" if is_unanswered(known) else f"and in contact since, on {_heard(known, now)}"
    waits = (
        f", while {_count(known.commands_waiting, 'command waits', 'commands wait')}" if known.commands_waiting else ""
    )
    return f"Pushed on {_accepted(known, now)}, for {REASONS[wish.reason]}, {heard}{waits}. Pushed again on {due}."


def _token_refused(known: KnownOfPushing, until: datetime | None, now: datetime) -> str:
    target, refusal = known.target, known.refusal
    refused_at = None if target is None else target.refused_at
    when = "" if refused_at is None else f" on {moment(refused_at, now)}"
    figures = "" if refusal is None else _figures(refusal, now)
    first = f"Not pushed: APNs refused its token{when}{figures}"
    if until is None:
        return f"{first}, and it has not been in contact since. A TokenUpdate or a contact revives it."
    count = 0 if target is None else target.refusals
    return (
        f"{first}, {_count(count, 'time', 'times')} since its last TokenUpdate. It was in contact on "
        f"{_heard(known, now)}, so the token is tried again on {moment(until, now)}."
    )


def _figures(answer: Answer, now: datetime) -> str:
    words = [str(answer.status)] if answer.status else []
    words += [answer.reason] if answer.reason else []
    words += [f"since {moment(answer.unregistered_at, now)}"] if answer.unregistered_at is not None else []
    is_plain = answer.outcome is OutcomeClass.ACCEPTED
    return "" if is_plain or not words else f" ({' '.join(words)})"


def _cause(breaker: Breaker) -> str:
    return _CAUSES[breaker.cause].format(failures=breaker.failures)


def _next_probe(breaker: Breaker, now: datetime) -> str:
    if breaker.is_probing:
        return "One is being tried just now; when it succeeds, the others follow."
    when = "soon" if breaker.retry_at is None else f"on {moment(breaker.retry_at, now)}"
    return f"One is tried {when}; when it succeeds, the others follow."


def _heard(known: KnownOfPushing, now: datetime) -> str:
    return "an unknown day" if known.last_contact_at is None else moment(known.last_contact_at, now)


def _accepted(known: KnownOfPushing, now: datetime) -> str:
    accepted_at = None if known.target is None else known.target.accepted_at
    return "an unknown day" if accepted_at is None else moment(accepted_at, now)


def _count(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"

"""When a channel is pushed, when not, and why: a wish is one row per channel, looked at when it is due.

Level-triggered: ten queued commands are one wish, and what was forgotten is wished again by the next review. APNs keeps
the last push for a device that is away, so one stored push is enough. Source: Apple, "Sending push notifications to
devices".
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias

from muster.protocol.records import record


class PushReason(StrEnum):
    """Why a push is wanted."""

    COMMAND_QUEUED = "command_queued"
    ENROLLED = "enrolled"
    TOKEN_CHANGED = "token_changed"  # noqa: S105 - a reason
    ASKED_FOR = "asked_for"
    COMMAND_WAITING = "command_waiting"
    """Found by a review: a command waits, and nothing wants its push any more."""
    SILENT = "silent"
    """Found by a review: the channel has not been heard for long; a stored push waits for it."""
    PUSHES_WORK_AGAIN = "pushes_work_again"
    """Its topic could not be pushed for a while, by a fault of ours: what its silence means is to be found out."""
    REACHABLE_AGAIN = "reachable_again"
    """We could not be reached for a while, by a fault of ours: the push that APNs kept for it may be spent on us."""
    RECOVERY = "recovery"
    """A step of its recovery: whether pushes arrive is to be found out, or it is to fetch what brings it back."""


class NoPush(StrEnum):
    """Why a channel isn't pushed now, or not at all."""

    MET = "met"
    """It was heard since, and nothing waits for it."""
    NOT_ENROLLED = "not_enrolled"
    NO_TOKEN = "no_token"  # noqa: S105 - a reason
    TOKEN_REFUSED = "token_refused"  # noqa: S105 - a reason
    """APNs said for good that the token is no use; a TokenUpdate or a contact revives it."""
    NO_CERTIFICATE = "no_certificate"
    CERTIFICATE_EXPIRED = "certificate_expired"
    BREAKER_OPEN = "breaker_open"
    """Nobody with this topic can be pushed; see muster.domain.push_breaker."""
    THROTTLED = "throttled"
    """APNs asked for fewer pushes to this token."""
    BUDGET = "budget"
    """We push no token so often that APNs would have to ask."""
    UNDER_WAY = "under_way"
    """A push was accepted a moment ago: the device that it wakes fetches this, too."""
    STORED = "stored"
    """The channel is silent, and APNs keeps a push for it."""
    DECLINED = "declined"
    """It said NotNow to all that waits: a push now would be answered the same way."""


OBSTACLES: Final = frozenset({NoPush.NO_CERTIFICATE, NoPush.CERTIFICATE_EXPIRED, NoPush.BREAKER_OPEN})
"""Faults on our side or APNs': the wish is held, untouched, until they are over."""

AFTER_TOKEN_UPDATE: Final = (timedelta(seconds=10), timedelta(seconds=30), timedelta(seconds=120))
"""The first push after a TokenUpdate may come before the device listens: it is repeated so long after it."""
UNANSWERED: Final = (timedelta(hours=1), timedelta(hours=4), timedelta(days=1), timedelta(days=3))
"""While the device stays away: again after these pauses, then once in STANDING. The last pause is for a device that was
there and could not answer, so that nothing is stored for it: it is called once more before its silence is held against
it (`ControlPolicy.tolerance`)."""
STANDING: Final = timedelta(days=7)
"""APNs keeps a push for up to 30 days; one a week keeps one stored without being seen as noise."""
AFTER_NOT_NOW: Final = (timedelta(hours=1), timedelta(hours=2), timedelta(hours=4), timedelta(days=1))
"""A device that declined asks again by itself once it can; these pauses are for one that does not."""
ANSWER_TIME: Final = timedelta(seconds=10)
"""A device that is reachable connects within seconds of its push."""
STORED_AFTER: Final = 3
STORED_SILENCE: Final = timedelta(days=1)
"""STORED_AFTER accepted pushes without a contact, the last of them so long after the channel was heard: the device is
away, and more of them would wake nobody. Three within an hour say less: it may have been woken where it could not reach
us, or before it listened, and then nothing is stored for it."""
CALLED_APART: Final = timedelta(hours=1)
"""After each fault of ours a channel whose push had no answer is pushed again, but none so soon after that push: a
fault that comes and goes shall not wake anybody all the time."""
BUDGET_BURST: Final = 30
BUDGET_REFILL: Final = timedelta(minutes=1)
"""Of one token: BUDGET_BURST pushes at once, and one more for each BUDGET_REFILL. Apple names no figure; a person who
works with one device stays below it."""
REVIVED_AFTER: Final = (timedelta(minutes=5), timedelta(hours=1), timedelta(days=1))
"""How long after a refusal a contact revives its token, by how often it was refused."""
HELD_FOR: Final = timedelta(hours=1)
"""A held wish is released when its obstacle goes; so often it is looked at all the same."""

SENT_ANYWAY: Final = frozenset(
    {
        PushReason.ENROLLED,
        PushReason.TOKEN_CHANGED,
        PushReason.ASKED_FOR,
        PushReason.PUSHES_WORK_AGAIN,
        PushReason.REACHABLE_AGAIN,
        PushReason.RECOVERY,
    }
)
"""Wishes for the push itself: the first proof of a new token, an administrator's test. Contact doesn't meet them before
they were sent once."""


_REPEATED_OTHERWISE: Final = frozenset({PushReason.SILENT, PushReason.RECOVERY})
"""Unanswered, one stored push is enough; a recovery decides by itself when another one shows anything."""


class TargetState(NamedTuple):
    """What is known of the token that a channel is pushed by."""

    updated_at: datetime
    """When the TokenUpdate came that brought it."""
    refused_at: datetime | None = None
    refusals: int = 0
    """How often it was refused for good since that TokenUpdate."""
    throttled_until: datetime | None = None
    throttles: int = 0
    """429s in a row."""
    budget_until: datetime | None = None
    """Until when its pushes so far are paid for, one for each BUDGET_REFILL; absent: nothing is owed."""
    accepted_at: datetime | None = None
    """When APNs accepted a push last."""
    unanswered: int = 0
    """Accepted pushes in a row without a contact between them, as of accepted_at."""
    token_since: datetime | None = None
    """When the first TokenUpdate came that brought this very token; absent: updated_at."""


@record(frozen=True, slots=True)
class Obstacle:
    """What keeps every channel of a topic from being pushed; *because* is one of OBSTACLES."""

    because: NoPush


class PushSituation(NamedTuple):
    """What is known of a channel when its wish is due."""

    wanted_at: datetime
    reason: PushReason
    attempts: int
    """Pushes that APNs accepted for this wish so far, and such as are under way."""
    last_contact_at: datetime | None
    commands_waiting: int
    declined: int = 0
    """How many of those waiting were answered with NotNow."""
    is_enrolled: bool = True
    target: TargetState | None = None
    """Absent before the first TokenUpdate."""
    obstacle: Obstacle | None = None
    usual_hours: frozenset[int] = frozenset()
    """Hours of the day (UTC, 0 to 23) at which the channel usually answers; empty: not known."""


@record(frozen=True, slots=True)
class PushNow:
    """Send one, and look again at *next_at* when it was accepted."""

    next_at: datetime


@record(frozen=True, slots=True)
class Wait:
    """Send none, and look again at *until*; where *because* is an obstacle, its end comes first."""

    until: datetime
    because: NoPush


@record(frozen=True, slots=True)
class DropWish:
    """Send none, and forget the wish; what *because* names makes a new one when it ends."""

    because: NoPush


PushDecision: TypeAlias = PushNow | Wait | DropWish


def decide_push(situation: PushSituation, now: datetime) -> PushDecision:
    """Decide what to do with a wish that is due at *now*: the first rule that has something to say decides."""
    for rule in RULES:
        decision = rule(situation, now)
        if decision is not None:
            return decision
    return PushNow(_next_at(situation, now))


def heard_since(situation: PushSituation, moment: datetime | None) -> bool:
    """Tell whether the channel was in contact after *moment*; that very message is no answer to it."""
    contact = situation.last_contact_at
    return contact is not None and moment is not None and contact > moment


def _is_owed(situation: PushSituation) -> bool:
    """Tell whether this is the first push of a wish that is pushed whatever was heard since."""
    return situation.attempts == 0 and situation.reason in SENT_ANYWAY


def _nobody_to_push(situation: PushSituation, _now: datetime) -> PushDecision | None:
    if not situation.is_enrolled:
        return DropWish(NoPush.NOT_ENROLLED)
    return DropWish(NoPush.NO_TOKEN) if situation.target is None else None


def _is_met(situation: PushSituation, _now: datetime) -> PushDecision | None:
    if situation.commands_waiting or not heard_since(situation, situation.wanted_at) or _is_owed(situation):
        return None
    return DropWish(NoPush.MET)


def _token_is_refused(situation: PushSituation, now: datetime) -> PushDecision | None:
    target = situation.target
    if target is None or target.refused_at is None:
        return None
    if not heard_since(situation, target.refused_at):
        is_tried = situation.reason is PushReason.RECOVERY and _is_owed(
            situation
        )  # it knows why, and asks for no other
        return None if is_tried else DropWish(NoPush.TOKEN_REFUSED)
    revived_at = target.refused_at + _step(REVIVED_AFTER, max(target.refusals - 1, 0))
    return Wait(revived_at, NoPush.TOKEN_REFUSED) if now < revived_at else None


def _topic_is_blocked(situation: PushSituation, now: datetime) -> PushDecision | None:
    return None if situation.obstacle is None else Wait(now + HELD_FOR, situation.obstacle.because)


def _is_throttled(situation: PushSituation, now: datetime) -> PushDecision | None:
    until = None if situation.target is None else situation.target.throttled_until
    return Wait(until, NoPush.THROTTLED) if until is not None and now < until else None


def _budget_is_spent(situation: PushSituation, now: datetime) -> PushDecision | None:
    paid_until = None if situation.target is None else situation.target.budget_until
    if paid_until is None or paid_until - now <= BUDGET_REFILL * (BUDGET_BURST - 1):
        return None
    return Wait(paid_until - BUDGET_REFILL * (BUDGET_BURST - 1), NoPush.BUDGET)


def _is_under_way(situation: PushSituation, now: datetime) -> PushDecision | None:
    accepted_at = None if situation.target is None else situation.target.accepted_at
    if accepted_at is None or situation.attempts or _is_owed(situation) or heard_since(situation, accepted_at):
        return None
    return Wait(accepted_at + ANSWER_TIME, NoPush.UNDER_WAY) if now < accepted_at + ANSWER_TIME else None


def _one_is_stored(situation: PushSituation, now: datetime) -> PushDecision | None:
    """A channel that is silent, and under a stored push, needs no other for long, whatever is queued for it."""
    target = situation.target
    if target is None or target.accepted_at is None or target.unanswered < STORED_AFTER or _is_owed(situation):
        return None
    heard_at = max(situation.last_contact_at or target.updated_at, target.updated_at)
    again_at = target.accepted_at + (STANDING if target.unanswered > len(UNANSWERED) else UNANSWERED[-1])
    if target.accepted_at - heard_at < STORED_SILENCE or now >= again_at:
        return None
    return Wait(again_at, NoPush.STORED)


def _was_declined(situation: PushSituation, now: datetime) -> PushDecision | None:
    """NotNow to all that waits: at the hours at which it usually answers, else after growing pauses."""
    target, contact = situation.target, situation.last_contact_at
    if contact is None or not 0 < situation.commands_waiting <= situation.declined or _is_owed(situation):
        return None
    pushed_at = situation.wanted_at if target is None or target.accepted_at is None else target.accepted_at
    if not heard_since(situation, pushed_at):
        return None
    again_at = next_usual_hour(situation.usual_hours, contact + _step(AFTER_NOT_NOW, max(situation.attempts - 1, 0)))
    return Wait(again_at, NoPush.DECLINED) if now < again_at else None


RULES: Final[tuple[Callable[[PushSituation, datetime], PushDecision | None], ...]] = (
    _nobody_to_push,
    _is_met,
    _token_is_refused,
    _topic_is_blocked,
    _is_throttled,
    _budget_is_spent,
    _is_under_way,
    _one_is_stored,
    _was_declined,
)
"""In the order in which they are asked; where none has anything to say, the push is sent."""


def called_again_at(accepted_at: datetime, turn: datetime) -> datetime:
    """Return when a channel is pushed again whose push, accepted at *accepted_at*, may have been spent on a fault of
    ours; *turn*: when it is its turn among all of them."""
    return max(turn, accepted_at + CALLED_APART)


def next_usual_hour(usual_hours: frozenset[int], earliest: datetime) -> datetime:
    """Return the first moment from *earliest* on that lies in one of *usual_hours*; *earliest* where there are none."""
    if not usual_hours or earliest.hour in usual_hours:
        return earliest
    full_hour = earliest.replace(minute=0, second=0, microsecond=0)
    return next(
        full_hour + timedelta(hours=ahead)
        for ahead in range(1, 25)
        if (full_hour + timedelta(hours=ahead)).hour in usual_hours
    )


def _next_at(situation: PushSituation, now: datetime) -> datetime:
    """When the wish is looked at again after a push sent *now*."""
    target = situation.target
    early = () if target is None or heard_since(situation, target.updated_at) else _early(target, situation.wanted_at)
    coming = [moment for moment in early if moment > now]
    if coming:
        return max(coming[0], now + AFTER_TOKEN_UPDATE[0])
    attempts = max(situation.attempts - len(early), 0)
    if target is not None and heard_since(situation, target.accepted_at):
        return now + _step(AFTER_NOT_NOW, attempts)  # it answers: what it declines is asked again within a day
    if situation.reason in _REPEATED_OTHERWISE or attempts >= len(UNANSWERED):
        return now + STANDING
    return now + UNANSWERED[attempts]


def _early(target: TargetState, wanted_at: datetime) -> tuple[datetime, ...]:
    """When a push is repeated for the TokenUpdate's sake, whatever is wished for by then."""
    if target.updated_at + AFTER_TOKEN_UPDATE[-1] <= wanted_at:
        return ()
    moments = (target.updated_at + pause for pause in AFTER_TOKEN_UPDATE)
    return tuple(moment for moment in moments if moment > wanted_at)


def _step(steps: tuple[timedelta, ...], index: int) -> timedelta:
    return steps[min(index, len(steps) - 1)]

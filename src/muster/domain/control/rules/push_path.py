"""Step 6: does it come without pushes, and never by one?

A device that sleeps takes the stored push when it wakes, hours after it was sent, and that contact looks like one of
its own accord. So only pushes count for proof that were sent while the device was about: shortly after it was heard, or
between two contacts that lie near to each other.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.contact import SLOT
from muster.domain.control.control_policy import ControlPolicy
from muster.domain.control.dossier import PROMPTLY, Dossier, PushRecord
from muster.domain.control.finding import Cited, Finding, NotYet
from muster.domain.control.reasons import Reason
from muster.domain.control.rules.reading import ANSWER_WINDOW, Said, is_away, is_enrolled, pushes_that_count
from muster.domain.control.states import ControlState, Forecast
from muster.domain.control.words import count, instant

UNANSWERED_PUSHES: Final = 5
OVER: Final = timedelta(days=2)
"""So many pushes without an answer, over so long, with a contact between."""
ONE_MORE: Final = timedelta(hours=6)
"""How often is looked where they last for long enough, and one more push without an answer would be enough."""
ABOUT_AFTER_CONTACT: Final = timedelta(minutes=15)
"""So long after a contact a device is taken to be awake; what is pushed to settle it goes out within that. No longer,
for the last contact of a working day and a question of every evening may lie as near to each other on many days."""
ABOUT_BETWEEN_CONTACTS: Final = timedelta(hours=6)
"""And all the time between two contacts as near as this: a night is longer."""
MISSED_WHILE_ABOUT: Final = 2
"""Pushes that a device must have missed while it was about; one may fall into a lid's closing."""
BY_CHANCE: Final = 5
"""Of so many pushes that were missed one may seem answered."""
WITH_A_CONTACT: Final = timedelta(minutes=7)
"""A push so soon after a TokenUpdate can't be told from it: contacts are kept by slots of five minutes."""
AFTER_AN_ANSWER: Final = SLOT + timedelta(minutes=1)
"""A push so long after a contact is answered by another one: slots, and a minute in which a push is recorded late."""
ALIKE: Final = 2
"""Devices of one address, this one included, that no push reaches."""


@dataclass(frozen=True, slots=True)
class _Missed:
    """Pushes without an answer since the last that had one, and how many of them were sent while it was about."""

    pushes: tuple[datetime, ...]
    while_about: int


def push_magic_wrong(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does it come, alone among its neighbours never by a push, or report another push magic than we have?"""
    push, ddm = dossier.push, dossier.ddm
    if push is None or not is_enrolled(dossier) or is_away(dossier):
        return None
    step = "its profile is installed again at its next contact, which gives it another magic"
    if ddm is not None and ddm.push_magic_differs and ddm.status_at is not None and ddm.status_at >= push.updated_at:
        words = f"reported {instant(ddm.status_at, now)} another push magic than its last TokenUpdate brought"
        cited = (Cited("S10", ddm.status_at, "its push magic is another than ours"),)
        since = ddm.status_at
        return Finding(Reason.PUSH_MAGIC_WRONG, ControlState.AT_RISK, since, words, Forecast.WITH_US, step, cited)
    missed = _missed(dossier, push, now)
    if isinstance(missed, NotYet) or missed is None or not _is_magic_likelier(dossier, push, missed):
        return missed if isinstance(missed, NotYet) else None
    candidates = (Reason.PUSH_MAGIC_WRONG, Reason.PUSH_PATH_BLOCKED)
    return _found(dossier, missed, Reason.PUSH_MAGIC_WRONG, candidates, Forecast.WITH_US, step, now)


def push_path_blocked(dossier: Dossier, policy: ControlPolicy, now: datetime) -> Said:
    """Does it come, and never by a push?"""
    push = dossier.push
    if push is None or not is_enrolled(dossier) or is_away(dossier):
        return None
    missed = _missed(dossier, push, now)
    if isinstance(missed, NotYet) or missed is None or _is_magic_likelier(dossier, push, missed):
        return missed if isinstance(missed, NotYet) else None
    where = f"at {dossier.last_source}" if dossier.last_source else "there"
    step = f"ask whoever runs the network {where} to let devices reach APNs (TCP 5223, else 443, to 17.0.0.0/8)"
    alone = () if _are_alike(dossier) else (Reason.PUSH_MAGIC_WRONG,)
    candidates = (Reason.PUSH_PATH_BLOCKED, *alone)
    return _found(dossier, missed, Reason.PUSH_PATH_BLOCKED, candidates, Forecast.WITH_A_PERSON, step, now)


def _missed(dossier: Dossier, push: PushRecord, now: datetime) -> _Missed | NotYet | None:
    """Return the pushes without an answer, where they are enough to be told; NotYet while the last may be answered."""
    run = _run(dossier, push, pushes_that_count(dossier))
    settled = tuple(at for at in run if now - at >= ANSWER_WINDOW)
    if not _is_enough(dossier, settled):
        moments = [at + ANSWER_WINDOW for at in run if at not in settled]
        if len(run) >= UNANSWERED_PUSHES - 1:
            lasts_at = run[0] + OVER + ANSWER_WINDOW
            moments.append(lasts_at if lasts_at > now else now + ONE_MORE)
        moments = [at for at in moments if at > now]
        return NotYet(min(moments)) if moments else None
    heard = dossier.contacts
    return _Missed(settled, sum(_is_about(heard, at) for at in settled))


def _is_about(heard: Sequence[datetime], at: datetime) -> bool:
    """Tell whether a device that was *heard* at these times, in order, was awake *at* a time."""
    next_one = bisect_right(heard, at)
    if not next_one:
        return False
    if at - heard[next_one - 1] <= ABOUT_AFTER_CONTACT:
        return True
    return next_one < len(heard) and heard[next_one] - heard[next_one - 1] <= ABOUT_BETWEEN_CONTACTS


def _run(dossier: Dossier, push: PushRecord, counted: Sequence[datetime]) -> tuple[datetime, ...]:
    """Return the pushes without an answer since the way was open last.

    A TokenUpdate is no proof that it is: only a push after it that is answered. What went before it counts until then,
    but for what went to another life. What a contact followed only after some minutes was neither answered nor missed.
    """
    enrolled_at = dossier.enrolled_at
    pushes = [
        at
        for at in counted
        if (enrolled_at is None or at >= enrolled_at)
        and not timedelta(0) <= at - push.updated_at < WITH_A_CONTACT
        and push.answered.get(at, at) <= at + PROMPTLY
    ]
    since_update = [at for at in pushes if at >= push.updated_at]
    answers = sum(at in push.answered for at in since_update)
    is_open = answers * BY_CHANCE > len(since_update) - answers
    return _missed_of(since_update if is_open else pushes, push)


def _missed_of(pushes: Sequence[datetime], push: PushRecord) -> tuple[datetime, ...]:
    """Return those of *pushes* without an answer since two in a row had one, or since the last where that is no chance.

    Two answers in a row are proof that the way is open, if two contacts gave them. One among many that were missed is a
    contact of its own accord that happened to follow a push, or went just before it: contacts are known by slots of
    five minutes.
    """
    missed: list[datetime] = []
    answered: list[datetime] = []
    next_push: datetime | None = None  # the one that came next, if that was answered
    for at in reversed(pushes):
        answer, later = push.answered.get(at), next_push
        next_push = None if answer is None else at
        if answer is None:
            missed.append(at)
        elif later is None:
            answered.append(at)
        elif later - answer >= AFTER_AN_ANSWER:
            answered.pop()  # one of the two that are proof
            break
    if len(answered) * BY_CHANCE > len(missed):
        missed = [at for at in missed if at > answered[0]]
    return tuple(reversed(missed))


def _is_enough(dossier: Dossier, run: tuple[datetime, ...]) -> bool:
    if len(run) < UNANSWERED_PUSHES or run[-1] - run[0] < OVER:
        return False
    return any(run[0] < contact < run[-1] for contact in dossier.contacts)


def _are_alike(dossier: Dossier) -> bool:
    return dossier.site is not None and dossier.site.unpushable >= ALIKE


def _is_magic_likelier(dossier: Dossier, push: PushRecord, missed: _Missed) -> bool:
    """Tell whether its magic changed just before the first push that it missed; a change since then mended nothing."""
    changed_at, first = push.magic_changed_at, missed.pushes[0]
    return not _are_alike(dossier) and changed_at is not None and first - OVER <= changed_at <= first


def _found(
    dossier: Dossier,
    missed: _Missed,
    reason: Reason,
    candidates: tuple[Reason, ...],
    forecast: Forecast,
    step: str,
    now: datetime,
) -> Finding:
    first, many = missed.pushes[0], count(len(missed.pushes), "push")
    cited = (
        Cited("S4", missed.pushes[-1], f"{many} without an answer since {instant(first, now).removeprefix('on ')}"),
        Cited("S1", dossier.silence.since, f"last contact {instant(dossier.silence.since, now)}"),
    )
    is_proved = missed.while_about >= MISSED_WHILE_ABOUT
    words = f"{many} since {instant(first, now).removeprefix('on ')} went unanswered, though it came meanwhile"
    if is_proved:
        words = f"{words}; {missed.while_about} were sent while it was about"
    else:
        step = "it is pushed shortly after its next contact, when it is sure to be awake"
    state = ControlState.AT_RISK if is_proved else None
    # by then a push that followed its last contact is answered, or was missed while it was about
    settled_at = dossier.silence.since + ABOUT_AFTER_CONTACT + ANSWER_WINDOW
    look_again_at = settled_at if settled_at > now else None
    return Finding(reason, state, first, words, forecast, step, cited, candidates, look_again_at=look_again_at)

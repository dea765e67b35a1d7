"""When a wish to push is sent, put off, and dropped."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.push_policy import (
    AFTER_NOT_NOW,
    ANSWER_TIME,
    BUDGET_BURST,
    BUDGET_REFILL,
    CALLED_APART,
    HELD_FOR,
    REVIVED_AFTER,
    SENT_ANYWAY,
    STANDING,
    STORED_AFTER,
    STORED_SILENCE,
    UNANSWERED,
    DropWish,
    NoPush,
    Obstacle,
    PushDecision,
    PushNow,
    PushReason,
    PushSituation,
    TargetState,
    Wait,
    called_again_at,
    decide_push,
    next_usual_hour,
)

TOKEN = TargetState(NOON - timedelta(days=100))
WISH = PushSituation(
    NOON, PushReason.COMMAND_QUEUED, attempts=0, last_contact_at=None, commands_waiting=1, target=TOKEN
)
LATER = NOON + timedelta(seconds=1)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PUSHED = TOKEN._replace(accepted_at=NOON - HOUR, unanswered=1)
SILENT = TOKEN._replace(accepted_at=NOON - DAY, unanswered=len(UNANSWERED) + 1)
NEW = TargetState(NOON)
ENROLLED = WISH._replace(reason=PushReason.ENROLLED, commands_waiting=0, last_contact_at=NOON, target=NEW)
DECLINED = WISH._replace(declined=1, last_contact_at=NOON + 5 * MINUTE, attempts=1, target=PUSHED)


def table() -> Iterator[tuple[str, PushSituation, datetime, PushDecision]]:
    now = LATER
    yield "never heard of", WISH, now, PushNow(now + UNANSWERED[0])
    yield "not enrolled", WISH._replace(is_enrolled=False), now, DropWish(NoPush.NOT_ENROLLED)
    yield "no token", WISH._replace(target=None), now, DropWish(NoPush.NO_TOKEN)
    heard = WISH._replace(last_contact_at=LATER, commands_waiting=0)
    yield "heard, nothing waits", heard, now, DropWish(NoPush.MET)
    yield "heard, a command waits", WISH._replace(last_contact_at=LATER), now, PushNow(now + UNANSWERED[0])
    yield "TokenUpdate is no answer", ENROLLED._replace(attempts=1), NOON + 10 * SECOND, PushNow(NOON + 30 * SECOND)
    for reason in sorted(SENT_ANYWAY - {PushReason.RECOVERY}):
        owed = heard._replace(reason=reason)
        yield f"{reason} is owed a push", owed, now, PushNow(now + UNANSWERED[0])
        yield f"{reason} was sent", owed._replace(attempts=1), now, DropWish(NoPush.MET)
    first = WISH._replace(target=NEW, last_contact_at=NOON)
    yield "a command for a new token", first, now, PushNow(now + 10 * SECOND)
    late = first._replace(attempts=1)
    yield "again at 30 s", late, NOON + 12 * SECOND, PushNow(NOON + 30 * SECOND)
    yield "never sooner than 10 s after the last", late, NOON + 25 * SECOND, PushNow(NOON + 35 * SECOND)
    listens = first._replace(last_contact_at=LATER)
    yield "the new token was heard already", listens, NOON + 2 * SECOND, PushNow(NOON + 2 * SECOND + UNANSWERED[0])
    minutes_later = first._replace(wanted_at=NOON + 5 * MINUTE)
    yield "the token isn't new", minutes_later, NOON + 5 * MINUTE, PushNow(NOON + 5 * MINUTE + UNANSWERED[0])
    held = first._replace(attempts=0)
    yield "first pushed hours later", held, NOON + 6 * HOUR, PushNow(NOON + 6 * HOUR + UNANSWERED[0])
    refused = TOKEN._replace(refused_at=NOON - DAY, refusals=1)
    yield "token refused", WISH._replace(target=refused), now, DropWish(NoPush.TOKEN_REFUSED)
    tried = WISH._replace(target=refused, reason=PushReason.RECOVERY)
    yield "a recovery tries it once", tried, now, PushNow(now + STANDING)
    yield "and no more", tried._replace(attempts=1), now, DropWish(NoPush.TOKEN_REFUSED)
    revived = WISH._replace(target=refused, last_contact_at=NOON - HOUR)
    yield "revived by a contact", revived, now, PushNow(now + UNANSWERED[0])
    again = refused._replace(refused_at=NOON - MINUTE, refusals=2)
    too_soon = WISH._replace(target=again, last_contact_at=NOON)
    yield "revived later each time", too_soon, now, Wait(NOON - MINUTE + REVIVED_AFTER[1], NoPush.TOKEN_REFUSED)
    for because in (NoPush.NO_CERTIFICATE, NoPush.CERTIFICATE_EXPIRED, NoPush.BREAKER_OPEN):
        yield because, WISH._replace(obstacle=Obstacle(because)), now, Wait(now + HELD_FOR, because)
    throttled = TOKEN._replace(throttled_until=NOON + HOUR)
    yield "throttled", WISH._replace(target=throttled), now, Wait(NOON + HOUR, NoPush.THROTTLED)
    yield "no longer throttled", WISH._replace(target=throttled), NOON + HOUR, PushNow(NOON + HOUR + UNANSWERED[0])
    spent = TOKEN._replace(budget_until=LATER + BUDGET_REFILL * BUDGET_BURST)
    yield "budget spent", WISH._replace(target=spent), now, Wait(LATER + BUDGET_REFILL, NoPush.BUDGET)
    left = TOKEN._replace(budget_until=LATER + BUDGET_REFILL * (BUDGET_BURST - 1))
    yield "one push left in the budget", WISH._replace(target=left), now, PushNow(now + UNANSWERED[0])
    under_way = TOKEN._replace(accepted_at=NOON - SECOND, unanswered=1)
    awaited = WISH._replace(target=under_way)
    yield "a push is under way", awaited, now, Wait(NOON - SECOND + ANSWER_TIME, NoPush.UNDER_WAY)
    answered = awaited._replace(last_contact_at=NOON)
    yield "it was answered already", answered, now, PushNow(now + UNANSWERED[0])
    asked = awaited._replace(reason=PushReason.ASKED_FOR)
    yield "somebody asks for it", asked, now, PushNow(now + UNANSWERED[0])
    early = WISH._replace(target=SILENT._replace(unanswered=STORED_AFTER))
    yield "one is stored, or was in vain", early, now, Wait(NOON - DAY + UNANSWERED[-1], NoPush.STORED)
    yield "once more before the week", early, NOON + 2 * DAY, PushNow(NOON + 2 * DAY + UNANSWERED[0])
    stored = WISH._replace(target=SILENT)
    yield "one is stored", stored, now, Wait(NOON - DAY + STANDING, NoPush.STORED)
    repeated = stored._replace(attempts=1)
    yield "one is stored, sent for this wish", repeated, now, Wait(NOON - DAY + STANDING, NoPush.STORED)
    asked_again = stored._replace(reason=PushReason.ASKED_FOR)
    yield "one is stored, and somebody asks for it", asked_again, now, PushNow(now + UNANSWERED[0])
    in_vain = stored._replace(reason=PushReason.REACHABLE_AGAIN)
    yield "the stored one may be spent on a fault of ours", in_vain, now, PushNow(now + UNANSWERED[0])
    once = in_vain._replace(attempts=1, target=SILENT._replace(accepted_at=NOON))
    yield "it is called again once", once, now, Wait(NOON + STANDING, NoPush.STORED)
    just_away = stored._replace(last_contact_at=NOON - DAY - STORED_SILENCE + SECOND)
    yield "silent for less than a day", just_away, now, PushNow(now + UNANSWERED[0])
    a_day_away = stored._replace(last_contact_at=NOON - DAY - STORED_SILENCE)
    yield "silent for a day", a_day_away, now, Wait(NOON - DAY + STANDING, NoPush.STORED)
    new_token = stored._replace(target=SILENT._replace(updated_at=NOON - DAY - HOUR))
    yield "silent, with a new token", new_token, now, PushNow(now + UNANSWERED[0])
    fewer = WISH._replace(target=SILENT._replace(unanswered=STORED_AFTER - 1))
    yield "too few went unanswered", fewer, now, PushNow(now + UNANSWERED[0])
    yield "it was heard since", stored._replace(last_contact_at=NOON - HOUR), now, PushNow(now + UNANSWERED[0])
    yield "the stored one is old", stored, NOON + STANDING, PushNow(NOON + STANDING + UNANSWERED[0])
    nobody = stored._replace(reason=PushReason.SILENT, commands_waiting=0)
    yield "silent, under a stored push", nobody, now, Wait(NOON - DAY + STANDING, NoPush.STORED)
    declined_at = NOON + 5 * MINUTE
    yield "NotNow", DECLINED, NOON + HOUR, Wait(declined_at + AFTER_NOT_NOW[0], NoPush.DECLINED)
    yield "NotNow an hour ago", DECLINED, declined_at + HOUR, PushNow(declined_at + HOUR + AFTER_NOT_NOW[1])
    thrice = DECLINED._replace(attempts=3)
    yield "NotNow again", thrice, NOON + HOUR, Wait(declined_at + AFTER_NOT_NOW[2], NoPush.DECLINED)
    yield "another waits, too", DECLINED._replace(commands_waiting=2), LATER, PushNow(LATER + AFTER_NOT_NOW[1])
    often = DECLINED._replace(commands_waiting=2, attempts=9)
    yield "it answers each push", often, LATER, PushNow(LATER + AFTER_NOT_NOW[-1])
    usual = DECLINED._replace(usual_hours=frozenset({17, 18}))
    yield "at its hours", usual, NOON + HOUR, Wait(NOON.replace(hour=17), NoPush.DECLINED)
    unheard = DECLINED._replace(last_contact_at=NOON - 2 * HOUR)
    yield "NotNow was before the last push", unheard, LATER, PushNow(LATER + UNANSWERED[1])


@pytest.mark.parametrize(("situation", "now", "decision"), [pytest.param(*row[1:], id=row[0]) for row in table()])
def test_decision(situation: PushSituation, now: datetime, decision: PushDecision) -> None:
    assert decide_push(situation, now) == decision


def times_of_pushes(situation: PushSituation, until: timedelta) -> list[timedelta]:
    """Say when a device that never answers is pushed, from the wish on, if APNs accepts every push."""
    now, times = NOON, []
    while now - NOON <= until:
        decision = decide_push(situation, now)
        assert isinstance(decision, PushNow)
        times.append(now - NOON)
        situation = situation._replace(attempts=situation.attempts + 1)
        now = decision.next_at
    return times


def test_first_push_after_a_token_update_is_repeated_at_10_30_and_120_seconds() -> None:
    times = times_of_pushes(ENROLLED, 2 * HOUR)

    assert times == [timedelta(0), 10 * SECOND, 30 * SECOND, 120 * SECOND, 120 * SECOND + HOUR]


def test_pushes_of_a_waiting_command_grow_rare_and_stay_at_one_a_week() -> None:
    times = times_of_pushes(WISH, 30 * DAY)

    weeks = [29 * HOUR + 3 * DAY + STANDING * number for number in range(4)]
    assert times == [timedelta(0), HOUR, 5 * HOUR, 29 * HOUR, *weeks]


def test_a_silent_channel_is_kept_under_one_push_a_week() -> None:
    times = times_of_pushes(WISH._replace(reason=PushReason.SILENT, commands_waiting=0), 30 * DAY)

    assert times == [STANDING * number for number in range(5)]


@pytest.mark.parametrize(
    ("hours", "earliest", "expected"),
    [
        (frozenset(), (9, 30), (9, 30)),
        ({9}, (9, 30), (9, 30)),
        ({10, 22}, (9, 30), (10, 0)),
        ({8}, (9, 30), (24 + 8, 0)),
        ({0}, (23, 59), (24, 0)),
    ],
)
def test_next_usual_hour(hours: set[int], earliest: tuple[int, int], expected: tuple[int, int]) -> None:
    midnight = datetime(2026, 11, 2, tzinfo=UTC)
    given, wanted = (midnight + timedelta(hours=hour, minutes=minute) for hour, minute in (earliest, expected))

    assert next_usual_hour(frozenset(hours), given) == wanted


@pytest.mark.parametrize(("pushed_ago", "in_turn", "is_due_in"), [(DAY, SECOND, SECOND), (10 * MINUTE, SECOND, HOUR)])
def test_nobody_is_called_again_soon_after_a_push(
    pushed_ago: timedelta, in_turn: timedelta, is_due_in: timedelta
) -> None:
    due_at = called_again_at(NOON - pushed_ago, NOON + in_turn)

    assert due_at == (NOON + is_due_in if pushed_ago >= CALLED_APART else NOON - pushed_ago + CALLED_APART)

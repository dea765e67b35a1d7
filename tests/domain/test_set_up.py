"""When a device in Setup Assistant is let go on."""

from datetime import timedelta

import pytest
from tests.support.instants import NOON

from muster.domain.command_queue import RENEWAL_PRIORITY
from muster.domain.set_up import LOOK_INTERVAL, RELEASE_PRIORITY, LookAgain, Release, decide_release

HOLD, PATIENCE = timedelta(seconds=20), timedelta(minutes=30)

CASES = {
    "the hold goes on": (19, (), LookAgain(NOON + HOLD)),
    "the hold goes on whatever is queued": (19, (5,), LookAgain(NOON + HOLD)),
    "nothing is queued": (20, (), Release(is_overtaking=False)),
    "one is unanswered": (20, (5,), LookAgain(NOON + timedelta(seconds=20) + LOOK_INTERVAL)),
    "one hangs since before it waited": (1799, (-9000,), LookAgain(NOON + timedelta(seconds=1799) + LOOK_INTERVAL)),
    "all hang": (1805, (-9000, 5), Release(is_overtaking=True)),
    "one hangs, one is young": (1805, (5, 1800), LookAgain(NOON + timedelta(seconds=1805) + LOOK_INTERVAL)),
}


@pytest.mark.parametrize(("seconds", "queued", "expected"), CASES.values(), ids=CASES)
def test_device_is_let_go_on_when_nothing_that_may_hold_it_is_unanswered(
    seconds: int, queued: tuple[int, ...], expected: LookAgain | Release
) -> None:
    now = NOON + timedelta(seconds=seconds)
    queued_at = [NOON + timedelta(seconds=at) for at in queued]

    assert decide_release(NOON, queued_at, hold=HOLD, patience=PATIENCE, now=now) == expected


def test_release_overtakes_everything_but_a_renewal() -> None:
    assert RELEASE_PRIORITY < RENEWAL_PRIORITY

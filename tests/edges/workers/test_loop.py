"""Worker loops in virtual time: a step when something is due, when something is told, and at each poll."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from muster.edges.workers.loop import FAULT_PAUSE, Loop
from muster.laboratory.virtual_time import START, VirtualTimeLoop
from muster.storage.errors import Unavailable

Tell = Callable[[Loop], Awaitable[None]]


def steps_of(
    step: Callable[[datetime], datetime | None],
    tell: Tell,
    *,
    poll: timedelta | None = None,
    lasting: timedelta = timedelta(hours=1),
) -> list[timedelta]:
    """When the loop called *step*, since the start, while *tell* spoke to it."""
    virtual = VirtualTimeLoop()
    called: list[timedelta] = []

    async def once() -> datetime | None:
        called.append(virtual.now() - START)
        return step(virtual.now())

    async def main() -> None:
        loop = Loop("test", once, now=virtual.now, poll=poll)
        running = asyncio.create_task(loop.run())
        await tell(loop)
        await asyncio.sleep((START + lasting - virtual.now()).total_seconds())
        loop.stop()
        await running

    virtual.run(main())
    return called


async def nothing(_loop: Loop) -> None:
    """Tell nothing."""


def nothing_due(_now: datetime) -> None:
    """A step after which nothing is due."""


def minutes(*numbers: float) -> list[timedelta]:
    return [timedelta(minutes=number) for number in numbers]


def test_a_loop_that_knows_of_nothing_steps_once_and_waits() -> None:
    called = steps_of(nothing_due, nothing)

    assert called == minutes(0)


def test_a_step_is_made_when_the_one_before_said_so() -> None:
    called = steps_of(lambda now: now + timedelta(minutes=25), nothing)

    assert called == minutes(0, 25, 50)


def test_a_loop_steps_when_it_was_told_that_something_will_be_due() -> None:
    async def tell(loop: Loop) -> None:
        await asyncio.sleep(60)
        loop.expect(START + timedelta(minutes=5))

    called = steps_of(nothing_due, tell)

    assert called == minutes(0, 5)


def test_what_is_due_earlier_wins_whoever_told_first() -> None:
    async def tell(loop: Loop) -> None:
        await asyncio.sleep(60)
        loop.expect(START + timedelta(minutes=40))
        loop.expect(START + timedelta(minutes=5))
        loop.expect(START + timedelta(minutes=20))

    called = steps_of(lambda now: START + timedelta(minutes=30) if now < START + timedelta(minutes=30) else None, tell)

    assert called == minutes(0, 5, 30)


def test_what_is_told_during_a_step_is_not_lost() -> None:
    virtual = VirtualTimeLoop()
    called: list[timedelta] = []

    async def main() -> None:
        async def step() -> datetime | None:
            called.append(virtual.now() - START)
            await asyncio.sleep(60)
            return None

        loop = Loop("test", step, now=virtual.now, poll=None)
        running = asyncio.create_task(loop.run())
        await asyncio.sleep(30)
        loop.wake()
        await asyncio.sleep(3600)
        loop.stop()
        await running

    virtual.run(main())

    assert called == minutes(0, 1)


def test_a_woken_loop_steps_at_once() -> None:
    async def tell(loop: Loop) -> None:
        await asyncio.sleep(600)
        loop.wake()

    called = steps_of(nothing_due, tell)

    assert called == minutes(0, 10)


def test_polling_steps_though_nothing_was_told() -> None:
    called = steps_of(nothing_due, nothing, poll=timedelta(minutes=20))

    assert called == minutes(0, 20, 40)


def test_after_a_fault_not_even_news_make_the_next_step_come_before_the_pause_ends() -> None:
    def fail_once(now: datetime) -> None:
        if now == START:
            raise RuntimeError("a fault of ours")

    async def tell(loop: Loop) -> None:
        await asyncio.sleep(1)
        loop.wake()

    called = steps_of(fail_once, tell)

    assert called == [timedelta(0), FAULT_PAUSE]


def test_a_stopped_loop_ends_though_something_will_be_due() -> None:
    async def tell(loop: Loop) -> None:
        await asyncio.sleep(60)
        loop.stop()

    called = steps_of(lambda now: now + timedelta(minutes=10), tell)

    assert called == minutes(0)


@pytest.mark.parametrize("fails", [False, True])
def test_a_clock_that_is_set_back_makes_no_loop_wait_for_it(fails: bool) -> None:
    virtual = VirtualTimeLoop()
    set_back = timedelta(0)
    called: list[timedelta] = []

    def now() -> datetime:
        return virtual.now() - set_back

    async def step() -> datetime | None:
        called.append(virtual.now() - START)
        if fails and len(called) == 1:
            raise Unavailable("down")
        return now() + timedelta(minutes=50)

    async def main() -> None:
        nonlocal set_back
        loop = Loop("test", step, now=now, poll=timedelta(seconds=2))
        running = asyncio.create_task(loop.run())
        await asyncio.sleep(1)
        set_back = timedelta(hours=1)
        loop.expect(now() + timedelta(minutes=30))
        await asyncio.sleep(10)
        loop.stop()
        await running

    virtual.run(main())

    assert called[1] <= timedelta(seconds=7)


def test_a_step_that_failed_is_not_repeated_at_once_by_being_told() -> None:
    def fail(_now: datetime) -> None:
        raise Unavailable("down")

    async def tell(loop: Loop) -> None:
        await asyncio.sleep(1)
        loop.wake()

    called = steps_of(fail, tell, lasting=FAULT_PAUSE)

    assert called[:1] == minutes(0)
    assert all(second - first >= FAULT_PAUSE for first, second in pairwise(called))

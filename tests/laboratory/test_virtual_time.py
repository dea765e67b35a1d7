"""The event loop without I/O keeps asyncio's promises, in no time."""

import asyncio
import random
import threading
import time
from collections.abc import AsyncIterator, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

import pytest

from muster.laboratory import virtual_time
from muster.laboratory.virtual_time import DeadlockError, EndlessLoopError, NotInVirtualTimeError, VirtualTimeLoop

T = TypeVar("T")
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def run(main: Coroutine[Any, Any, T]) -> T:
    return VirtualTimeLoop(START).run(main)


def here() -> VirtualTimeLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop)
    return loop


def test_sleeping_a_year_takes_no_time_and_moves_the_clock_by_a_year() -> None:
    async def main() -> datetime:
        await asyncio.sleep(365 * 86400)
        return here().now()

    began = time.monotonic()
    instant = run(main())

    assert instant == START + timedelta(days=365)
    assert time.monotonic() - began < 1


def test_now_is_utc_whatever_zone_the_start_was_given_in() -> None:
    loop = VirtualTimeLoop(datetime(2026, 3, 1, 14, 0, tzinfo=timezone(timedelta(hours=2))))

    assert loop.now() == START
    assert loop.now().tzinfo is UTC
    loop.close()


def test_a_start_without_time_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="aware"):
        VirtualTimeLoop(datetime(2026, 3, 1, 14, 0))  # noqa: DTZ001 - the point of the test


def test_timers_of_one_instant_run_in_the_order_they_were_set() -> None:
    order: list[int] = []

    async def main() -> None:
        for number in range(500):
            here().call_later(5, order.append, number)
        await asyncio.sleep(6)

    run(main())

    assert order == list(range(500))


def test_an_earlier_timer_set_later_runs_first() -> None:
    order: list[str] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        order.append(name)

    async def main() -> None:
        await asyncio.gather(wait("c", 3), wait("a", 1), wait("b", 2))

    run(main())

    assert order == ["a", "b", "c"]


def test_a_cancelled_timer_neither_runs_nor_moves_the_clock() -> None:
    async def main() -> float:
        here().call_later(1000, pytest.fail).cancel()
        await asyncio.sleep(1)
        return here().time()

    assert run(main()) == 1.0


def test_many_cancelled_timers_are_swept_out() -> None:
    async def main() -> int:
        for _ in range(5000):
            async with asyncio.timeout(30 * 86400):
                await asyncio.sleep(1)
        return len(here()._timers)

    assert run(main()) <= 2 * virtual_time.MIN_CANCELLED_TO_SWEEP


def test_small_steps_add_up_without_drift() -> None:
    async def main() -> datetime:
        for _ in range(100_000):
            await asyncio.sleep(0.1)
        return here().now()

    assert run(main()) == START + timedelta(seconds=10_000)


def test_sleeping_until_an_instant_wakes_exactly_then() -> None:
    target = START + timedelta(days=200, microseconds=123_457)

    async def main() -> datetime:
        await asyncio.sleep(0.333_333_3)
        await asyncio.sleep((target - here().now()).total_seconds())
        return here().now()

    assert run(main()) == target


def test_a_delay_below_the_resolution_still_moves_the_clock() -> None:
    async def main() -> float:
        deadline = here().time() + 0.000_000_03
        while here().time() < deadline:  # noqa: ASYNC110 - the point of the test
            await asyncio.sleep(deadline - here().time())
        return here().time()

    assert run(main()) == 0.000_001


def test_timeouts_fire_at_their_time() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(60):
                await asyncio.sleep(3600)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.Event().wait(), 30)
        return here().time()

    assert run(main()) == 90.0


def test_wait_returns_the_first_and_leaves_the_slower() -> None:
    async def main() -> tuple[int, int, float]:
        tasks = [asyncio.create_task(asyncio.sleep(seconds)) for seconds in (5, 10, 15)]
        done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return len(done), len(pending), here().time()

    assert run(main()) == (1, 2, 5.0)


def test_queues_and_events_hand_over_between_tasks() -> None:
    async def main() -> list[tuple[int, float]]:
        queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)
        finished = asyncio.Event()
        got: list[tuple[int, float]] = []

        async def consume() -> None:
            for _ in range(3):
                await asyncio.sleep(10)
                got.append((await queue.get(), here().time()))
            finished.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(consume())
            for number in range(3):
                await queue.put(number)
            await finished.wait()
        return got

    assert run(main()) == [(0, 10.0), (1, 20.0), (2, 30.0)]


def test_work_for_threads_runs_in_place_and_takes_no_time() -> None:
    async def main() -> tuple[int, int, float]:
        with ThreadPoolExecutor(1) as pool:
            first = await asyncio.to_thread(threading.get_ident)
            second = await here().run_in_executor(pool, threading.get_ident)
        return first, second, here().time()

    mine = threading.get_ident()

    assert run(main()) == (mine, mine, 0.0)


def test_the_error_of_inline_work_reaches_its_caller() -> None:
    async def main() -> None:
        await asyncio.to_thread(int, "not a number")

    with pytest.raises(ValueError, match="not a number"):
        run(main())


def test_context_variables_follow_into_threads_work() -> None:
    async def main() -> str:
        task = asyncio.current_task()
        assert task is not None
        return await asyncio.to_thread(task.get_name)

    assert run(main()) == "main"


def test_a_deadlock_is_named_with_who_waits_where() -> None:
    async def waits_for_ever() -> None:
        await asyncio.Event().wait()

    with pytest.raises(DeadlockError, match=r"2026-03-01T12:00:00\+00:00") as caught:
        run(waits_for_ever())

    assert "main in " in str(caught.value)
    assert "waits_for_ever" in str(caught.value)


def test_a_deadlock_between_tasks_names_only_the_first_few() -> None:
    async def main() -> None:
        await asyncio.gather(*(asyncio.Event().wait() for _ in range(50)))

    with pytest.raises(DeadlockError, match="and 43 more"):
        run(main())


def test_callbacks_which_never_let_the_clock_move_are_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "MAX_STEPS_PER_INSTANT", 1000)

    async def main() -> None:
        while True:  # noqa: ASYNC110 - the point of the test
            await asyncio.sleep(0)

    with pytest.raises(EndlessLoopError, match="clock did not move"):
        run(main())


def test_many_steps_are_fine_while_the_clock_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(virtual_time, "MAX_STEPS_PER_INSTANT", 1000)

    async def main() -> float:
        for _ in range(5000):
            await asyncio.sleep(1)
        return here().time()

    assert run(main()) == 5000.0


def test_tasks_left_behind_are_cancelled_at_the_end() -> None:
    ended: list[str] = []

    async def background() -> None:
        try:
            await asyncio.sleep(1e9)
        finally:
            ended.append("cleaned up")

    async def main() -> str:
        task = asyncio.create_task(background())
        await asyncio.sleep(1)
        assert not task.done()
        return "result"

    assert run(main()) == "result"
    assert ended == ["cleaned up"]


def test_async_generators_left_open_are_closed_at_the_end() -> None:
    ended: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            while True:
                yield 1
        finally:
            ended.append("closed")

    async def main() -> AsyncIterator[int]:
        generator = numbers()
        await anext(generator)
        return generator

    run(main())

    assert ended == ["closed"]


def test_the_error_of_main_is_raised_and_the_loop_closed() -> None:
    async def main() -> None:
        await asyncio.sleep(5)
        raise KeyError("gone")

    loop = VirtualTimeLoop(START)
    with pytest.raises(KeyError, match="gone"):
        loop.run(main())

    assert loop.is_closed()


@pytest.mark.parametrize("name", virtual_time.REFUSED)
def test_everything_that_reaches_outside_is_refused(name: str) -> None:
    loop = VirtualTimeLoop(START)

    with pytest.raises(NotInVirtualTimeError, match=name):
        getattr(loop, name)()
    loop.close()


def test_opening_a_connection_is_refused() -> None:
    async def main() -> None:
        await asyncio.open_connection("127.0.0.1", 1)

    with pytest.raises(NotInVirtualTimeError, match="create_connection"):
        run(main())


def test_a_foreign_thread_may_not_call_in() -> None:
    loop = VirtualTimeLoop(START)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(loop.call_soon_threadsafe, print)

        with pytest.raises(NotInVirtualTimeError, match="another thread"):
            future.result()
    loop.close()


def test_calling_in_from_the_same_thread_is_call_soon() -> None:
    async def main() -> str:
        answer: asyncio.Future[str] = here().create_future()
        here().call_soon_threadsafe(answer.set_result, "hello")
        return await answer

    assert run(main()) == "hello"


def test_two_runs_of_one_seed_are_equal_step_by_step() -> None:
    async def wander(number: int, rng: random.Random, trace: list[tuple[int, float]]) -> None:
        for _ in range(20):
            await asyncio.sleep(rng.choice([0, 0.5, 1, 1, 3600]))
            trace.append((number, here().time()))

    async def main(seed: int) -> list[tuple[int, float]]:
        rng = random.Random(seed)
        trace: list[tuple[int, float]] = []
        await asyncio.gather(*(wander(number, rng, trace) for number in range(30)))
        return trace

    assert run(main(7)) == run(main(7))
    assert run(main(7)) != run(main(8))


def test_what_is_worked_out_aside_is_taken_in_order_when_nothing_else_is_ready_and_takes_no_time() -> None:
    async def main() -> tuple[list[str], float]:
        seen: list[str] = []

        async def ask(name: str) -> None:
            seen.append(f"{name} asks")
            await here().aside(lambda: seen.append(f"{name} is taken"))
            seen.append(f"{name} goes on")

        async def busy() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            seen.append("the other is done")

        timer = asyncio.ensure_future(asyncio.sleep(1))
        await asyncio.gather(ask("one"), ask("two"), busy())
        is_early = not timer.done()
        await timer
        return [*seen, f"before the timer: {is_early}"], here().time()

    seen, seconds = run(main())

    assert seen == [
        "one asks",
        "two asks",
        "the other is done",
        "one is taken",
        "two is taken",
        "one goes on",
        "two goes on",
        "before the timer: True",
    ]
    assert seconds == 1


def test_what_goes_wrong_aside_is_raised_to_who_asked() -> None:
    async def main() -> None:
        def fail() -> None:
            raise LookupError("nothing there")

        with pytest.raises(LookupError, match="nothing there"):
            await here().aside(fail)

    run(main())


@pytest.mark.parametrize(
    ("wait", "ends_at", "beside_it"),
    [(5000, 7200, 5400), (400, 900, 450), (61, 120, 90), (2, 10, 5), (0.05, 0.05, 0.05)],
)
def test_waits_that_keep_to_the_grain_end_together_and_those_beside_it_in_between(
    wait: float, ends_at: float, beside_it: float
) -> None:
    async def main() -> tuple[float, float]:
        async def nap() -> float:
            await asyncio.sleep(wait)
            return here().time()

        other = asyncio.create_task(nap(), context=virtual_time.beside_the_grid())
        return await nap(), await other

    assert VirtualTimeLoop(START, keeps_to_grain=True).run(main()) == (ends_at, beside_it)

"""An asyncio event loop whose clock is a number: sleeping costs nothing, and every run can be repeated.

Whatever is ready runs first; when nothing is ready, the clock jumps to the next timer. Timers which are due at the same
instant run in the order in which they were set. There are no sockets, no signals and no threads: what is handed to an
executor runs at once, in place, and takes no time. No more does what is worked out *aside*, by another process: it is
waited for when nothing else is ready, and taken in the order in which it was asked for. Two runs of the same coroutine
are therefore equal step by step, as long as it draws its randomness from a seed and its time from the loop.

The loop is asyncio's own (`asyncio.BaseEventLoop`) with its clock, its timers and its one step replaced.
"""

import asyncio
import heapq
import math
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor
from contextvars import Context, ContextVar, copy_context
from datetime import UTC, datetime, timedelta
from typing import Any, NoReturn, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

START = datetime(2026, 1, 5, 8, 0, tzinfo=UTC)
"""Where the clock begins unless told otherwise: a Monday morning, so that weeks in scenarios are easy to read."""

MICROSECONDS = 1_000_000

GRAINS = (
    # a wait of at least so many seconds, and the grid on which it ends
    (3600.0, 3600.0),
    (300.0, 900.0),
    (60.0, 60.0),
    (0.1, 10.0),
)
"""By which a loop that keeps *to the grain* puts off what is to happen: the longer a wait, the less its end matters,
and what ends at one instant is work for one go. Who is `beside the grid` wakes between these instants."""
_PHASE: ContextVar[float] = ContextVar("phase", default=0.0)
_BESIDE = 0.5

MAX_STEPS_PER_INSTANT = 10_000_000
"""Callbacks run without the clock moving before we call it an endless loop. A hundred thousand devices waking in one
instant need some twenty each."""

MIN_CANCELLED_TO_SWEEP = 256
"""Cancelled timers are swept out when they are this many and outnumber the living; else each waits for its time."""

MAX_TASKS_NAMED = 8
"""How many waiting tasks a deadlock's message names: enough to see the ring, short enough to read."""


_IN_MICROSECONDS = tuple((round(least * MICROSECONDS), round(grid * MICROSECONDS)) for least, grid in GRAINS)


def beside_the_grid() -> Context:
    """Return a context whose waits end in the middle between two instants of the grid.

    Else those on one side of a wire would come to the second when those on the other side are about, and be taken for
    an answer to them.
    """
    context = copy_context()
    context.run(_PHASE.set, _BESIDE)
    return context


class VirtualTimeError(RuntimeError):
    """A coroutine asked virtual time for what it cannot do."""


class DeadlockError(VirtualTimeError):
    """Everybody waits and no timer is set: in real time this would hang for ever."""


class EndlessLoopError(VirtualTimeError):
    """Callbacks call one another for ever and the clock can't move."""


class NotInVirtualTimeError(VirtualTimeError):
    """Sockets, subprocesses, signals and other threads do not exist here."""


class VirtualTimeLoop(asyncio.BaseEventLoop):
    """One run in virtual time: make it, `run` one main coroutine, throw it away.

    *start* is the instant (aware UTC) at which `now()` begins; `time()` begins at 0.0 seconds. The clock counts whole
    microseconds; a timer set for later than now always moves it by at least one.
    """

    _ready: deque[asyncio.Handle]  # asyncio's own queue of what runs next

    def __init__(self, start: datetime = START, *, keeps_to_grain: bool = False) -> None:
        """Set the clock to *start*; *keeps_to_grain*: waits end on the grid of GRAINS, later than they would.

        Raises ValueError when *start* has no time zone.
        """
        super().__init__()
        if start.tzinfo is None:
            self.close()
            raise ValueError("start must be aware")
        self._start = start.astimezone(UTC)
        self._elapsed = 0  # microseconds
        self._grains = _IN_MICROSECONDS if keeps_to_grain else ()
        self._timers: list[tuple[int, int, asyncio.TimerHandle]] = []
        self._timers_set = 0
        self._timers_cancelled = 0
        self._steps_at_this_instant = 0
        self._aside: list[Callable[[], None]] = []
        self._home_thread = threading.get_ident()

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        """Run *main* to its end and return its result or raise its error; then cancel what it left running and close.

        Raises DeadlockError when *main* can never end because everybody waits, EndlessLoopError when the clock can't
        move on.
        """
        try:
            return self.run_until_complete(self.create_task(main, name="main"))
        finally:
            try:
                self._cancel_the_rest()
                self.run_until_complete(self.shutdown_asyncgens())
            finally:
                self.close()

    def now(self) -> datetime:
        """The present instant, aware UTC, exact to the microsecond."""
        return self._start + timedelta(microseconds=self._elapsed)

    def time(self) -> float:
        """Seconds since the start of this run."""
        return self._elapsed / MICROSECONDS

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        """Run *callback* when `time()` reaches *when* seconds; equal times run in the order they were set."""
        if self.is_closed():
            raise RuntimeError("the loop is closed")
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (self._due(when), self._timers_set, handle))
        self._timers_set += 1
        _mark_scheduled(handle, is_scheduled=True)
        return handle

    def call_soon_threadsafe(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.Handle:
        """As call_soon. From another thread, whose speed would decide the order of events: NotInVirtualTimeError."""
        if threading.get_ident() != self._home_thread:
            msg = "another thread called into virtual time; hand its work to run_in_executor instead"
            raise NotInVirtualTimeError(msg)
        return self.call_soon(callback, *args, context=context)

    def run_in_executor(
        self,
        executor: Executor | None,  # noqa: ARG002 - whose threads are not wanted here
        func: Callable[[*Ts], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Run *func* here and now, whatever the executor; no time passes. Its error is the future's error."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # the caller awaits the future
            future.set_exception(error)
        return future

    def aside(self, take: Callable[[], T]) -> asyncio.Future[T]:
        """Return a future of what *take* returns, or raises, which may wait for another process but not depend on time.

        It is called at this instant, once nothing else is ready, and before the clock moves; all that were asked for
        together are taken together, in their order.
        """
        future: asyncio.Future[T] = self.create_future()

        def settle() -> None:
            try:
                taken = take()
            except Exception as error:  # who awaits the future is to meet it
                if not future.done():
                    future.set_exception(error)
            else:
                if not future.done():  # else nobody waits any more; it had to be taken all the same
                    future.set_result(taken)

        self._aside.append(settle)
        return future

    def _run_once(self) -> None:
        """One step, called by asyncio until the main coroutine ends."""
        if not self._ready and self._aside:
            asked, self._aside = self._aside, []
            for settle in asked:
                settle()
        if not self._ready:
            self._jump_to_next_timer()
        self._collect_due_timers()
        for _ in range(len(self._ready)):
            handle = self._ready.popleft()
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 - the only way to run a handle
                self._steps_at_this_instant += 1
        if self._steps_at_this_instant > MAX_STEPS_PER_INSTANT:
            msg = f"{MAX_STEPS_PER_INSTANT} callbacks ran at {self.now().isoformat()} and the clock did not move"
            raise EndlessLoopError(msg)

    def _jump_to_next_timer(self) -> None:
        while self._timers and self._timers[0][2].cancelled():
            heapq.heappop(self._timers)
            self._timers_cancelled -= 1
        if not self._timers:
            raise DeadlockError(self._describe_deadlock())
        due = self._timers[0][0]
        if due > self._elapsed:
            self._elapsed = due
            self._steps_at_this_instant = 0

    def _collect_due_timers(self) -> None:
        while self._timers and self._timers[0][0] <= self._elapsed:
            handle = heapq.heappop(self._timers)[2]
            if handle.cancelled():
                self._timers_cancelled -= 1
            else:
                _mark_scheduled(handle, is_scheduled=False)
                self._ready.append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:  # noqa: ARG002 - asyncio's signature
        self._timers_cancelled += 1
        if self._timers_cancelled > MIN_CANCELLED_TO_SWEEP and self._timers_cancelled * 2 > len(self._timers):
            self._timers = [timer for timer in self._timers if not timer[2].cancelled()]
            heapq.heapify(self._timers)
            self._timers_cancelled = 0

    def _due(self, when: float) -> int:
        """*when* in whole microseconds, never before it, and later than now if *when* is.

        The hundredth taken off forgives the rounding of `time() + delay`, which would else cost a microsecond each.
        """
        due = math.ceil(when * MICROSECONDS - 0.01)
        if due <= self._elapsed and when > self.time():
            return self._elapsed + 1
        wait = due - self._elapsed
        for least, grid in self._grains:
            if wait >= least:
                return due + (round(_PHASE.get() * grid) - due) % grid
        return due

    def _cancel_the_rest(self) -> None:
        tasks = sorted(asyncio.all_tasks(self), key=lambda task: _age(task.get_name()))
        for task in tasks:
            task.cancel()
        if tasks:
            try:
                self.run_until_complete(asyncio.wait(tasks))
            except DeadlockError:
                return  # a task refuses to end; asyncio says which when it is thrown away
        for task in tasks:
            if not task.cancelled() and task.exception() is not None and task.get_name() != "main":
                self.call_exception_handler(
                    {"message": "a task failed while it was being cancelled", "exception": task.exception()}
                )

    def _describe_deadlock(self) -> str:
        waiting = sorted(asyncio.all_tasks(self), key=lambda task: _age(task.get_name()))
        lines = [f"everybody waits at {self.now().isoformat()} and no timer is set"]
        lines += [f"  {_whereabouts(task)}" for task in waiting[:MAX_TASKS_NAMED]]
        if len(waiting) > MAX_TASKS_NAMED:
            lines.append(f"  and {len(waiting) - MAX_TASKS_NAMED} more")
        return "\n".join(lines)

    def _process_events(self, event_list: list[object]) -> NoReturn:  # noqa: ARG002 - asyncio's signature
        raise NotInVirtualTimeError("there is no I/O in virtual time")

    def _write_to_self(self) -> None:
        """Wake a sleeping selector: we have none."""


def _mark_scheduled(handle: asyncio.TimerHandle, *, is_scheduled: bool) -> None:
    """While it is marked, `cancel()` tells the loop (`_timer_handle_cancelled`), as for asyncio's own timers."""
    handle._scheduled = is_scheduled  # type: ignore[attr-defined]  # noqa: SLF001 - asyncio offers no other way


def _age(name: str) -> tuple[int, str]:
    """A sorting key which puts Task-9 before Task-10: asyncio numbers tasks as they are made."""
    digits = name.rpartition("-")[2]
    return (int(digits), name) if digits.isdecimal() else (-1, name)


def _whereabouts(task: asyncio.Task[object]) -> str:
    frames = task.get_stack(limit=1)
    if not frames:
        return task.get_name()
    frame = frames[0]
    return f"{task.get_name()} in {frame.f_code.co_qualname}, line {frame.f_lineno} of {frame.f_code.co_filename}"


REFUSED = (
    "add_reader",
    "remove_reader",
    "add_writer",
    "remove_writer",
    "add_signal_handler",
    "remove_signal_handler",
    "create_connection",
    "create_server",
    "create_unix_connection",
    "create_unix_server",
    "create_datagram_endpoint",
    "connect_accepted_socket",
    "connect_read_pipe",
    "connect_write_pipe",
    "subprocess_exec",
    "subprocess_shell",
    "sock_accept",
    "sock_connect",
    "sock_recv",
    "sock_recv_into",
    "sock_recvfrom",
    "sock_recvfrom_into",
    "sock_sendall",
    "sock_sendto",
    "sock_sendfile",
    "sendfile",
    "start_tls",
    "getaddrinfo",
    "getnameinfo",
)
"""Every method of an event loop that reaches outside."""


def _refusal(name: str) -> Callable[..., NoReturn]:
    def refuse(*_args: object, **_keywords: object) -> NoReturn:
        msg = f"{name} reaches outside, which virtual time can't: put a simulated peer in its place"
        raise NotInVirtualTimeError(msg)

    return refuse


for _name in REFUSED:
    setattr(VirtualTimeLoop, _name, _refusal(_name))

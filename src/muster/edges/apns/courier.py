"""The thread that carries pushes to APNs: one selector, a lane per push certificate, lost pushes sent again."""

from collections import deque
from collections.abc import Callable
from contextlib import suppress
from heapq import heappop, heappush
from itertools import count
from random import Random
from selectors import EVENT_READ, DefaultSelector
from socket import socketpair
from threading import Lock, Thread
from time import monotonic

from muster.edges.apns.batch import Batch, Errand
from muster.edges.apns.lane import Arrival, Lane
from muster.edges.apns.transfer import Endpoint
from muster.edges.apns.unanswered import NO_STATUS
from muster.operations.ports import PushReceipt
from muster.protocol.apns import OutcomeClass, PushOutcome


class Courier:
    """Owns a thread, and everything of libcurl in it; `submit` and `stop` may be called from any other.

    *next_delay* takes the number of the attempt that failed and returns the seconds to wait, or None to give up.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        max_in_flight: int,
        rng: Random,
        next_delay: Callable[[int, Random], float | None],
    ) -> None:
        self._endpoint = endpoint
        self._max_in_flight = max_in_flight
        self._rng = rng
        self._next_delay = next_delay
        self._lock = Lock()  # guards the two below, the only things that two threads touch
        self._inbox: deque[Batch] = deque()
        self._is_stopping = False
        self._wake_receiver, self._wake_sender = socketpair()
        self._wake_receiver.setblocking(False)
        self._wake_sender.setblocking(False)
        self._selector = DefaultSelector()
        self._selector.register(self._wake_receiver, EVENT_READ, None)
        self._lanes: dict[bytes, Lane] = {}
        self._newest: dict[str, Lane] = {}
        self._delayed: list[tuple[float, int, Errand]] = []
        self._tie_breaker = count()
        self._thread = Thread(target=self._run, name="muster-apns", daemon=True)
        self._thread.start()

    def submit(self, batch: Batch) -> None:
        """Take *batch* over. Raises RuntimeError after `stop`."""
        with self._lock:
            if self._is_stopping:
                raise RuntimeError("the APNs provider is closed")
            self._inbox.append(batch)
            self._wake()

    def stop(self) -> None:
        """Close all connections and end the thread; what has no outcome by then gets `no_answer`. May be repeated."""
        with self._lock:
            if not self._is_stopping:
                self._is_stopping = True
                self._wake()
        self._thread.join()

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # a full pipe wakes as well
            self._wake_sender.send(b"\0")

    def _run(self) -> None:
        try:
            while not self._is_stopping:
                self._turn()
        finally:
            self._abort()

    def _turn(self) -> None:
        """Wait until something can be done, and do all of it."""
        for key, events in self._selector.select(self._seconds_to_wait()):
            if isinstance(key.data, Lane):
                key.data.on_socket_ready(key.fd, events)
            else:
                self._take_inbox()
        now = monotonic()
        while self._delayed and self._delayed[0][0] <= now:
            self._lane_of(self._delayed[0][2].batch).enqueue(heappop(self._delayed)[2])
        for lane in list(self._lanes.values()):
            lane.on_time(now)
            for arrival in lane.take_arrivals():
                self._on_arrival(arrival, now)
            for arrival in lane.begin_waiting():
                self._on_arrival(arrival, now)
            if lane.is_idle and self._newest[lane.credentials.topic] is not lane:
                self._lanes.pop(lane.credentials.fingerprint).close()

    def _seconds_to_wait(self) -> float | None:
        due = [lane.wakes_at for lane in self._lanes.values() if lane.wakes_at is not None]
        if self._delayed:
            due.append(self._delayed[0][0])
        return max(0.0, min(due) - monotonic()) if due else None

    def _take_inbox(self) -> None:
        with self._lock:
            with suppress(BlockingIOError):
                while self._wake_receiver.recv(4096):
                    pass
            batches = list(self._inbox)
            self._inbox.clear()
        for batch in batches:
            lane = self._lane_of(batch)
            for index in range(len(batch.pushes)):
                lane.enqueue(Errand(batch, index))

    def _lane_of(self, batch: Batch) -> Lane:
        """A renewed certificate gets a lane of its own; the one of its predecessor is closed as soon as it is idle."""
        credentials = batch.credentials
        lane = self._lanes.get(credentials.fingerprint)
        if lane is None:
            lane = Lane(
                self._endpoint,
                credentials,
                max_in_flight=self._max_in_flight,
                selector=self._selector,
                monotonic=monotonic,
            )
            self._lanes[credentials.fingerprint] = lane
            self._newest[credentials.topic] = lane
        return lane

    def _on_arrival(self, arrival: Arrival, now: float) -> None:
        errand = arrival.errand
        if arrival.may_retry and not errand.batch.is_abandoned:
            delay = self._next_delay(errand.attempt, self._rng)
            if delay is not None:
                again = Errand(errand.batch, errand.index, errand.attempt + 1)
                heappush(self._delayed, (now + delay, next(self._tie_breaker), again))
                return
        receipt = PushReceipt(errand.push.apns_id, arrival.outcome, arrival.latency_seconds)
        errand.batch.settle(errand.index, receipt)

    def _abort(self) -> None:
        """Leave nothing behind: no waiting caller, no connection, no socket."""
        with self._lock:
            self._is_stopping = True  # also when the thread dies of a fault of ours: nobody may wait for it
            batches = list(self._inbox)
            self._inbox.clear()
        errands = [errand for lane in self._lanes.values() for errand in lane.close()]
        errands.extend(errand for _, _, errand in self._delayed)
        errands.extend(Errand(batch, index) for batch in batches for index in range(len(batch.pushes)))
        outcome = PushOutcome(OutcomeClass.NO_ANSWER, NO_STATUS, "the provider was closed")
        for errand in errands:
            errand.batch.settle(errand.index, PushReceipt(errand.push.apns_id, outcome, 0.0))
        self._selector.close()
        self._wake_receiver.close()
        self._wake_sender.close()

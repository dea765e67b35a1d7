"""The connections of one push certificate: pushes in, answers and lost answers out."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from selectors import EVENT_READ, EVENT_WRITE, BaseSelector

import pycurl

from muster.edges.apns.batch import Errand
from muster.edges.apns.transfer import Endpoint, Transfer
from muster.edges.apns.unanswered import NO_STATUS, is_worth_another_attempt, outcome_of_error
from muster.operations.ports import PushCredentials
from muster.protocol.apns import OutcomeClass, PushOutcome

# With one connection libcurl waits after GOAWAY or REFUSED_STREAM until that connection's last stream has ended, and
# the wait counts against the timeouts of the others. APNs gives each connection up to 1000 streams.
MAX_CONNECTIONS = 4


@dataclass(frozen=True, slots=True)
class Arrival:
    """An errand that came back: with its outcome, and whether sending it again may change that."""

    errand: Errand
    outcome: PushOutcome
    latency_seconds: float
    may_retry: bool


class Lane:
    """A libcurl multi handle driven by somebody else's selector; belongs to one thread.

    A lane for each push certificate, because libcurl counts connections by host: the pushes of one topic could keep all
    of them busy and starve another's.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: PushCredentials,
        *,
        max_in_flight: int,
        selector: BaseSelector,
        monotonic: Callable[[], float],
    ) -> None:
        self.credentials = credentials
        self.wakes_at: float | None = None
        self._endpoint = endpoint
        self._max_in_flight = max_in_flight
        self._selector = selector
        self._monotonic = monotonic
        self._waiting: deque[Errand] = deque()
        self._in_flight: dict[pycurl.Curl, tuple[Transfer, Errand]] = {}
        self._spare: list[Transfer] = []
        self._multi = pycurl.CurlMulti()
        self._multi.setopt(pycurl.M_MAX_HOST_CONNECTIONS, MAX_CONNECTIONS)
        self._multi.setopt(pycurl.M_SOCKETFUNCTION, self._on_socket)
        self._multi.setopt(pycurl.M_TIMERFUNCTION, self._on_timer)

    @property
    def is_idle(self) -> bool:
        """No push waits or is under way."""
        return not self._waiting and not self._in_flight

    def enqueue(self, errand: Errand) -> None:
        """Add a push to those that wait for their turn."""
        self._waiting.append(errand)

    def begin_waiting(self) -> list[Arrival]:
        """Give libcurl as many of the waiting pushes as may be under way; return those that cannot even be begun."""
        unsendable: list[Arrival] = []
        while self._waiting and len(self._in_flight) < self._max_in_flight:
            errand = self._waiting[0]
            if not errand.batch.is_abandoned:
                try:
                    self._begin(errand)
                except (pycurl.error, UnicodeError) as error:  # one bad push must not stop the others
                    outcome = PushOutcome(OutcomeClass.OUR_FAULT, NO_STATUS, reason=str(error))
                    unsendable.append(Arrival(errand, outcome, 0.0, may_retry=False))
            self._waiting.popleft()
        return unsendable

    def on_socket_ready(self, fd: int, events: int) -> None:
        """Let libcurl read and write the socket which the selector reported."""
        readable = pycurl.CSELECT_IN if events & EVENT_READ else 0
        writable = pycurl.CSELECT_OUT if events & EVENT_WRITE else 0
        self._multi.socket_action(fd, readable | writable)

    def on_time(self, now: float) -> None:
        """Let libcurl act on its own deadlines if one has passed at *now*, on the lane's monotonic clock."""
        if self.wakes_at is not None and self.wakes_at <= now:
            self.wakes_at = None
            self._multi.socket_action(pycurl.SOCKET_TIMEOUT, 0)

    def take_arrivals(self) -> Iterator[Arrival]:
        """Yield every push which libcurl is done with, once."""
        more = 1
        while more:
            more, succeeded, failed = self._multi.info_read()
            for handle in succeeded:
                transfer, errand = self._release(handle)
                yield Arrival(errand, transfer.read_outcome(), transfer.read_latency_seconds(), may_retry=False)
            for handle, code, message in failed:
                transfer, errand = self._release(handle)
                outcome = outcome_of_error(code, message)
                may_retry = is_worth_another_attempt(code, outcome)
                yield Arrival(errand, outcome, transfer.read_latency_seconds(), may_retry)

    def close(self) -> list[Errand]:
        """Close all connections; return the pushes which have no outcome: under way first, then waiting."""
        errands = [errand for _, errand in self._in_flight.values()]
        for handle in list(self._in_flight):
            self._release(handle)
        errands.extend(self._waiting)
        self._waiting.clear()
        self._multi.close()
        for transfer in self._spare:
            transfer.close()
        self._spare.clear()
        return errands

    def _begin(self, errand: Errand) -> None:
        transfer = self._spare.pop() if self._spare else Transfer(self._endpoint, self.credentials)
        transfer.prepare(errand.push)
        self._in_flight[transfer.handle] = (transfer, errand)
        self._multi.add_handle(transfer.handle)

    def _release(self, handle: pycurl.Curl) -> tuple[Transfer, Errand]:
        """The transfer can be read until the next push is prepared on it."""
        self._multi.remove_handle(handle)
        transfer, errand = self._in_flight.pop(handle)
        self._spare.append(transfer)
        return transfer, errand

    def _on_timer(self, timeout_ms: int) -> None:
        self.wakes_at = None if timeout_ms < 0 else self._monotonic() + timeout_ms / 1000

    def _on_socket(self, what: int, fd: int, _multi: pycurl.CurlMulti, _assigned: object) -> None:
        events = (EVENT_READ if what & pycurl.POLL_IN else 0) | (EVENT_WRITE if what & pycurl.POLL_OUT else 0)
        is_known = fd in self._selector.get_map()
        if is_known and events:
            self._selector.modify(fd, events, self)
        elif is_known:  # POLL_REMOVE, or POLL_NONE: of no interest for now
            self._selector.unregister(fd)
        elif events:
            self._selector.register(fd, events, self)

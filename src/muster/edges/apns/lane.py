"""The connections of one push certificate, and the pushes that wait for them."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

import structlog

from muster.crypto.client_certificates import UnusableCertificate
from muster.edges.apns.backoff import Pace
from muster.edges.apns.errand import Errand
from muster.edges.apns.exchange import MAX_STREAMS, Ended, Fate
from muster.edges.apns.link import Endpoint, Link, LinkFailed, Listener, Verdict, open_link
from muster.edges.apns.tls import load_credentials, make_context
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import OutcomeClass, Push, PushOutcome, decode_reply

MAX_CONNECTIONS: Final = 4
"""For one push certificate. At 50 ms to APNs, four connections of 1000 streams carry 80,000 pushes a second."""

PUSHES_PER_TURN: Final = 250
"""Begun in one turn of the event loop, some 3 ms: devices are answered by the same loop."""

NO_STATUS: Final = 0
"""The status in the outcome of a push that APNs gave none."""

log = structlog.get_logger("muster.apns")


class Lane:
    """Begins pushes where there is room, opens connections when work needs them, sends lost pushes again.

    The first connection is alone until a request was answered on it; a further one is opened when more pushes wait than
    all of them can carry at once.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        credentials: PushCredentials,
        *,
        ca_pem: bytes | None,
        pace: Pace,
        rng: Random,
        on_gone: "Callable[[Lane], None]",
        max_connections: int = MAX_CONNECTIONS,
        max_streams: int = MAX_STREAMS,
    ) -> None:
        self.credentials = credentials
        self.is_superseded = False
        self._loop = asyncio.get_running_loop()
        self.gone: asyncio.Future[None] = self._loop.create_future()
        self._endpoint = endpoint
        self._ca_pem = ca_pem
        self._pace = pace
        self._rng = rng
        self._on_gone = on_gone
        self._max_connections = max_connections
        self._max_streams = max_streams
        self._listener = Listener(self._on_ended, self._schedule_pump, self._on_closed)
        self._waiting: deque[Errand] = deque()
        self._delayed: dict[Errand, asyncio.TimerHandle] = {}
        self._owed = 0
        self._links: list[Link] = []
        self._connecting: asyncio.Task[None] | None = None
        self._failures = 0
        self._hold_until = 0.0
        self._trouble = "no connection had room in time"
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._is_pump_scheduled = False
        self.is_closed = False

    def submit(self, pushes: Sequence[Push], settle: Callable[[PushReceipt], None]) -> None:
        """Take *pushes* over; each is settled once, none before this returns."""
        begin_by = self._loop.time() + self._pace.push_seconds - self._pace.attempt_seconds
        self._waiting.extend([Errand(push, settle, begin_by) for push in pushes])
        self._owed += len(pushes)
        self._schedule_pump()

    def supersede(self) -> None:
        """The certificate was renewed: close as soon as nothing is owed any more."""
        self.is_superseded = True
        self._close_if_done()

    def close(self) -> None:
        """Settle what has no outcome and let go of everything; `gone` is done when nothing is left."""
        if self.is_closed:
            return
        self.is_closed = True
        self._set_timer(None)
        if self._connecting is not None:
            self._connecting.cancel()
        self._settle_waiting(OutcomeClass.NO_ANSWER, "the provider was closed")
        for link in list(self._links):
            link.close()
        self._leave_if_empty()

    # Beginning pushes

    def _schedule_pump(self) -> None:
        if not self._is_pump_scheduled and not self.is_closed:
            self._is_pump_scheduled = True
            self._loop.call_soon(self._pump)

    def _pump(self) -> None:
        """Begin what there is room for, up to PUSHES_PER_TURN, shared among the connections."""
        self._is_pump_scheduled = False
        if self.is_closed or not self._waiting:
            return
        now = self._loop.time()
        links = sorted((link for link in self._links if link.room), key=lambda link: link.open_streams)
        if links:
            share = -(-min(PUSHES_PER_TURN, len(self._waiting)) // len(links))
            for link in links:
                self._begin_on(link, min(link.room, share, len(self._waiting)), now)
            if self._waiting and any(link.room for link in links):
                self._schedule_pump()
        if self._waiting:
            self._consider_connecting(now)

    def _begin_on(self, link: Link, count: int, now: float) -> None:
        for _ in range(count):
            errand = self._waiting.popleft()
            if errand.begin_by < now:
                self._settle(errand, PushOutcome(OutcomeClass.NO_ANSWER, NO_STATUS, self._trouble), 0.0)
                continue
            try:
                link.begin(errand, now)
            except ValueError as error:  # one bad push must not stop the others
                self._settle(errand, PushOutcome(OutcomeClass.OUR_FAULT, NO_STATUS, str(error)), 0.0)
            else:
                errand.attempts += 1
        link.flush()

    # What became of them

    def _on_ended(self, link: Link, ended: list[Ended[Errand]]) -> None:
        untouched = []
        for errand, fate, reply, words, seconds in ended:
            if reply is not None:
                self._failures = 0
                self._settle(errand, decode_reply(reply.status, reply.headers, reply.body), seconds)
            elif fate is Fate.UNTOUCHED and link.is_draining:
                errand.attempts -= 1
                untouched.append(errand)
            elif fate is Fate.UNTOUCHED:
                errand.attempts -= 1
                errand.refusals += 1
                self._delay(errand, errand.refusals)
            elif errand.attempts >= self._pace.max_attempts or self.is_closed:
                words = "the provider was closed" if self.is_closed else words  # noqa: PLW2901
                self._settle(errand, PushOutcome(OutcomeClass.NO_ANSWER, NO_STATUS, words), seconds)
            else:
                self._trouble = words
                self._delay(errand, errand.attempts)
        for errand in reversed(untouched):
            self._put_first(errand)
        if self._waiting and not self._is_pump_scheduled:
            self._pump()

    def _delay(self, errand: Errand, step: int) -> None:
        at = min(self._loop.time() + self._pace.delay(step, self._rng), errand.begin_by)
        self._delayed[errand] = self._loop.call_at(at, self._come_back, errand)

    def _come_back(self, errand: Errand) -> None:
        del self._delayed[errand]
        self._put_first(errand)
        self._schedule_pump()

    def _put_first(self, errand: Errand) -> None:
        """Have *errand* wait again; it may have less time left than all others."""
        self._waiting.appendleft(errand)
        if self._timer is not None and errand.begin_by < self._timer_at:
            self._set_timer(errand.begin_by)

    def _settle(self, errand: Errand, outcome: PushOutcome, seconds: float) -> None:
        self._owed -= 1
        try:
            errand.settle(PushReceipt(errand.push.apns_id, outcome, seconds, errand.attempts))
        except Exception as error:  # a fault of one caller's must not cost the outcomes of others
            log.error("push_outcome_not_taken", apns_id=errand.push.apns_id, error=repr(error))
        if not self._owed:
            self._close_if_done()

    def _settle_waiting(self, outcome_class: OutcomeClass, words: str) -> None:
        """Settle all pushes that are not under way."""
        errands = [*self._waiting, *self._delayed]
        self._waiting.clear()
        for timer in self._delayed.values():
            timer.cancel()
        self._delayed.clear()
        outcome = PushOutcome(outcome_class, NO_STATUS, words)
        for errand in errands:
            self._settle(errand, outcome, 0.0)

    # Connections

    def _consider_connecting(self, now: float) -> None:
        live = [link for link in self._links if not link.is_draining]
        needs_no_more = live and (
            len(live) >= self._max_connections
            or len(self._waiting) <= sum(link.stream_limit for link in live)
            or not all(link.is_proven for link in live)
        )
        if self._connecting is None and not needs_no_more and now >= self._hold_until:
            self._connecting = self._loop.create_task(self._connect(), name="apns-connect")
            self._connecting.add_done_callback(self._on_connected)
        if self._timer is None:
            expires_at = min(errand.begin_by for errand in self._waiting)
            held = now < self._hold_until < expires_at
            self._set_timer(self._hold_until if held else expires_at)

    async def _connect(self) -> None:
        try:
            context = make_context(self._ca_pem)
            load_credentials(context, self.credentials)
            link = await open_link(
                self._endpoint,
                context,
                self.credentials.topic,
                self._pace,
                self._listener,
                max_streams=self._max_streams,
            )
        except UnusableCertificate as error:
            self._settle_waiting(OutcomeClass.CERTIFICATE_REFUSED, str(error))
        except LinkFailed as error:
            self._on_trouble(str(error), error.verdict)
        else:
            self._links.append(link)
            if not link.is_open:  # it is gone again
                self._on_closed(link)

    def _on_connected(self, connecting: asyncio.Task[None]) -> None:
        self._connecting = None
        if not connecting.cancelled() and (error := connecting.exception()) is not None:
            log.error("apns_connection_fault", topic=self.credentials.topic, exc_info=error)
            self._on_trouble(str(error), Verdict.PASSING)
        self._schedule_pump()
        self._leave_if_empty()

    def _on_trouble(self, words: str, verdict: Verdict) -> None:
        """A connection failed. Wait with the next one; give up what waits when that can't help."""
        self._failures += 1
        self._trouble = words
        self._hold_until = self._loop.time() + self._pace.delay(self._failures, self._rng)
        self._set_timer(None)
        log.warning("apns_connection_failed", topic=self.credentials.topic, reason=words, failures=self._failures)
        if verdict is Verdict.CERTIFICATE_REFUSED:
            self._settle_waiting(OutcomeClass.CERTIFICATE_REFUSED, words)
        elif verdict is Verdict.LASTING or (self._failures >= self._pace.max_attempts and not self._links):
            self._settle_waiting(OutcomeClass.NO_ANSWER, words)

    def _on_closed(self, link: Link) -> None:
        if link not in self._links:
            return
        self._links.remove(link)
        if link.goaway_reason is not None:
            log.info("apns_goaway", topic=self.credentials.topic, reason=link.goaway_reason)
        if not self.is_closed and not (link.is_proven and link.goaway_reason is not None):
            self._on_trouble(link.words or "the connection was closed", link.verdict)
        self._schedule_pump()
        self._leave_if_empty()

    # Time and ends

    def _set_timer(self, at: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None
        if at is not None:
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._on_timer)

    def _on_timer(self) -> None:
        """Give up what has waited for too long, and go on."""
        self._timer = None
        now = self._loop.time()
        overdue = [errand for errand in self._waiting if errand.begin_by <= now]
        if overdue:
            self._waiting = deque(errand for errand in self._waiting if errand.begin_by > now)
            for link in list(self._links):
                if not link.room and not link.open_streams:
                    link.close("the connection never had room")  # another one may have
            for errand in overdue:
                self._settle(errand, PushOutcome(OutcomeClass.NO_ANSWER, NO_STATUS, self._trouble), 0.0)
        self._schedule_pump()

    def _close_if_done(self) -> None:
        if self.is_superseded and not self._owed:
            self.close()

    def _leave_if_empty(self) -> None:
        if self.is_closed and not self._links and self._connecting is None and not self.gone.done():
            self.gone.set_result(None)
            self._on_gone(self)

"""The push port over simulated APNs: what the server sends goes through the wire's form, in no time when nothing ails.

There are no connections here: what the weather does to them befalls each push alone, and comes out as what the real
sender would report, at its pace. The real one is tested over sockets.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from random import Random

from muster.crypto.certificates import der_from_pem
from muster.edges.apns.backoff import Pace
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import (
    OutcomeClass,
    Push,
    PushOutcome,
    decode_reply,
    decode_request,
    encode_refusal,
    request_body,
    request_headers,
    request_path,
)
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.apns_refusal import Refusal, TlsAlert
from muster.simulator.apns_weather import Mishap, Reach, RefuseStream, Reset, ResetStream, Silence

NO_STATUS = 0
PACE = Pace()
"""The real sender's."""


@dataclass(eq=False, slots=True)
class _Errand:
    """A push on its way.

    begin_by: when its last attempt has to begin, on the loop's clock. attempts: how often it reached APNs. failures:
    how often there was no connection for it, refusals: how often its stream was refused. timer: what it waits for.
    """

    credentials: PushCredentials
    certificate_der: bytes
    push: Push
    settle: Callable[[PushReceipt], None]
    begin_by: float
    attempts: int = 0
    failures: int = 0
    refusals: int = 0
    timer: asyncio.TimerHandle | None = None


class SimulatedPushSender:
    """The `PushSender` of the laboratory. *rng* is for the pauses between attempts.

    `outcomes` counts what pushes were settled as.
    """

    def __init__(self, apns: SimulatedAPNs, now: Callable[[], datetime], rng: Random) -> None:
        self.outcomes: Counter[str] = Counter()
        self._apns = apns
        self._now = now
        self._rng = rng
        self._under_way: set[_Errand] = set()

    def send(self, credentials: PushCredentials, pushes: Sequence[Push], settle: Callable[[PushReceipt], None]) -> None:
        """Send *pushes*; those that no weather befalls are settled, in order, before this returns."""
        certificate_der = der_from_pem(credentials.certificate_pem)[0]
        begin_by = asyncio.get_running_loop().time() + PACE.push_seconds - PACE.attempt_seconds
        for push in pushes:
            errand = _Errand(credentials, certificate_der, push, settle, begin_by)
            self._under_way.add(errand)
            self._try(errand)

    async def close(self) -> None:
        """Settle what is under way. A restarted server goes on with the same sender and the same APNs."""
        for errand in list(self._under_way):
            self._settle(errand, _no_answer("the provider was closed"))

    def _try(self, errand: _Errand) -> None:
        now, weather = self._now(), self._apns.weather
        match weather.reach(now):
            case Reach.REFUSED:
                self._connect_later(errand, "no connection: refused", 0.0)
                return
            case Reach.SILENT:
                self._connect_later(errand, "no connection: no answer in time", PACE.connect_seconds)
                return
            case Reach.OPEN:
                pass
        verdict = self._apns.certificates.judge(errand.certificate_der, now)
        if isinstance(verdict, TlsAlert):
            outcome = PushOutcome(OutcomeClass.CERTIFICATE_REFUSED, NO_STATUS, f"alert {verdict.value}")
            self._settle(errand, outcome)
            return
        mishap = weather.mishap(errand.push.topic, errand.push.token, now)
        if isinstance(mishap, RefuseStream):
            errand.refusals += 1
            self._come_back(errand, "the stream was refused", PACE.delay(errand.refusals, self._rng))
            return
        errand.attempts += 1
        outcome = self._exchange(errand, verdict)
        seconds = weather.delay_seconds(errand.push.topic, errand.push.token, now)
        self._answer(errand, outcome, seconds, mishap)

    def _exchange(self, errand: _Errand, verdict: Refusal | None) -> PushOutcome:
        """What APNs makes of the push; it has arrived, whether or not the answer does."""
        received = decode_request(request_path(errand.push), request_headers(errand.push), request_body(errand.push))
        if verdict is None and received.topic != errand.credentials.topic:
            verdict = Refusal("TopicDisallowed")
        refusal = verdict or self._apns.receive(received, self._now())
        headers = {"apns-id": received.apns_id}
        if refusal is None:
            return decode_reply(200, headers, b"")
        return decode_reply(refusal.status, headers, encode_refusal(refusal.reason, refusal.unregistered_at))

    def _answer(self, errand: _Errand, outcome: PushOutcome, seconds: float, mishap: Mishap | None) -> None:
        """Let *outcome* come through, or not."""
        match mishap:
            case Reset() | ResetStream():
                self._send_again(errand, "the connection ended before an answer", 0.0)
            case Silence():
                self._send_again(errand, "no answer in time", PACE.attempt_seconds)
            case _ if seconds > PACE.attempt_seconds:
                self._send_again(errand, "no answer in time", PACE.attempt_seconds)
            case _ if seconds > 0:
                self._wait(errand, seconds, lambda: self._settle(errand, outcome, seconds))
            case _:
                self._settle(errand, outcome)

    def _send_again(self, errand: _Errand, words: str, lost_seconds: float) -> None:
        """The answer got lost: after *lost_seconds* that is noticed, and soon the push is sent once more."""
        if errand.attempts >= PACE.max_attempts:
            self._wait(errand, lost_seconds, lambda: self._settle(errand, _no_answer(words)))
        else:
            self._come_back(errand, words, lost_seconds + PACE.delay(errand.attempts, self._rng))

    def _connect_later(self, errand: _Errand, words: str, lost_seconds: float) -> None:
        """APNs has not seen the push: after *lost_seconds* that is known, and soon it is tried again."""
        errand.failures += 1
        if errand.failures >= PACE.max_attempts:
            self._wait(errand, lost_seconds, lambda: self._settle(errand, _no_answer(words)))
        else:
            self._come_back(errand, words, lost_seconds + PACE.delay(errand.failures, self._rng))

    def _come_back(self, errand: _Errand, words: str, seconds: float) -> None:
        """Try once more after *seconds*; at the time at which no attempt may begin any more, that is the end."""
        left = errand.begin_by - asyncio.get_running_loop().time()
        if left <= seconds:
            self._wait(errand, max(0.0, left), lambda: self._settle(errand, _no_answer(words)))
        else:
            self._wait(errand, seconds, lambda: self._try(errand))

    def _wait(self, errand: _Errand, seconds: float, then: Callable[[], None]) -> None:
        errand.timer = asyncio.get_running_loop().call_later(seconds, then)

    def _settle(self, errand: _Errand, outcome: PushOutcome, latency_seconds: float = 0.0) -> None:
        self._under_way.discard(errand)
        if errand.timer is not None:
            errand.timer.cancel()
        self.outcomes[outcome.outcome_class.value] += 1
        errand.settle(PushReceipt(errand.push.apns_id, outcome, latency_seconds, errand.attempts))


def _no_answer(words: str) -> PushOutcome:
    return PushOutcome(OutcomeClass.NO_ANSWER, NO_STATUS, words)

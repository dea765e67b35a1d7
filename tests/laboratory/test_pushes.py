"""What the laboratory's sender reports of each weather, and when."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import pytest
from tests.simulator.apns_pki import TOPIC, push_certificate

from muster.crypto.certificates import fingerprint, inspect_certificate, pem_from_der
from muster.crypto.issuance import make_push_certificate
from muster.crypto.keys import private_key_pem
from muster.laboratory.pushes import SimulatedPushSender
from muster.laboratory.virtual_time import START, VirtualTimeLoop
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import OutcomeClass, Push
from muster.simulator.apns import SimulatedAPNs
from muster.simulator.apns_weather import (
    Condition,
    Effect,
    GoAway,
    Refuse,
    RefuseStream,
    Reset,
    ResetStream,
    Silence,
    Slow,
    Throttle,
    Unreachable,
)
from muster.simulator.keys.published import published_keys

IN_A_MONTH = int((START + timedelta(days=30)).timestamp())


@dataclass
class Bench:
    """A sender, APNs, and what was settled when (seconds on the loop's clock)."""

    loop: VirtualTimeLoop
    apns: SimulatedAPNs
    sender: SimulatedPushSender
    settled: list[tuple[float, PushReceipt]] = field(default_factory=list)

    def push(self) -> Push:
        return Push(self.apns.issue_apns_id(), TOPIC, self.apns.issue_token(TOPIC), "magic", IN_A_MONTH)

    def send(self, *pushes: Push, credentials: PushCredentials | None = None) -> None:
        self.sender.send(
            credentials or in_force(), pushes, lambda receipt: self.settled.append((self.loop.time(), receipt))
        )

    @property
    def receipt(self) -> PushReceipt:
        ((_, receipt),) = self.settled
        return receipt


def in_force(topic: str = TOPIC) -> PushCredentials:
    client = push_certificate()
    return PushCredentials(topic, client.certificate_pem, client.key_pem, fingerprint(client.certificate_der))


def played(scene: Callable[[Bench], Awaitable[None]], *conditions: Condition) -> Bench:
    """Run *scene*, let five minutes pass, and return what came of it."""
    loop = VirtualTimeLoop()
    apns = SimulatedAPNs(Random(1))
    apns.weather.change_to(conditions)
    bench = Bench(loop, apns, SimulatedPushSender(apns, loop.now, Random(2)))

    async def main() -> None:
        await scene(bench)
        await asyncio.sleep(300)

    loop.run(main())
    return bench


async def one_push(bench: Bench) -> None:
    bench.send(bench.push())


def test_in_fair_weather_pushes_are_settled_before_send_returns_in_order() -> None:
    async def scene(bench: Bench) -> None:
        pushes = [bench.push() for _ in range(3)]
        bench.send(*pushes)

        assert [receipt.apns_id for _, receipt in bench.settled] == [push.apns_id for push in pushes]

    bench = played(scene)

    assert {receipt.outcome.outcome_class for _, receipt in bench.settled} == {OutcomeClass.ACCEPTED}
    assert bench.sender.outcomes == {"accepted": 3}


@pytest.mark.parametrize(
    ("effect", "outcome_class", "status"),
    [
        (Refuse("ServiceUnavailable"), OutcomeClass.APNS_UNAVAILABLE, 503),
        (Refuse("TooManyRequests"), OutcomeClass.THROTTLED, 429),
        (Refuse("BadCertificate"), OutcomeClass.CERTIFICATE_REFUSED, 403),
        (Refuse("Unregistered", START), OutcomeClass.TOKEN_UNREGISTERED, 410),
        (GoAway(), OutcomeClass.ACCEPTED, 200),
        (Throttle(1, 60.0), OutcomeClass.ACCEPTED, 200),
    ],
)
def test_what_apns_answers_is_settled_at_once(effect: Effect, outcome_class: OutcomeClass, status: int) -> None:
    bench = played(one_push, Condition(effect))

    outcome = bench.receipt.outcome
    assert (outcome.outcome_class, outcome.status) == (outcome_class, status)
    assert outcome.unregistered_at == (START if status == 410 else None)
    assert (bench.settled[0][0], bench.receipt.attempts) == (0.0, 1)


def test_slow_answer_is_settled_when_it_comes_and_says_how_long_it_took() -> None:
    bench = played(one_push, Condition(Slow(7.5)))

    assert bench.settled[0][0] == bench.receipt.latency_seconds == 7.5
    assert bench.receipt.outcome.outcome_class is OutcomeClass.ACCEPTED


@pytest.mark.parametrize("effect", [Silence(), Slow(60.0), Reset(), ResetStream()])
def test_push_whose_answers_are_lost_is_sent_four_times_and_has_one_outcome(effect: Effect) -> None:
    bench = played(one_push, Condition(effect))

    (at, receipt) = bench.settled[0]
    assert (receipt.outcome.outcome_class, receipt.outcome.status) == (OutcomeClass.NO_ANSWER, 0)
    assert (receipt.attempts, bench.apns.received[receipt.apns_id]) == (4, 4)
    assert len(bench.settled) == 1
    assert at <= 120


@pytest.mark.parametrize("effect", [Silence(), Reset(), ResetStream()])
def test_push_whose_answer_is_lost_once_is_accepted_at_the_second_attempt(effect: Effect) -> None:
    bench = played(one_push, Condition(effect, times=1))

    assert bench.receipt.outcome.outcome_class is OutcomeClass.ACCEPTED
    assert (bench.receipt.attempts, bench.apns.received.total()) == (2, 2)


def test_refused_stream_is_no_attempt_and_is_tried_until_there_is_no_time_left() -> None:
    once = played(one_push, Condition(RefuseStream(), times=1))
    always = played(one_push, Condition(RefuseStream()))

    assert (once.receipt.outcome.outcome_class, once.receipt.attempts) == (OutcomeClass.ACCEPTED, 1)
    assert (always.receipt.outcome.outcome_class, always.receipt.attempts) == (OutcomeClass.NO_ANSWER, 0)
    assert always.settled[0][0] == 100.0
    assert always.apns.received.total() == 0


@pytest.mark.parametrize(("is_silent", "earliest", "latest"), [(False, 0.5, 5.0), (True, 40.0, 45.0)])
def test_without_a_connection_nobody_is_reached_and_soon_given_up(
    is_silent: bool, earliest: float, latest: float
) -> None:
    bench = played(one_push, Condition(Unreachable(is_silent=is_silent)))

    assert (bench.receipt.outcome.outcome_class, bench.receipt.attempts) == (OutcomeClass.NO_ANSWER, 0)
    assert earliest < bench.settled[0][0] < latest
    assert bench.apns.received.total() == 0


def test_connection_that_comes_back_soon_costs_nothing_but_time() -> None:
    bench = played(one_push, Condition(Unreachable(), ends_at=START + timedelta(seconds=0.5)))

    assert bench.receipt.outcome.outcome_class is OutcomeClass.ACCEPTED
    assert bench.settled[0][0] > 0.4


def test_certificate_out_of_its_time_is_refused_in_tls_words() -> None:
    key = published_keys()[-1]
    der = make_push_certificate(TOPIC, key, now=START, lifetime=timedelta(days=1), serial_number=1)
    credentials = PushCredentials(TOPIC, pem_from_der([der]), private_key_pem(key), fingerprint(der))

    async def scene(bench: Bench) -> None:
        bench.send(bench.push(), credentials=credentials)
        await asyncio.sleep((inspect_certificate(der).not_after - START).total_seconds())
        bench.send(bench.push(), credentials=credentials)

    bench = played(scene)

    first, second = (receipt.outcome for _, receipt in bench.settled)
    assert first.outcome_class is OutcomeClass.ACCEPTED
    assert second.outcome_class is OutcomeClass.CERTIFICATE_REFUSED
    assert (second.status, second.reason) == (0, "alert certificate expired")
    assert bench.settled[1][1].attempts == 0


def test_revoked_certificate_and_foreign_topic_are_refused_by_an_answer() -> None:
    async def scene(bench: Bench) -> None:
        bench.send(bench.push(), credentials=in_force("com.apple.mgmt.other"))
        bench.apns.certificates.revoke(in_force().fingerprint)
        bench.send(bench.push())

    bench = played(scene)

    assert [(receipt.outcome.status, receipt.outcome.reason) for _, receipt in bench.settled] == [
        (400, "TopicDisallowed"),
        (403, "BadCertificate"),
    ]
    assert bench.apns.received.total() == 0


def test_close_settles_what_is_under_way_once_and_the_sender_goes_on() -> None:
    async def scene(bench: Bench) -> None:
        bench.send(bench.push())
        await asyncio.sleep(1)
        await bench.sender.close()
        bench.apns.weather.change_to([])
        bench.send(bench.push())

    bench = played(scene, Condition(Slow(5.0)))

    assert [receipt.outcome.outcome_class for _, receipt in bench.settled] == [
        OutcomeClass.NO_ANSWER,
        OutcomeClass.ACCEPTED,
    ]

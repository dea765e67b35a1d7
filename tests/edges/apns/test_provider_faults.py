"""The provider when connections break: no outcome is lost and none is counted twice."""

import asyncio
from collections.abc import Callable
from random import Random

import pytest
from tests.edges.apns.rig import MAX_ATTEMPTS, at_once, classes, credentials, running

from muster.edges.apns.backoff import Pace
from muster.operations.ports import PushReceipt
from muster.protocol.apns import OutcomeClass
from muster.simulator.apns_connection import Fault

ACCEPTED = {OutcomeClass.ACCEPTED}


def each(interval: int, fault: Fault) -> Callable[[int], Fault | None]:
    return lambda number: fault if number % interval == 0 else None


@pytest.mark.parametrize("later_streams", [1000, 10])
def test_goaway_sends_no_push_twice(later_streams: int) -> None:
    async def scenario() -> None:
        async with running(each(40, Fault.GOAWAY), later_streams=later_streams) as rig:
            receipts = await rig.send(rig.pushes(200))

            assert set(classes(receipts)) == ACCEPTED
            assert set(rig.apns.received.values()) == {1}
            assert rig.server.connection_count > 4

    asyncio.run(scenario())


def test_refused_stream_sends_no_push_twice() -> None:
    async def scenario() -> None:
        async with running(each(20, Fault.REFUSE_STREAM)) as rig:
            receipts = await rig.send(rig.pushes(100))

            assert set(classes(receipts)) == ACCEPTED
            assert set(rig.apns.received.values()) == {1}

    asyncio.run(scenario())


def test_reset_stream_costs_only_its_own_push_a_second_attempt() -> None:
    async def scenario() -> None:
        reset = {20, 40, 60}

        async with running(lambda number: Fault.RESET_STREAM if number in reset else None) as rig:
            receipts = await rig.send(rig.pushes(100))

            assert set(classes(receipts)) == ACCEPTED
            assert sorted(rig.apns.received.values()) == [1] * 97 + [2] * 3

    asyncio.run(scenario())


def test_reset_connection_loses_no_outcome() -> None:
    async def scenario() -> None:
        async with running(lambda number: Fault.RESET_CONNECTION if number in {30, 90} else None) as rig:
            pushes = rig.pushes(150)

            receipts = await rig.send(pushes)

            assert [receipt.apns_id for receipt in receipts] == [push.apns_id for push in pushes]
            assert set(classes(receipts)) == ACCEPTED
            assert rig.apns.received.total() > len(pushes)

    asyncio.run(scenario())


def test_unanswered_push_is_sent_again_after_its_timeout() -> None:
    async def scenario() -> None:
        async with running(
            lambda number: Fault.SILENCE if number in {3, 4} else None, pace=Pace(delay=at_once, attempt_seconds=0.3)
        ) as rig:
            receipts = await rig.send(rig.pushes(20))

            assert set(classes(receipts)) == ACCEPTED
            assert sorted(rig.apns.received.values()) == [1] * 18 + [2] * 2

    asyncio.run(scenario())


def test_attempts_are_bounded() -> None:
    async def scenario() -> None:
        async with running(lambda _: Fault.RESET_STREAM) as rig:
            receipts = await rig.send(rig.pushes(10))

            assert set(classes(receipts)) == {OutcomeClass.NO_ANSWER}
            assert set(rig.apns.received.values()) == {MAX_ATTEMPTS}

    asyncio.run(scenario())


def test_delay_is_asked_for_each_attempt_in_turn() -> None:
    async def scenario() -> None:
        asked = []

        def note(attempt: int, _rng: Random) -> float:
            asked.append(attempt)
            return 0.0

        async with running(lambda _: Fault.RESET_STREAM, pace=Pace(delay=note)) as rig:
            await rig.send(rig.pushes(1))

            assert asked == [1, 2, 3]

    asyncio.run(scenario())


def test_outcome_after_a_lost_answer_is_that_of_the_later_attempt() -> None:
    async def scenario() -> None:
        async with running(lambda number: Fault.RESET_CONNECTION if number == 1 else None) as rig:
            (push,) = rig.pushes(1)
            rig.apns.begin_outage("ServiceUnavailable")

            receipts = await rig.send([push])

            assert classes(receipts) == [OutcomeClass.APNS_UNAVAILABLE]
            assert rig.apns.received[push.apns_id] == 2

    asyncio.run(scenario())


@pytest.mark.parametrize("seed", range(3))
def test_all_faults_together_lose_no_outcome(seed: int) -> None:
    async def scenario() -> None:
        rng = Random(seed)
        faults = [*Fault, *Fault, *[None] * 200]
        rng.shuffle(faults)

        async with running(
            lambda number: faults[number] if number < len(faults) else None,
            pace=Pace(delay=at_once, attempt_seconds=1.0, max_attempts=20),
        ) as rig:
            pushes = rig.pushes(200)

            receipts = await rig.send(pushes)

            assert [receipt.apns_id for receipt in receipts] == [push.apns_id for push in pushes]
            assert set(classes(receipts)) == ACCEPTED
            assert len(rig.apns.received) == len(pushes)

    asyncio.run(scenario())


def test_pushes_that_were_not_touched_are_not_counted() -> None:
    async def scenario() -> None:
        faults = {5: Fault.REFUSE_STREAM, 20: Fault.GOAWAY, 60: Fault.RESET_STREAM}

        async with running(faults.get) as rig:
            receipts = await rig.send(rig.pushes(100))

            assert sorted(receipt.attempts for receipt in receipts) == [1] * 99 + [2]
            assert sorted(rig.apns.received.values()) == [1] * 99 + [2]

    asyncio.run(scenario())


def test_server_that_refuses_every_stream_is_not_asked_for_ever() -> None:
    async def scenario() -> None:
        pace = Pace(delay=lambda *_: 0.01, push_seconds=0.4, attempt_seconds=0.1)

        async with running(lambda _: Fault.REFUSE_STREAM, pace=pace) as rig:
            receipts = await rig.send(rig.pushes(3))

            assert set(classes(receipts)) == {OutcomeClass.NO_ANSWER}
            assert {receipt.attempts for receipt in receipts} == {0}
            assert not rig.apns.received

    asyncio.run(scenario())


def test_push_that_finds_no_room_in_time_has_no_answer() -> None:
    async def scenario() -> None:
        pace = Pace(delay=at_once, push_seconds=0.5, attempt_seconds=0.3)

        async with running(lambda _: Fault.SILENCE, pace=pace, max_connections=1) as rig:
            receipts = await rig.send(rig.pushes(20))  # one stream until something is answered

            assert set(classes(receipts)) == {OutcomeClass.NO_ANSWER}
            assert [receipt.attempts for receipt in receipts].count(0) >= 18

    asyncio.run(scenario())


def test_caller_that_raises_costs_no_other_push_its_outcome() -> None:
    async def scenario() -> None:
        async with running() as rig:
            pushes = rig.pushes(50)
            settled = []
            done = asyncio.Event()

            def settle(receipt: PushReceipt) -> None:
                settled.append(receipt.apns_id)
                if len(settled) == len(pushes):
                    done.set()
                raise ValueError("a fault of the caller")

            rig.provider.send(credentials(), pushes, settle)
            await done.wait()

            assert sorted(settled) == sorted(push.apns_id for push in pushes)

    asyncio.run(scenario())


def test_chaos_gives_every_push_one_outcome() -> None:
    async def scenario() -> None:
        rng = Random(20261102)
        weights = [900, 20, 3, 30, 30, 2]
        faults: list[Fault | None] = [
            None,
            Fault.GOAWAY,
            Fault.RESET_CONNECTION,
            Fault.RESET_STREAM,
            Fault.REFUSE_STREAM,
            Fault.SILENCE,
        ]
        pace = Pace(delay=lambda *_: rng.uniform(0.0, 0.02), attempt_seconds=1.0, max_attempts=30)

        async with running(lambda _: rng.choices(faults, weights)[0], pace=pace, later_streams=200) as rig:
            pushes = rig.pushes(800)

            receipts = await rig.send(pushes)

            assert set(classes(receipts)) == ACCEPTED
            assert all(rig.apns.received[receipt.apns_id] >= 1 for receipt in receipts)
            assert all(receipt.attempts >= rig.apns.received[receipt.apns_id] for receipt in receipts)

    asyncio.run(scenario())

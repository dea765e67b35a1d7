"""The provider on a good day, and how it starts and ends."""

import asyncio
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.edges.apns.rig import NOW, classes, credentials, make_pushes, running, send_all

from muster.edges.apns.backoff import Pace
from muster.protocol.apns import OutcomeClass, Push
from muster.simulator.apns import Refusal
from muster.simulator.apns_connection import Fault

OTHER_TOPIC = "com.apple.mgmt.External.another-organization"


def test_every_push_gets_its_own_receipt_in_order() -> None:
    async def scenario() -> None:
        async with running() as rig:
            pushes = rig.pushes(300)

            receipts = await rig.send(pushes)

            assert [receipt.apns_id for receipt in receipts] == [push.apns_id for push in pushes]
            assert set(classes(receipts)) == {OutcomeClass.ACCEPTED}
            assert set(rig.apns.received.values()) == {1}

    asyncio.run(scenario())


def test_push_arrives_as_it_was_given() -> None:
    async def scenario() -> None:
        async with running() as rig:
            (push,) = rig.pushes(1)
            woken: list[Push] = []
            rig.apns.go_online(push.token, woken.append, NOW)

            (receipt,) = await rig.send([push])

            assert woken == [push]
            assert receipt.apns_id == push.apns_id
            assert 0.0 < receipt.latency_seconds < 20.0

    asyncio.run(scenario())


def test_answers_are_final_and_asked_for_once() -> None:
    async def scenario() -> None:
        async with running() as rig:
            pushes = rig.pushes(5)
            rig.apns.unregister(pushes[0].token, NOW)
            rig.apns.reject(pushes[1].token, Refusal("TooManyRequests"))
            rig.apns.reject(pushes[2].token, Refusal("ServiceUnavailable"))
            rig.apns.reject(pushes[3].token, Refusal("BadDeviceToken"))

            receipts = await rig.send(pushes)

            assert classes(receipts) == [
                OutcomeClass.TOKEN_UNREGISTERED,
                OutcomeClass.THROTTLED,
                OutcomeClass.APNS_UNAVAILABLE,
                OutcomeClass.TOKEN_BAD,
                OutcomeClass.ACCEPTED,
            ]
            assert receipts[0].outcome.unregistered_at == NOW
            assert set(rig.apns.received.values()) == {1}

    asyncio.run(scenario())


def test_connections_are_kept_between_calls() -> None:
    async def scenario() -> None:
        async with running() as rig:
            for push in rig.pushes(20):
                await rig.send([push])

            assert rig.server.connection_count == 1

    asyncio.run(scenario())


def test_burst_shares_few_connections() -> None:
    async def scenario() -> None:
        async with running(later_streams=5) as rig:
            receipts = await rig.send(rig.pushes(200))

            assert set(classes(receipts)) == {OutcomeClass.ACCEPTED}
            assert rig.server.connection_count <= 4

    asyncio.run(scenario())


def test_topics_are_sent_side_by_side() -> None:
    async def scenario() -> None:
        async with running() as rig:
            ours, theirs = rig.pushes(50), make_pushes(rig.apns, 50, OTHER_TOPIC)

            both = await asyncio.gather(rig.send(ours), send_all(rig.provider, credentials(OTHER_TOPIC), theirs))

            assert [set(classes(receipts)) for receipts in both] == [{OutcomeClass.ACCEPTED}] * 2

    asyncio.run(scenario())


def test_certificate_of_another_topic_is_refused_by_apns() -> None:
    async def scenario() -> None:
        async with running() as rig:
            receipts = await rig.send(make_pushes(rig.apns, 1, OTHER_TOPIC))

            assert classes(receipts) == [OutcomeClass.CERTIFICATE_REFUSED]
            assert receipts[0].outcome.reason == "TopicDisallowed"

    asyncio.run(scenario())


def test_push_that_cannot_be_written_stops_no_other() -> None:
    async def scenario() -> None:
        async with running() as rig:
            good, bad, also_good = rig.pushes(3)

            receipts = await rig.send([good, replace(bad, topic="com.apple.mgmt.\N{SNOWMAN}"), also_good])

            assert classes(receipts) == [OutcomeClass.ACCEPTED, OutcomeClass.OUR_FAULT, OutcomeClass.ACCEPTED]

    asyncio.run(scenario())


def test_no_pushes_need_no_connection() -> None:
    async def scenario() -> None:
        async with running() as rig:
            assert await rig.send([]) == []
            assert rig.server.connection_count == 0

    asyncio.run(scenario())


def test_close_ends_every_waiting_send_with_no_answer() -> None:
    async def scenario() -> None:
        arrived = asyncio.Event()

        def keep_silent(_number: int) -> Fault:
            arrived.set()
            return Fault.SILENCE

        async with running(keep_silent, max_streams=10) as rig:
            sending = asyncio.create_task(rig.send(rig.pushes(30)))
            await arrived.wait()

            await rig.provider.close()

            assert classes(await sending) == [OutcomeClass.NO_ANSWER] * 30

    asyncio.run(scenario())


def test_close_while_waiting_to_send_again_ends_with_no_answer() -> None:
    async def scenario() -> None:
        waiting = asyncio.Event()

        def in_an_hour(*_: object) -> float:
            waiting.set()
            return 3600.0

        async with running(lambda _: Fault.RESET_STREAM, pace=Pace(delay=in_an_hour)) as rig:
            sending = asyncio.create_task(rig.send(rig.pushes(1)))
            await waiting.wait()

            await rig.provider.close()

            assert classes(await sending) == [OutcomeClass.NO_ANSWER]

    asyncio.run(scenario())


def test_close_leaves_no_thread_and_no_socket() -> None:
    async def scenario() -> None:
        async with running() as rig:
            await rig.send(rig.pushes(20))

    asyncio.run(scenario())  # what is loaded once and kept is not a leak
    before = threading.active_count(), len(list(Path("/dev/fd").iterdir()))

    asyncio.run(scenario())

    assert (threading.active_count(), len(list(Path("/dev/fd").iterdir()))) == before


def test_send_after_close_is_a_fault_of_the_caller() -> None:
    async def scenario() -> None:
        async with running() as rig:
            await rig.provider.close()

            with pytest.raises(RuntimeError, match="closed"):
                await rig.send(rig.pushes(1))

    asyncio.run(scenario())

"""The provider against servers that keep to HTTP/2 and yet are no use: it looks for a better one."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from uuid import UUID

from tests.edges.apns.rig import PATIENCE_SECONDS, TOMORROW, at_once, classes, credentials, send_all
from tests.simulator.apns_pki import TOPIC, authority_pem, push_certificate, server_identity

from muster.crypto.certificates import fingerprint
from muster.edges.apns import frames
from muster.edges.apns.backoff import Pace
from muster.edges.apns.frames import CLIENT_PREFACE, Flag, Frame, FrameReader, Kind, Setting
from muster.edges.apns.provider import ApnsProvider
from muster.operations.ports import PushCredentials, PushReceipt
from muster.protocol.apns import OutcomeClass, Push

Answer = Callable[[int, Frame], bytes]
"""What the server says to a frame on the connection of that number, from 0."""

STATUS_200 = b"\x88"


def reply(stream_id: int) -> bytes:
    return frames.frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream_id, STATUS_200)


def is_request(frame: Frame) -> bool:
    return frame.kind == Kind.DATA and bool(frame.flags & Flag.END_STREAM)


def pong(frame: Frame) -> bytes:
    return b"" if frame.kind != Kind.PING or frame.flags else frames.ping(frame.payload, is_answer=True)


def make(count: int) -> list[Push]:
    return [Push(str(UUID(int=number)), TOPIC, b"token", "magic", TOMORROW) for number in range(count)]


def renewed_credentials() -> PushCredentials:
    client = push_certificate(TOPIC, serial_number=4)
    return PushCredentials(TOPIC, client.certificate_pem, client.key_pem, fingerprint(client.certificate_der))


@asynccontextmanager
async def serving(
    directory: Path, answer: Answer, pace: Pace, limits: Sequence[Sequence[tuple[Setting, int]]] = ()
) -> AsyncIterator[ApnsProvider]:
    """Serve by hand; *limits* are the settings of the first connections."""
    identity = server_identity()
    (directory / "server.pem").write_bytes(identity.certificate_pem + identity.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    context.set_alpn_protocols(["h2"])
    connections: list[asyncio.StreamWriter] = []

    async def speak(incoming: asyncio.StreamReader, outgoing: asyncio.StreamWriter) -> None:
        number = len(connections)
        connections.append(outgoing)
        reader = FrameReader()
        outgoing.write(frames.settings(limits[number] if number < len(limits) else []))
        with suppress(OSError, asyncio.IncompleteReadError):
            await incoming.readexactly(len(CLIENT_PREFACE))
            while data := await incoming.read(65536):
                outgoing.write(b"".join(answer(number, frame) for frame in reader.frames(data)))
        outgoing.close()

    server = await asyncio.start_server(speak, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        provider = ApnsProvider("127.0.0.1", port, rng=Random(1), ca_pem=authority_pem(), pace=pace)
        try:
            yield provider
        finally:
            await provider.close()
            for one in connections:
                with suppress(OSError):
                    await one.wait_closed()


def test_connection_that_answers_ping_alone_is_replaced(tmp_path: Path) -> None:
    def first_is_dead_behind(number: int, frame: Frame) -> bytes:
        return reply(frame.stream_id) if number and is_request(frame) else pong(frame)

    async def scenario() -> None:
        pace = Pace(delay=at_once, attempt_seconds=0.2)
        async with serving(tmp_path, first_is_dead_behind, pace) as provider:
            receipts = await send_all(provider, credentials(), make(20))

            assert set(classes(receipts)) == {OutcomeClass.ACCEPTED}
            assert {receipt.attempts for receipt in receipts} == {2}

    asyncio.run(scenario())


def test_connection_that_never_has_room_is_replaced(tmp_path: Path) -> None:
    def answer(_number: int, frame: Frame) -> bytes:
        return reply(frame.stream_id) if is_request(frame) else pong(frame)

    async def scenario() -> None:
        pace = Pace(delay=at_once, push_seconds=0.4, attempt_seconds=0.2)
        async with serving(tmp_path, answer, pace, [[(Setting.MAX_CONCURRENT_STREAMS, 0)]]) as provider:
            in_vain = await send_all(provider, credentials(), make(3))
            receipts = await send_all(provider, credentials(), make(3))

            assert set(classes(in_vain)) == {OutcomeClass.NO_ANSWER}
            assert set(classes(receipts)) == {OutcomeClass.ACCEPTED}

    asyncio.run(scenario())


def test_push_that_comes_back_is_given_up_in_its_own_time_not_in_that_of_others(tmp_path: Path) -> None:
    """The one place that the server has stays taken, so that whatever comes back has to wait."""
    refused = frames.reset_stream(3, frames.ErrorCode.INTERNAL_ERROR)

    def second_fails_and_then_no_room(_number: int, frame: Frame) -> bytes:
        if not is_request(frame):
            return pong(frame)
        no_room = frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 0)])
        return reply(frame.stream_id) if frame.stream_id == 1 else no_room + refused

    async def scenario() -> None:
        order: list[str] = []
        over_soon_after_the_first: list[int] = []
        over = asyncio.Event()

        def settle(receipt: PushReceipt) -> None:
            order.append(receipt.apns_id)
            if len(order) == 2:
                over.set()
            else:
                asyncio.get_running_loop().call_soon(lambda: over_soon_after_the_first.append(len(order)))

        pace = Pace(delay=lambda _step, _rng: 0.45, push_seconds=0.7, attempt_seconds=0.2)
        limits = [[], *[[(Setting.MAX_CONCURRENT_STREAMS, 0)]] * 9]
        async with serving(tmp_path, second_fails_and_then_no_room, pace, limits) as provider:
            before, first, second = make(3)
            call_later, client = asyncio.get_running_loop().call_later, credentials()
            await send_all(provider, client, [before])
            call_later(0.55, provider.send, client, [first], settle)  # nothing waits for the time of the one before
            call_later(0.9, provider.send, client, [second], settle)
            async with asyncio.timeout(PATIENCE_SECONDS):
                await over.wait()

            assert order == [first.apns_id, second.apns_id]
            assert over_soon_after_the_first == [1]

    asyncio.run(scenario())


def test_push_that_is_refused_again_and_again_is_over_in_time(tmp_path: Path) -> None:
    def refuse(_number: int, frame: Frame) -> bytes:
        is_refused = is_request(frame)
        return frames.reset_stream(frame.stream_id, frames.ErrorCode.REFUSED_STREAM) if is_refused else pong(frame)

    async def scenario() -> None:
        pace = Pace(delay=lambda _step, _rng: 3600.0, push_seconds=0.4, attempt_seconds=0.2)
        async with serving(tmp_path, refuse, pace) as provider:
            receipts = await send_all(provider, credentials(), make(3))

            assert set(classes(receipts)) == {OutcomeClass.NO_ANSWER}

    asyncio.run(scenario())


def answer_and_break(_number: int, frame: Frame) -> bytes:
    """Answer one push, and then a frame that ends the connection."""
    return reply(frame.stream_id) + frames.frame(Kind.PING, 0, 1, bytes(8)) if is_request(frame) else b""


def test_pauses_between_connections_do_not_grow_while_pushes_are_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        steps: list[int] = []

        def delay(step: int, _rng: Random) -> float:
            steps.append(step)
            return 0.0

        async with serving(tmp_path, answer_and_break, Pace(delay=delay)) as provider:
            for push in make(6):
                await send_all(provider, credentials(), [push])

        assert set(steps) == {1}

    asyncio.run(scenario())


def test_no_connection_is_tried_before_the_pause_is_over(tmp_path: Path) -> None:
    async def scenario() -> None:
        numbers: set[int] = set()
        paused = asyncio.Event()

        def answer(number: int, frame: Frame) -> bytes:
            numbers.add(number)
            return answer_and_break(number, frame)

        def delay(_step: int, _rng: Random) -> float:
            paused.set()
            return 3600.0

        pace = Pace(delay=delay, push_seconds=0.4, attempt_seconds=0.2)
        async with serving(tmp_path, answer, pace) as provider:
            first, second = make(2)
            await send_all(provider, credentials(), [first])
            await paused.wait()

            receipts = await send_all(provider, credentials(), [second])

            assert classes(receipts) == [OutcomeClass.NO_ANSWER]
            assert numbers == {0}

    asyncio.run(scenario())


def test_connections_of_a_renewed_certificate_are_closed_once_nothing_is_owed(tmp_path: Path) -> None:
    async def scenario() -> None:
        said_goodbye = asyncio.Event()

        def answer(number: int, frame: Frame) -> bytes:
            if frame.kind == Kind.GOAWAY and number == 0:
                said_goodbye.set()
            return reply(frame.stream_id) if is_request(frame) else pong(frame)

        async with serving(tmp_path, answer, Pace()) as provider:
            first, second = make(2)
            await send_all(provider, credentials(), [first])

            await send_all(provider, renewed_credentials(), [second])

            async with asyncio.timeout(PATIENCE_SECONDS):
                await said_goodbye.wait()

    asyncio.run(scenario())

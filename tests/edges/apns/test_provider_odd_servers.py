"""The provider against servers that keep to HTTP/2 and yet are no use: it looks for a better one."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from random import Random
from uuid import UUID

from tests.edges.apns.rig import TOMORROW, at_once, classes, credentials, send_all
from tests.simulator.apns_pki import TOPIC, authority_pem, server_identity

from muster.edges.apns import frames
from muster.edges.apns.backoff import Pace
from muster.edges.apns.frames import CLIENT_PREFACE, Flag, Frame, FrameReader, Kind, Setting
from muster.edges.apns.provider import ApnsProvider
from muster.operations.ports import PushReceipt
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
    refused = frames.reset_stream(1, frames.ErrorCode.INTERNAL_ERROR)

    def first_fails_and_then_no_room(_number: int, frame: Frame) -> bytes:
        if not is_request(frame) or frame.stream_id != 1:
            return pong(frame)
        return frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 0)]) + refused

    async def scenario() -> None:
        order: list[str] = []
        over = asyncio.Event()

        def settle(receipt: PushReceipt) -> None:
            order.append(receipt.apns_id)
            if len(order) == 2:
                over.set()

        pace = Pace(delay=lambda _step, _rng: 0.4, push_seconds=0.7, attempt_seconds=0.2)
        limits = [[(Setting.MAX_CONCURRENT_STREAMS, 1)]]
        async with serving(tmp_path, first_fails_and_then_no_room, pace, limits) as provider:
            first, second = make(2)
            provider.send(credentials(), [first], settle)
            asyncio.get_running_loop().call_later(0.2, provider.send, credentials(), [second], settle)
            await over.wait()

            assert order == [first.apns_id, second.apns_id]

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

"""The simulated APNs on the wire, as a client that is not ours sees it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, DataReceived, Event, ResponseReceived, StreamEnded, StreamReset
from h2.settings import SettingCodes
from tests.simulator.apns_pki import TOPIC, ClientPem, authority_pem, push_certificate, server_identity

from muster.crypto.certificates import fingerprint
from muster.protocol.apns import Push, request_body, request_headers, request_path
from muster.simulator.apns import Refusal, SimulatedAPNs
from muster.simulator.apns_connection import Fault
from muster.simulator.apns_server import SimulatedApnsServer
from muster.simulator.apns_weather import (
    Condition,
    GoAway,
    Mishap,
    RefuseStream,
    Reset,
    ResetStream,
    Slow,
    StreamLimit,
    Unreachable,
)

NOW = datetime(2026, 11, 2, 9, 0, tzinfo=UTC)
TOMORROW = int(NOW.timestamp()) + 86400

Header = tuple[str, str]


@dataclass
class Client:
    """A client of one connection, made of h2."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    http2: H2Connection = field(default_factory=lambda: H2Connection(H2Configuration(header_encoding="utf-8")))
    events: list[Event] = field(default_factory=list)

    def post(self, path: str, headers: Sequence[Header], body: bytes) -> int:
        """Queue a request and return its stream."""
        stream_id = self.http2.get_next_available_stream_id()
        pseudo = [(":method", "POST"), (":scheme", "https"), (":authority", "apns"), (":path", path)]
        self.http2.send_headers(stream_id, [*pseudo, *headers])
        self.http2.send_data(stream_id, body, end_stream=True)
        return stream_id

    def push(self, push: Push, *, without: str = "") -> int:
        """Queue a push, without one of its headers, and return its stream."""
        headers = [(name, value) for name, value in request_headers(push).items() if name != without]
        return self.post(request_path(push), headers, request_body(push))

    async def until(self, is_enough: Callable[[Event], bool]) -> None:
        """Send what is queued and read until an event is enough, or the server has hung up."""
        while not any(map(is_enough, self.events)):
            self.writer.write(self.http2.data_to_send())
            data = await self.reader.read(65536)
            if not data:
                return
            self.events += self.http2.receive_data(data)

    async def answer(self, stream_id: int) -> tuple[int, dict[str, str], bytes]:
        """Wait for the answer on a stream: status, headers, body."""
        await self.until(lambda event: isinstance(event, StreamEnded) and event.stream_id == stream_id)
        (response,) = [e for e in self.events if isinstance(e, ResponseReceived) and e.stream_id == stream_id]
        headers = {str(name): str(value) for name, value in response.headers}
        pieces = [e.data for e in self.events if isinstance(e, DataReceived) and e.stream_id == stream_id]
        return int(headers[":status"]), headers, b"".join(pieces)


def client_tls(client: ClientPem | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=authority_pem().decode())
    context.set_alpn_protocols(["h2"])
    if client is not None:
        with TemporaryDirectory() as directory:
            pem = Path(directory, "client.pem")
            pem.write_bytes(client.certificate_pem + client.key_pem)
            context.load_cert_chain(pem)
    return context


@asynccontextmanager
async def connected(server: SimulatedApnsServer, client: ClientPem | None = None) -> AsyncIterator[Client]:
    reader, writer = await asyncio.open_connection(
        "127.0.0.1",
        server.port,
        ssl=client_tls(client),
        ssl_shutdown_timeout=1,  # a silent server says no farewell
    )
    connection = Client(reader, writer)
    connection.http2.initiate_connection()
    try:
        yield connection
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def serving(
    apns: SimulatedAPNs, fault_of: Callable[[int], Fault | None] = lambda _: None
) -> AsyncIterator[SimulatedApnsServer]:
    async with SimulatedApnsServer(apns, server_identity(), now=lambda: NOW, fault_of=fault_of) as server:
        yield server


def a_push(apns: SimulatedAPNs) -> Push:
    return Push(apns.issue_apns_id(), TOPIC, apns.issue_token(TOPIC), "magic", TOMORROW)


def test_accepted_push_is_answered_by_200_and_its_id() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            push = a_push(apns)

            status, headers, body = await client.answer(client.push(push))

            assert (status, headers["apns-id"], body) == (200, push.apns_id, b"")

    asyncio.run(scenario())


def test_refusal_says_reason_and_time() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            push = a_push(apns)
            apns.unregister(push.token, NOW)

            status, _, body = await client.answer(client.push(push))

            assert status == 410
            assert json.loads(body) == {"reason": "Unregistered", "timestamp": int(NOW.timestamp()) * 1000}

    asyncio.run(scenario())


def test_topic_and_id_may_be_left_to_apns() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            without_topic = await client.answer(client.push(a_push(apns), without="apns-topic"))
            without_id = await client.answer(client.push(a_push(apns), without="apns-id"))

            assert (without_topic[0], without_id[0]) == (200, 200)
            assert len(without_id[1]["apns-id"]) == 36

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("path", "headers", "body", "status", "reason"),
    [
        ("/3/device/ab12", [("apns-topic", "com.apple.mgmt.other")], b"{}", 400, "TopicDisallowed"),
        ("/3/device/ab12", [], b'{"mdm":"magic"}', 400, "BadDeviceToken"),
        ("/3/device/ab12", [], b"x" * 4097, 413, "PayloadTooLarge"),
        ("/3/device/ab12", [], b"x" * 16000, 413, "PayloadTooLarge"),
        ("/3/device/xyz", [], b'{"mdm":"magic"}', 404, "BadPath"),
    ],
)
def test_wrong_request_is_refused(path: str, headers: Sequence[Header], body: bytes, status: int, reason: str) -> None:
    async def scenario() -> None:
        async with serving(SimulatedAPNs(Random(1))) as server, connected(server, push_certificate()) as client:
            answer = await client.answer(client.post(path, headers, body))

            assert (answer[0], json.loads(answer[2])) == (status, {"reason": reason})

    asyncio.run(scenario())


def test_certificate_without_a_topic_is_refused() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns) as server, connected(server, push_certificate("com.example.app")) as client:
            status, _, body = await client.answer(client.push(a_push(apns)))

            assert (status, json.loads(body)) == (403, {"reason": "BadCertificate"})

    asyncio.run(scenario())


@pytest.mark.parametrize("shown", ["no certificate", "certificate of another authority"])
def test_client_without_an_accepted_certificate_gets_an_alert(shown: str) -> None:
    async def scenario() -> None:
        certificate = push_certificate(TOPIC, "Somebody else's CA") if shown != "no certificate" else None
        async with serving(SimulatedAPNs(Random(1))) as server:
            with pytest.raises(ssl.SSLError, match="ALERT"):
                async with connected(server, certificate) as client:
                    await client.until(lambda _: False)

            assert server.connection_count == 0

    asyncio.run(scenario())


def test_streams_are_limited_until_the_first_answer() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            await client.until(lambda _: client.http2.remote_settings.max_concurrent_streams == 1)
            first = client.push(a_push(apns))

            await client.answer(first)
            await client.until(lambda _: client.http2.remote_settings.max_concurrent_streams == 1000)

            assert client.http2.remote_settings.max_concurrent_streams == 1000

    asyncio.run(scenario())


def test_body_waits_for_the_clients_window() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            push = a_push(apns)
            apns.reject(push.token, Refusal("BadDeviceToken"))
            client.http2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 5})
            stream_id = client.push(push)
            await client.until(lambda event: isinstance(event, DataReceived))
            before = [event.data for event in client.events if isinstance(event, DataReceived)]

            client.http2.increment_flow_control_window(1000, stream_id)
            answer = await client.answer(stream_id)

            assert [len(data) for data in before] == [5]
            assert json.loads(answer[2]) == {"reason": "BadDeviceToken"}

    asyncio.run(scenario())


def test_goaway_answers_the_streams_before_it_and_no_other() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns, {2: Fault.GOAWAY}.get) as server, connected(server, push_certificate()) as client:
            streams = [client.push(a_push(apns)) for _ in range(4)]

            await client.until(lambda _: False)

            (goaway,) = [event for event in client.events if isinstance(event, ConnectionTerminated)]
            answered = [event.stream_id for event in client.events if isinstance(event, StreamEnded)]
            assert (goaway.last_stream_id, goaway.additional_data) == (streams[1], b'{"reason": "Shutdown"}')
            assert answered == streams[:2]
            assert apns.received.total() == 2

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("fault", "error", "taken"),
    [(Fault.RESET_STREAM, ErrorCodes.INTERNAL_ERROR, 1), (Fault.REFUSE_STREAM, ErrorCodes.REFUSED_STREAM, 0)],
)
def test_stream_is_reset(fault: Fault, error: ErrorCodes, taken: int) -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns, {1: fault}.get) as server, connected(server, push_certificate()) as client:
            client.push(a_push(apns))

            await client.until(lambda event: isinstance(event, StreamReset))

            (reset,) = [event for event in client.events if isinstance(event, StreamReset)]
            assert (reset.error_code, apns.received.total()) == (error, taken)

    asyncio.run(scenario())


def test_connection_is_reset_after_the_push_was_taken() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns, lambda _: Fault.RESET_CONNECTION) as server:
            async with connected(server, push_certificate()) as client:
                client.push(a_push(apns))

                with pytest.raises(ConnectionResetError):
                    await client.until(lambda _: False)

            assert apns.received.total() == 1

    asyncio.run(scenario())


def test_client_that_breaks_http2_is_hung_up_on() -> None:
    async def scenario() -> None:
        async with serving(SimulatedAPNs(Random(1))) as server, connected(server, push_certificate()) as client:
            client.writer.write(b"GET / HTTP/1.1\r\n\r\n" * 10)

            assert (await client.reader.read()).find(b"\x00\x00\x00\x01") > 0  # a GOAWAY for PROTOCOL_ERROR

    asyncio.run(scenario())


def test_close_cuts_connections_that_are_open() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            await client.answer(client.push(a_push(apns)))

            await server.close()

            with pytest.raises(ConnectionResetError):
                await client.until(lambda _: False)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("effect", "error", "taken"),
    [(ResetStream(), ErrorCodes.INTERNAL_ERROR, 1), (RefuseStream(), ErrorCodes.REFUSED_STREAM, 0)],
)
def test_weather_resets_streams(effect: Mishap, error: ErrorCodes, taken: int) -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        apns.weather.add(Condition(effect, topics=frozenset([TOPIC]), times=1))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            client.push(a_push(apns))

            await client.until(lambda event: isinstance(event, StreamReset))

            (reset,) = [event for event in client.events if isinstance(event, StreamReset)]
            assert (reset.error_code, apns.received.total()) == (error, taken)
            assert (await client.answer(client.push(a_push(apns))))[0] == 200

    asyncio.run(scenario())


def test_weather_sends_each_third_request_away() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        apns.weather.add(Condition(GoAway(every=3)))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            streams = [client.push(a_push(apns)) for _ in range(4)]

            await client.until(lambda _: False)

            (goaway,) = [event for event in client.events if isinstance(event, ConnectionTerminated)]
            assert goaway.last_stream_id == streams[2]

    asyncio.run(scenario())


def test_weather_resets_the_connection_after_the_push_was_taken() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        push = a_push(apns)
        apns.weather.add(Condition(Reset(), tokens=frozenset([push.token])))
        async with serving(apns) as server:
            async with connected(server, push_certificate()) as client:
                client.push(push)

                with pytest.raises(ConnectionResetError):
                    await client.until(lambda _: False)

            assert apns.received.total() == 1

    asyncio.run(scenario())


def test_slow_answer_lets_others_overtake() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        slow = a_push(apns)
        apns.weather.add(Condition(Slow(0.05), tokens=frozenset([slow.token])))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            first, second = client.push(slow), client.push(a_push(apns))

            assert (await client.answer(first))[0] == 200

            answered = [event.stream_id for event in client.events if isinstance(event, StreamEnded)]
            assert answered == [second, first]

    asyncio.run(scenario())


def test_goaway_waits_for_slow_answers_and_names_the_last_stream_that_was_taken() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        slow = a_push(apns)
        apns.weather.add(Condition(Slow(0.05), tokens=frozenset([slow.token])))
        async with serving(apns, {2: Fault.GOAWAY}.get) as server, connected(server, push_certificate()) as client:
            streams = [client.push(slow), client.push(a_push(apns)), client.push(a_push(apns))]
            client.writer.write(client.http2.data_to_send())

            frames = _frames(await client.reader.read())  # h2 hears nothing after a GOAWAY

            told = [(kind, stream_id or payload[:4]) for kind, stream_id, payload in frames if kind in (1, 7)]
            assert told == [(1, streams[1]), (7, streams[1].to_bytes(4, "big")), (1, streams[0])]

    asyncio.run(scenario())


def _frames(data: bytes) -> list[tuple[int, int, bytes]]:
    """Type, stream and payload of each frame (RFC 9113, 4.1); 1 is HEADERS, 7 is GOAWAY."""
    frames = []
    while data:
        length = int.from_bytes(data[:3], "big")
        frames.append((data[3], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        data = data[9 + length :]
    return frames


def test_slow_goaway_names_what_was_taken_meanwhile() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        slow = a_push(apns)
        apns.weather.add(Condition(Slow(0.05), tokens=frozenset([slow.token])))
        async with serving(apns, {1: Fault.GOAWAY}.get) as server, connected(server, push_certificate()) as client:
            streams = [client.push(slow), client.push(a_push(apns))]

            await client.until(lambda _: False)

            (goaway,) = [event for event in client.events if isinstance(event, ConnectionTerminated)]
            assert goaway.last_stream_id == streams[1]

    asyncio.run(scenario())


def test_answer_that_is_due_when_the_client_has_gone_is_dropped() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        apns.weather.add(Condition(Slow(0.02)))
        async with serving(apns) as server:
            async with connected(server, push_certificate()) as client:
                client.push(a_push(apns))
                client.http2.close_connection()
                client.writer.write(client.http2.data_to_send())
                await client.reader.read()

            assert apns.received.total() == 1

    asyncio.run(scenario())


def test_answer_to_a_stream_that_the_client_gave_up_is_dropped() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        slow = a_push(apns)
        apns.weather.add(Condition(Slow(0.02), tokens=frozenset([slow.token])))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            client.http2.reset_stream(client.push(slow), ErrorCodes.CANCEL)
            also_slow = a_push(apns)
            apns.weather.add(Condition(Slow(0.04), tokens=frozenset([also_slow.token])))

            assert (await client.answer(client.push(also_slow)))[0] == 200

            assert len([event for event in client.events if isinstance(event, StreamEnded)]) == 1

    asyncio.run(scenario())


def test_unreachable_ends_connections_and_takes_nothing_more() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        away = Condition(Unreachable())
        async with serving(apns) as server:
            async with connected(server, push_certificate()) as client:
                await client.answer(client.push(a_push(apns)))
                apns.weather.add(away)
                client.push(a_push(apns))
                with pytest.raises(ConnectionResetError):
                    await client.until(lambda _: False)
            with pytest.raises(OSError):
                async with connected(server, push_certificate()):
                    pass
            apns.weather.remove(away)
            async with connected(server, push_certificate()) as client:
                assert (await client.answer(client.push(a_push(apns))))[0] == 200

            assert apns.received.total() == 2

    asyncio.run(scenario())


def test_silent_network_accepts_and_never_answers_even_when_it_is_over() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        silence = Condition(Unreachable(is_silent=True))
        async with serving(apns) as server:
            async with connected(server, push_certificate()) as client:
                await client.answer(client.push(a_push(apns)))
                apns.weather.add(silence)
                client.push(a_push(apns))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.until(lambda _: False), 0.05)
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(
                        asyncio.open_connection("127.0.0.1", server.port, ssl=client_tls(None)), 0.05
                    )
                apns.weather.remove(silence)
                client.push(a_push(apns))
                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(client.until(lambda _: False), 0.05)

            assert apns.received.total() == 1

    asyncio.run(scenario())


def test_stream_limit_changes_on_connections_that_are_open() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            await client.answer(client.push(a_push(apns)))
            server.limit_streams(5)
            await client.until(lambda _: client.http2.remote_settings.max_concurrent_streams == 5)
            apns.weather.add(Condition(StreamLimit(2)))
            await client.answer(client.push(a_push(apns)))
            await client.until(lambda _: client.http2.remote_settings.max_concurrent_streams == 2)
            apns.weather.change_to([])
            await client.answer(client.push(a_push(apns)))
            await client.until(lambda _: client.http2.remote_settings.max_concurrent_streams == 5)

            assert client.http2.remote_settings.max_concurrent_streams == 5

    asyncio.run(scenario())


def test_certificate_that_is_held_against_is_refused_with_the_reason() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        client_pem = push_certificate()
        async with serving(apns) as server, connected(server, client_pem) as client:
            apns.certificates.move_to_other_environment(fingerprint(client_pem.certificate_der))

            status, _, body = await client.answer(client.push(a_push(apns)))

            assert (status, json.loads(body)) == (403, {"reason": "BadCertificateEnvironment"})
            assert apns.received.total() == 0

    asyncio.run(scenario())


def test_certificate_out_of_its_time_by_the_given_clock_alone_is_bad() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        much_later = datetime(2199, 1, 1, tzinfo=UTC)
        running = SimulatedApnsServer(apns, server_identity(), now=lambda: much_later)
        async with running as server, connected(server, push_certificate()) as client:
            status, _, body = await client.answer(client.push(a_push(apns)))

            assert (status, json.loads(body)) == (403, {"reason": "BadCertificate"})

    asyncio.run(scenario())


def test_push_without_expiration_is_kept_as_apple_documents() -> None:
    async def scenario() -> None:
        apns = SimulatedAPNs(Random(1))
        woken = list[Push]()
        async with serving(apns) as server, connected(server, push_certificate()) as client:
            push = a_push(apns)
            await client.answer(client.push(push, without="apns-expiration"))

            apns.go_online(push.token, woken.append, NOW + timedelta(days=29))

            assert [kept.apns_id for kept in woken] == [push.apns_id]

    asyncio.run(scenario())

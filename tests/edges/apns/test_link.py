"""A connection when the server breaks off in the middle, or does not read, without sockets."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hpack import Encoder
from tests.edges.apns.rig import PATIENCE_SECONDS, TOMORROW, credentials
from tests.simulator.apns_pki import TOPIC, authority_pem, server_identity

from muster.edges.apns import frames
from muster.edges.apns.backoff import Pace
from muster.edges.apns.errand import Errand
from muster.edges.apns.exchange import Ended, Fate
from muster.edges.apns.frames import Flag, Kind
from muster.edges.apns.link import Endpoint, Link, Listener, open_link
from muster.edges.apns.tls import load_credentials, make_context
from muster.protocol.apns import Push

BROKEN_RECORD = b"\x17\x03\x03\x00\x20" + bytes(32)


class Wire(asyncio.Transport):
    """What a link believes to be its socket. It writes into memory and never pauses by itself."""

    def __init__(self, link: Link) -> None:
        super().__init__()
        self.written = b""
        self._link = link
        self._is_closing = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        pass

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            asyncio.get_running_loop().call_soon(self._link.connection_lost, None)

    abort = close


class Peer:
    """A link, and the server's end of its TLS, which a test speaks by hand."""

    def __init__(self, directory: Path, pace: Pace) -> None:
        self.ended: list[Ended[Errand]] = []
        self.on_ended: Callable[[], None] = lambda: None
        self.told_of_room = 0
        context = make_context(authority_pem())
        load_credentials(context, credentials())
        listener = Listener(self._on_ended, self._on_room, lambda _: None)
        loop = asyncio.get_running_loop()
        self.link = Link(loop, Endpoint("127.0.0.1", 443, None), context, TOPIC, pace, listener, max_streams=1000)
        self.wire = Wire(self.link)
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = _server_context(directory).wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.link.connection_made(self.wire)
        for _ in range(3):
            self.read()
            with suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            self.link.data_received(self._outgoing.read())
        self.say(frames.settings([]))

    def _on_ended(self, _link: Link, ended: list[Ended[Errand]]) -> None:
        self.ended += ended
        self.on_ended()

    def _on_room(self) -> None:
        self.told_of_room += 1

    def read(self) -> None:
        """Take what the link wrote."""
        self._incoming.write(self.wire.written)
        self.wire.written = b""

    def say(self, plaintext: bytes, then: bytes = b"") -> None:
        """Have the link hear *plaintext*, and *then*, which is no plaintext, in one piece."""
        self.tls.write(plaintext)
        self.link.data_received(self._outgoing.read() + then)

    def end(self) -> bytes:
        """Return the record by which TLS ends."""
        with suppress(ssl.SSLError):  # it would now wait for the link to say so as well
            self.tls.unwrap()
        return self._outgoing.read()

    def begin(self) -> None:
        """Have a push sent."""
        push = Push("id", TOPIC, b"token", "magic", TOMORROW)
        self.link.begin(Errand(push, lambda _: None, 0.0), asyncio.get_running_loop().time())
        self.link.flush()


def _server_context(directory: Path) -> ssl.SSLContext:
    identity = server_identity()
    (directory / "server.pem").write_bytes(identity.certificate_pem + identity.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "server.pem")
    context.set_alpn_protocols(["h2"])
    return context


async def in_time(what: Awaitable[object]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        await what


def answer_to(stream_id: int) -> bytes:
    block = Encoder().encode([(":status", "200")])
    return frames.frame(Kind.HEADERS, Flag.END_HEADERS | Flag.END_STREAM, stream_id, block)


@pytest.mark.parametrize("ends_well", [True, False])
def test_nothing_is_begun_where_the_answer_came_together_with_the_end(tmp_path: Path, ends_well: bool) -> None:
    async def scenario() -> None:
        peer = Peer(tmp_path, Pace())
        peer.begin()
        peer.begin()
        room: list[int] = []
        peer.on_ended = lambda: room.append(peer.link.room)
        answer = answer_to(1)

        if ends_well:
            peer.tls.write(answer)
            peer.link.data_received(peer.end())
        else:
            peer.say(answer, BROKEN_RECORD)
        await in_time(peer.link.closed)

        assert room[0] == 0
        assert [one.fate for one in peer.ended] == [Fate.ANSWERED, Fate.UNKNOWN]
        assert peer.link.words != "the connection was closed"

    asyncio.run(scenario())


def test_server_that_reads_nothing_and_says_nothing_is_left(tmp_path: Path) -> None:
    async def scenario() -> None:
        peer = Peer(tmp_path, Pace(busy_ping_seconds=0.02, ping_answer_seconds=0.02))
        peer.begin()
        peer.link.pause_writing()

        await in_time(peer.link.closed)

        assert [one.fate for one in peer.ended] == [Fate.UNKNOWN]

    asyncio.run(scenario())


def test_request_to_a_server_that_reads_nothing_is_given_up_in_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        peer = Peer(tmp_path, Pace(attempt_seconds=0.02))
        over = asyncio.Event()
        peer.on_ended = over.set
        peer.begin()
        peer.link.pause_writing()

        await in_time(over.wait())

        assert "no answer" in peer.ended[0].words
        await in_time(peer.link.closed)

    asyncio.run(scenario())


def test_connecting_that_is_cancelled_twice_ends_without_a_fault() -> None:
    async def scenario() -> None:
        faults: list[dict[str, object]] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: faults.append(context))
        arrived = asyncio.Event()
        gone = asyncio.Event()

        async def never_speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            arrived.set()
            await reader.read()
            writer.close()
            gone.set()

        server = await asyncio.start_server(never_speak, "127.0.0.1", 0)
        async with server:
            endpoint = Endpoint("127.0.0.1", server.sockets[0].getsockname()[1], None)
            listener = Listener(lambda *_: None, lambda: None, lambda _: None)
            context = make_context(authority_pem())
            opening = loop.create_task(open_link(endpoint, context, TOPIC, Pace(), listener, max_streams=1))
            await arrived.wait()

            opening.cancel()
            await asyncio.sleep(0)
            opening.cancel()
            with pytest.raises(asyncio.CancelledError):
                await opening
            await gone.wait()

        assert faults == []

    asyncio.run(scenario())


def test_there_is_room_again_when_the_server_reads_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        peer = Peer(tmp_path, Pace())
        peer.wire.written = b""

        peer.link.pause_writing()
        room = peer.link.room
        peer.begin()
        written = peer.wire.written
        told = peer.told_of_room
        peer.link.resume_writing()

        assert (room, written) == (0, b"")
        assert peer.link.room > 0
        assert peer.wire.written != b""
        assert peer.told_of_room == told + 1
        peer.link.abort()
        await in_time(peer.link.closed)

    asyncio.run(scenario())

"""The doors behind the real HTTP server, over loopback: what only shows on a connection."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

import pytest
import uvicorn
from tests.edges.device.doors import CONNECT_TYPE, Doors
from tests.support.site import MAC, Site, head
from uvicorn.server import ServerState

from muster.bootstrap import bounded_http
from muster.bootstrap.bounded_http import BoundedHttp
from muster.edges.device.messages import MAXIMUM_BODY_BYTES
from muster.protocol.connect import Report, encode_report
from muster.protocol.mdm_signature import make_mdm_signature

T = TypeVar("T")

IDLE = encode_report(Report(head()))
MEGABYTE = 1024 * 1024


@dataclass
class Line:
    """A client's connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def say(self, data: bytes) -> None:
        """Send; what the server will not take any more is not an error here."""
        self.writer.write(data)
        with suppress(ConnectionError):
            await self.writer.drain()

    async def reply(self) -> tuple[int, dict[str, str], bytes]:
        """Read one reply."""
        start, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()[:-1]
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers["content-length"]))
        return int(start.split()[1]), headers, body

    async def is_closed_by_server(self) -> bool:
        """Wait until the server has hung up."""
        try:
            return await self.reader.read() == b""
        except ConnectionError:
            return True


@dataclass
class Server:
    """The doors, listening."""

    port: int
    state: ServerState

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Line]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield Line(reader, writer)
        finally:
            writer.close()

    async def has_no_connection(self) -> None:
        """Wait until every connection is closed on this side too."""
        while self.state.connections:  # noqa: ASYNC110 - uvicorn tells nobody
            await asyncio.sleep(0)


def serve(doors: Doors, scene: Callable[[Server], Awaitable[T]]) -> T:
    """Play *scene* against the doors behind uvicorn, set up as `muster serve` sets it up."""

    async def main() -> T:
        config = uvicorn.Config(doors.app, http=BoundedHttp, log_config=None, access_log=False, lifespan="off")
        config.load()
        state = ServerState()
        loop = asyncio.get_running_loop()
        listening = await loop.create_server(lambda: BoundedHttp(config, state, {}), "127.0.0.1", 0)
        async with listening, asyncio.timeout(60):
            server = Server(listening.sockets[0].getsockname()[1], state)
            result = await scene(server)
            await server.has_no_connection()
        await doors.app.drain()
        return result

    return asyncio.run(main())


def put(site: Site, body: bytes = IDLE, *, declared: int | None = None, extra: str = "") -> bytes:
    """A whole PUT of the enrolled Mac; with *declared* its length is a lie."""
    signature = make_mdm_signature(body, site.enroll(MAC))
    length = len(body) if declared is None else declared
    lines = f"PUT /mdm HTTP/1.1\r\nHost: a\r\nMdm-Signature: {signature}\r\nContent-Type: {CONNECT_TYPE}\r\n{extra}"
    return f"{lines}Content-Length: {length}\r\n\r\n".encode() + body


def test_two_requests_of_one_connection_are_answered(doors: Doors, site: Site) -> None:
    message = put(site)

    async def scene(server: Server) -> list[int]:
        async with server.connect() as line:
            await line.say(message)
            first = await line.reply()
            await line.say(message + message)
            return [first[0], (await line.reply())[0], (await line.reply())[0]]

    assert serve(doors, scene) == [200, 200, 200]


@pytest.mark.parametrize("extra", ["", "Expect: 100-continue\r\n"])
def test_body_declared_too_large_is_refused_and_the_connection_ends(doors: Doors, site: Site, extra: str) -> None:
    message = put(site, declared=100 * MEGABYTE, extra=extra)

    async def scene(server: Server) -> tuple[int, str, bool, int]:
        async with server.connect() as line:
            await line.say(message.partition(b"\r\n\r\n")[0] + b"\r\n\r\n")
            status, headers, _ = await line.reply()
            sent = 0
            while sent < 300 and not line.writer.is_closing():
                await line.say(b" " * MEGABYTE)
                sent += 1
            return status, headers["connection"], await line.is_closed_by_server(), sent

    status, connection, is_closed, sent = serve(doors, scene)
    assert (status, connection, is_closed) == (413, "close", True)
    assert sent < 300


@pytest.mark.parametrize("extra", ["", "Transfer-Encoding: chunked\r\n"])
def test_client_that_sends_a_hundred_megabytes_before_it_reads_learns_why_they_are_refused(
    doors: Doors, site: Site, extra: str
) -> None:
    start, body = put(site, declared=100 * MEGABYTE).split(b"\r\n\r\n", 1)
    if extra:
        start = start.partition(b"Content-Length")[0] + extra.strip().encode()
    framing = (b"%x\r\n" % MEGABYTE, b"\r\n") if extra else (b"", b"")

    async def scene(server: Server) -> tuple[int, bool]:
        async with server.connect() as line:
            line.writer.write(start + b"\r\n\r\n")
            for _ in range(100):
                line.writer.write(framing[0] + b" " * MEGABYTE + framing[1])
                await line.writer.drain()
            return (await line.reply())[0], await line.is_closed_by_server()

    assert body == IDLE
    assert serve(doors, scene) == (413, True)


def test_connection_with_a_refused_body_that_never_ends_is_closed_in_time(
    doors: Doors, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "DISCARD_SECONDS", 0.05)
    message = put(site, declared=100 * MEGABYTE)

    async def scene(server: Server) -> int:
        async with server.connect() as line:
            await line.say(message)
            status = (await line.reply())[0]
            await server.has_no_connection()  # though the client keeps its end open
            return status

    assert serve(doors, scene) == 413


def test_unsigned_body_without_end_is_not_received_without_end(doors: Doors) -> None:
    head_of_request = b"PUT /mdm HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (MEGABYTE, b" " * MEGABYTE)

    async def scene(server: Server) -> tuple[int, bool]:
        async with server.connect() as line:
            await line.say(head_of_request)
            sent = 0
            while sent < 300 and not line.writer.is_closing():
                await line.say(chunk)
                sent += 1
            return sent, await line.is_closed_by_server()

    sent, is_closed = serve(doors, scene)
    assert is_closed
    assert sent < 300


def test_report_of_sixteen_megabytes_gets_through(doors: Doors, site: Site) -> None:
    body = encode_report(Report(head(MAC, "Acknowledged", "one"), answer={"Padding": ""}))
    body = body.replace(b"<string></string>", b"<string>" + b"x" * (MAXIMUM_BODY_BYTES - len(body)) + b"</string>")
    message = put(site, body)
    site.queue("one")

    async def scene(server: Server) -> int:
        async with server.connect() as line:
            await line.say(message)
            return (await line.reply())[0]

    assert serve(doors, scene) == 200
    assert site.reports() == [("one", "Acknowledged")]


def scep_post(query: bytes) -> bytes:
    lines = b" HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    return b"POST /scep?operation=PKIOperation&message=" + query + lines


def test_scep_with_a_long_query_that_is_no_text_reaches_its_door(doors: Doors, site: Site) -> None:
    message = scep_post(b"%ff%fe%80%00" * 5000)

    async def scene(server: Server) -> int:
        async with server.connect() as line:
            await line.say(message)
            return (await line.reply())[0]

    assert serve(doors, scene) == 400
    assert site.rumours() == [("", "body_malformed", 1)]


@pytest.mark.parametrize("query", [b"a" * 70_000, bytes(range(128, 256))], ids=["longer-than-64-KiB", "unescaped"])
def test_address_that_the_parser_does_not_take_is_a_bad_request(doors: Doors, query: bytes) -> None:
    async def scene(server: Server) -> tuple[int, bool]:
        async with server.connect() as line:
            await line.say(scep_post(query))
            return (await line.reply())[0], await line.is_closed_by_server()

    assert serve(doors, scene) == (400, True)


@pytest.mark.parametrize(
    "message",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS where there is none
        b"GET\r\n\r\n",
        b"PUT /mdm HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"PUT /mdm HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"PUT /mdm HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"PUT /mdm HTTP/9.9\r\n\r\n",
    ],
    ids=["tls", "no-target", "negative-length", "two-lengths", "no-chunk", "http-9"],
)
def test_what_is_no_http_is_refused_and_the_connection_ends(doors: Doors, message: bytes) -> None:
    async def scene(server: Server) -> bytes:
        async with server.connect() as line:
            await line.say(message)
            line.writer.write_eof()
            return await line.reader.read()

    assert serve(doors, scene)[:12] in {b"HTTP/1.1 400", b"HTTP/1.1 403", b"HTTP/1.1 408", b""}


# Heads


def test_head_without_end_is_cut_off(doors: Doors) -> None:
    async def scene(server: Server) -> tuple[int, bool, int]:
        async with server.connect() as line:
            await line.say(b"PUT /mdm HTTP/1.1\r\nX-Endless: ")
            sent = 0
            while sent < 100 and not line.writer.is_closing():
                await line.say(b"x" * MEGABYTE)
                sent += 1
            return sent, await is_refused(line), len(server.state.connections)

    sent, is_cut_off, _ = serve(doors, scene)
    assert sent < 100
    assert is_cut_off


@pytest.mark.parametrize("piece", [b"X-More: and more\r\n", b"a" * 100])
def test_head_of_many_pieces_is_cut_off(doors: Doors, piece: bytes) -> None:
    begin = b"GET /" if piece.isalpha() else b"GET / HTTP/1.1\r\n"

    async def scene(server: Server) -> bool:
        async with server.connect() as line:
            await line.say(begin + piece * 100_000)
            return await is_refused(line)

    assert serve(doors, scene)


def test_trailers_without_end_are_cut_off(doors: Doors) -> None:
    async def scene(server: Server) -> int:
        async with server.connect() as line:
            await line.say(b"PUT /mdm HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
            sent = 0
            while sent < 1000 and not line.writer.is_closing():
                await line.say(b"X-Trailer: more\r\n" * 10_000)
                sent += 1
            return sent

    assert serve(doors, scene) < 1000


def test_head_that_does_not_end_in_time_ends_the_connection(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_TIMEOUT_SECONDS", 0.05)

    async def scene(server: Server) -> list[bool]:
        closed = []
        for beginning in (b"", b"\r\n\r\n", b"PUT /mdm HT", b"PUT /mdm HTTP/1.1\r\nHost: a\r\n"):
            async with server.connect() as line:
                await line.say(beginning)
                closed.append(await line.is_closed_by_server())
        return closed

    assert serve(doors, scene) == [True] * 4


def test_second_head_that_does_not_end_in_time_ends_the_connection(
    doors: Doors, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_TIMEOUT_SECONDS", 0.2)
    message = put(site)

    async def scene(server: Server) -> bool:
        async with server.connect() as line:
            await line.say(message)
            assert (await line.reply())[0] == 200
            await line.say(message[:50])
            return await line.is_closed_by_server()

    assert serve(doors, scene)


def test_bound_on_heads_does_not_touch_large_bodies_nor_many_requests(doors: Doors, site: Site) -> None:
    body = IDLE.replace(b"<dict>", b"<dict><!--" + b"x" * 200_000 + b"-->", 1)
    message = put(site, body)

    async def scene(server: Server) -> list[int]:
        async with server.connect() as line:
            statuses = []
            for _ in range(10):
                await line.say(message)
                statuses.append((await line.reply())[0])
            return statuses

    assert serve(doors, scene) == [200] * 10


async def is_refused(line: Line) -> bool:
    """Whether the server said 400 or hung up without a word; our own sending may have broken its reply."""
    try:
        said = await line.reader.read()
    except ConnectionError:
        return True
    return said == b"" or said.startswith(b"HTTP/1.1 400")

"""Both transports carry the same requests, and say plainly when no whole reply came."""

import asyncio
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import pytest

from muster.laboratory.virtual_time import VirtualTimeLoop
from muster.simulator.transport import AsgiMessage, AsgiTransport, ConnectionLost, HttpTransport, Response


class Peer(BaseHTTPRequestHandler):
    """Answers with what it saw; some paths misbehave."""

    protocol_version = "HTTP/1.1"
    connections: ClassVar[set[int]] = set()

    def do_PUT(self) -> None:
        self.connections.add(self.client_address[1])
        length = int(self.headers["content-length"])
        body = self.rfile.read(length)
        if self.path == "/breaks":
            self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nbut")
            self.close_connection = True
            return
        if self.path == "/closes":
            self.close_connection = True
        content = f"{self.command} {self.path} {self.headers['x-test']} {body.decode()}".encode()
        self.send_response(207 if self.path == "/207" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("X-Reply", "yes")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture(scope="module")
def origin() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Peer)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


async def echo(scope: AsgiMessage, receive: Any, send: Any) -> None:
    """The same as Peer, as an ASGI application."""
    body = (await receive())["body"].decode()
    headers = dict(scope["headers"])
    query = f"?{scope['query_string'].decode()}" if scope["query_string"] else ""
    content = f"{scope['method']} {scope['path']}{query} {headers[b'x-test'].decode()} {body}".encode()
    status = 207 if scope["path"] == "/207" else 200
    await send({"type": "http.response.start", "status": status, "headers": [(b"X-Reply", b"yes")]})
    await send({"type": "http.response.body", "body": content[:3], "more_body": True})
    await send({"type": "http.response.body", "body": content[3:]})


@pytest.fixture
def over_http() -> Iterator[HttpTransport]:
    transport = HttpTransport()
    yield transport
    transport.close()


def put(transport: HttpTransport | AsgiTransport, url: str) -> Response:
    return asyncio.run(transport.send("PUT", url, {"X-Test": "1"}, b"hello"))


def test_a_request_over_a_socket_arrives_whole(origin: str, over_http: HttpTransport) -> None:
    response = put(over_http, f"{origin}/mdm?a=b")

    assert response.status == 200
    assert response.headers["x-reply"] == "yes"
    assert response.body == b"PUT /mdm?a=b 1 hello"


def test_a_request_to_an_application_arrives_whole() -> None:
    response = put(AsgiTransport(echo), "https://mdm.example/mdm?a=b")

    assert response.status == 200
    assert response.headers["x-reply"] == "yes"
    assert response.body == b"PUT /mdm?a=b 1 hello"


@pytest.mark.parametrize(
    ("status", "is_success"), [(199, False), (200, True), (204, True), (299, True), (300, False), (401, False)]
)
def test_success_is_exactly_2xx(status: int, is_success: bool) -> None:
    assert Response(status, {}, b"").is_success is is_success


def test_a_device_keeps_its_connection(origin: str, over_http: HttpTransport) -> None:
    Peer.connections.clear()
    for _ in range(3):
        put(over_http, f"{origin}/mdm")

    assert len(Peer.connections) == 1


def test_a_kept_connection_that_was_closed_is_opened_anew(origin: str, over_http: HttpTransport) -> None:
    put(over_http, f"{origin}/closes")
    response = put(over_http, f"{origin}/mdm")

    assert response.status == 200


def test_a_reply_broken_in_the_middle_is_a_lost_connection(origin: str, over_http: HttpTransport) -> None:
    with pytest.raises(ConnectionLost, match="IncompleteRead"):
        put(over_http, f"{origin}/breaks")


def test_a_refused_connection_is_a_lost_connection(over_http: HttpTransport) -> None:
    with pytest.raises(ConnectionLost, match=r"PUT http://127\.0\.0\.1:1"):
        put(over_http, "http://127.0.0.1:1/mdm")


def test_a_server_without_tls_is_a_lost_connection(origin: str, over_http: HttpTransport) -> None:
    with pytest.raises(ConnectionLost):
        put(over_http, f"{origin.replace('http:', 'https:')}/mdm")


async def silent(scope: AsgiMessage, receive: Any, send: Any) -> None:
    """Begins a reply and never ends it."""
    await send({"type": "http.response.start", "status": 200, "headers": []})


def test_an_application_that_ends_without_a_whole_reply_is_a_lost_connection() -> None:
    with pytest.raises(ConnectionLost, match="without a whole reply"):
        put(AsgiTransport(silent), "https://mdm.example/mdm")


def test_an_application_that_never_answers_is_given_up_after_a_minute() -> None:
    async def hang(scope: AsgiMessage, receive: Any, send: Any) -> None:
        await asyncio.sleep(3600)

    loop = VirtualTimeLoop()
    with pytest.raises(ConnectionLost, match="no reply in 60 seconds"):
        loop.run(AsgiTransport(hang).send("PUT", "https://mdm.example/mdm", {}, b""))

    assert loop.time() == 60.0


async def faulty(scope: AsgiMessage, receive: Any, send: Any) -> None:
    """Our own fault."""
    raise KeyError("fault")


def test_a_fault_of_the_application_is_raised() -> None:
    with pytest.raises(KeyError, match="fault"):
        put(AsgiTransport(faulty), "https://mdm.example/mdm")


def test_a_fault_of_the_application_can_be_a_500_to_the_device() -> None:
    response = put(AsgiTransport(faulty, raise_faults=False), "https://mdm.example/mdm")

    assert response.status == 500


def test_an_application_sees_a_path_decoded_and_its_client() -> None:
    seen: list[AsgiMessage] = []

    async def watch(scope: AsgiMessage, receive: Any, send: Any) -> None:
        seen.append(scope)
        await echo(scope, receive, send)

    put(AsgiTransport(watch, ("203.0.113.9", 4242)), "https://mdm.example:8443/a%20b")

    assert seen[0]["path"] == "/a b"
    assert seen[0]["raw_path"] == b"/a%20b"
    assert seen[0]["client"] == ("203.0.113.9", 4242)
    assert seen[0]["server"] == ("mdm.example", 8443)
    assert dict(seen[0]["headers"])[b"host"] == b"mdm.example:8443"
    assert dict(seen[0]["headers"])[b"content-length"] == b"5"


@pytest.mark.parametrize("url", ["https://[mdm/", "https://mdm.example:99999/", "https://mdm.example/ü", "mdm"])
def test_what_is_no_url_is_a_lost_connection(url: str, over_http: HttpTransport) -> None:
    with pytest.raises(ConnectionLost):
        put(over_http, url)


@pytest.mark.parametrize("url", ["https://[mdm/", "https://mdm.example:99999/", "https://mdm.example/ü"])
def test_what_is_no_url_is_a_lost_connection_without_sockets_too(url: str) -> None:
    with pytest.raises(ConnectionLost):
        put(AsgiTransport(echo), url)

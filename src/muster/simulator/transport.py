"""How simulated devices reach a server: over real sockets, or by calling an ASGI application in this process."""

import asyncio
import http.client
import ssl
import threading
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, Protocol
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from muster.protocol.records import record

AsgiMessage = MutableMapping[str, Any]
AsgiApp = Callable[
    [AsgiMessage, Callable[[], Awaitable[AsgiMessage]], Callable[[AsgiMessage], Awaitable[None]]],
    Awaitable[None],
]
"""An ASGI 3 application. Its messages are dictionaries of any values by ASGI's own definition."""

DEFAULT_TIMEOUT_SECONDS = 60.0
"""What devices seem to wait for a reply."""

MAX_RESPONSE_BYTES = 64 * 1024 * 1024
"""A server's command may carry a large profile; a device would have given up long before this."""


class ConnectionLost(Exception):
    """No whole reply came: refused, broken, timed out. Whether the server saw the request is not known."""


@record(frozen=True, slots=True)
class Response:
    """A whole HTTP reply. Header names are in lower case; of a repeated header the last is kept."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """What a device takes for success: exactly the 2xx statuses."""
        return 200 <= self.status <= 299


class Transport(Protocol):
    """One device's way to its server."""

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Make one request and return the whole reply. Redirects are not followed. Raises ConnectionLost."""
        ...


class HttpTransport:
    """HTTP/1.1 over real sockets, one kept connection per origin, requests one at a time, as one device makes them.

    *trust_pem* is a bundle of roots to trust for TLS; None means the system's. Every wait ends after *timeout_seconds*.
    """

    def __init__(self, *, trust_pem: str | None = None, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS) -> None:
        """Prepare only; the first request connects."""
        self._trust_pem = trust_pem
        self._timeout_seconds = timeout_seconds
        self._connections: dict[tuple[str, str], http.client.HTTPConnection] = {}
        self._in_use = threading.Lock()

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """As Transport.send, in a thread. A kept connection found closed is opened anew, once, before we give up."""
        return await asyncio.to_thread(self._send, method, url, headers, body)

    def close(self) -> None:
        """Close what is open; the next request connects again."""
        with self._in_use:
            for connection in self._connections.values():
                connection.close()
            self._connections.clear()

    def _send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        parts = _split(url)
        origin = (parts.scheme, parts.netloc)
        with self._in_use:
            kept = self._connections.pop(origin, None)
            try:
                if kept is not None:
                    try:
                        return self._exchange(kept, method, parts, headers, body)
                    except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                        pass  # the server closed it while we were idle; devices try again without a word, too
                return self._exchange(self._connect(parts), method, parts, headers, body)
            except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: no URL, or no such port
                raise ConnectionLost(f"{method} {parts.scheme}://{parts.netloc}: {error!r}") from error

    def _exchange(
        self,
        connection: http.client.HTTPConnection,
        method: str,
        parts: SplitResult,
        headers: Mapping[str, str],
        body: bytes,
    ) -> Response:
        try:
            content_of_request = body if body or method != "GET" else None
            connection.request(method, _target(parts), body=content_of_request, headers=dict(headers))
            reply = connection.getresponse()
            content = _read_whole(reply)
        except BaseException:
            connection.close()
            raise
        if reply.will_close:
            connection.close()
        else:
            self._connections[(parts.scheme, parts.netloc)] = connection
        return Response(reply.status, {name.lower(): value for name, value in reply.getheaders()}, content)

    def _connect(self, parts: SplitResult) -> http.client.HTTPConnection:
        host = parts.hostname or ""
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, parts.port or 80, timeout=self._timeout_seconds)
        context = ssl.create_default_context(cadata=self._trust_pem)
        return http.client.HTTPSConnection(host, parts.port or 443, timeout=self._timeout_seconds, context=context)


class AsgiTransport:
    """Calls an ASGI application in this process; needs no socket, so it works in virtual time.

    *client* is the peer's address as the application sees it. An application's exception is raised here, so that a
    fault of ours is seen; with *raise_faults* false the device gets the 500 that a real server would send instead.
    Lifespan is not run: that is whoever built the application.
    """

    def __init__(
        self,
        app: AsgiApp,
        client: tuple[str, int] = ("198.51.100.7", 5000),
        *,
        raise_faults: bool = True,
        timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        """Every request of this transport comes from *client*."""
        self._app = app
        self._client = client
        self._raise_faults = raise_faults
        self._timeout_seconds = timeout_seconds

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Response:
        """As Transport.send. Raises ConnectionLost when no whole reply came in time."""
        request = _AsgiRequest(body)
        parts = _split(url)
        try:
            scope = self._scope(method, parts, headers, body)
        except ValueError as error:  # a URL or header beyond ASCII, or no such port
            raise ConnectionLost(f"{method} {parts.scheme}://{parts.netloc}: {error!r}") from error
        try:
            async with asyncio.timeout(self._timeout_seconds):
                await self._app(scope, request.receive, request.send)
        except TimeoutError as error:
            raise ConnectionLost(f"{method} {url}: no reply in {self._timeout_seconds:g} seconds") from error
        except Exception:
            if self._raise_faults:
                raise
            return request.response_after_fault()
        return request.response()

    def _scope(self, method: str, parts: SplitResult, headers: Mapping[str, str], body: bytes) -> AsgiMessage:
        default_port = 80 if parts.scheme == "http" else 443
        wire_headers = {"host": parts.netloc} | {name.lower(): value for name, value in headers.items()}
        if body or method != "GET":
            wire_headers["content-length"] = str(len(body))
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": method,
            "scheme": parts.scheme,
            "path": unquote_to_bytes(parts.path or "/").decode(),
            "raw_path": (parts.path or "/").encode("ascii"),
            "query_string": parts.query.encode("ascii"),
            "root_path": "",
            "headers": [(name.encode("latin-1"), value.encode("latin-1")) for name, value in wire_headers.items()],
            "client": self._client,
            "server": (parts.hostname or "", parts.port or default_port),
            "state": {},
        }


class _AsgiRequest:
    """One request's two channels."""

    def __init__(self, body: bytes) -> None:
        self._unread: bytes | None = body
        self._status: int | None = None
        self._headers: dict[str, str] = {}
        self._chunks: list[bytes] = []
        self._ended = asyncio.Event()

    async def receive(self) -> AsgiMessage:
        if self._unread is not None:
            body, self._unread = self._unread, None
            return {"type": "http.request", "body": body, "more_body": False}
        await self._ended.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: AsgiMessage) -> None:
        if message["type"] == "http.response.start":
            self._status = message["status"]
            self._headers = {
                bytes(name).decode("latin-1").lower(): bytes(value).decode("latin-1")
                for name, value in message.get("headers", ())
            }
        elif message["type"] == "http.response.body":
            self._chunks.append(bytes(message.get("body", b"")))
            if not message.get("more_body", False):
                self._ended.set()

    def response(self) -> Response:
        if self._status is None or not self._ended.is_set():
            raise ConnectionLost("the application ended without a whole reply")
        return Response(self._status, self._headers, b"".join(self._chunks))

    def response_after_fault(self) -> Response:
        """What a server makes of an application's exception: 500, unless the reply had begun."""
        if self._status is None:
            return Response(500, {}, b"Internal Server Error")
        return self.response()


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError as error:
        raise ConnectionLost(f"not a URL: {error}") from error


def _read_whole(reply: http.client.HTTPResponse) -> bytes:
    """The body. Raises HTTPException when it ends early or is too long."""
    is_length_declared = reply.length is not None
    if (reply.length or 0) <= MAX_RESPONSE_BYTES:
        content = reply.read() if is_length_declared else reply.read(MAX_RESPONSE_BYTES + 1)
        if len(content) <= MAX_RESPONSE_BYTES:
            return content
    raise http.client.HTTPException(f"reply longer than {MAX_RESPONSE_BYTES} bytes")


def _target(parts: SplitResult) -> str:
    """The request target of RFC 9112 section 3.2.1."""
    path = parts.path or "/"
    return f"{path}?{parts.query}" if parts.query else path

"""Bounded reading and short writing of HTTP over bare ASGI."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGE_BODY_BYTES = 256 * 1024
"""A body above this takes its place in LARGE_BODIES_BYTES, and is worked on off the event loop."""
LARGE_BODIES_BYTES = 128 * 1024 * 1024
"""Large bodies in hand at one time, all together: some hundred ordinary ones, or eight of the largest."""
PLACE_TIMEOUT_SECONDS = 20
"""How long a large body waits for others to go; then the device is told to come back."""
BODY_TIMEOUT_SECONDS = 60
"""For the body of a request, beside what MINIMUM_BYTES_PER_SECOND grants: nobody holds a connection by silence."""
MINIMUM_BYTES_PER_SECOND = 16 * 1024
"""The slowest line that a large report gets through on: a minute for each megabyte."""


class BodyTooLarge(Exception):
    """The body is larger than what is accepted there."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class ClientGone(Exception):
    """The client hung up, or took too long, before its request was whole."""


class TooManyBodies(Exception):
    """Other large bodies are in hand; nothing was done with this one, and it may be sent again."""


@dataclass(slots=True)
class Request:
    """One request over bare ASGI. *is_read*: its body was read to the end."""

    scope: Scope
    receive: Receive
    is_read: bool = False

    @property
    def method(self) -> str:
        """The method, in upper case."""
        method: str = self.scope["method"]
        return method

    @property
    def source(self) -> str:
        """The address of the client, as the server or its trusted proxy tells it."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""

    @property
    def query(self) -> bytes:
        """What stands behind the question mark of the address."""
        query: bytes = self.scope.get("query_string", b"")
        return query

    @property
    def has_unread_body(self) -> bool:
        """Whether something of the body may still be on its way."""
        if self.is_read:
            return False
        declared = self.header(b"content-length")
        return self.header(b"transfer-encoding") is not None or (declared is not None and declared.strip(b"0") != b"")

    def header(self, name: bytes) -> bytes | None:
        """Return the first header of *name* (lower case); None when there is none."""
        headers: Iterable[tuple[bytes, bytes]] = self.scope["headers"]
        for key, value in headers:
            if key == name:
                return value
        return None

    def headers(self, name: bytes) -> tuple[bytes, ...]:
        """Return every header of *name* (lower case), in order."""
        headers: Iterable[tuple[bytes, bytes]] = self.scope["headers"]
        return tuple(value for key, value in headers if key == name)


class BodyReader:
    """Reads request bodies within bounds; one for the whole application."""

    def __init__(self) -> None:
        self._space = _Space(LARGE_BODIES_BYTES)

    def body(self, request: Request, limit: int) -> "_BodyInHand":
        """Hand over the whole body, in a block of `async with`; a large one keeps its place until the block ends, so
        that memory stays bounded.

        Entering raises BodyTooLarge as soon as it is clear that it has more than *limit* bytes, ClientGone, and
        TooManyBodies.
        """
        return _BodyInHand(request, limit, _Place(self._space))


class _BodyInHand:
    """A context manager written out: contextlib's costs more than the reading."""

    __slots__ = ("_limit", "_place", "_request")

    def __init__(self, request: Request, limit: int, place: "_Place") -> None:
        self._request = request
        self._limit = limit
        self._place = place

    async def __aenter__(self) -> bytes:
        try:
            return await _read(self._request, self._limit, self._place)
        except BaseException:
            self._place.leave()
            raise

    async def __aexit__(self, *_raised: object) -> None:
        self._place.leave()


async def _read(request: Request, limit: int, place: "_Place") -> bytes:
    length = _declared_length(request)
    if length > limit:
        raise BodyTooLarge(limit)
    if length > LARGE_BODY_BYTES:
        await place.take(length)
    body = bytearray()
    begun = asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_SECONDS) as patience:
            while True:
                message = await request.receive()
                if message["type"] != "http.request":
                    raise ClientGone
                part: bytes = message.get("body", b"")
                if len(body) + len(part) > limit:
                    raise BodyTooLarge(limit)
                is_last = not message.get("more_body")
                if is_last and not body:
                    request.is_read = True
                    return part  # nearly all: the body came with the head
                body += part
                if is_last:
                    request.is_read = True
                    return bytes(body)
                if len(body) > LARGE_BODY_BYTES:
                    await place.take(limit)  # of unknown length, if it has no place yet
                patience.reschedule(begun + BODY_TIMEOUT_SECONDS + len(body) / MINIMUM_BYTES_PER_SECOND)
    except TimeoutError:
        raise ClientGone from None


def _declared_length(request: Request) -> int:
    """Return the Content-Length; 0 when there is none, and a trillion when it has more digits than are looked at."""
    declared = request.header(b"content-length")
    if declared is None or not declared.isdigit():
        return 0
    return int(declared) if len(declared) <= _DIGITS else 10**_DIGITS


_DIGITS = 12
"""Of a Content-Length that is looked at: terabytes are refused without reading the number."""


class _Space:
    """So many bytes to share out; who asks first is served first."""

    def __init__(self, size: int) -> None:
        self._free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def take(self, amount: int) -> None:
        if self._free >= amount and not self._waiting:
            self._free -= amount
            return
        granted: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((amount, granted))
        try:
            await granted
        except asyncio.CancelledError:
            if granted.done() and not granted.cancelled():
                self._free += amount  # granted and called off in the same moment
            self._grant()
            raise

    def give_back(self, amount: int) -> None:
        self._free += amount
        self._grant()

    def _grant(self) -> None:
        while self._waiting:
            amount, granted = self._waiting[0]
            if not granted.done():
                if amount > self._free:
                    return
                self._free -= amount
                granted.set_result(None)
            self._waiting.popleft()


class _Place:
    """The place of one body in the space of all; taken once, when it turns out to be large."""

    def __init__(self, space: _Space) -> None:
        self._space = space
        self._taken = 0

    async def take(self, amount: int) -> None:
        """Wait for a place, unless there is one already. Raises TooManyBodies."""
        if self._taken:
            return
        try:
            async with asyncio.timeout(PLACE_TIMEOUT_SECONDS):
                await self._space.take(amount)
        except TimeoutError:
            raise TooManyBodies("other large bodies are in hand") from None
        self._taken = amount

    def leave(self) -> None:
        if self._taken:
            self._space.give_back(self._taken)
            self._taken = 0


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. An empty body is zero bytes."""

    status: int
    body: bytes = b""
    content_type: bytes = b"text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


_CLOSE = (b"connection", b"close")


async def send_reply(send: Send, request: Request, reply: Reply) -> None:
    """Send *reply*. What was not read of the request is not waited for: the connection ends with the reply."""
    headers = [(b"content-length", b"%d" % len(reply.body)), *reply.headers]
    if reply.body:
        headers.append((b"content-type", reply.content_type))
    if request.has_unread_body:
        headers.append(_CLOSE)
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})

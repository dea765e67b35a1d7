"""Bounded reading and short writing of HTTP over bare ASGI."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from dataclasses import dataclass
from typing import Any, TypeAlias

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]

LARGE_BODY_BYTES = 256 * 1024
"""A body above this is read only while few others are, so that memory stays bounded."""
LARGE_BODIES_AT_ONCE = 8
"""Times the largest body: what large bodies may take of memory."""
BODY_TIMEOUT_SECONDS = 60
"""For one whole body. Devices send megabytes over slow links, but not for minutes."""


class BodyTooLarge(Exception):
    """The body is larger than what is accepted there."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than {limit} bytes")


class ClientGone(Exception):
    """The client hung up, or took too long, before its request was whole."""


class BodyReader:
    """Reads request bodies within bounds; one for the whole application."""

    def __init__(self) -> None:
        self._large = asyncio.Semaphore(LARGE_BODIES_AT_ONCE)

    async def read(self, scope: Scope, receive: Receive, limit: int) -> bytes:
        """Return the whole body.

        Raises BodyTooLarge as soon as it is clear that it has more than *limit* bytes, and ClientGone.
        """
        declared = header(scope, b"content-length")
        length = int(declared) if declared is not None and declared.isdigit() and len(declared) <= _DIGITS else 0
        if length > limit or (declared is not None and len(declared) > _DIGITS):
            raise BodyTooLarge(limit)
        message = await receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body") and len(body) <= limit:
            return body  # nearly all: the body came with the head
        if message["type"] != "http.request":
            raise ClientGone
        try:
            async with asyncio.timeout(BODY_TIMEOUT_SECONDS):
                return await self._read_rest(receive, body, limit, is_large=length > LARGE_BODY_BYTES)
        except TimeoutError:
            raise ClientGone from None

    async def _read_rest(self, receive: Receive, start: bytes, limit: int, *, is_large: bool) -> bytes:
        body = bytearray(start)
        holds = False
        try:
            while True:
                if len(body) > limit:
                    raise BodyTooLarge(limit)
                if not holds and (is_large or len(body) > LARGE_BODY_BYTES):
                    await self._large.acquire()
                    holds = True
                message = await receive()
                if message["type"] != "http.request":
                    raise ClientGone
                body += message.get("body", b"")
                if not message.get("more_body"):
                    if len(body) > limit:
                        raise BodyTooLarge(limit)
                    return bytes(body)
        finally:
            if holds:
                self._large.release()


_DIGITS = 12
"""Of a Content-Length that is looked at: terabytes are refused without reading the number."""


def header(scope: Scope, name: bytes) -> bytes | None:
    """Return the first header of *name* (lower case); None when there is none."""
    headers: Iterable[tuple[bytes, bytes]] = scope["headers"]
    for key, value in headers:
        if key == name:
            return value
    return None


def source(scope: Scope) -> str:
    """Return the address of the client, as the server or its trusted proxy tells it."""
    client = scope.get("client")
    return str(client[0]) if client else ""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole reply. An empty body is zero bytes."""

    status: int
    body: bytes = b""
    content_type: bytes = b"text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


async def send_reply(send: Send, reply: Reply) -> None:
    """Send *reply*."""
    headers = [(b"content-length", b"%d" % len(reply.body)), *reply.headers]
    if reply.body:
        headers.append((b"content-type", reply.content_type))
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})

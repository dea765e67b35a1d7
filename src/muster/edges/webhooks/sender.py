"""Sends one request over one connection to an address that others named, and believes nothing of what it finds there.

Names are resolved here, and the connection goes to the very address that was looked at, so that a name which leads
elsewhere a moment later (DNS rebinding) gains nothing. Redirects are not followed, no proxy is asked, and a reply is
read no further than it is of use. HTTP/1.1 is h11's (RFC 9112).
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final, TypeAlias

import h11

from muster.domain.webhooks import Address, is_public
from muster.operations.ports import EventAnswer, EventRequest

TOTAL_SECONDS: Final = 15.0
"""For one attempt, from the name to the reply: who needs longer takes the event and works on it afterwards."""
CONNECT_SECONDS: Final = 5.0
"""For one of several addresses, so that one that swallows packets leaves time for the next."""
MAXIMUM_HEAD_BYTES: Final = 16_384
MAXIMUM_REPLY_BYTES: Final = 4096
"""So much is read of a reply's body: an error says what it is in a few lines. The connection is closed on the rest."""
MAXIMUM_ADDRESSES: Final = 4
"""Tried of those that a name has."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[Sequence[str]]]
"""Returns the numeric addresses of a host; raises OSError where it has none."""


class HttpEventSender:
    """Sends events as HTTP/1.1 requests. *tls* trusts whom receivers' certificates may come from."""

    def __init__(
        self, tls: ssl.SSLContext, resolve: Resolve | None = None, *, total_seconds: float = TOTAL_SECONDS
    ) -> None:
        self._tls = tls
        self._resolve = resolve or resolve_by_system
        self._total_seconds = total_seconds

    async def send(self, request: EventRequest) -> EventAnswer:
        """Send *request* once; what the network or the receiver does is an answer, never an exception."""
        try:
            async with asyncio.timeout(self._total_seconds):
                return await self._send(request)
        except TimeoutError:
            return EventAnswer(None, f"no answer within {self._total_seconds:g} seconds")
        except ssl.SSLError as error:
            return EventAnswer(None, f"TLS failed: {getattr(error, 'verify_message', '') or error.reason or error}")
        except OSError as error:
            return EventAnswer(None, f"the connection failed: {error.strerror or error}")
        except (h11.RemoteProtocolError, ValueError) as error:
            return EventAnswer(None, f"the reply is no HTTP: {error}")

    async def _send(self, request: EventRequest) -> EventAnswer:
        address = request.address
        found = await self._resolve(address.host, address.port)
        usable = [one for one in found if request.allows_private or is_public(one)]
        if not usable:
            which = ", ".join(found[:MAXIMUM_ADDRESSES]) or "nothing"
            return EventAnswer(
                None, f"{address.host} is at {which}, which is no public address, and others are refused"
            )
        reader, writer = await self._connect(address, usable[:MAXIMUM_ADDRESSES])
        try:
            return await _exchange(reader, writer, request)
        finally:
            writer.close()
            with suppress(OSError, ssl.SSLError, TimeoutError):
                async with asyncio.timeout(1):
                    await writer.wait_closed()

    async def _connect(
        self, address: Address, usable: Sequence[str]
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the first of *usable* that answers. Raises what kept it from the last one."""
        tls = self._tls if address.is_tls else None
        name = address.host if address.is_tls else None
        for number, one in enumerate(usable, 1):
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    return await asyncio.open_connection(
                        one, address.port, ssl=tls, server_hostname=name, limit=MAXIMUM_HEAD_BYTES
                    )
            except (OSError, TimeoutError):
                if number == len(usable):
                    raise
        raise AssertionError("there is an address")


def receivers_tls(ca_pem: bytes | None) -> ssl.SSLContext:
    """TLS 1.2 or later towards receivers, trusting what the system trusts and *ca_pem*.

    Raises ValueError when *ca_pem* holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_pem is not None:
        try:
            context.load_verify_locations(cadata=ca_pem.decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError) as error:
            raise ValueError(f"no certificates to trust: {error}") from error
    return context


async def resolve_by_system(host: str, port: int) -> Sequence[str]:
    """Ask the system for the addresses of *host*. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


async def _exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: EventRequest) -> EventAnswer:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAXIMUM_HEAD_BYTES)
    headers = [
        ("Host", request.address.host_header),
        ("Content-Type", request.content_type),
        ("Content-Length", str(len(request.body))),
        ("Connection", "close"),
        *request.headers,
    ]
    sent = b"".join(
        connection.send(event) or b""
        for event in (
            h11.Request(method="POST", target=request.address.target, headers=headers),
            h11.Data(data=request.body),
            h11.EndOfMessage(),
        )
    )
    writer.write(sent)
    with suppress(ConnectionError):  # it may have answered already, and closed
        await writer.drain()
    return await _read_reply(reader, connection)


async def _read_reply(reader: asyncio.StreamReader, connection: h11.Connection) -> EventAnswer:
    head: h11.Response | None = None
    body = b""
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            connection.receive_data(await reader.read(MAXIMUM_HEAD_BYTES))
        elif isinstance(event, h11.Response):
            head = event
        elif isinstance(event, h11.Data):
            body += bytes(event.data)[: MAXIMUM_REPLY_BYTES - len(body)]
        elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
            break
        if head is not None and (len(body) >= MAXIMUM_REPLY_BYTES or head.status_code in range(200, 300)):
            break  # what counts is said
    if head is None:
        raise h11.RemoteProtocolError("it closed the connection without an answer")
    return EventAnswer(head.status_code, "", body.decode("utf-8", "replace"), _retry_after(head))


def _retry_after(head: h11.Response) -> int | None:
    """Return the seconds for which a receiver asks to be left alone (RFC 9110, 10.2.3); dates are not read."""
    value = next((value for name, value in head.headers if name == b"retry-after"), b"")
    return int(value[:6]) if value.isdigit() else None

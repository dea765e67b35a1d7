"""One connection to APNs on asyncio: TCP, perhaps a proxy, TLS, and HTTP/2 over them."""

import asyncio
import ssl
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import chain, zip_longest
from socket import SOCK_STREAM
from typing import Final, cast

from muster.crypto.client_certificates import words_of
from muster.edges.apns.backoff import Pace
from muster.edges.apns.errand import Errand
from muster.edges.apns.exchange import Ended, Exchange
from muster.edges.apns.frames import name_of_error
from muster.edges.apns.header_blocks import RequestEncoder
from muster.edges.apns.tls import ClientTls, refuses_our_certificate
from muster.edges.apns.tunnel import Proxy, Tunnel, TunnelRefused
from muster.protocol.apns import request_body

HTTPS_PORT: Final = 443

MAX_UNSENT_BYTES: Final = 256 * 1024
"""What may wait in one connection for a server that does not read, about a thousand pushes, before no more is begun."""

_MAX_HOST_CHARACTERS: Final = 253  # of a name, RFC 1035; what is longer is cut off before it is told

GOODBYE_SECONDS: Final = 1.0
"""How long a server may take to read what is still due when we close."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where APNs is reached, and through which proxy, None for none."""

    host: str
    port: int
    proxy: Proxy | None

    @property
    def authority(self) -> str:
        """What requests name as :authority."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == HTTPS_PORT else f"{host}:{self.port}"


class Verdict(Enum):
    """What it means that a connection did not come about or ended."""

    PASSING = "the next one may fare better"
    LASTING = "the next one will end the same way"
    CERTIFICATE_REFUSED = "the server refuses our certificate"


class LinkFailed(Exception):
    """No connection came about; in words why."""

    def __init__(self, words: str, verdict: Verdict = Verdict.PASSING) -> None:
        super().__init__(words)
        self.verdict = verdict


@dataclass(frozen=True, slots=True)
class Listener:
    """Whom a link tells. *on_ended*: requests are over. *on_room*: there may be room for more.
    *on_closed*: the connection is gone; called once, and only for a link that was open for requests."""

    on_ended: "Callable[[Link, list[Ended[Errand]]], None]"
    on_room: "Callable[[], None]"
    on_closed: "Callable[[Link], None]"


async def open_link(
    endpoint: Endpoint, context: ssl.SSLContext, topic: str, pace: Pace, listener: Listener, *, max_streams: int
) -> "Link":
    """Connect and return a link that is open for requests. Raises LinkFailed."""
    loop = asyncio.get_running_loop()
    link: Link | None = None
    try:
        async with asyncio.timeout(pace.connect_seconds):
            link = await _connect_tcp(
                endpoint, pace, lambda: Link(loop, endpoint, context, topic, pace, listener, max_streams=max_streams)
            )
            failure = await link.opened
            if failure is None:
                return link
            raise failure
    except BaseException as error:  # cancelled, too, perhaps in the very moment in which it opened
        if link is not None:
            link.abort()
            await asyncio.wait([link.closed])  # does not cancel it, should we be cancelled once more
        if isinstance(error, TimeoutError):
            raise LinkFailed(f"no connection within {pace.connect_seconds:g} seconds") from error
        raise


async def _connect_tcp(endpoint: Endpoint, pace: Pace, make_link: "Callable[[], Link]") -> "Link":
    """Try the host's addresses in turn, both families alternately, none of them for long."""
    loop = asyncio.get_running_loop()
    way = endpoint.proxy or endpoint
    words = "the name has no address"
    try:
        found = await loop.getaddrinfo(way.host, way.port, type=SOCK_STREAM)
    except UnicodeError as error:
        raise LinkFailed(f"{way.host[:_MAX_HOST_CHARACTERS]} is no host name", Verdict.LASTING) from error
    except OSError as error:
        raise LinkFailed(f"{way.host} can't be resolved: {error.strerror or error}") from error
    for address in _alternately([(family, str(place[0]), int(place[1])) for family, _, _, _, place in found]):
        try:
            async with asyncio.timeout(pace.address_seconds):
                _, link = await loop.create_connection(make_link, *address)
                return link
        except TimeoutError:
            words = f"{address[0]} port {address[1]} does not answer"
        except OSError as error:
            words = error.strerror or str(error)
    raise LinkFailed(f"no connection to {way.host}: {words}")


def _alternately(found: Sequence[tuple[int, str, int]]) -> Iterator[tuple[str, int]]:
    first = [(host, port) for family, host, port in found if family == found[0][0]]
    second = [(host, port) for family, host, port in found if family != found[0][0]]
    return (address for address in chain.from_iterable(zip_longest(first, second)) if address is not None)


class Link(asyncio.Protocol):
    """A connection on its way to be open for requests, open, or gone.

    `opened` is done when requests may be sent (None) or when that failed; `closed` when nothing of it is left.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        endpoint: Endpoint,
        context: ssl.SSLContext,
        topic: str,
        pace: Pace,
        listener: Listener,
        *,
        max_streams: int,
    ) -> None:
        self.opened: asyncio.Future[LinkFailed | None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self.verdict = Verdict.PASSING
        self.words: str | None = None
        self._loop = loop
        self._endpoint = endpoint
        self._context = context
        self._pace = pace
        self._listener = listener
        self._max_streams = max_streams
        self._encoder = RequestEncoder(endpoint.authority, topic)
        self._transport: asyncio.Transport | None = None
        self._tunnel: Tunnel | None = None
        self._tls: ClientTls | None = None
        self._exchange: Exchange[Errand] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._give_up: asyncio.TimerHandle | None = None
        self._is_paused = False
        self._is_leaving = False

    # What the owner asks and does

    @property
    def is_open(self) -> bool:
        """Requests could be sent once, and the connection is not gone."""
        return self._exchange is not None and self._exchange.is_open and not self._is_leaving and not self.closed.done()

    @property
    def is_draining(self) -> bool:
        """No request can be begun here any more."""
        return self._exchange is None or self._is_leaving or self._exchange.is_draining

    @property
    def is_proven(self) -> bool:
        """At least one request was answered."""
        return self._exchange is not None and self._exchange.answered_count > 0

    @property
    def room(self) -> int:
        """How many requests can be begun now."""
        if self._exchange is None or self._is_paused or self._is_leaving or self._is_deaf:
            return 0
        return self._exchange.room

    @property
    def stream_limit(self) -> int:
        """How many requests can be under way at once."""
        return 0 if self._exchange is None else self._exchange.stream_limit

    @property
    def open_streams(self) -> int:
        """Requests under way."""
        return 0 if self._exchange is None else self._exchange.open_streams

    @property
    def goaway_reason(self) -> str | None:
        """With what the server sent us away; None when it did not."""
        goaway = None if self._exchange is None else self._exchange.goaway
        return None if goaway is None else goaway.reason or name_of_error(goaway.code)

    @property
    def _is_deaf(self) -> bool:
        """No answer can be heard any more, even if what was heard last is still being told."""
        return self._tls is not None and (self._tls.failure is not None or self._tls.has_ended)

    def begin(self, errand: Errand, now: float) -> None:
        """Have a push sent with the next `flush`; only when there is `room`.

        Raises ValueError, having done nothing, when the push can't be written.
        """
        assert self._exchange is not None
        push = errand.push
        body = request_body(push)
        self._exchange.begin(self._encoder.encode(push), body, errand, now)

    def flush(self) -> None:
        """Write what is due. While the server does not read, it stays where it is, and is bounded there."""
        if self._exchange is not None and self._tls is not None:
            can_write = not self._is_paused and self._tls.failure is None
            if can_write and (plaintext := self._exchange.data_to_send()):
                self._tls.send(plaintext)
            self._set_timer()
        self._flush_tls()

    def close(self, words: str | None = None) -> None:
        """Take leave and close, for the reason in *words*; what is under way ends as unknown."""
        if self._exchange is not None:
            self._exchange.say_goodbye()
        self._leave(words)

    def abort(self) -> None:
        """Close at once."""
        self._is_leaving = True
        if self._transport is not None:
            self._transport.abort()

    # What asyncio tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin with the proxy, or with TLS."""
        self._transport = transport = cast("asyncio.Transport", transport)  # uvloop's does not descend from it
        transport.set_write_buffer_limits(high=MAX_UNSENT_BYTES)
        if self._endpoint.proxy is None:
            self._begin_tls(b"")
        else:
            self._tunnel = Tunnel(self._endpoint.proxy, self._endpoint.host, self._endpoint.port)
            transport.write(self._tunnel.request())

    def data_received(self, data: bytes) -> None:
        """Read on."""
        if self._is_leaving:
            return
        if self._tunnel is None:
            self._on_ciphertext(data)
            return
        try:
            rest = self._tunnel.receive(data)
        except TunnelRefused as error:
            self._leave(str(error), Verdict.LASTING if error.is_final else Verdict.PASSING)
            return
        if rest is not None:
            self._tunnel = None
            self._begin_tls(rest)

    def eof_received(self) -> None:
        """The server closes; so do we."""
        self._leave("the server closed the connection")

    def pause_writing(self) -> None:
        """The server does not keep up."""
        self._is_paused = True

    def resume_writing(self) -> None:
        """It does again."""
        self._is_paused = False
        self.flush()
        self._listener.on_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the owner what was under way, and that this is over."""
        for timer in (self._timer, self._give_up):
            if timer is not None:
                timer.cancel()
        if self.words is None:
            self.words = "the connection was closed" if exc is None else f"the connection was lost: {words_of(exc)}"
        was_open = self._exchange is not None and self._exchange.is_open
        self._is_leaving = True
        self.closed.set_result(None)
        if not self.opened.done():
            self.opened.set_result(LinkFailed(self.words, self.verdict))
        if was_open and self._exchange is not None:
            self._listener.on_ended(self, self._exchange.abandon(self.words, self._loop.time()))
            self._listener.on_closed(self)

    # TLS and HTTP/2

    def _begin_tls(self, rest: bytes) -> None:
        self._tls = ClientTls(self._context, self._endpoint.host)
        self._on_ciphertext(rest)

    def _on_ciphertext(self, data: bytes) -> None:
        tls = self._tls
        assert tls is not None
        plaintext = tls.receive(data)
        if tls.is_established and self._exchange is None:
            if not tls.speaks_http2:
                self._leave("the server does not speak HTTP/2", Verdict.LASTING)
                return
            self._exchange = Exchange(self._pace, self._loop.time(), max_streams=self._max_streams)
        if plaintext and self._exchange is not None:
            self._on_plaintext(self._exchange, plaintext)
        if tls.failure is not None:
            self._leave(words_of(tls.failure), _verdict_of(tls.failure))
        elif tls.has_ended:
            self._leave("the server closed the connection")
        else:
            self.flush()

    def _on_plaintext(self, exchange: Exchange[Errand], plaintext: bytes) -> None:
        ended = exchange.receive(plaintext, self._loop.time())
        while exchange.header_table_limits:
            self._encoder.limit_table(exchange.header_table_limits.pop(0))
        if exchange.is_open and not self.opened.done():
            self.opened.set_result(None)
        self._after(exchange, ended)

    def _after(self, exchange: Exchange[Errand], ended: list[Ended[Errand]]) -> None:
        if ended:
            self._listener.on_ended(self, ended)
        else:
            self._listener.on_room()
        if exchange.failure is not None:
            self._leave(exchange.failure)
        elif exchange.is_draining and not exchange.open_streams:
            self.close(exchange.staleness)

    def _set_timer(self) -> None:
        """The timer may ring too early and is set again then, but never too late."""
        exchange = self._exchange
        if exchange is None or self._is_leaving or not exchange.is_open:
            return
        wakes_at = exchange.wakes_at
        if self._timer is not None:
            if self._timer_at <= wakes_at:
                return
            self._timer.cancel()
        self._timer_at = wakes_at
        self._timer = self._loop.call_at(wakes_at, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        exchange = self._exchange
        if exchange is not None and not self._is_leaving:
            self._after(exchange, exchange.on_time(self._loop.time()))
            self.flush()

    def _leave(self, words: str | None, verdict: Verdict = Verdict.PASSING) -> None:
        """Send what is due, as far as the server reads it, and close."""
        if self._is_leaving:
            return
        self.words, self.verdict = words, verdict
        self.flush()
        self._is_leaving = True
        if self._tls is not None and self._tls.failure is None:
            self._tls.end()
            self._flush_tls()
        if self._transport is not None:
            if self._is_paused:
                self._transport.abort()
            else:
                self._transport.close()
                self._give_up = self._loop.call_later(GOODBYE_SECONDS, self._transport.abort)

    def _flush_tls(self) -> None:
        ciphertext = b"" if self._tls is None else self._tls.data_to_send()
        if ciphertext and self._transport is not None and not self._transport.is_closing():
            self._transport.write(ciphertext)


def _verdict_of(failure: ssl.SSLError) -> Verdict:
    if refuses_our_certificate(failure):
        return Verdict.CERTIFICATE_REFUSED
    return Verdict.LASTING if isinstance(failure, ssl.SSLCertVerificationError) else Verdict.PASSING

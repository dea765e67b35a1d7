"""The simulated APNs behind a real socket: HTTP/2 over TLS with client certificates, and the faults of a real network.

Sources: Apple, "Establishing a certificate-based connection to APNs"; RFC 9113.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from socket import create_server, socket
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from muster.crypto.certificates import push_topic
from muster.protocol.apns import MAX_REQUEST_BYTES, Push, decode_request, encode_refusal
from muster.protocol.errors import MalformedMessage
from muster.simulator.apns import LONGEST_STORED, SimulatedAPNs
from muster.simulator.apns_connection import ApnsConnection, Fault, Reply, Request, Response
from muster.simulator.apns_refusal import Refusal, TlsAlert
from muster.simulator.apns_weather import GoAway, Mishap, RefuseStream, Reset, ResetStream, Silence

LATER_STREAMS = 1000


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """All in PEM: the server's certificate and key, and the authorities whose client certificates it accepts."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    client_authorities_pem: bytes


class SimulatedApnsServer:
    """Listens on 127.0.0.1 from `start` (or `async with`) until `close`; the weather of *apns* is what happens here.

    *fault_of* says what befalls the request of that number, counted from 1 over all connections in order of arrival;
    requests that a GOAWAY sent away do not count. Where it says nothing, the weather does. *now* is asked for each
    push. *later_streams* is how many streams a connection has once its first request was answered. `connection_count`
    counts the connections of clients whose certificate was accepted.

    TLS itself goes by this machine's clock: a certificate that is out of its time by *now* alone gets BadCertificate
    instead of TLS's alert. The weather changes connections when they are made and when a client says something.
    """

    def __init__(
        self,
        apns: SimulatedAPNs,
        identity: ServerIdentity,
        *,
        now: Callable[[], datetime],
        fault_of: Callable[[int], Fault | None] = lambda _: None,
        later_streams: int = LATER_STREAMS,
        highest_tls: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    ) -> None:
        self.port = 0
        self.connection_count = 0
        self._apns = apns
        self._tls = _tls_context(identity, highest_tls)
        self._now = now
        self._fault_of = fault_of
        self._later_streams = later_streams
        self._request_count = 0
        self._connections: set[ApnsConnection] = set()
        self._all_closed = asyncio.Event()
        self._accepting: set[asyncio.Task[tuple[asyncio.Transport, ApnsConnection]]] = set()
        self._listener: socket | None = None

    async def start(self, port: int = 0) -> None:
        """Begin to listen. With *port* 0 the system chooses one, and `port` tells which."""
        self._listener = create_server(("127.0.0.1", port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept, self._listener)

    async def close(self) -> None:
        """Stop listening and cut every connection. May be repeated."""
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._listener = None
        await asyncio.gather(*self._accepting)
        for connection in list(self._connections):
            connection.reset()
        while self._connections:
            self._all_closed.clear()
            await self._all_closed.wait()

    def limit_streams(self, streams: int) -> None:
        """Allow *streams* requests under way on each connection, those that are open included."""
        self._later_streams = streams
        self._announce_streams()

    async def __aenter__(self) -> Self:
        """Start on a port that the system chooses."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close."""
        await self.close()

    def _accept(self, listener: socket) -> None:
        """asyncio's own server forgets a connection that it is just accepting while it is closed; this one does not."""
        with suppress(BlockingIOError, ConnectionAbortedError):  # the client has gone again
            client, _ = listener.accept()
            loop = asyncio.get_running_loop()
            task = loop.create_task(loop.connect_accepted_socket(self._new_connection, client))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    def _new_connection(self) -> ApnsConnection:
        return ApnsConnection(
            self._tls,
            self._respond,
            reach=lambda: self._apns.weather.reach(self._now()),
            later_streams=self._streams(),
            on_open=self._connections.add,
            on_established=self._on_established,
            on_close=self._on_close,
        )

    def _on_established(self) -> None:
        self.connection_count += 1

    def _on_close(self, connection: ApnsConnection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_closed.set()

    def _streams(self) -> int:
        limit = self._apns.weather.stream_limit(self._now())
        return self._later_streams if limit is None else limit

    def _announce_streams(self) -> None:
        streams = self._streams()
        for connection in self._connections:
            connection.limit_streams(streams)

    def _respond(self, request: Request, certificate_der: bytes) -> Response:
        self._request_count += 1
        self._announce_streams()
        now, weather = self._now(), self._apns.weather
        apns_id = request.headers.get("apns-id") or self._apns.issue_apns_id()
        push = self._read(request, certificate_der, apns_id, now)
        whom = (push.topic, push.token) if isinstance(push, Push) else ("", b"")
        fault = self._fault_of(self._request_count) or _fault(weather.mishap(*whom, now))
        if fault is Fault.REFUSE_STREAM:
            return Response(None, fault)
        refusal = self._apns.receive(push, now) if isinstance(push, Push) else push
        reply = Reply(200, {"apns-id": apns_id}, b"") if refusal is None else _refuse(refusal, apns_id)
        return Response(reply, fault, weather.delay_seconds(*whom, now))

    def _read(self, request: Request, certificate_der: bytes, apns_id: str, now: datetime) -> Push | Refusal:
        """The push in *request*. Its topic is the certificate's unless it names one, which then must be the same."""
        verdict = self._apns.certificates.judge(certificate_der, now)
        if verdict is not None:
            return Refusal("BadCertificate") if isinstance(verdict, TlsAlert) else verdict
        topic = push_topic(certificate_der)
        assert topic is not None, "a certificate without a topic was refused"
        if request.headers.get("apns-topic", topic) != topic:
            return Refusal("TopicDisallowed")
        if len(request.body) > MAX_REQUEST_BYTES:
            return Refusal("PayloadTooLarge")
        headers = {
            "apns-expiration": str(int((now + LONGEST_STORED).timestamp())),  # what Apple documents for its absence
            **request.headers,
            "apns-topic": topic,
            "apns-id": apns_id,
        }
        try:
            return decode_request(request.path, headers, bytes(request.body))
        except MalformedMessage:
            return Refusal("BadPath")


def _fault(mishap: Mishap | None) -> Fault | None:
    match mishap:
        case None:
            return None
        case Silence():
            return Fault.SILENCE
        case GoAway():
            return Fault.GOAWAY
        case Reset():
            return Fault.RESET_CONNECTION
        case ResetStream():
            return Fault.RESET_STREAM
        case RefuseStream():
            return Fault.REFUSE_STREAM


def _refuse(refusal: Refusal, apns_id: str) -> Reply:
    body = encode_refusal(refusal.reason, refusal.unregistered_at)
    return Reply(refusal.status, {"apns-id": apns_id, "content-type": "application/json"}, body)


def _tls_context(identity: ServerIdentity, highest_tls: ssl.TLSVersion) -> ssl.SSLContext:
    """Python's ssl reads a server's own certificate from files only: they live in a private directory for a moment."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.maximum_version = highest_tls
    context.set_alpn_protocols(["h2"])
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=identity.client_authorities_pem.decode("ascii"))
    with TemporaryDirectory() as directory:
        certificate, key = Path(directory, "certificate.pem"), Path(directory, "key.pem")
        certificate.write_bytes(identity.certificate_pem)
        key.write_bytes(identity.key_pem)
        context.load_cert_chain(certificate, key)
    return context

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
from muster.protocol.apns import MAX_REQUEST_BYTES, decode_request, encode_refusal
from muster.protocol.errors import MalformedMessage
from muster.simulator.apns import Refusal, SimulatedAPNs
from muster.simulator.apns_connection import ApnsConnection, Fault, Reply, Request, Response

LATER_STREAMS = 1000


@dataclass(frozen=True, slots=True)
class ServerIdentity:
    """All in PEM: the server's certificate and key, and the authorities whose client certificates it accepts."""

    certificate_pem: bytes
    key_pem: bytes = field(repr=False)
    client_authorities_pem: bytes


class SimulatedApnsServer:
    """Listens on 127.0.0.1 from `start` (or `async with`) until `close`.

    *fault_of* says what befalls the request of that number, counted from 1 over all connections in order of arrival;
    requests that a GOAWAY sent away do not count. *now* is asked for each push. *later_streams* is how many streams a
    connection has once its first request was answered. `connection_count` counts the connections of clients whose
    certificate was accepted.
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
            later_streams=self._later_streams,
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

    def _respond(self, request: Request, certificate_der: bytes) -> Response:
        self._request_count += 1
        fault = self._fault_of(self._request_count)
        if fault is Fault.REFUSE_STREAM:
            return Response(None, fault)
        return Response(self._reply(request, certificate_der), fault)

    def _reply(self, request: Request, certificate_der: bytes) -> Reply:
        """The topic is the certificate's unless the request names one, which then must be the same."""
        apns_id = request.headers.get("apns-id") or self._apns.issue_apns_id()
        topic = push_topic(certificate_der)
        if topic is None:
            return _refuse(Refusal("BadCertificate"), apns_id)
        if request.headers.get("apns-topic", topic) != topic:
            return _refuse(Refusal("TopicDisallowed"), apns_id)
        if len(request.body) > MAX_REQUEST_BYTES:
            return _refuse(Refusal("PayloadTooLarge"), apns_id)
        try:
            headers = {**request.headers, "apns-topic": topic, "apns-id": apns_id}
            push = decode_request(request.path, headers, bytes(request.body))
        except MalformedMessage:
            return _refuse(Refusal("BadPath"), apns_id)
        refusal = self._apns.receive(push, self._now())
        return Reply(200, {"apns-id": apns_id}, b"") if refusal is None else _refuse(refusal, apns_id)


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

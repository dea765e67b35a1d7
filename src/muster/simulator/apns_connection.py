"""One client's HTTP/2 connection to the simulated APNs. Source: RFC 9113."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError as Http2Error
from h2.settings import SettingCodes

from muster.simulator.apns_weather import Reach
from muster.simulator.server_tls import ServerTls

# More than any request of ours; what is beyond is read and forgotten, and the request refused by its length.
MAX_KEPT_BODY_BYTES = 8192
# The type of a GOAWAY frame (RFC 9113, 6.8).
_GOAWAY = 7
# APNs allows one stream until the first request has been answered, then many.
FIRST_STREAMS = 1


class Fault(Enum):
    """What befalls one request. REFUSE_STREAM leaves its push untouched; every other fault comes after it was taken."""

    GOAWAY = "answered, but every later request on this connection is told to go elsewhere"
    RESET_CONNECTION = "TCP reset instead of an answer"
    RESET_STREAM = "RST_STREAM INTERNAL_ERROR instead of an answer"
    REFUSE_STREAM = "RST_STREAM REFUSED_STREAM"
    SILENCE = "never answered"


@dataclass(slots=True)
class Request:
    """A request as it arrived; *body* is cut off after MAX_KEPT_BODY_BYTES."""

    path: str
    headers: Mapping[str, str]
    body: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is answered to a request. An empty *body* is none at all."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """A reply, what befalls it on its way, and how long it takes. Without a reply the fault is all that the client
    sees."""

    reply: Reply | None
    fault: Fault | None = None
    delay_seconds: float = 0.0


class ApnsConnection(asyncio.Protocol):
    """h2 keeps the protocol; this keeps the requests under way, what flow control holds back, and the faults.

    *tls* asks for the client's certificate. *respond* is called once for each complete request, with that certificate
    in DER. *reach* is asked whenever the client says something: it ends the connection, or makes it deaf for ever.
    *later_streams* is how many streams are allowed once one request was answered. *on_established* says that TLS
    stands; *on_open* and *on_close* say when there is a connection at all.
    """

    def __init__(
        self,
        tls: ssl.SSLContext,
        respond: Callable[[Request, bytes], Response],
        *,
        reach: Callable[[], Reach] = lambda: Reach.OPEN,
        later_streams: int,
        on_open: Callable[["ApnsConnection"], None],
        on_established: Callable[[], None],
        on_close: Callable[["ApnsConnection"], None],
    ) -> None:
        self._tls = ServerTls(tls)
        self._respond = respond
        self._reach = reach
        self._later_streams = later_streams
        self._on_open = on_open
        self._on_established = on_established
        self._on_close = on_close
        self._h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._transport: asyncio.Transport | None = None
        self._requests: dict[int, Request] = {}
        self._held_back: dict[int, bytes] = {}
        self._delayed: dict[int, asyncio.TimerHandle] = {}
        self._last_stream_id: int | None = None
        self._highest_taken = 0
        self._has_answered = False
        self._has_hung_up = False
        self._is_deaf = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the client to begin."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._on_open(self)
        self._is_cut_off()

    def data_received(self, data: bytes) -> None:
        """Answer what became complete; hang up on a client whose certificate is refused or that breaks HTTP/2."""
        if self._has_hung_up or self._is_cut_off():
            return  # read all the same: to close with something unread would reset the connection
        was_established = self._tls.is_established
        try:
            plaintext = self._tls.receive(data)
            if self._tls.is_established and not was_established:
                self._begin_http2()
            for event in self._h2.receive_data(plaintext) if plaintext else ():
                self._on_event(event)
        except (ssl.SSLError, Http2Error):
            self._hang_up()
        self._flush()
        self._hang_up_when_done()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """Tell the server that this connection is gone."""
        for timer in self._delayed.values():
            timer.cancel()
        self._delayed.clear()
        self._on_close(self)

    def limit_streams(self, streams: int) -> None:
        """Allow *streams* requests under way from now on, or, before the first was answered, from then on."""
        if streams == self._later_streams:
            return
        self._later_streams = streams
        if self._has_answered and not self._has_hung_up and self._last_stream_id is None:
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: streams})
            self._flush()

    def reset(self) -> None:
        """End the connection with a TCP reset; what was not sent yet is lost."""
        assert self._transport is not None
        if not self._transport.is_closing():
            tcp: socket.socket = self._transport.get_extra_info("socket")
            tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()

    def _is_cut_off(self) -> bool:
        """Whether the network has ended this connection, now or before."""
        if not self._is_deaf:
            match self._reach():
                case Reach.OPEN:
                    pass
                case Reach.REFUSED:
                    self.reset()
                    return True
                case Reach.SILENT:
                    self._is_deaf = True
        return self._is_deaf

    def _hang_up_when_done(self) -> None:
        is_done = not (self._requests or self._held_back or self._delayed)
        if (self._last_stream_id is not None and is_done) or self._tls.has_ended:
            self._hang_up()

    def _begin_http2(self) -> None:
        self._on_established()
        if not self._tls.speaks_http2:
            self._hang_up()
            return
        self._h2.initiate_connection()
        self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: FIRST_STREAMS})

    def _on_event(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=stream_id, headers=headers) if self._is_served(stream_id):
                fields = {str(name): str(value) for name, value in headers}
                self._requests[stream_id] = Request(fields.pop(":path", ""), fields)
            case DataReceived(stream_id=stream_id, data=data, flow_controlled_length=length):
                self._h2.acknowledge_received_data(length, stream_id)
                if stream_id in self._requests:
                    body = self._requests[stream_id].body
                    body += data[: MAX_KEPT_BODY_BYTES - len(body)]
            case StreamEnded(stream_id=stream_id) if stream_id in self._requests:
                self._on_request(stream_id, self._requests.pop(stream_id))
            case StreamReset(stream_id=stream_id):
                self._requests.pop(stream_id, None)
                self._held_back.pop(stream_id, None)
                if timer := self._delayed.pop(stream_id, None):
                    timer.cancel()
            case WindowUpdated() | RemoteSettingsChanged():
                for stream_id in list(self._held_back):
                    self._send_held_back(stream_id)
            case _:
                pass

    def _is_served(self, stream_id: int) -> bool:
        return self._last_stream_id is None or stream_id <= self._last_stream_id

    def _on_request(self, stream_id: int, request: Request) -> None:
        response = self._respond(request, self._tls.client_certificate_der)
        if response.fault is not Fault.REFUSE_STREAM:
            self._highest_taken = max(self._highest_taken, stream_id)
        if response.delay_seconds > 0:
            loop = asyncio.get_running_loop()
            self._delayed[stream_id] = loop.call_later(response.delay_seconds, self._answer_late, stream_id, response)
        else:
            self._answer(stream_id, response)

    def _answer_late(self, stream_id: int, response: Response) -> None:
        del self._delayed[stream_id]
        if self._is_deaf or self._has_hung_up:
            return
        try:
            self._answer(stream_id, response)
        except Http2Error:  # the client has said that it goes
            self._hang_up()
        self._flush()
        self._hang_up_when_done()

    def _answer(self, stream_id: int, response: Response) -> None:
        match response.fault:
            case Fault.RESET_CONNECTION:
                self._flush()
                self.reset()
            case Fault.RESET_STREAM:
                self._h2.reset_stream(stream_id, ErrorCodes.INTERNAL_ERROR)
            case Fault.REFUSE_STREAM:
                self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            case Fault.SILENCE:
                pass
            case Fault.GOAWAY | None if response.reply is not None:
                self._send(stream_id, response.reply)
                if response.fault is Fault.GOAWAY and self._last_stream_id is None:
                    self._send_away()
            case _:
                raise ValueError("a response without a reply needs a fault that sends none")

    def _send(self, stream_id: int, reply: Reply) -> None:
        headers = [(":status", str(reply.status)), *reply.headers.items()]
        self._h2.send_headers(stream_id, headers, end_stream=not reply.body)
        if reply.body:
            self._held_back[stream_id] = reply.body
            self._send_held_back(stream_id)
        if not self._has_answered:
            self._has_answered = True
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._later_streams})

    def _send_held_back(self, stream_id: int) -> None:
        """Send of the body what the client's windows allow, and keep the rest until they grow."""
        body = self._held_back.pop(stream_id)
        room = min(self._h2.local_flow_control_window(stream_id), self._h2.max_outbound_frame_size)
        if room < len(body):
            self._held_back[stream_id] = body[room:]
        if room:
            self._h2.send_data(stream_id, body[:room], end_stream=room >= len(body))

    def _send_away(self) -> None:
        """h2 answers nothing after a GOAWAY of its own, but APNs still answers the streams up to the last one."""
        self._flush()
        last_stream_id = self._highest_taken
        reason = json.dumps({"reason": "Shutdown"}).encode()
        payload = struct.pack(">LL", last_stream_id, ErrorCodes.NO_ERROR) + reason
        self._tls.send(_frame(_GOAWAY, payload))
        self._last_stream_id = last_stream_id
        for stream_id in [stream_id for stream_id in self._requests if stream_id > last_stream_id]:
            del self._requests[stream_id]

    def _hang_up(self) -> None:
        """Send what is due and no more; the client, which may still be sending, is the one to close."""
        assert self._transport is not None
        if not self._has_hung_up:
            self._flush()
            self._has_hung_up = True
            self._tls.end()
            self._flush()
            self._transport.write_eof()

    def _flush(self) -> None:
        assert self._transport is not None
        if plaintext := self._h2.data_to_send():
            self._tls.send(plaintext)
        ciphertext = self._tls.data_to_send()
        if ciphertext and not self._transport.is_closing():
            self._transport.write(ciphertext)


def _frame(kind: int, payload: bytes) -> bytes:
    """A frame of the connection itself, without flags (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3, "big") + struct.pack(">BBL", kind, 0, 0) + payload

"""HTTP/1.1 with bounds on what comes beside bodies.

uvicorn lets a head grow without end, and a client that sent half of one stay for ever. Bodies have bounds of their own,
set by the doors that read them. Where a door refuses a body before its end, the rest is received and thrown away for a
while: closing a connection on bytes not received makes the system take back the reply, and a device, or the proxy
before us, would learn of a broken line instead of a refusal (RFC 9112, section 9.6).
"""

import asyncio
import ssl
from typing import Any, cast

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from muster.edges.device.presented import TLS_CERTIFICATE

MAXIMUM_HEAD_BYTES = 128 * 1024
"""The parser takes addresses of 64 KB (a SCEP message by GET has 8), Mdm-Signature has up to 16. The framing of chunks
counts too, as far as there is more of it than of body."""
HEAD_TIMEOUT_SECONDS = 30
"""From the first byte of a request, or from connecting, to the end of its head; devices send it in one packet."""

DISCARDED_BYTES = 128 * 1024 * 1024
"""Of a body that was refused; clients which read no reply before they have sent everything get to read it."""
DISCARD_SECONDS = 10
"""For the same: nobody is listened to for long who is not heard."""

EVENT_STREAM = (b"accept", b"text/event-stream")
"""By what browsers ask for server-sent events (WHATWG HTML, "Server-sent events")."""

log = structlog.get_logger("muster.http")


class BoundedHttp(HttpToolsProtocol):
    """One connection. Whoever oversteps a bound gets 400 where that can still be said, and is cut off."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._beside_body = 0
        self._of_body = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._has_body_to_come = False
        self._discarded: int | None = None
        self._extensions: dict[str, Any] = {}

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head, but not for ever."""
        super().connection_made(transport)
        tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        certificate_der = None if tls is None else tls.getpeercert(binary_form=True)
        if certificate_der is not None:
            self._extensions = {TLS_CERTIFICATE: certificate_der}
        self.transport = _PatientTransport(transport, self)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and see that it stays within the bounds."""
        if self._discarded is not None:
            self._discarded += len(data)
            if self._discarded > DISCARDED_BYTES:
                self.transport.abort()
            return
        self._beside_body += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._beside_body > MAXIMUM_HEAD_BYTES + self._of_body:
            self._cut_off()
        elif not self._is_answering() and self._head_timer is None:
            self._expect_head()

    def on_message_begin(self) -> None:
        """Begin a request, which carries the certificate of its connection."""
        super().on_message_begin()
        if self._extensions:
            cast("dict[str, Any]", self.scope)["extensions"] = self._extensions

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_timer()
        self._has_body_to_come = True
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """What is body is bounded by whoever reads it."""
        self._beside_body -= len(body)
        self._of_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Begin to count anew; of a head that came in the same packet the beginning goes uncounted."""
        self._beside_body = self._of_body = 0
        self._has_body_to_come = False
        super().on_message_complete()

    def shutdown(self) -> None:
        """Stop gracefully: what is being answered is answered, but for streams of events, which have no end."""
        if self._is_answering() and self.scope["method"] == "GET" and EVENT_STREAM in self.scope["headers"]:
            self.transport.close()
            return
        super().shutdown()

    def discard_rest(self) -> bool:
        """Whether to let the client finish before the connection is closed; what it sends is thrown away then."""
        if self._discarded is not None or not self._has_body_to_come or self._is_answering():
            return False
        self._discarded = 0
        self._stop_timer()
        self._head_timer = self.loop.call_later(DISCARD_SECONDS, self.transport.abort)
        self.flow.resume_reading()
        return True

    @property
    def is_discarding(self) -> bool:
        """Whether the last reply is given, and the connection about to close."""
        return self._discarded is not None

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete  # type: ignore[redundant-expr]  # None at first

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(HEAD_TIMEOUT_SECONDS, self._give_up)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _give_up(self) -> None:
        self._head_timer = None
        if not self._is_answering():
            self.transport.close()

    def _cut_off(self) -> None:
        log.warning("request_head_too_large", source=self.client[0] if self.client else "")
        if self._is_answering():
            self.transport.close()
        else:
            self.send_400_response("The head of the request is too large.")


class _PatientTransport(asyncio.Transport):
    """A connection that closes when the client is done, if it owes the rest of a body."""

    def __init__(self, transport: asyncio.Transport, protocol: BoundedHttp) -> None:
        super().__init__()
        self._transport = transport
        self._protocol = protocol
        # what every reply uses goes straight through
        self.write = transport.write  # type: ignore[method-assign]
        self.get_extra_info = transport.get_extra_info  # type: ignore[method-assign]
        self.abort = transport.abort  # type: ignore[method-assign]
        self.set_protocol = transport.set_protocol  # type: ignore[method-assign]

    def is_closing(self) -> bool:
        """Whether nothing more will be said here."""
        return self._protocol.is_discarding or self._transport.is_closing()

    def close(self) -> None:
        """Close once what was written is sent and, for a while, the client has sent what it was about to."""
        if not self._transport.is_closing() and self._protocol.discard_rest():
            if self._transport.can_write_eof():
                self._transport.write_eof()
        else:
            self._transport.close()

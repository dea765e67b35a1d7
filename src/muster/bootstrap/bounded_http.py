"""HTTP/1.1 with bounds on what comes beside bodies.

uvicorn lets a head grow without end, and a client that sent half of one stay for ever. Bodies have bounds of their own,
set by the doors that read them.
"""

import asyncio
from typing import Any

import structlog
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

MAXIMUM_HEAD_BYTES = 128 * 1024
"""The parser takes addresses of 64 KB (a SCEP message by GET has 8), Mdm-Signature has up to 16. The framing of chunks
counts too, as far as there is more of it than of body."""
HEAD_TIMEOUT_SECONDS = 30
"""From the first byte of a request, or from connecting, to the end of its head; devices send it in one packet."""

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

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Wait for the first head, but not for ever."""
        super().connection_made(transport)
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and see that it stays within the bounds."""
        self._beside_body += len(data)
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._beside_body > MAXIMUM_HEAD_BYTES + self._of_body:
            self._cut_off()
        elif not self._is_answering() and self._head_timer is None:
            self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """What is body is bounded by whoever reads it."""
        self._beside_body -= len(body)
        self._of_body += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Begin to count anew; of a head that came in the same packet the beginning goes uncounted."""
        self._beside_body = self._of_body = 0
        super().on_message_complete()

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

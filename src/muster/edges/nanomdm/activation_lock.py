"""`POST /v1/escrowkeyunlock`: a request to take off an Activation Lock is handed on to Apple, and its answer back."""

import asyncio
import http.client
import ssl
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from muster.crypto.client_certificates import load_client_certificate
from muster.crypto.errors import CryptoError
from muster.domain.errors import Refusal
from muster.domain.principals import Principal
from muster.edges.nanomdm.replies import json_error
from muster.edges.nanomdm.requests import BodyTooLarge, read_body
from muster.edges.nanomdm.unlock_form import MAX_FORM_BYTES, is_complete, read_unlock_form, unlock_body, unlock_query
from muster.operations.permit import permitted
from muster.operations.ports import PushCredentials, Runner
from muster.operations.unlock_activation import UnlockOrder, allow_unlocks
from muster.protocol.errors import MalformedMessage

ANSWER_SECONDS: Final = 30.0
MAXIMUM_ANSWER_BYTES: Final = 1024 * 1024
"""Apple answers with a few lines."""
_FORM: Final = "application/x-www-form-urlencoded"
_NOT_HANDED_ON: Final = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "content-length", "te", "trailer", "upgrade", "set-cookie"}
)
"""Headers that belong to the connection with Apple (RFC 9110, 7.6.1), and cookies, which are none of the caller's."""

log = structlog.get_logger("muster.nanomdm")


@dataclass(frozen=True, slots=True)
class UnlockAnswer:
    """What Apple answered."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


AskApple: TypeAlias = Callable[[PushCredentials, str, bytes], Coroutine[Any, Any, UnlockAnswer]]
"""Sends a query and a body under a certificate. Raises OSError, CryptoError, http.client.HTTPException."""


class ActivationLockDoor:
    """The door for bypass codes."""

    def __init__(self, runner: Runner, ask: AskApple) -> None:
        self._runner = runner
        self._ask = ask

    async def __call__(self, request: Request, principal: Principal) -> Response:
        """Answer one request."""
        try:
            fields = read_unlock_form(await read_body(request, MAX_FORM_BYTES)) if _has_form(request) else {}
        except (MalformedMessage, BodyTooLarge, ClientDisconnect, TimeoutError) as error:
            return json_error(str(error), 400)
        if not is_complete(fields):
            return json_error("invalid or missing parameters", 400)
        topic = fields.get("topic", "")
        if not topic:
            return json_error("empty topic", 400)
        order = UnlockOrder(topic, fields["serial"])
        allow = permitted(principal, allow_unlocks)
        allowed = (await self._runner.write(allow, [order], principal.actor))[0]
        if isinstance(allowed, Refusal):
            return json_error(f"retrieve push cert for topic: {topic}: {allowed.message}")
        try:
            answer = await self._ask(allowed, unlock_query(fields), unlock_body(fields))
        except (OSError, CryptoError, http.client.HTTPException) as error:
            log.warning("unlock_not_answered", error=str(error))
            return json_error(f"escrow key unlock: {str(error) or type(error).__name__}")
        log.info("unlock_answered", status=answer.status)
        response = Response(answer.body, answer.status)
        for name, value in answer.headers:
            response.headers.append(name, value)
        return response


def _has_form(request: Request) -> bool:
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return request.method in ("POST", "PUT", "PATCH") and media_type == _FORM


def asks_apple_at(url: str, ca_pem: bytes | None = None) -> AskApple:
    """Return what asks at *url*, https://; *ca_pem* is trusted instead of the system's authorities."""
    parts = urlsplit(url)

    def ask(credentials: PushCredentials, query: str, body: bytes) -> UnlockAnswer:
        context = ssl.create_default_context(cadata=None if ca_pem is None else ca_pem.decode("ascii"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        load_client_certificate(context, credentials.certificate_pem, credentials.key_pem)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port, timeout=ANSWER_SECONDS, context=context
        )
        try:
            connection.request("POST", f"{parts.path or '/'}?{query}", body, {"Content-Type": _FORM})
            reply = connection.getresponse()
            kept = [(name, value) for name, value in reply.getheaders() if name.lower() not in _NOT_HANDED_ON]
            return UnlockAnswer(reply.status, tuple(kept), reply.read(MAXIMUM_ANSWER_BYTES))
        finally:
            connection.close()

    async def off_loop(credentials: PushCredentials, query: str, body: bytes) -> UnlockAnswer:
        return await asyncio.to_thread(ask, credentials, query, body)

    return off_loop

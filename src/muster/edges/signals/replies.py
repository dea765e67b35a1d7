"""What receivers are answered: JSON, and errors with `err` and `description`, as RFC 8935 and 8936 have them."""

import json
from collections.abc import Mapping
from typing import Final

import structlog
from starlette.responses import Response

from muster.domain.errors import Refusal, RefusalCode
from muster.operations.serve_signals import Polled
from muster.storage.errors import Unavailable

RETRY_AFTER_SECONDS: Final = 60
NOT_KEPT: Final = {"Cache-Control": "no-store"}

_STATUS: Final = {
    RefusalCode.BEARER_UNKNOWN: (401, "authentication_failed"),
    RefusalCode.NOT_FOUND: (404, "not_found"),
    RefusalCode.CONFLICT: (409, "conflict"),
    RefusalCode.SIGN_IN_LIMITED: (429, "too_many_requests"),
}

log = structlog.get_logger("muster.signals")


def said(outcome: Mapping[str, object] | Refusal, status: int = 200) -> Response:
    """Answer with what an operation returned."""
    return refuse(outcome) if isinstance(outcome, Refusal) else as_json(outcome, status)


def polled(outcome: Polled) -> Response:
    """Answer a poll (RFC 8936, 2.3)."""
    for token_id, why in outcome.refused.items():
        log.error("token_refused", token_id=token_id[:80], because=why)
    members: dict[str, object] = {"sets": dict(outcome.tokens)}
    return as_json({**members, "moreAvailable": True} if outcome.is_more else members)


def refuse(refusal: Refusal) -> Response:
    """Answer that it is refused, and why."""
    status, word = _STATUS.get(refusal.code, (400, "invalid_request"))
    headers: Mapping[int, Mapping[str, str]] = {
        401: {"WWW-Authenticate": 'Bearer error="invalid_token"'},
        429: {"Retry-After": str(RETRY_AFTER_SECONDS)},
    }
    log.warning("refused", code=refusal.code.value, reason=refusal.message)
    return error(status, word, refusal.message, headers.get(status))


def unavailable(fault: Unavailable) -> Response:
    """Answer that the database is away."""
    log.error("unavailable", error=str(fault))
    retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return error(503, "unavailable", "the database can't be reached; come again later", retry)


def as_json(members: object, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """Answer in JSON."""
    return Response(json.dumps(members), status, {**NOT_KEPT, **(headers or {})}, "application/json")


def empty(status: int) -> Response:
    """Answer without a body."""
    return Response(status_code=status, headers=NOT_KEPT)


def error(status: int, word: str, description: str, headers: Mapping[str, str] | None = None) -> Response:
    """Answer with an error."""
    return as_json({"err": word, "description": description}, status, headers)

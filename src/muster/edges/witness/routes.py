"""One address, /api/witness/v1/sightings: a token, a bounded body, and answers that name what was wrong."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from muster.domain.access import SERVER
from muster.domain.errors import Refusal, RefusalCode
from muster.operations.limit_guesses import Guesses
from muster.operations.note_sightings import SightingsNoted, SightingsOrder, may_post, note_sightings
from muster.operations.ports import Runner
from muster.protocol.account_driven import bearer_token
from muster.protocol.sightings import MAX_BODY_BYTES, MalformedSightings, Sighting, read_sightings
from muster.storage.errors import Unavailable

SIGHTINGS_PATH: Final = "/api/witness/v1/sightings"
BODY_SECONDS: Final = 30
"""For the body of a post: half a megabyte over the slowest line."""
RETRY_AFTER_SECONDS: Final = 60
PROBLEM: Final = "application/problem+json"
NOT_KEPT: Final = {"Cache-Control": "no-store"}

log = structlog.get_logger("muster.witness")


def make_witness_api(runner: Runner) -> list[BaseRoute]:
    """Make the route by which witnesses post. It answers in JSON, errors as problem documents (RFC 9457)."""
    return [Route(SIGHTINGS_PATH, SightingsDoor(runner))]


class BodyTooLarge(Exception):
    """The body has more than MAX_BODY_BYTES."""


class SightingsDoor:
    """Takes posts: the token first, then the body, then what it says; nothing is noted of a post with a fault."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._guesses = Guesses()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Unavailable as error:
            log.error("unavailable", error=str(error))
            retry = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            response = problem(503, "The database can't be reached", "Post the same again later.", headers=retry)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        if request.method != "POST":
            return problem(405, "Post here", "Sightings are posted.", headers={"Allow": "POST"})
        token = bearer_token(request.headers.get("authorization"))
        if token is None:
            detail = "The request carries no token: Authorization: Bearer TOKEN."
            return problem(401, "Who is it?", detail, headers={"WWW-Authenticate": "Bearer"})
        now, source, shown = self._runner.now(), _address(request), token.encode()
        wait = self._guesses.wait(source, shown, now)
        if wait is not None:
            detail = "This address showed too many tokens that are not known."
            return problem(429, "Too many guesses", detail, headers={"Retry-After": str(wait)})
        refusal = await self._runner.read(lambda tx: may_post(tx, token, now))
        if refusal is not None and refusal.code is RefusalCode.BEARER_UNKNOWN:
            self._guesses.was_wrong(source, shown)
        else:
            self._guesses.was_right(source, shown)
        if refusal is not None:
            return self._refuse(refusal, request)
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        if media_type != "application/json":
            return problem(415, "JSON is read here", "The request has no Content-Type: application/json.")
        try:
            body = await _body(request)
            posted = read_sightings(body, now)
        except BodyTooLarge:
            return problem(413, "The post is too large", f"It has more than {MAX_BODY_BYTES} bytes: post it in parts.")
        except (ClientDisconnect, TimeoutError):
            return problem(408, "The post did not come to its end", f"It took longer than {BODY_SECONDS} seconds.")
        except MalformedSightings as error:
            faults = [{"pointer": one.pointer, "detail": one.detail} for one in error.faults]
            detail = "Nothing of the post was noted."
            return problem(400, "The post is not as it should be", detail, extensions={"errors": faults})
        order = SightingsOrder(token, posted, _address(request))
        [outcome] = await self._runner.write(note_sightings, [order], SERVER)
        return self._refuse(outcome, request) if isinstance(outcome, Refusal) else _noted(outcome, posted)

    def _refuse(self, refusal: Refusal, request: Request) -> Response:
        log.warning("refused", code=refusal.code.value, source=_address(request), reason=refusal.message)
        detail = f"{refusal.message}. {refusal.remedy}"
        if refusal.code is RefusalCode.BEARER_UNKNOWN:
            challenge = {"WWW-Authenticate": 'Bearer error="invalid_token"'}
            return problem(401, "The token is not known", detail, headers=challenge)
        return problem(429, "Too many posts", detail, headers={"Retry-After": str(RETRY_AFTER_SECONDS)})


async def _body(request: Request) -> bytes:
    """Read the body. Raises BodyTooLarge, ClientDisconnect, TimeoutError."""
    body = bytearray()
    async with asyncio.timeout(BODY_SECONDS):
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY_BYTES:
                raise BodyTooLarge
    return bytes(body)


def _noted(outcome: SightingsNoted, posted: Sequence[Sighting]) -> Response:
    members = {
        "noted": outcome.noted,
        "nothing_new": outcome.nothing_new,
        "unknown": [_device(number, posted[number]) for number in outcome.unknown],
        "ambiguous": [_device(number, posted[number]) for number in outcome.ambiguous],
    }
    return Response(json.dumps(members), 200, NOT_KEPT, "application/json")


def _device(number: int, sighting: Sighting) -> Mapping[str, object]:
    device = {"udid": sighting.udid} if sighting.udid is not None else {"serial": sighting.serial_number}
    return {"pointer": f"/sightings/{number}", "device": device}


def _address(request: Request) -> str:
    return "" if request.client is None else request.client.host


def problem(
    status: int,
    title: str,
    detail: str,
    *,
    extensions: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return a problem document (RFC 9457): *title* for its kind, *detail* for this occurrence."""
    members = {"type": "about:blank", "title": title, "status": status, "detail": detail, **(extensions or {})}
    return Response(json.dumps(members), status, {**NOT_KEPT, **(headers or {})}, PROBLEM)

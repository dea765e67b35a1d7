"""The interface as one ASGI application: it finds the endpoint, knows who asks, and answers, or says what is wrong."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from muster.edges.api import problems
from muster.edges.api.endpoints import Call, Endpoint, Site, Stream, Written
from muster.edges.api.keeper import Keeper
from muster.edges.api.openapi import ROOT, make_document
from muster.edges.api.problems import KINDS, Problem
from muster.edges.api.reading import read_body, read_json, read_parameters
from muster.edges.api.requests import Addresses, Found, body_of, has_it, once_of, parameters_of
from muster.edges.api.table import TABLE
from muster.edges.api.writing import as_json
from muster.operations.ports import Runner
from muster.storage.errors import Unavailable

DEFAULT_REQUESTS_PER_MINUTE: Final = 600
RETRY_AFTER_SECONDS: Final = 5
DOCUMENT: Final = "/openapi.json"
PROBLEMS: Final = "/problems/"
_SAFE: Final = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
"""Of every answer: what a token shows is nobody else's, and no browser takes it for a page."""

log = structlog.get_logger("muster.api")


class AdminApi:
    """The application, to be mounted at /api/v1."""

    def __init__(
        self,
        runner: Runner,
        site: Site | None = None,
        *,
        requests_per_minute: int = DEFAULT_REQUESTS_PER_MINUTE,
        table: Sequence[Endpoint] = TABLE,
    ) -> None:
        self._runner = runner
        self._site = site or Site()
        self._keeper = Keeper(runner, requests_per_minute)
        self._addresses = Addresses(table)
        self._document = as_json(make_document(table))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Exception as error:
            # a fault of ours: its traceback is in our log, and nothing of it in the answer
            log.exception("api_failed", path=request.scope["path"], error=type(error).__name__)
            response = _told(Problem("fault", "the fault is in Muster, and its log says more", "Report it."))
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        said: dict[str, str] = {}
        try:
            is_open = self._open(request)
            if is_open is not None:
                return is_open
            found = self._addresses.find(request)
            visitor = await self._keeper.who(request)
            said = visitor.headers
            call = Call(visitor.principal, visitor.token_id, self._runner, self._site)
            return await _respond(request, found, call, said)
        except Problem as problem:
            return _told(problem, said)
        except Unavailable as error:
            log.error("unavailable", error=str(error))
            again = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            return _told(Problem("unavailable", "the server can't reach its database; try again", headers=again), said)

    def _open(self, request: Request) -> Response | None:
        """Answer what anybody may read: what this interface is, and what problems mean."""
        if request.method not in ("GET", "HEAD"):
            return None
        path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
        if path == DOCUMENT:
            return _tagged(request, self._document, {"Content-Type": "application/json"})
        code = path.removeprefix(PROBLEMS)
        if code == path or code not in KINDS:
            return None
        kind = KINDS[code]
        told = {"type": problems.ADDRESS + code, "title": kind.title, "status": kind.status}
        return _tagged(request, as_json(told), {"Content-Type": "application/json"})


def mounted_at_root(api: AdminApi) -> Mount:
    """Return the route that has *api* answer all of /api/v1, also where a path has a line's end in it."""
    mount = Mount(ROOT, app=api)
    mount.path_regex = re.compile(mount.path_regex.pattern, re.DOTALL)
    return mount


async def _respond(request: Request, found: Found, call: Call, said: Mapping[str, str]) -> Response:
    one, given = found.endpoint, dict[str, object](found.path)
    if one.takes is not None:
        given["asked"] = read_parameters(one.takes, parameters_of(request))
    elif request.scope.get("query_string"):
        read_parameters(NoParameters, parameters_of(request))
    body = b""
    if one.body is not None:
        body = await body_of(request, one.maximum_bytes)
        given["body"] = read_body(one.body, read_json(body))
    once = once_of(request, one, body)
    if once is not None:
        call = replace(call, once=once)
    value = await one.answer(call, **given)
    if isinstance(value, Stream):
        headers = {**said, **_SAFE, "Content-Disposition": f'attachment; filename="{value.name}"'}
        return StreamingResponse(value.parts, one.status, headers, value.media_type)
    if value is None:
        return Response(b"", HTTPStatus.NO_CONTENT, {**said, **_SAFE})
    content = value.content if isinstance(value, Written) else as_json(value)
    headers = {**said, "Content-Type": one.media_types[0]}
    if one.method == "GET":
        return _tagged(request, content, headers)
    return Response(content, one.status, {**headers, **_SAFE})


@dataclass(frozen=True, slots=True)
class NoParameters:
    """What an address takes that takes no parameters."""


def _tagged(request: Request, content: bytes, headers: Mapping[str, str]) -> Response:
    """Answer with *content*, or that it is the same as what is at hand."""
    etag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    told = {**headers, **_SAFE, "ETag": etag}
    if has_it(request, etag):
        return Response(b"", HTTPStatus.NOT_MODIFIED, {name: told[name] for name in told if name != "Content-Type"})
    return Response(content, HTTPStatus.OK, told)


def _told(problem: Problem, said: Mapping[str, str] | None = None) -> Response:
    """Answer with a problem."""
    headers = {**(said or {}), **problem.headers, **_SAFE, "Content-Type": problems.MEDIA_TYPE}
    return Response(as_json(problem.document), problem.document.status, headers)

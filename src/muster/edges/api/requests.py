"""What comes by HTTP: the address and its parts, parameters, headers, and the bounded body."""

import asyncio
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, unquote

from starlette.requests import ClientDisconnect, Request

from muster.edges.api.endpoints import Endpoint, Once
from muster.edges.api.limits import MAXIMUM_PART, PLAIN
from muster.edges.api.problems import FaultyMember, Problem, malformed
from muster.edges.api.reading import fit_text

BODY_SECONDS: Final = 60
"""For the body of a request, from a program near by."""
MAXIMUM_QUERY: Final = 8 * 1024
"""Bytes of an address's parameters: a query of a thousand characters, escaped, and a cursor."""
MAXIMUM_PARAMETERS: Final = 50
_KEY: Final = re.compile(r"[!-~]{1,255}")
_JSON: Final = re.compile(r"application/([\w.-]+\+)?json")


@dataclass(frozen=True, slots=True)
class Found:
    """An endpoint, and what stands in the path where it has names."""

    endpoint: Endpoint
    path: Mapping[str, str]


class Addresses:
    """Finds the endpoint of a request. What stands between slashes is one part, in which %2F is a slash."""

    def __init__(self, table: Sequence[Endpoint]) -> None:
        self._table: list[tuple[tuple[str, ...], dict[str, Endpoint]]] = []
        for one in table:
            parts = tuple(one.path.split("/")[1:])
            methods = next((known for path, known in self._table if path == parts), None)
            if methods is None:
                methods = {}
                self._table.append((parts, methods))
            methods[one.method] = one

    def find(self, request: Request) -> Found:
        """Find the endpoint. Raises Problem where there is none, or none of this method."""
        parts = _parts(request)
        fitting = (one for one in self._table if len(one[0]) == len(parts) and all(map(_fits, one[0], parts)))
        wanted, methods = next(fitting, ((), {}))
        if not methods:
            raise Problem("nothing_here", "no address of this interface is like this", "See /api/v1/openapi.json.")
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            allowed = ", ".join(sorted({*methods, *({"HEAD"} if "GET" in methods else ())}))
            raise Problem("method_unknown", f"it answers {allowed}", headers={"Allow": allowed})
        named = {
            name[1:-1]: fit_text(unquote(part), f"path.{name[1:-1]}")
            for name, part in zip(wanted, parts, strict=True)
            if name.startswith("{")
        }
        for name, text in named.items():
            if not 0 < len(text) <= MAXIMUM_PART or PLAIN.fullmatch(text) is None:
                expected = f"it has 1 to {MAXIMUM_PART} characters, and none of them is a control character"
                raise malformed(FaultyMember(f"path.{name}", expected))
        return Found(methods[method], named)


def _parts(request: Request) -> tuple[str, ...]:
    raw = request.scope.get("raw_path") or quote(request.scope["path"]).encode()
    root = request.scope.get("root_path", "")
    path = raw.decode("latin-1").partition("?")[0]
    return tuple(path.removeprefix(quote(root)).split("/")[1:])


def _fits(wanted: str, part: str) -> bool:
    return wanted.startswith("{") or wanted == part


def parameters_of(request: Request) -> list[tuple[str, str]]:
    """Return the parameters of the address. Raises Problem for those that are too long, too many, or no text."""
    query: bytes = request.scope.get("query_string", b"")
    try:
        if len(query) > MAXIMUM_QUERY:
            raise ValueError(f"it has more than {MAXIMUM_QUERY:,} bytes")
        pairs = parse_qsl(
            query.decode("ascii"), keep_blank_values=True, max_num_fields=MAXIMUM_PARAMETERS, errors="strict"
        )
    except ValueError as error:
        raise malformed(FaultyMember("query", f"it can't be read: {error}")) from error
    return pairs


async def body_of(request: Request, limit: int) -> bytes:
    """Read the body. Raises Problem for one that is too large or of another type, or that doesn't come in time."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if _JSON.fullmatch(media_type) is None:
        raise Problem("media_type_unknown", "Content-Type is not application/json")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared[:20]) > limit:
        raise _too_large(limit)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for part in request.stream():
                body += part
                if len(body) > limit:
                    raise _too_large(limit)
    except (ClientDisconnect, TimeoutError) as error:
        raise malformed(FaultyMember("body", "it did not come")) from error
    return bytes(body)


def _too_large(limit: int) -> Problem:
    return Problem("body_too_large", f"the body has more than {limit:,} bytes")


def once_of(request: Request, found: Endpoint, body: bytes) -> Once | None:
    """Return the Idempotency-Key of a request; None without one. Raises Problem for one that isn't, or isn't taken."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not found.is_once:
        raise malformed(FaultyMember("header.Idempotency-Key", "this address takes none"))
    if _KEY.fullmatch(key) is None:
        raise malformed(FaultyMember("header.Idempotency-Key", "it has 1 to 255 printable characters without spaces"))
    said = [request.method, request.scope["path"], request.scope.get("query_string", b"").decode("latin-1")]
    return Once(key, hashlib.sha256("\n".join(said).encode("utf-8", "replace") + b"\n" + body).digest())


def has_it(request: Request, etag: str) -> bool:
    """Tell whether who asks has the answer of this ETag at hand (RFC 9110, 13.1.2)."""
    shown = request.headers.get("if-none-match", "")
    known = {one.strip().removeprefix("W/") for one in shown.split(",")}
    return "*" in known or etag in known

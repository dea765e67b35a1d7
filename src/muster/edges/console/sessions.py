"""Who is signed in, and whether a request that changes something comes from one of our own pages."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar
from urllib.parse import quote, urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from muster.edges.console.rendering import Renderer
from muster.edges.console.sentences import EXPIRY_NOTICE
from muster.operations.ports import Runner
from muster.operations.sign_in import Session, find_session
from muster.operations.views.push_certificates import PushCertificateState, push_certificate_state
from muster.storage.engine import Transaction
from muster.storage.people import Administrator

T = TypeVar("T")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
RETURN_SECONDS = 3600
"""How long the page that somebody wanted before signing in is remembered."""
RETURN_LIMIT = 1000
"""Longest address remembered; cookies are small."""


@dataclass(frozen=True, slots=True)
class SignedIn(Generic[T]):
    """What was read for *administrator*, and how the push certificates stand, which every page tells."""

    administrator: Administrator
    value: T
    push_certificates: PushCertificateState


class Sessions:
    """Sessions by cookie. *secure_cookies* wherever the console is served over TLS: everywhere but on loopback."""

    def __init__(self, runner: Runner, *, secure_cookies: bool) -> None:
        self._runner = runner
        self._secure = secure_cookies
        # the prefix makes browsers refuse the cookie from another host or over plain HTTP
        self._cookie = "__Host-muster_session" if secure_cookies else "muster_session"
        self._return_cookie = "__Host-muster_return" if secure_cookies else "muster_return"

    def token(self, request: Request) -> str | None:
        """Return the session's token that *request* carries, unchecked."""
        return request.cookies.get(self._cookie)

    async def read(self, request: Request, view: Callable[[Transaction], T]) -> SignedIn[T] | None:
        """Run *view* for whoever is signed in, in one transaction with finding out; None when nobody is."""
        token, now = self.token(request), self._runner.now()
        if not token:
            return None

        def both(tx: Transaction) -> SignedIn[T] | None:
            administrator = find_session(tx, token, now)
            if administrator is None:
                return None
            return SignedIn(administrator, view(tx), push_certificate_state(tx, now, within=EXPIRY_NOTICE))

        return await self._runner.read(both)

    def ask_to_sign_in(self, request: Request) -> Response:
        """Send the visitor to the sign-in page, and remember where they wanted to go."""
        response = RedirectResponse("/sign-in", 303, {"Cache-Control": "no-store"})
        query = request.url.query
        wanted = quote(request.scope["path"], safe="/:@") + (f"?{query}" if query else "")
        if len(wanted) <= RETURN_LIMIT and wanted.isascii():
            self._set(response, self._return_cookie, wanted, RETURN_SECONDS)
        return response

    def begin(self, request: Request, session: Session, now: datetime) -> Response:
        """Set the cookie of *session*, and lead to the page that was wanted, or the list."""
        wanted = request.cookies.get(self._return_cookie, "")
        response = RedirectResponse(wanted if _is_page_of_ours(wanted) else "/devices", 303, _NOT_KEPT)
        self._set(response, self._cookie, session.token, int((session.expires_at - now).total_seconds()))
        self._delete(response, self._return_cookie)
        return response

    def end(self) -> Response:
        """Remove the cookie, and lead to the sign-in page."""
        response = RedirectResponse("/sign-in", 303, _NOT_KEPT)
        self._delete(response, self._cookie)
        return response

    def _set(self, response: Response, name: str, value: str, max_age: int) -> None:
        response.set_cookie(name, value, max_age=max_age, httponly=True, secure=self._secure, samesite="lax")

    def _delete(self, response: Response, name: str) -> None:
        response.delete_cookie(name, httponly=True, secure=self._secure, samesite="lax")


_NOT_KEPT = {"Cache-Control": "no-store"}


def _is_page_of_ours(wanted: str) -> bool:
    return (wanted == "/devices" or wanted.startswith(("/devices/", "/devices?"))) and wanted.isprintable()


def is_same_origin(headers: Headers) -> bool:
    """Tell whether a request was made by one of our own pages, or by the person in the address bar.

    By Sec-Fetch-Site where the browser sends it (W3C, Fetch Metadata), which no page can forge and no proxy rewrites;
    else by Origin, which has to name the host asked for. A request with neither is not taken for ours.
    """
    site = headers.get("sec-fetch-site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc.lower() == headers.get("host", "").lower() != ""


class SameOriginOnly:
    """Refuses whatever may change something and doesn't come from our own pages (cross-site request forgery)."""

    def __init__(self, app: ASGIApp, renderer: Renderer) -> None:
        self._app = app
        self._renderer = renderer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer 403, or hand the request on."""
        if scope["type"] == "http" and scope["method"] not in SAFE_METHODS and not is_same_origin(Headers(scope=scope)):
            response = self._renderer.error(
                403,
                "This request came from another site",
                "Only the console's own pages may sign you in or out. Nothing was changed.",
                "Open the console yourself and try again there.",
            )
            await response(scope, receive, send)
            return
        await self._app(scope, receive, send)

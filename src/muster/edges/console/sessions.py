"""Who is signed in, and whether a request that changes something comes from one of our own pages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar, cast
from urllib.parse import quote, urlsplit

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from muster.domain.errors import Refusal
from muster.domain.policy import Policy
from muster.domain.principals import Principal
from muster.domain.sign_in_limits import Way
from muster.edges.console.navigation import is_section
from muster.edges.console.rendering import Renderer
from muster.operations.context import Context
from muster.operations.limit_sign_ins import is_shut
from muster.operations.permit import Sight, foreseen, seen
from muster.operations.ports import Runner
from muster.operations.sign_in import Session, Visit, find_session, note_session_uses
from muster.operations.views.fleet_needs import EXPIRY_NOTICE
from muster.operations.views.push_certificates import PushCertificateState, push_certificate_state
from muster.storage.engine import Transaction
from muster.storage.people import Administrator

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Seen = TypeVar("Seen")

log = structlog.get_logger("muster.console")

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
RETURN_SECONDS = 3600
"""How long the page that somebody wanted before signing in is remembered."""
RETURN_LIMIT = 1000
"""Longest address remembered; cookies are small."""


EVENTS = "/events"
_BY_THEMSELVES = ("/fragments/", EVENTS)
"""What open pages ask for by themselves; it shows nobody's presence."""


@dataclass(frozen=True, slots=True)
class SignedIn(Generic[T]):
    """What was read for *administrator*, and how the push certificates stand, which every page tells.

    *may_return*: they have a way to sign in again; else their link was the only one.
    """

    administrator: Administrator
    principal: Principal
    value: T
    push_certificates: PushCertificateState
    may_return: bool


class NotForThem(Exception):
    """Whoever is signed in may not see this."""

    def __init__(self, refusal: Refusal, administrator: Administrator) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
        self.administrator = administrator


class Sessions:
    """Sessions by cookie. *secure_cookies* wherever the console is served over TLS: everywhere but on loopback."""

    def __init__(self, runner: Runner, *, secure_cookies: bool, policy: Policy | None = None) -> None:
        self._runner = runner
        self.policy = policy or Policy()
        self._secure = secure_cookies
        # the prefix makes browsers refuse the cookie from another host or over plain HTTP
        self._cookie = "__Host-muster_session" if secure_cookies else "muster_session"
        self._return_cookie = "__Host-muster_return" if secure_cookies else "muster_return"
        self._away_cookie = "__Host-muster_away" if secure_cookies else "muster_away"

    def token(self, request: Request) -> str | None:
        """Return the session's token that *request* carries, unchecked."""
        return request.cookies.get(self._cookie)

    async def read(self, request: Request, sight: Sight[T]) -> SignedIn[T] | None:
        """See *sight* as whoever is signed in, in one transaction with finding out; None when nobody is.

        Raises NotForThem where their role or scope doesn't show it.
        """
        token, now, source = self.token(request), self._runner.now(), source_of(request)
        if not token:
            return None

        def both(tx: Transaction) -> tuple[SignedIn[T | Refusal], bool] | None:
            found = find_session(tx, token, now, self.policy)
            if found is None:
                return None
            principal = found.principal(source)
            value = seen(principal, sight, now)(tx)
            state = push_certificate_state(tx, now, within=EXPIRY_NOTICE)
            stored = found.stored
            return SignedIn(stored.administrator, principal, value, state, stored.may_return), found.is_use_due

        read = await self._runner.read(both)
        if read is None:
            return None
        signed_in, is_use_due = read
        if is_use_due and not request.url.path.startswith(_BY_THEMSELVES):
            await self._runner.write(note_session_uses, [token])
        if isinstance(signed_in.value, Refusal):
            raise NotForThem(signed_in.value, signed_in.administrator)
        return cast("SignedIn[T]", signed_in)

    async def foresee(
        self,
        signed_in: SignedIn[T],
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        item: Item,
        view: Callable[[Transaction, Item], Seen],
    ) -> Seen | Refusal:
        """Look, by *view*, at what *operation* would do to *item* if they who are signed in did it; or tell why not."""
        return await self._runner.read(foreseen(signed_in.principal, operation, item, view, self._runner.now()))

    async def refused_by(self, way: Way, request: Request) -> Refusal | None:
        """Tell, by reading alone, that too many tries to sign in came from where *request* does; None: it may try."""
        now, source = self._runner.now(), source_of(request)
        return await self._runner.read(lambda tx: is_shut(tx, way, source, now))

    def ask_to_sign_in(self, request: Request) -> Response:
        """Send the visitor to the sign-in page, and remember where they wanted to go."""
        response = RedirectResponse("/sign-in", 303, {"Cache-Control": "no-store"})
        query = request.url.query
        wanted = quote(request.scope["path"], safe="/:@") + (f"?{query}" if query else "")
        if request.method == "GET" and len(wanted) <= RETURN_LIMIT and wanted.isascii():
            self._set(response, self._return_cookie, wanted, RETURN_SECONDS)
        return response

    def begin(self, request: Request, session: Session, now: datetime) -> Response:
        """Set the cookie of *session*, and lead to the page that was wanted, or to the fleet."""
        wanted = request.cookies.get(self._return_cookie, "")
        response = RedirectResponse(wanted if _is_page_of_ours(wanted) else "/", 303, _NOT_KEPT)
        self._set(response, self._cookie, session.token, int((session.expires_at - now).total_seconds()))
        self._delete(response, self._return_cookie)
        return response

    def away(self, request: Request) -> str | None:
        """Return what was kept in the browser when it left for the identity provider."""
        return request.cookies.get(self._away_cookie)

    def set_away(self, response: Response, state: str, seconds: int) -> None:
        """Keep *state* in a browser that leaves for the identity provider."""
        self._set(response, self._away_cookie, state, seconds)

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
    return is_section(wanted.partition("?")[0]) and wanted.isprintable()


def source_of(request: Request) -> str:
    """Return the address that a request came from, as the server or its trusted proxy tells it."""
    return request.client.host if request.client else ""


def note_refused(request: Request, refusal: Refusal, way: Way) -> None:
    """Log that a sign-in was refused: why and from where, and nothing of what was typed."""
    log.warning("sign_in_refused", way=way.value, code=refusal.code.value, source=source_of(request))


def visit_of(request: Request, former_token: str | None) -> Visit:
    """Return who comes to sign in."""
    return Visit(source_of(request), request.headers.get("user-agent", ""), former_token)


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

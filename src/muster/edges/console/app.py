"""The console as one application: its addresses, and a page for whatever goes wrong."""

from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response

from muster.domain.errors import RefusalCode
from muster.domain.policy import Policy
from muster.domain.roles import Role
from muster.edges.console.forms import BadForm
from muster.edges.console.pages import Desk, all_pages
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import NotForThem, SameOriginOnly, Sessions
from muster.operations.ports import IdentityProvider, Runner
from muster.storage.errors import Unavailable

RETRY_AFTER_SECONDS = 5


def make_console(
    runner: Runner,
    *,
    secure_cookies: bool,
    public_url: str | None = None,
    policy: Policy | None = None,
    provider: IdentityProvider | None = None,
    provider_roles: Mapping[str, Role] | None = None,
) -> Starlette:
    """Make the console, to be mounted at `/`.

    *secure_cookies* is False only where it is served over plain HTTP on loopback: browsers then send its cookies
    without TLS. *public_url* is where devices reach this server; absent, the first page says how to set it.
    *policy* says when identities are renewed; absent: the defaults. *provider*: by whom administrators may sign in
    whose groups there have *provider_roles*.
    """
    renderer = Renderer()
    sessions = Sessions(runner, secure_cookies=secure_cookies, policy=policy)
    desk = Desk(runner, renderer, sessions, public_url, policy or Policy())
    errors = _Errors(renderer)
    app = Starlette(
        routes=[route for pages in all_pages(desk, provider, provider_roles or {}) for route in pages.routes()],
        middleware=[
            Middleware(SameOriginOnly, renderer=renderer),
            # pages hold no secret that an attacker could mix with text of theirs (BREACH)
            Middleware(GZipMiddleware, minimum_size=2048, compresslevel=4),
        ],
        exception_handlers={
            HTTPException: errors.refused,
            NotForThem: errors.not_for_them,
            BadForm: errors.bad_form,
            Unavailable: errors.unavailable,
            Exception: errors.failed,
        },
    )
    app.router.redirect_slashes = False  # /devices/X/ may be a device's id
    return app


class _Errors:
    """Pages for what went wrong: what happened, whose fault it is, what to do."""

    def __init__(self, renderer: Renderer) -> None:
        self._renderer = renderer

    async def refused(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 404:
            return self._renderer.error(
                404, "There is nothing here", "This console has no page at this address.", "Start from the devices."
            )
        return self._renderer.error(
            error.status_code,
            "This can't be done here",
            f"The console does not answer this kind of request at this address: {error.detail}.",
            headers=error.headers,
        )

    async def not_for_them(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, NotForThem)
        refusal = error.refusal
        if refusal.code is RefusalCode.NOT_FOUND:
            return self._renderer.error(
                404, "There is no such device", "No device with this id is known, or in a group of yours.", ""
            )
        return self._renderer.error(403, "This is not for you to see", f"{refusal.message}.", refusal.remedy)

    async def bad_form(self, _request: Request, error: Exception) -> Response:
        assert isinstance(error, BadForm)
        refusal = error.refusal
        return self._renderer.error(400, "Nothing was changed", f"{refusal.message}.", refusal.remedy)

    async def unavailable(self, _request: Request, _error: Exception) -> Response:
        return self._renderer.error(
            503,
            "The database can't be reached",
            "This is the server's trouble, not yours or the devices'. Devices are told to come back later.",
            "Try again in a few seconds. If it stays so, look at the database and the server's log.",
            headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
        )

    async def failed(self, _request: Request, _error: Exception) -> Response:
        return self._renderer.error(
            500,
            "This server made a mistake",
            "The page could not be made. The fault is in Muster, and its log says more.",
            "Try again. If it happens again, report it with the lines of the log.",
        )

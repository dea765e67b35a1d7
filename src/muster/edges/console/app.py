"""The console as one application: its addresses, and a page for whatever goes wrong."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.policy import Policy
from muster.edges.console.device_pages import DevicePages
from muster.edges.console.inventory_pages import InventoryPages
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import SameOriginOnly, Sessions
from muster.edges.console.sign_in_pages import SignInPages
from muster.operations.ports import Runner
from muster.storage.errors import Unavailable

RETRY_AFTER_SECONDS = 5


def make_console(
    runner: Runner, *, secure_cookies: bool, public_url: str | None = None, policy: Policy | None = None
) -> Starlette:
    """Make the console, to be mounted at `/`.

    *secure_cookies* is False only where it is served over plain HTTP on loopback: browsers then send its cookies
    without TLS. *public_url* is where devices reach this server; absent, the first page says how to set it.
    *policy* says when identities are renewed; absent: the defaults.
    """
    renderer = Renderer()
    sessions = Sessions(runner, secure_cookies=secure_cookies)
    sign_in = SignInPages(runner, renderer, sessions)
    devices = DevicePages(runner, renderer, sessions, public_url, policy or Policy())
    inventory = InventoryPages(runner, renderer, sessions, policy or Policy())
    app = Starlette(
        routes=[
            Route("/", sign_in.home),
            Route("/sign-in", sign_in.explain),
            Route("/sign-in/{token}", sign_in.offer),
            Route("/sign-in/{token}", sign_in.use, methods=["POST"]),
            Route("/sign-out", sign_in.leave, methods=["POST"]),
            Route("/devices", devices.list_page),
            Route("/devices/{device_id:path}", devices.device_page),
            Route("/inventory/{channel_id:path}", inventory.page),
            Route("/fragments/devices", devices.list_fragment),
            Route("/fragments/devices/{device_id:path}", devices.device_fragment),
            Route("/static/{name}", renderer.serve_asset),
        ],
        middleware=[
            Middleware(SameOriginOnly, renderer=renderer),
            # pages hold no secret that an attacker could mix with text of theirs (BREACH)
            Middleware(GZipMiddleware, minimum_size=2048, compresslevel=4),
        ],
        exception_handlers={
            HTTPException: _Errors(renderer).refused,
            Unavailable: _Errors(renderer).unavailable,
            Exception: _Errors(renderer).failed,
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

"""Signing in with a one-time link, and out again."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from muster.domain.errors import Refusal
from muster.edges.console.banners import push_certificate_banners
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions
from muster.edges.console.times import Clock
from muster.operations.ports import Runner
from muster.operations.sign_in import sign_in, sign_out


class SignInPages:
    """The pages before one is signed in."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions

    async def home(self, request: Request) -> Response:
        """Lead to the list, or to the sign-in page."""
        signed_in = await self._sessions.read(request, lambda _: None)
        return RedirectResponse("/sign-in" if signed_in is None else "/devices", 303, {"Cache-Control": "no-store"})

    async def explain(self, request: Request) -> Response:
        """Tell how to get a link."""
        signed_in = await self._sessions.read(request, lambda _: None)
        if signed_in is None:
            return self._renderer.page("sign_in.html", {"banners": []})
        banners = push_certificate_banners(signed_in.push_certificates, Clock(self._runner.now()))
        return self._renderer.page("sign_in.html", {"banners": banners}, administrator=signed_in.administrator)

    async def offer(self, request: Request) -> Response:
        """Show one button. The link isn't looked up: mail scanners and previews fetch it, and must not use it up."""
        return self._renderer.page("sign_in_link.html", {"action": request.url.path})

    async def use(self, request: Request) -> Response:
        """Use the link up and begin a session."""
        [outcome] = await self._runner.write(sign_in, [request.path_params["token"]])
        if isinstance(outcome, Refusal):
            explanation = f"You are not signed in: {outcome.message}."
            return self._renderer.error(403, "This link does not open", explanation, outcome.remedy)
        return self._sessions.begin(request, outcome, self._runner.now())

    async def leave(self, request: Request) -> Response:
        """End the session."""
        token = self._sessions.token(request)
        if token:
            await self._runner.write(sign_out, [token])
        return self._sessions.end()

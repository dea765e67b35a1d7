"""Signing in, by password and code or with a one-time link, and out again."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal
from muster.domain.sign_in_limits import Way
from muster.edges.console.banners import push_certificate_banners
from muster.edges.console.forms import read_form
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, note_refused, visit_of
from muster.edges.console.times import Clock
from muster.operations.permit import of_no_device
from muster.operations.ports import Runner
from muster.operations.sign_in import LinkUse, Session, sign_in, sign_out
from muster.operations.sign_in_by_password import (
    MAXIMUM_NAME_CHARACTERS,
    Attempt,
    PasswordToCheck,
    admit_attempts,
    check_attempt,
    sign_in_by_password,
)

CHECKED_AT_ONCE = 2
"""Passwords: each takes 19 MiB and 20 ms of a core."""


class SignInPages:
    """The pages before one is signed in. *provider*: what the identity provider is called; None: there is none."""

    def __init__(
        self,
        runner: Runner,
        renderer: Renderer,
        sessions: Sessions,
        *,
        provider: str | None = None,
        has_passkeys: bool = False,
    ) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._provider = provider
        self._has_passkeys = has_passkeys
        self._checking = asyncio.Semaphore(CHECKED_AT_ONCE)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages; `/sign-in/{token}` takes whatever comes after the others."""
        return (
            Route("/sign-in", self.explain),
            Route("/sign-in", self.check, methods=["POST"]),
            Route("/sign-in/{token}", self.offer),
            Route("/sign-in/{token}", self.use, methods=["POST"]),
            Route("/sign-out", self.leave, methods=["POST"]),
        )

    async def explain(self, request: Request) -> Response:
        """Ask for name, password and code, and tell how to get a link."""
        signed_in = await self._sessions.read(request, of_no_device(lambda _: None))
        if signed_in is None:
            return self._form("", None)
        banners = push_certificate_banners(signed_in.push_certificates, Clock(self._runner.now()))
        return self._renderer.page("sign_in.html", {"banners": banners}, administrator=signed_in.administrator)

    async def check(self, request: Request) -> Response:
        """Begin a session for whoever typed the right things; show the form again for all others."""
        form = await read_form(request)
        visit = visit_of(request, self._sessions.token(request))
        outcome: Session | Refusal | None = await self._sessions.refused_by(Way.PASSWORD, request)
        if outcome is None:
            outcome = await self._check(Attempt(form["name"], form["password"], form["code"], visit))
        if isinstance(outcome, Refusal):
            note_refused(request, outcome, Way.PASSWORD)
            return self._form(form["name"], outcome)
        return self._sessions.begin(request, outcome, self._runner.now())

    async def _check(self, attempt: Attempt) -> Session | Refusal:
        [admitted] = await self._runner.write(admit_attempts, [attempt])
        if not isinstance(admitted, PasswordToCheck):
            return admitted
        async with self._checking:
            checked = await asyncio.to_thread(check_attempt, admitted)
        [outcome] = await self._runner.write(sign_in_by_password, [checked])
        return outcome

    def _form(self, name: str, refusal: Refusal | None) -> Response:
        context: dict[str, object] = {
            "banners": [],
            "name": name[:MAXIMUM_NAME_CHARACTERS],
            "refusal": refusal,
            "provider": self._provider,
            "has_passkeys": self._has_passkeys,
        }
        return self._renderer.page("sign_in.html", context, status_code=200 if refusal is None else 403)

    async def offer(self, request: Request) -> Response:
        """Show one button. The link isn't looked up: mail scanners and previews fetch it, and must not use it up."""
        return self._renderer.page("sign_in_link.html", {"action": request.url.path})

    async def use(self, request: Request) -> Response:
        """Use the link up and begin a session."""
        use = LinkUse(request.path_params["token"], visit_of(request, self._sessions.token(request)))
        outcome: Session | Refusal | None = await self._sessions.refused_by(Way.LINK, request)
        if outcome is None:
            [outcome] = await self._runner.write(sign_in, [use])
        if isinstance(outcome, Refusal):
            note_refused(request, outcome, Way.LINK)
            explanation = f"You are not signed in: {outcome.message}."
            return self._renderer.error(403, "This link does not open", explanation, outcome.remedy)
        return self._sessions.begin(request, outcome, self._runner.now())

    async def leave(self, request: Request) -> Response:
        """End the session."""
        token = self._sessions.token(request)
        if token:
            await self._runner.write(sign_out, [token])
        return self._sessions.end()

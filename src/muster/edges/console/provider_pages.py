"""To the identity provider, and back."""

import hmac
from collections.abc import Mapping
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from muster.domain.errors import Refusal
from muster.domain.provider_errors import explanation
from muster.domain.provider_roles import role_of
from muster.domain.roles import Role
from muster.domain.sign_in_limits import Way
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, note_refused, source_of, visit_of
from muster.operations.ports import IdentityProvider, ProviderAnswer, ProviderFailed, ProviderQuestion, Runner
from muster.operations.sign_in_by_provider import (
    LIFETIME,
    Departure,
    Identified,
    leave_for_provider,
    return_from_provider,
    sign_in_by_provider,
)

CALLBACK: Final = "/sign-in/callback"
MAXIMUM_CODE: Final = 4096
"""Characters of a code."""
_NOT_KEPT: Final = {"Cache-Control": "no-store"}

log = structlog.get_logger("muster.console")


class ProviderPages:
    """The way to the provider and back. *roles*: by the names of groups there."""

    def __init__(
        self,
        runner: Runner,
        renderer: Renderer,
        sessions: Sessions,
        provider: IdentityProvider,
        roles: Mapping[str, Role],
        public_url: str,
    ) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._provider = provider
        self._roles = roles
        self._redirect_uri = f"{public_url}{CALLBACK}"

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/sign-in/provider", self.leave),
            Route(CALLBACK, self.come_back),
        )

    async def leave(self, request: Request) -> Response:
        """Send the browser to the provider, with a cookie by which it is known when it comes back."""
        shut = await self._sessions.refused_by(Way.PROVIDER, request)
        if shut is not None:
            return self._refused(shut)
        [departure] = await self._runner.write(leave_for_provider, [source_of(request)])
        if not isinstance(departure, Departure):
            return self._refused(departure)
        question = ProviderQuestion(departure.state, departure.nonce, departure.challenge, self._redirect_uri)
        try:
            url = await self._provider.authorization_url(question)
        except ProviderFailed as error:
            return self._failed(request, error)
        response = RedirectResponse(url, 303, _NOT_KEPT)
        self._sessions.set_away(response, departure.state, int(LIFETIME.total_seconds()))
        return response

    async def come_back(self, request: Request) -> Response:
        """Begin a session for whoever left from this browser, and whom the provider knows."""
        state, code = request.query_params.get("state", ""), request.query_params.get("code", "")
        kept = self._sessions.away(request) or ""
        if not state or not hmac.compare_digest(state.encode(), kept.encode()):
            return self._stray()
        [known] = await self._runner.write(return_from_provider, [state])
        if known is None:
            return self._stray()
        if "error" in request.query_params or not 0 < len(code) <= MAXIMUM_CODE:
            return self._failed(request, ProviderFailed(f"it let nobody in{explanation(request.query_params)}"))
        try:
            who = await self._provider.identify(
                ProviderAnswer(code, known.verifier, known.nonce, self._redirect_uri, request.query_params.get("iss"))
            )
        except ProviderFailed as error:
            return self._failed(request, error)
        visit = visit_of(request, self._sessions.token(request))
        identified = Identified(who.issuer, who.subject, who.name, role_of(who.groups, self._roles), visit)
        [outcome] = await self._runner.write(sign_in_by_provider, [identified])
        if isinstance(outcome, Refusal):
            note_refused(request, outcome, Way.PROVIDER)
            return self._refused(outcome)
        response = self._sessions.begin(request, outcome, self._runner.now())
        self._sessions.set_away(response, "", 0)
        return response

    def _stray(self) -> Response:
        return self._renderer.error(
            403,
            "This sign-in was not begun here",
            "It was begun in another browser, or took too long. You are not signed in.",
            "Begin again from the sign-in page.",
        )

    def _failed(self, request: Request, error: ProviderFailed) -> Response:
        log.warning("provider_failed", provider=self._provider.name, because=str(error), source=source_of(request))
        return self._renderer.error(
            502,
            f"{self._provider.name} did not sign you in",
            f"What went wrong: {error}.",
            "Try again, or sign in with a link: `muster admins link NAME` on the server.",
        )

    def _refused(self, refusal: Refusal) -> Response:
        return self._renderer.error(403, "You are not signed in", f"{refusal.message}.", refusal.remedy)

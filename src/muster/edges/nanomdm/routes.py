"""The addresses of the familiar door, each behind its key; docs/manual/nanomdm.md says what differs."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

import structlog
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from muster.domain.principals import Principal
from muster.edges.nanomdm.activation_lock import ActivationLockDoor, AskApple
from muster.edges.nanomdm.commands import PUSH_SECONDS, CommandDoors
from muster.edges.nanomdm.migration import MigrationDoor
from muster.edges.nanomdm.push_certificates import PushCertificateDoor
from muster.edges.nanomdm.replies import json_error, text_error, unauthorized
from muster.edges.nanomdm.requests import DoorKeeper, TooManyGuesses, is_of_another_site, source_of
from muster.operations.ports import Runner
from muster.storage.errors import Unavailable

Answer: TypeAlias = Callable[[Request, Principal], Awaitable[Response]]

log = structlog.get_logger("muster.nanomdm")


def make_nanomdm_api(
    runner: Runner,
    key: str,
    *,
    version: str,
    ask_apple: AskApple,
    push_seconds: float = PUSH_SECONDS,
    takes_over: bool = False,
) -> list[BaseRoute]:
    """Make the routes. Whoever shows *key* may do all that they offer, who shows an API token what that one may.

    *takes_over*: devices of another server may be handed over, too.
    """
    keeper = DoorKeeper(runner, key)
    commands = CommandDoors(runner, push_seconds=push_seconds)
    doors: dict[str, Answer] = {
        "/v1/pushcert": PushCertificateDoor(runner),
        "/v1/push/{ids:path}": commands.push,
        "/v1/enqueue/{ids:path}": commands.enqueue,
        "/v1/escrowkeyunlock": ActivationLockDoor(runner, ask_apple),
    }
    if takes_over:
        doors["/migration"] = MigrationDoor(runner)
    told = Response(f'{{"version":"{version}"}}', headers={"Content-Type": "application/json"})
    return [
        Route("/version", told),
        Route("/v1/version", told),
        *(Route(path, _Guarded(keeper, answer)) for path, answer in doors.items()),
        *make_closed_door(),
    ]


def make_closed_door() -> list[BaseRoute]:
    """Make what answers where there is no door, or nothing behind it: programs are told so in their own words."""
    return [Route("/v1/{rest:path}", text_error(HTTPStatus.NOT_FOUND, "404 page not found"))]


class _Guarded:
    """A door that opens for a key or a token; all methods come to it."""

    def __init__(self, keeper: DoorKeeper, answer: Answer) -> None:
        self._keeper = keeper
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        await (await self._respond(request))(scope, receive, send)

    async def _respond(self, request: Request) -> Response:
        if is_of_another_site(request):
            log.warning("refused_of_another_site", source=source_of(request))
            return text_error(HTTPStatus.FORBIDDEN)
        try:
            principal = await self._keeper.who(request)
            if principal is None:
                log.warning("key_refused", source=source_of(request))
                return unauthorized()
            return await self._answer(request, principal)
        except TooManyGuesses as error:
            return text_error(HTTPStatus.TOO_MANY_REQUESTS, headers={"Retry-After": str(error.seconds)})
        except Unavailable as error:
            log.error("unavailable", error=str(error))
            return json_error("the database can't be reached; try again later", HTTPStatus.SERVICE_UNAVAILABLE)

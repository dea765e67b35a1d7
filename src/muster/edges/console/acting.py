"""What people do by the forms of pages: read as theirs, done as them, and told how it went."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.principals import Principal
from muster.edges.console.forms import MAXIMUM_BYTES, Form, read_form
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, SignedIn
from muster.operations.context import Context
from muster.operations.permit import Sight, permitted
from muster.operations.ports import Runner
from muster.storage.engine import Transaction

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

_STATUSES = {
    RefusalCode.NOT_FOUND: 404,
    RefusalCode.ROLE_MISSING: 403,
    RefusalCode.SCOPE_EXCEEDED: 403,
    RefusalCode.CONFLICT: 409,
}


@dataclass(frozen=True, slots=True)
class Asked(Generic[T]):
    """A form, whoever sent it, and what was read for them together with finding out who they are."""

    signed_in: SignedIn[T]
    form: Form

    @property
    def value(self) -> T:
        """What was read."""
        return self.signed_in.value

    @property
    def principal(self) -> Principal:
        """Who sent it."""
        return self.signed_in.principal


class Acting:
    """Does what forms ask, by the operations that every door uses."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions

    async def read(self, request: Request, sight: Sight[T], *, maximum_bytes: int = MAXIMUM_BYTES) -> Asked[T] | None:
        """Read the form that *request* brings, and *sight* as whoever sent it; None when nobody is signed in.

        Raises NotForThem where they may not see *sight*, and BadForm.
        """
        signed_in = await self._sessions.read(request, sight)
        if signed_in is None:
            return None
        token = self._sessions.token(request) or ""
        return Asked(signed_in, await read_form(request, token, maximum_bytes=maximum_bytes))

    async def do(
        self,
        principal: Principal,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        item: Item,
    ) -> Outcome | Refusal:
        """Have *operation* done to *item* as *principal* may; refused where they may not."""
        [outcome] = await self._runner.write(permitted(principal, operation), [item], principal.actor)
        return outcome

    def refused(self, asked: Asked[T], refusal: Refusal) -> Response:
        """Say that nothing was changed, why, and what to do."""
        return self._renderer.error(
            _STATUSES.get(refusal.code, 400),
            "Nothing was changed",
            f"{refusal.message[:1].upper()}{refusal.message[1:]}.",
            refusal.remedy,
            administrator=asked.signed_in.administrator,
        )


def go_to(url: str) -> Response:
    """Lead to *url* after something was done, so that loading the page again does not do it again."""
    return RedirectResponse(url, 303, {"Cache-Control": "no-store"})

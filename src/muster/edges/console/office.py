"""What pages with forms share: somebody sees, fills in, does, and is told why not, with what they typed kept."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from muster.domain.errors import Refusal
from muster.domain.permissions import Permission
from muster.edges.console.forms import Form, hidden, read_form
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, SignedIn
from muster.edges.console.times import Clock
from muster.operations.context import Context
from muster.operations.permit import Sight, of_no_device, permitted
from muster.operations.ports import Runner
from muster.storage.engine import Transaction

T = TypeVar("T")
Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

NOTHING_TYPED = Form([])


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing was changed, and what was typed; *place* names the form where a page has several."""

    refusal: Refusal
    typed: Form
    place: str = ""


class Office:
    """Where administrators see and change what is about the service. *public_url* is where devices reach it."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions, public_url: str | None) -> None:
        self.runner = runner
        self.renderer = renderer
        self.sessions = sessions
        self._public_url = public_url

    def public_url(self, request: Request) -> str:
        """Return where devices reach this server: as it is set, else where *request* reached it."""
        return (self._public_url or str(request.base_url)).rstrip("/")

    async def see(self, request: Request, sight: Sight[T]) -> SignedIn[T] | None:
        """See *sight*; None when nobody is signed in. Raises NotForThem."""
        return await self.sessions.read(request, sight)

    async def form(self, request: Request, needs: Permission) -> tuple[SignedIn[None], Form] | None:
        """Read a form of somebody whose role has *needs*; None when nobody is signed in. Raises NotForThem, BadForm.

        Whether the act is theirs to do is judged anew, by `do`.
        """
        signed_in = await self.see(request, of_no_device(lambda _tx: None, needs))
        if signed_in is None:
            return None
        return signed_in, await read_form(request, self.sessions.token(request) or "")

    async def do(
        self,
        signed_in: SignedIn[None],
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        item: Item,
    ) -> Outcome | Refusal:
        """Do *operation* with *item* as who is signed in, or tell why not."""
        who = signed_in.principal
        [outcome] = await self.runner.write(permitted(who, operation), [item], who.actor)
        return outcome

    def page(
        self,
        request: Request,
        template: str,
        signed_in: SignedIn[T],
        context: Mapping[str, object],
        refused: Refused | None = None,
    ) -> Response:
        """Render *template*; with *refused*, as the answer to a form that was refused."""
        shown = {
            "banners": [],
            "clock": Clock(self.runner.now()),
            "now": self.runner.now(),
            "hidden": hidden(self.sessions.token(request)),
            "refused": refused,
            "typed": NOTHING_TYPED if refused is None else refused.typed,
            **context,
        }
        status_code = 200 if refused is None else 400
        return self.renderer.page(template, shown, administrator=signed_in.administrator, status_code=status_code)


def back_to(path: str) -> Response:
    """Lead to *path* after something was done."""
    return RedirectResponse(path, 303, {"Cache-Control": "no-store"})

"""Administrators and tokens: who may do what, to which devices, until when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.domain.roles import Role
from muster.edges.console.forms import Form, hidden, read_form
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, SignedIn
from muster.edges.console.times import Clock
from muster.operations.context import Context
from muster.operations.manage_tokens import LONGEST_LIFETIME, NewToken, TokenOrder, create_tokens, revoke_tokens
from muster.operations.permit import of_fleet, permitted
from muster.operations.ports import Runner
from muster.operations.set_roles import AccessOrder, RoleOrder, set_access, set_roles
from muster.operations.set_up_sign_in import reset_ways
from muster.operations.sign_in import SignInLink, create_sign_in_links
from muster.operations.views.people import AdministratorRow, TokenRow, list_administrators, list_tokens
from muster.storage import groups
from muster.storage.engine import Transaction

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

DAYS = (7, 30, 90, 365, LONGEST_LIFETIME.days)
"""For which a token may be made here; the command line takes any number."""


@dataclass(frozen=True, slots=True)
class _People:
    administrators: tuple[AdministratorRow, ...]
    tokens: tuple[TokenRow, ...]
    groups: tuple[str, ...]


class PeoplePages:
    """The pages about people and programs, for owners."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions, public_url: str | None) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._public_url = public_url

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/people", self.page),
            Route("/people/links", self.make_link, methods=["POST"]),
            Route("/people/access", self.set_access, methods=["POST"]),
            Route("/people/tokens", self.set_tokens, methods=["POST"]),
        )

    async def page(self, request: Request) -> Response:
        """Show the administrators, the tokens, and the forms that change them."""
        signed_in = await self._sessions.read(request, of_fleet(_read, Permission.PEOPLE))
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        context = {
            "banners": [],
            "clock": Clock(self._runner.now()),
            "now": self._runner.now(),
            "people": signed_in.value,
            "roles": [role.value for role in Role],
            "days": DAYS,
            "hidden": hidden(self._sessions.token(request)),
        }
        return self._renderer.page("people.html", context, administrator=signed_in.administrator)

    async def make_link(self, request: Request) -> Response:
        """Make a sign-in link, which adds the administrator where there is none of that name, and show it once."""
        signed_in, form = await self._form(request)
        if signed_in is None or form is None:
            return self._sessions.ask_to_sign_in(request)
        outcome = await self._do(signed_in, create_sign_in_links, form["name"])
        if not isinstance(outcome, SignInLink):
            return self._refused(signed_in, outcome)
        told = f"{outcome.administrator.name} signs in by it, once, until {outcome.expires_at:%Y-%m-%d %H:%M} UTC."
        url = f"{self._public_url or str(request.base_url).rstrip('/')}/sign-in/{outcome.token}"
        return self._shown_once(signed_in, "A link to sign in", url, told)

    async def set_access(self, request: Request) -> Response:
        """Set role and scope, shut out, let in again, or have somebody set up their ways to sign in anew."""
        signed_in, form = await self._form(request)
        if signed_in is None or form is None:
            return self._sessions.ask_to_sign_in(request)
        name, outcome = form["name"], None
        match form["act"]:
            case "role" if form["role"] in set(Role):
                order = RoleOrder(name, Role(form["role"]), form.all("group"))
                outcome = await self._do(signed_in, set_roles, order)
            case "disable" | "enable" as act:
                outcome = await self._do(signed_in, set_access, AccessOrder(name, is_disabled=act == "disable"))
            case "reset":
                outcome = await self._do(signed_in, reset_ways, name)
            case _:
                outcome = Refusal(RefusalCode.ORDER_UNFIT, "the form names no such act")
        return self._refused(signed_in, outcome) if isinstance(outcome, Refusal) else _back()

    async def set_tokens(self, request: Request) -> Response:
        """Make a token, and show it once; or revoke one."""
        signed_in, form = await self._form(request)
        if signed_in is None or form is None:
            return self._sessions.ask_to_sign_in(request)
        if form["act"] == "revoke":
            revoked = await self._do(signed_in, revoke_tokens, form["name"])
            return self._refused(signed_in, revoked) if isinstance(revoked, Refusal) else _back()
        days = int(form["days"]) if form["days"] in {str(one) for one in DAYS} else 0
        if form["role"] not in set(Role):
            return self._refused(signed_in, Refusal(RefusalCode.ORDER_UNFIT, "the form names no such role"))
        order = TokenOrder(form["name"], Role(form["role"]), timedelta(days=days), form.all("group"))
        made = await self._do(signed_in, create_tokens, order)
        if not isinstance(made, NewToken):
            return self._refused(signed_in, made)
        told = f"{made.token.name} is {made.token.role.value} until {made.token.expires_at:%Y-%m-%d %H:%M} UTC."
        return self._shown_once(signed_in, "A token", made.secret, told)

    async def _form(self, request: Request) -> tuple[SignedIn[None] | None, Form | None]:
        signed_in = await self._sessions.read(request, of_fleet(lambda _tx: None, Permission.PEOPLE))
        if signed_in is None:
            return None, None
        return signed_in, await read_form(request, self._sessions.token(request) or "")

    async def _do(
        self,
        signed_in: SignedIn[None],
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        item: Item,
    ) -> Outcome | Refusal:
        who = signed_in.principal
        allowed = permitted(who, operation)
        [outcome] = await self._runner.write(allowed, [item], who.actor)
        return outcome

    def _shown_once(self, signed_in: SignedIn[None], title: str, secret: str, told: str) -> Response:
        context = {"banners": [], "title": title, "secret": secret, "told": told}
        return self._renderer.page("shown_once.html", context, administrator=signed_in.administrator)

    def _refused(self, signed_in: SignedIn[None], refusal: Refusal) -> Response:
        return self._renderer.error(
            400, "Nothing was changed", f"{refusal.message}.", refusal.remedy, administrator=signed_in.administrator
        )


def _read(tx: Transaction) -> _People:
    names = tuple(group.name for group in groups.read_all(tx).values())
    return _People(list_administrators(tx), list_tokens(tx), names)


def _back() -> Response:
    return RedirectResponse("/people", 303, {"Cache-Control": "no-store"})

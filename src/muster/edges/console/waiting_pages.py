"""What waits for a person: a mass flip of which others are not told, and commands held after a restore."""

from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.command_queue import HoldReason
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission
from muster.edges.console.forms import Form
from muster.edges.console.office import Office, Refused, back_to
from muster.edges.console.rendering import device_url
from muster.edges.console.sessions import SignedIn
from muster.operations.end_flips import FlipOrder, end_flips
from muster.operations.permit import of_fleet
from muster.operations.release_commands import Verdict, settle_held_commands
from muster.operations.views.commands import HeldCommand, list_held
from muster.protocol.identifiers import CommandUUID
from muster.storage import tellings
from muster.storage.engine import Transaction
from muster.storage.tellings import MassFlip

FLIPS_SHOWN = 20
HELD_SHOWN = 100
BECAUSE: Final = {
    HoldReason.ROLLED_BACK.value: "an older database came back",
    HoldReason.HANDED_OUT_BEFORE.value: "it was handed out before the restore",
    HoldReason.PARKED.value: "handed out again and again, never answered",
    HoldReason.UNREADABLE.value: "it is sealed, and can't be opened",
}


@dataclass(frozen=True, slots=True)
class _Waiting:
    flips: tuple[MassFlip, ...]
    held: tuple[HeldCommand, ...]


class WaitingPages:
    """The page about what waits."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[Route]:
        """Return the addresses of this page."""
        return [
            Route("/waiting", self.page),
            Route("/waiting/flips", self.end_flip, methods=["POST"]),
            Route("/waiting/commands", self.settle, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show what waits for a word, and who may give it."""
        return await self._show(request)

    async def end_flip(self, request: Request) -> Response:
        """Have others told of a mass flip, or never."""
        sent = await self._office.form(request, Permission.POLICIES)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        outcome = (
            await self._office.do(signed_in, end_flips, FlipOrder(form["act"] == "release"))
            if form["act"] in {"release", "drop"}
            else _NO_ACT
        )
        return await self._done(request, outcome, form)

    async def settle(self, request: Request) -> Response:
        """Let held commands go out after all, or close them: one, or all."""
        sent = await self._office.form(request, Permission.COMMAND)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        return await self._done(request, await self._settle(signed_in, form), form)

    async def _settle(self, signed_in: SignedIn[None], form: Form) -> object:
        if form["act"] not in {"release", "drop"} or not (form["command"] or form["all"] == "yes"):
            return _NO_ACT
        uuid = None if form["all"] == "yes" else CommandUUID(form["command"])
        return await self._office.do(signed_in, settle_held_commands, Verdict(uuid, form["act"] == "release"))

    async def _done(self, request: Request, outcome: object, form: Form) -> Response:
        if isinstance(outcome, Refusal):
            return await self._show(request, Refused(outcome, form))
        return back_to("/waiting")

    async def _show(self, request: Request, refused: Refused | None = None) -> Response:
        signed_in = await self._office.see(request, of_fleet(_read))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        waiting = signed_in.value
        context = {
            "flip": next((one for one in waiting.flips if one.ended_at is None), None),
            "former": [one for one in waiting.flips if one.ended_at is not None],
            "held": [(one, device_url(one.channel_id.partition(":")[0])) for one in waiting.held[:HELD_SHOWN]],
            "because": BECAUSE,
            "held_in_all": len(waiting.held),
        }
        return self._office.page(request, "waiting.html", signed_in, context, refused)


_NO_ACT = Refusal(RefusalCode.ORDER_UNFIT, "the form names no such act")


def _read(tx: Transaction) -> _Waiting:
    return _Waiting(tellings.flips(tx, limit=FLIPS_SHOWN), list_held(tx))

"""A person's part in bringing a device back: the plan before it is done, the next step now, a go-ahead, a stop; a push,
and a question."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, TypeVar
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.control import saying
from muster.domain.control.recovery import StepKind
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.policy import Policy
from muster.edges.console.acting import Acting, Asked, go_to
from muster.edges.console.forms import hidden
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions
from muster.edges.console.subjects import Subject, nobody, of_subject
from muster.edges.console.times import Clock
from muster.operations.ask_for_inventory import InventoryOrder, ask_now
from muster.operations.ask_for_push import ask_for_push
from muster.operations.context import Context, Reading
from muster.operations.permit import of_devices
from muster.operations.ports import Runner
from muster.operations.recover_by_hand import (
    ConfirmOrder,
    DoneNow,
    PutOffOrder,
    confirm_steps,
    put_off_recoveries,
    recover_now,
    stop_recoveries,
)
from muster.operations.views.recoveries import show_recovery
from muster.protocol.identifiers import ChannelId
from muster.storage.engine import Transaction

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")

RESTS: Final = (1, 3, 7, 14, 30)
"""Days for which a recovery can be put off."""
STEPS: Final = {
    StepKind.RESTART: "Restart it",
    StepKind.RE_ENROLL: "Make a link to enroll it again",
}
"""What a person's go-ahead does, on its button; others go by their name."""


def recovery_url(channel_id: ChannelId) -> str:
    """Return the page of a channel's recovery."""
    return f"/recovery/{quote(channel_id, safe='')}"


class RecoveryPages:
    """The page of a recovery, and the buttons that wake a device."""

    def __init__(
        self, runner: Runner, renderer: Renderer, sessions: Sessions, public_url: str | None, policy: Policy
    ) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._public_url = public_url
        self._policy = policy
        self._acting = Acting(runner, renderer, sessions)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/recovery/{channel_id:path}", self.page),
            Route("/recovery/{channel_id:path}", self.act, methods=["POST"]),
            Route("/push/{channel_id:path}", self.push, methods=["POST"]),
            Route("/ask/{channel_id:path}", self.ask, methods=["POST"]),
        )

    async def page(self, request: Request) -> Response:
        """Show what is being done, and what would be done next; nothing is done by looking."""
        channel_id, now = ChannelId(request.path_params["channel_id"]), self._runner.now()
        subject_of = of_subject(channel_id, now)
        signed_in = await self._sessions.read(
            request,
            of_devices(
                [channel_id],
                lambda tx: (
                    subject_of.view(tx, None),
                    show_recovery(tx, channel_id, Reading(now, self._policy)) if channel_id.isprintable() else None,
                ),
            ),
        )
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        subject, found = signed_in.value
        if subject is None or found is None:
            raise nobody(signed_in)
        context = {
            "banners": [],
            "clock": Clock(now),
            "subject": subject,
            "recovering": found,
            "saying": saying,
            "rests": RESTS,
            "steps": {kind.value: said for kind, said in STEPS.items()},
            "action": recovery_url(channel_id),
            "hidden": hidden(self._sessions.token(request)),
        }
        return self._renderer.page("recovery.html", context, administrator=signed_in.administrator)

    async def act(self, request: Request) -> Response:
        """Do the next step now, do one that needs a go-ahead, or do nothing more about what is found now."""
        channel_id = ChannelId(request.path_params["channel_id"])
        asked = await self._acting.read(request, of_subject(channel_id, self._runner.now()))
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        if asked.value is None:
            raise nobody(asked.signed_in)
        who, kind = asked.principal, asked.form["step"]
        outcome: DoneNow | Refusal
        match asked.form["act"]:
            case "now":
                outcome = await self._acting.do(who, recover_now, channel_id)
            case "later" if asked.form["days"] in {str(days) for days in RESTS}:
                order = PutOffOrder(channel_id, timedelta(days=int(asked.form["days"])))
                outcome = await self._acting.do(who, put_off_recoveries, order)
            case "stop":
                outcome = await self._acting.do(who, stop_recoveries, channel_id)
            case "confirm" if kind in set(StepKind):
                outcome = await self._acting.do(who, confirm_steps, ConfirmOrder(channel_id, StepKind(kind)))
            case _:
                outcome = Refusal(RefusalCode.ORDER_UNFIT, "the form names no such act")
        if isinstance(outcome, Refusal):
            return self._acting.refused(asked, outcome)
        if outcome.link is None:
            return go_to(recovery_url(channel_id))
        base = self._public_url or str(request.base_url).rstrip("/")
        context = {
            "banners": [],
            "title": f"A link to enroll {asked.value.name} again",
            "secret": f"{base}/enroll/{outcome.link.token}",
            "told": "It opens once, and is to be opened on the device itself.",
            "back_url": asked.value.url,
            "back": "Back to the device",
        }
        return self._renderer.page("shown_once.html", context, administrator=asked.signed_in.administrator)

    async def push(self, request: Request) -> Response:
        """Push the device, so that it connects now."""
        return await self._wake(request, ask_for_push, lambda channel_id: channel_id, "push")

    async def ask(self, request: Request) -> Response:
        """Ask it what it is and what it has."""
        return await self._wake(request, ask_now, InventoryOrder, "asked")

    async def _wake(
        self,
        request: Request,
        operation: Callable[[Transaction, Sequence[Item], Context], Sequence[Outcome]],
        make: Callable[[ChannelId], Item],
        done: str,
    ) -> Response:
        channel_id = ChannelId(request.path_params["channel_id"])
        asked: Asked[Subject | None] | None = await self._acting.read(
            request, of_subject(channel_id, self._runner.now())
        )
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        if asked.value is None:
            raise nobody(asked.signed_in)
        outcome = await self._acting.do(asked.principal, operation, make(channel_id))
        if isinstance(outcome, Refusal):
            return self._acting.refused(asked, outcome)
        return go_to(f"{asked.value.url}?done={done}")

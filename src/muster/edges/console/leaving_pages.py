"""Letting a device go: its management is removed, or it is turned away. Nobody does that by a slip of the hand."""

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.edges.console.acting import Acting, go_to
from muster.edges.console.command_pages import ERASE, command_url
from muster.edges.console.forms import hidden
from muster.edges.console.rendering import Renderer
from muster.edges.console.sessions import Sessions, SignedIn
from muster.edges.console.subjects import Subject, nobody, not_meant, of_subject
from muster.edges.console.times import Clock
from muster.operations.context import Context
from muster.operations.let_go import (
    DepartureOrder,
    DepartureOutcome,
    reject_devices,
    unenroll_devices,
    withdraw_rejections,
)
from muster.operations.ports import Runner
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage.engine import Transaction

_ACTS: Final[dict[str, Callable[[Transaction, Sequence[DepartureOrder], Context], Sequence[DepartureOutcome]]]] = {
    "unenroll": unenroll_devices,
    "reject": reject_devices,
    "withdraw": withdraw_rejections,
}


def leaving_url(device_id: str) -> str:
    """Return the page on which a device is let go."""
    return f"/leaving/{quote(device_id, safe='')}"


class LeavingPages:
    """The page on which a device is let go."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._acting = Acting(runner, renderer, sessions)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/leaving/{device_id:path}", self.page),
            Route("/leaving/{device_id:path}", self.act, methods=["POST"]),
        )

    async def page(self, request: Request) -> Response:
        """Say what each way of letting go does, and ask which device is meant."""
        channel_id = ChannelId(request.path_params["device_id"])
        signed_in = await self._sessions.read(request, of_subject(channel_id, self._runner.now()))
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        if signed_in.value is None or not signed_in.value.is_device:
            raise nobody(signed_in)
        return self._form(request, signed_in, signed_in.value, "", None)

    async def act(self, request: Request) -> Response:
        """Let the device go whose serial number was typed."""
        channel_id = ChannelId(request.path_params["device_id"])
        asked = await self._acting.read(request, of_subject(channel_id, self._runner.now()))
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        subject, name = asked.value, asked.form["act"]
        if subject is None or not subject.is_device:
            raise nobody(asked.signed_in)
        operation = _ACTS.get(name)
        if operation is None:
            return self._acting.refused(asked, Refusal(RefusalCode.ORDER_UNFIT, "the form names no such act"))
        order = DepartureOrder((DeviceId(channel_id),))
        meant = not_meant(subject, asked.form["serial"])
        outcome = meant if meant is not None else await self._acting.do(asked.principal, operation, order)
        if isinstance(outcome, Refusal):
            return self._form(request, asked.signed_in, subject, name, outcome)
        return go_to(f"{subject.url}?done={name}")

    def _form(
        self,
        request: Request,
        signed_in: SignedIn[Subject | None],
        subject: Subject,
        tried: str,
        refusal: Refusal | None,
    ) -> Response:
        context = {
            "banners": [],
            "clock": Clock(self._runner.now()),
            "subject": subject,
            "tried": tried,
            "refusal": refusal,
            "erase_url": command_url(subject.channel_id, ERASE),
            "action": leaving_url(subject.channel_id),
            "hidden": hidden(self._sessions.token(request)),
        }
        return self._renderer.page(
            "leaving.html",
            context,
            administrator=signed_in.administrator,
            status_code=200 if refusal is None else 409,
        )

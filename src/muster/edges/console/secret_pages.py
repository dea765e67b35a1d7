"""The secrets that are kept of a device: revealed by role and for a reason, one at a time, for a minute."""

import base64
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.permissions import Permission, allows
from muster.domain.secrets import ROTATABLE, SecretKind
from muster.edges.console.acting import Acting, go_to
from muster.edges.console.command_pages import answer_url
from muster.edges.console.forms import hidden
from muster.edges.console.rendering import Renderer
from muster.edges.console.secrets import SECRET_KINDS, SECRET_STATES
from muster.edges.console.sessions import Sessions
from muster.edges.console.subjects import nobody, of_subject
from muster.edges.console.times import Clock
from muster.operations.permit import of_devices
from muster.operations.ports import Runner
from muster.operations.reveal_secrets import MAXIMUM_REASON_CHARACTERS, RevealOrder, reveal_secrets
from muster.operations.rotate_secrets import SecretAct, SecretOrder, change_secrets
from muster.operations.views.secrets import list_secrets
from muster.protocol.identifiers import ChannelId, DeviceId

SHOWN_SECONDS: Final = 60
"""Until the page with a secret gives way to the list: who reads it aloud needs that long, who walks by does not."""
LARGEST_NUMBER: Final = 9999


def secrets_url(device_id: str) -> str:
    """Return the page of a device's secrets."""
    return f"/secrets/{quote(device_id, safe='')}"


class SecretPages:
    """The pages of secrets."""

    def __init__(self, runner: Runner, renderer: Renderer, sessions: Sessions) -> None:
        self._runner = runner
        self._renderer = renderer
        self._sessions = sessions
        self._acting = Acting(runner, renderer, sessions)

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses of these pages."""
        return (
            Route("/secrets/{device_id:path}", self.page),
            Route("/secrets/{device_id:path}", self.act, methods=["POST"]),
        )

    async def page(self, request: Request) -> Response:
        """List what is kept, each with the form that reveals it, where the role has it."""
        channel_id, now = ChannelId(request.path_params["device_id"]), self._runner.now()
        subject_of = of_subject(channel_id, now)
        signed_in = await self._sessions.read(
            request,
            of_devices(
                [channel_id],
                lambda tx: (
                    subject_of.view(tx, None),
                    list_secrets(tx, DeviceId(channel_id)) if channel_id.isprintable() else (),
                ),
            ),
        )
        if signed_in is None:
            return self._sessions.ask_to_sign_in(request)
        subject, rows = signed_in.value
        if subject is None:
            raise nobody(signed_in)
        role = signed_in.administrator.role
        context = {
            "banners": [],
            "clock": Clock(now),
            "subject": subject,
            "rows": [(row, allows(role, Permission(f"reveal.{row.kind.value}"))) for row in rows],
            "rotatable": ROTATABLE,
            "secret_kinds": SECRET_KINDS,
            "secret_states": SECRET_STATES,
            "maximum_reason": MAXIMUM_REASON_CHARACTERS,
            "seconds": SHOWN_SECONDS,
            "action": secrets_url(channel_id),
            "hidden": hidden(self._sessions.token(request)),
        }
        return self._renderer.page("secrets.html", context, administrator=signed_in.administrator)

    async def act(self, request: Request) -> Response:
        """Reveal one, an act of the audit log; or have the device take a new one in its place."""
        channel_id = ChannelId(request.path_params["device_id"])
        asked = await self._acting.read(request, of_subject(channel_id, self._runner.now()))
        if asked is None:
            return self._sessions.ask_to_sign_in(request)
        subject, form = asked.value, asked.form
        if subject is None:
            raise nobody(asked.signed_in)
        number = form["number"]
        if form["kind"] not in set(SecretKind) or not (number.isascii() and number.isdigit() and len(number) <= 4):
            return self._acting.refused(asked, Refusal(RefusalCode.ORDER_UNFIT, "the form names no such secret"))
        device_id, kind = DeviceId(channel_id), SecretKind(form["kind"])
        if form["act"] == "rotate":
            order = SecretOrder(device_id, kind, SecretAct.ROTATE, subject=form["subject"] or None)
            changed = await self._acting.do(asked.principal, change_secrets, order)
            if isinstance(changed, Refusal):
                return self._acting.refused(asked, changed)
            return go_to(answer_url(changed.command_uuid, channel_id))
        reason = form["reason"].strip()
        if not reason:
            return self._acting.refused(asked, _NO_REASON)
        shown = RevealOrder(device_id, kind, int(number), reason, form["subject"])
        seen = await self._acting.do(asked.principal, reveal_secrets, shown)
        if isinstance(seen, Refusal):
            return self._acting.refused(asked, seen)
        context = {
            "banners": [],
            "clock": Clock(self._runner.now()),
            "subject": subject,
            "secret": seen,
            "value": _written(seen.value),
            "title": SECRET_KINDS[seen.kind],
            "may_rotate": seen.kind in ROTATABLE and allows(asked.signed_in.administrator.role, Permission.COMMAND),
            "seconds": SHOWN_SECONDS,
            "action": secrets_url(channel_id),
            "hidden": hidden(self._sessions.token(request)),
        }
        # by itself it gives way to the list; and it is not compressed, so that its length tells nothing of what it says
        headers = {"Refresh": f"{SHOWN_SECONDS}; url={secrets_url(channel_id)}", "Content-Encoding": "identity"}
        return self._renderer.page("secret.html", context, administrator=asked.signed_in.administrator, headers=headers)


_NO_REASON: Final = Refusal(
    RefusalCode.ORDER_UNFIT,
    "no reason was given",
    "Say why you need to see it, such as the number of a ticket; the audit log keeps it.",
)


def _written(value: bytes) -> str:
    if value.isascii() and value.decode("ascii").isprintable():
        return value.decode("ascii")
    return base64.b64encode(value).decode()

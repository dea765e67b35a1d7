"""Webhooks: who is told what, how it goes with each, and what it was told."""

from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import EventType, MessageTopic
from muster.domain.permissions import Permission
from muster.domain.webhooks import BodyFormat, SubscriptionState
from muster.edges.console.forms import Form
from muster.edges.console.office import Office, Refused, back_to
from muster.edges.console.sessions import SignedIn
from muster.operations.manage_webhooks import (
    NewWebhook,
    ReplayOrder,
    StateOrder,
    WebhookOrder,
    add_webhooks,
    remove_webhooks,
    replay_deliveries,
    rotate_secrets,
    set_webhook_states,
    try_webhooks,
)
from muster.operations.permit import of_fleet
from muster.operations.views.marks import Mark, Shape, Tone
from muster.operations.views.webhooks import WebhookRow, list_deliveries, list_webhooks

DELIVERIES: Final = 100
"""Of each kind, waiting and delivered, on a webhook's page."""
_TOLD: Final = Mark("Told", Shape.DISC, Tone.GOOD)
_FAILING: Final = Mark("Failing", Shape.TRIANGLE, Tone.BAD)
_PAUSED: Final = Mark("Paused", Shape.CLOCK, Tone.WARNING)
_DISABLED: Final = Mark("Not told", Shape.RING, Tone.OVER)
FORMATS: Final = {
    BodyFormat.MUSTER: "Muster's own",
    BodyFormat.CLOUDEVENTS: "CloudEvents 1.0",
    BodyFormat.MICROMDM: "MicroMDM and NanoMDM: what devices say",
}


class WebhookPages:
    """The pages about webhooks."""

    def __init__(self, office: Office) -> None:
        self._office = office

    def routes(self) -> list[Route]:
        """Return the addresses of these pages."""
        return [
            Route("/webhooks", self.page),
            Route("/webhooks", self.add, methods=["POST"]),
            Route("/webhooks/{name}", self.webhook),
            Route("/webhooks/{name}", self.change, methods=["POST"]),
        ]

    async def page(self, request: Request) -> Response:
        """Show the webhooks, and the form for another."""
        return await self._show(request)

    async def add(self, request: Request) -> Response:
        """Add a webhook, and show its secret once."""
        sent = await self._office.form(request, Permission.TELL)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        if form["format"] not in set(BodyFormat):
            unfit = Refusal(RefusalCode.ORDER_UNFIT, "the form names no such format")
            return await self._show(request, Refused(unfit, form))
        order = WebhookOrder(
            form["name"].strip(),
            form["url"].strip(),
            form.all("event"),
            BodyFormat(form["format"]),
            allows_plain=form["allows_plain"] == "yes",
            allows_private=form["allows_private"] == "yes",
            secret=form["secret"] or None,
        )
        made = await self._office.do(signed_in, add_webhooks, order)
        if not isinstance(made, NewWebhook):
            return await self._show(request, Refused(made, form))
        return self._secret(request, signed_in, made)

    async def webhook(self, request: Request) -> Response:
        """Show one webhook, what waits for it, and what it was told."""
        return await self._show_one(request)

    async def change(self, request: Request) -> Response:
        """Try, pause, go on with, stop or remove a webhook, make it a new secret, or send events again."""
        sent = await self._office.form(request, Permission.TELL)
        if sent is None:
            return self._office.sessions.ask_to_sign_in(request)
        signed_in, form = sent
        name: str = request.path_params["name"]
        if form["act"] == "secret":
            made = await self._office.do(signed_in, rotate_secrets, name)
            if isinstance(made, NewWebhook):
                return self._secret(request, signed_in, made)
            return await self._show_one(request, Refused(made, form))
        refusal = await self._change(signed_in, name, form)
        if refusal is not None:
            return await self._show_one(request, Refused(refusal, form))
        return back_to("/webhooks" if form["act"] == "remove" else f"/webhooks/{name}")

    async def _change(self, signed_in: SignedIn[None], name: str, form: Form) -> Refusal | None:
        office = self._office
        outcome: object
        match form["act"]:
            case "test":
                outcome = await office.do(signed_in, try_webhooks, name)
            case "remove":
                outcome = await office.do(signed_in, remove_webhooks, name)
            case "state" if form["state"] in set(SubscriptionState):
                order = StateOrder(name, SubscriptionState(form["state"]))
                outcome = await office.do(signed_in, set_webhook_states, order)
            case "replay":
                replay = _replay(name, form)
                outcome = (
                    replay if isinstance(replay, Refusal) else await office.do(signed_in, replay_deliveries, replay)
                )
            case _:
                outcome = Refusal(RefusalCode.ORDER_UNFIT, "the form names no such act")
        return outcome if isinstance(outcome, Refusal) else None

    def _secret(self, request: Request, signed_in: SignedIn[None], made: NewWebhook) -> Response:
        return self._office.page(request, "webhook_secret.html", signed_in, {"made": made})

    async def _show(self, request: Request, refused: Refused | None = None) -> Response:
        signed_in = await self._office.see(request, of_fleet(list_webhooks))
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        context = {
            "webhooks": [(row, _mark(row)) for row in signed_in.value],
            "formats": FORMATS,
            "events": [*_families(), *(one.value for one in EventType)],
            "topics": [one.value for one in MessageTopic],
            "chosen": () if refused is None else refused.typed.all("event"),
        }
        return self._office.page(request, "webhooks.html", signed_in, context, refused)

    async def _show_one(self, request: Request, refused: Refused | None = None) -> Response:
        name: str = request.path_params["name"]
        signed_in = await self._office.see(
            request, of_fleet(lambda tx: (list_webhooks(tx, name), list_deliveries(tx, name, limit=DELIVERIES)))
        )
        if signed_in is None:
            return self._office.sessions.ask_to_sign_in(request)
        rows, deliveries = signed_in.value
        if not rows or deliveries is None:
            return self._office.renderer.error(
                404, "There is no such webhook", "It was removed, or never was.", administrator=signed_in.administrator
            )
        context = {
            "row": rows[0],
            "mark": _mark(rows[0]),
            "format": FORMATS[BodyFormat(rows[0].format)],
            "waiting": [one for one in deliveries if one.delivered_at is None],
            "delivered": [one for one in deliveries if one.delivered_at is not None],
        }
        return self._office.page(request, "webhook.html", signed_in, context, refused)


def _replay(name: str, form: Form) -> ReplayOrder | Refusal:
    """Read what is to be sent again: one event, or everything since a time (UTC)."""
    if form["event_id"]:
        return ReplayOrder(name, event_id=form["event_id"][:100])
    try:
        since = datetime.fromisoformat(form["since"])
    except ValueError:
        return Refusal(RefusalCode.ORDER_UNFIT, "it isn't said since when, as in 2026-11-22T14:00")
    return ReplayOrder(name, since.replace(tzinfo=UTC) if since.tzinfo is None else since)


def _families() -> list[str]:
    """Return what stands for several events, such as `control.*`."""
    return sorted({f"{one.value.partition('.')[0]}.*" for one in EventType})


def _mark(row: WebhookRow) -> Mark:
    match SubscriptionState(row.state):
        case SubscriptionState.PAUSED:
            return _PAUSED
        case SubscriptionState.DISABLED:
            return _DISABLED
        case SubscriptionState.ENABLED:
            return _FAILING if row.failing_since is not None else _TOLD

"""Webhooks: other systems are told of events."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from muster.domain.events import Event
from muster.domain.permissions import Permission
from muster.domain.webhooks import BodyFormat, SubscriptionState
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.operations.manage_webhooks import (
    Replayed,
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
from muster.operations.views.webhooks import DeliveryRow, WebhookRow, list_deliveries, list_webhooks


@endpoint("GET", "/webhooks")
async def list_all_webhooks(call: Call) -> tuple[WebhookRow, ...]:
    """List the webhooks, and how each fares."""
    return await call.see(of_fleet(list_webhooks))


@dataclass(frozen=True, slots=True)
class WebhookBody:
    """A webhook to add. *event_types*: what it is told, such as `control.*`; none for all. *secret*: one that the
    receiver has already; null: one is made."""

    name: Annotated[str, Limits("Its name.", 1, 100)]
    url: Annotated[str, Limits("Where requests go: https://...", 1, 2000)]
    event_types: Annotated[tuple[Annotated[str, Limits("", 1, 100)], ...], Limits("", 0, 100)] = ()
    format: BodyFormat = BodyFormat.MUSTER
    allows_plain: bool = False
    allows_private: bool = False
    secret: Annotated[str | None, Limits("By which its requests are signed.", 1, 500)] = None


@dataclass(frozen=True, slots=True)
class WebhookSecret:
    """A webhook's secret, by which its requests are signed; it is shown this once."""

    name: str
    url: str
    secret: str


@endpoint("POST", "/webhooks", needs=Permission.TELL, status=201, refuses=(409,))
async def add_webhook(call: Call, body: WebhookBody) -> WebhookSecret:
    """Add a webhook."""
    made = await call.do(
        add_webhooks,
        WebhookOrder(
            body.name,
            body.url,
            body.event_types,
            body.format,
            allows_plain=body.allows_plain,
            allows_private=body.allows_private,
            secret=body.secret,
        ),
    )
    return WebhookSecret(made.name, made.url, made.secret)


@endpoint("DELETE", "/webhooks/{name}", needs=Permission.TELL, refuses=(404,), status=204)
async def remove_webhook(call: Call, name: str) -> None:
    """Remove a webhook, and what waits to be told."""
    await call.do(remove_webhooks, name)


@endpoint("POST", "/webhooks/{name}/secret", needs=Permission.TELL, refuses=(404, 409))
async def rotate_webhook_secret(call: Call, name: str) -> WebhookSecret:
    """Make a new secret; requests are signed by both for a day."""
    made = await call.do(rotate_secrets, name)
    return WebhookSecret(made.name, made.url, made.secret)


@dataclass(frozen=True, slots=True)
class StateBody:
    """Whether it is told: enabled; paused, what happens is kept for later; disabled, it is not kept."""

    state: SubscriptionState


@endpoint("PUT", "/webhooks/{name}/state", needs=Permission.TELL, refuses=(404, 409), status=204)
async def set_webhook_state(call: Call, name: str, body: StateBody) -> None:
    """Have a webhook be told, pause it, or stop it."""
    await call.do(set_webhook_states, StateOrder(name, body.state))


@endpoint("POST", "/webhooks/{name}/test", needs=Permission.TELL, refuses=(404, 409))
async def try_webhook(call: Call, name: str) -> Event:
    """Send a test; what came of it stands among the deliveries."""
    return await call.do(try_webhooks, name)


@dataclass(frozen=True, slots=True)
class DeliveriesAsked:
    """How many."""

    limit: Annotated[int, Limits("The latest.", 1, 10_000)] = 100


@endpoint("GET", "/webhooks/{name}/deliveries", refuses=(404,))
async def list_webhook_deliveries(call: Call, name: str, asked: DeliveriesAsked) -> tuple[DeliveryRow, ...]:
    """List what a webhook was told, the latest first, and what it answered."""
    rows = await call.see(of_fleet(lambda tx: list_deliveries(tx, name, limit=asked.limit)))
    return nothing_known(rows, "webhook", name)


@dataclass(frozen=True, slots=True)
class ReplayBody:
    """What is told again: everything *since* a time, or one event."""

    since: datetime | None = None
    event_id: Annotated[str | None, Limits("The id of an event.", 1, 100)] = None


@endpoint("POST", "/webhooks/{name}/replay", needs=Permission.TELL, refuses=(404, 409))
async def replay_webhook(call: Call, name: str, body: ReplayBody) -> Replayed:
    """Tell a webhook again what it was told."""
    return await call.do(replay_deliveries, ReplayOrder(name, body.since, body.event_id))


ENDPOINTS = (
    list_all_webhooks,
    add_webhook,
    remove_webhook,
    rotate_webhook_secret,
    set_webhook_state,
    try_webhook,
    list_webhook_deliveries,
    replay_webhook,
)

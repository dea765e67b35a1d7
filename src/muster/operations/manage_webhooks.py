"""An administrator adds webhooks, tries them, holds them up, and has events sent again."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import Event, EventType
from muster.domain.permissions import Permission
from muster.domain.webhooks import (
    FORMER_SECRET_FOR,
    BodyFormat,
    SubscriptionKind,
    SubscriptionState,
    is_surely_private,
    read_address,
    read_event_types,
    read_name,
    read_secret,
)
from muster.operations.context import Context
from muster.operations.permit import act
from muster.storage import outbox, people, subscriptions
from muster.storage.engine import Transaction
from muster.storage.subscriptions import Subscription, Webhook

SECRET_OCTETS = 32
"""As many as the HMAC's own output: more would add nothing (RFC 2104, 3)."""
MAXIMUM_WEBHOOKS = 50
"""Each event is stored once for each of them."""
MAXIMUM_WAITING_MESSAGES = 500_000
"""Messages of devices that wait for one receiver: some days of ten thousand devices."""
REPLAY_LIMIT = 10_000
"""Events sent again by one order: all that is kept."""


@dataclass(frozen=True, slots=True)
class WebhookOrder:
    """A webhook to add. *event_types*: names, or `control.*`; none: every event."""

    name: str
    url: str
    event_types: tuple[str, ...] = ()
    format: BodyFormat = BodyFormat.MUSTER
    allows_plain: bool = False
    allows_private: bool = False
    secret: str | None = field(default=None, repr=False)
    """One that the receiver has already; absent: one is made."""


@dataclass(frozen=True, slots=True)
class NewWebhook:
    """A webhook as it was added, or got another secret: *secret* is shown this once."""

    name: str
    url: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class StateOrder:
    """The state that a webhook is to have."""

    name: str
    state: SubscriptionState


@dataclass(frozen=True, slots=True)
class ReplayOrder:
    """Events to send again: what happened at or after *since*, or one event; neither: all that is kept."""

    name: str
    since: datetime | None = None
    event_id: str | None = None


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many events go out again."""

    count: int


WebhookOutcome: TypeAlias = NewWebhook | Refusal


@act(Permission.TELL)
def add_webhooks(tx: Transaction, orders: Sequence[WebhookOrder], ctx: Context) -> list[WebhookOutcome]:
    """Add webhooks, each with a secret of its own. Refused: a name that is taken or none, a URL or an event that is
    none, and more than MAXIMUM_WEBHOOKS."""
    return [_add(tx, order, ctx) for order in orders]


@act(Permission.TELL)
def rotate_secrets(tx: Transaction, names: Sequence[str], ctx: Context) -> list[WebhookOutcome]:
    """Give webhooks another secret; for FORMER_SECRET_FOR requests are signed by both."""
    outcomes: list[WebhookOutcome] = []
    for name in names:
        found = _find(tx, name)
        if isinstance(found, Refusal):
            outcomes.append(found)
            continue
        webhook = subscriptions.webhooks_of(tx, [found.id])[found.id]
        secret, sealed = _new_secret(found.id, ctx)
        subscriptions.set_secret(tx, found.id, sealed, webhook.secret_sealed, ctx.now + FORMER_SECRET_FOR)
        people.record_act(tx, ctx.actor, "webhook.rotate_secret", name, {}, ctx.now)
        outcomes.append(NewWebhook(name, webhook.url, secret))
    return outcomes


@act(Permission.TELL)
def set_webhook_states(tx: Transaction, orders: Sequence[StateOrder], ctx: Context) -> list[Subscription | Refusal]:
    """Hold webhooks up, or have them go on: paused ones keep what happens for later, disabled ones do not."""
    outcomes: list[Subscription | Refusal] = []
    for order in orders:
        found = _find(tx, order.name)
        if isinstance(found, Subscription):
            subscriptions.set_state(tx, found.id, order.state, ctx.now)
            detail: dict[str, str | int | bool | None] = {"state": order.state.value, "former": found.state.value}
            people.record_act(tx, ctx.actor, "webhook.set_state", order.name, detail, ctx.now)
        outcomes.append(found)
    return outcomes


@act(Permission.TELL)
def remove_webhooks(tx: Transaction, names: Sequence[str], ctx: Context) -> list[Subscription | Refusal]:
    """Remove webhooks with all that waits for them."""
    outcomes: list[Subscription | Refusal] = []
    for name in names:
        found = _find(tx, name)
        if isinstance(found, Subscription):
            subscriptions.remove(tx, found.id)
            people.record_act(tx, ctx.actor, "webhook.remove", name, {}, ctx.now)
        outcomes.append(found)
    return outcomes


@act(Permission.TELL)
def try_webhooks(tx: Transaction, names: Sequence[str], ctx: Context) -> list[Event | Refusal]:
    """Send each webhook an event of type `webhook.test`, whatever it wants otherwise; it waits where it is paused."""
    outcomes: list[Event | Refusal] = []
    for name in names:
        found = _find(tx, name)
        if isinstance(found, Refusal):
            outcomes.append(found)
            continue
        detail = {"webhook": name, "by": ctx.actor.name}
        event = Event(ctx.new_id(), EventType.WEBHOOK_TEST, outbox.NO_CHANNEL, ctx.now, detail)
        outbox.append_to(tx, [(found.id, event)])
        outcomes.append(event)
    return outcomes


@act(Permission.TELL)
def replay_deliveries(tx: Transaction, orders: Sequence[ReplayOrder], ctx: Context) -> list[Replayed | Refusal]:
    """Send events again that were delivered, under the ids that they had and in their order; up to REPLAY_LIMIT."""
    outcomes: list[Replayed | Refusal] = []
    for order in orders:
        found = _find(tx, order.name)
        if isinstance(found, Refusal):
            outcomes.append(found)
            continue
        count = outbox.append_again(
            tx, found.id, since=order.since, event_id=order.event_id, now=ctx.now, limit=REPLAY_LIMIT
        )
        people.record_act(tx, ctx.actor, "webhook.replay", order.name, {"count": count}, ctx.now)
        outcomes.append(Replayed(count))
    return outcomes


def disable_overfull_webhooks(tx: Transaction, limits: Sequence[int], ctx: Context) -> list[tuple[str, ...]]:
    """Disable the webhooks of devices' messages for which more wait than each of *limits*; returns their names.

    A fleet says something all day; for a receiver that is gone it would be kept without end.
    """
    disabled = []
    for limit in limits:
        everybody = subscriptions.all_of(tx, SubscriptionKind.WEBHOOK)
        addressed = subscriptions.webhooks_of(tx, [one.id for one in everybody])
        waiting = outbox.count_waiting(tx)
        overfull = [
            one
            for one in everybody
            if addressed[one.id].format is BodyFormat.MICROMDM
            and one.state is not SubscriptionState.DISABLED
            and waiting.get(one.id, (0, None))[0] > limit
        ]
        for one in overfull:
            subscriptions.set_state(tx, one.id, SubscriptionState.DISABLED, ctx.now)
            people.record_act(
                tx, ctx.actor, "webhook.disable_overfull", one.name, {"waiting": waiting[one.id][0]}, ctx.now
            )
        disabled.append(tuple(one.name for one in overfull))
    return disabled


def _add(tx: Transaction, order: WebhookOrder, ctx: Context) -> WebhookOutcome:
    for read in (
        read_name(order.name),
        address := read_address(order.url, allows_plain=order.allows_plain),
        wanted := read_event_types(order.event_types, order.format),
        read_secret(order.secret),
    ):
        if isinstance(read, Refusal):
            return read
    assert not isinstance(address, Refusal), "looked at among the others"
    assert not isinstance(wanted, Refusal), "looked at among the others"
    if is_surely_private(address.host) and not order.allows_private:
        return Refusal(
            RefusalCode.ORDER_UNFIT,
            f"{address.host} is no public address",
            "Nothing would be sent there; addresses of your own networks have to be allowed (--allow-private).",
        )
    if subscriptions.named(tx, order.name) is not None:
        return Refusal(RefusalCode.CONFLICT, f"the name {order.name} is taken", "Take another name, or remove it.")
    if len(subscriptions.all_of(tx, SubscriptionKind.WEBHOOK)) >= MAXIMUM_WEBHOOKS:
        return Refusal(RefusalCode.CONFLICT, f"there are {MAXIMUM_WEBHOOKS} webhooks, and more are not kept up with")
    subscription = Subscription(
        ctx.new_id(),
        order.name,
        SubscriptionKind.WEBHOOK,
        SubscriptionState.ENABLED,
        tuple(one.value for one in wanted),
        ctx.now,
    )
    secret, sealed = _new_secret(subscription.id, ctx, order.secret)
    subscriptions.add(tx, subscription)
    subscriptions.add_webhook(
        tx, Webhook(subscription.id, order.url, order.format, sealed, order.allows_plain, order.allows_private)
    )
    detail: dict[str, str | int | bool | None] = {
        "to": f"{'https' if address.is_tls else 'http'}://{address.host_header}",  # a path or a query may be a secret
        "event_types": " ".join(subscription.event_types),
        "allows_plain": order.allows_plain,
        "allows_private": order.allows_private,
        "format": order.format.value,
    }
    people.record_act(tx, ctx.actor, "webhook.add", order.name, detail, ctx.now)
    return NewWebhook(order.name, order.url, secret)


def _new_secret(subscription_id: str, ctx: Context, given: str | None = None) -> tuple[str, bytes]:
    """Seal *given*, or a secret made of letters, digits, hyphens and underscores."""
    made = base64.urlsafe_b64encode(ctx.random_bytes(SECRET_OCTETS)).rstrip(b"=")
    secret = made if given is None else given.encode()
    sealed = ctx.seal(secret, table="webhooks", column="secret_sealed", row=subscription_id)
    return secret.decode(), sealed


def _find(tx: Transaction, name: str) -> Subscription | Refusal:
    found = subscriptions.named(tx, name, SubscriptionKind.WEBHOOK)
    if found is None:
        return Refusal(
            RefusalCode.NOT_FOUND, f"there is no webhook {name[:80]!r}", "`muster webhooks list` lists them."
        )
    return found

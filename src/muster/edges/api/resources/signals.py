"""Shared signals: receivers learn whether devices are compliant."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.domain.webhooks import SubscriptionState
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.limits import Limits
from muster.operations.manage_signals import (
    NewReceiver,
    ReceiverOrder,
    TurnOrder,
    add_receivers,
    remove_receivers,
    rotate_keys,
    rotate_receivers,
    turn_streams,
)
from muster.operations.permit import of_fleet
from muster.operations.views.signals import KeyMade, KeyRow, ReceiverRow, list_keys, list_receivers


@endpoint("GET", "/signals/receivers")
async def list_signal_receivers(call: Call) -> tuple[ReceiverRow, ...]:
    """List receivers, their streams, and how it goes with them."""
    return await call.see(of_fleet(list_receivers))


@dataclass(frozen=True, slots=True)
class ReceiverBody:
    """A receiver to let in. *allows_private*: it may be pushed to at an address that is not public."""

    name: Annotated[str, Limits("Its name.", 1, 100, is_plain=True)]
    audience: Annotated[str, Limits("As it calls itself, usually a URL.", 1, 2_000, is_plain=True)]
    allows_private: bool = False


@endpoint("POST", "/signals/receivers", needs=Permission.TELL, status=201, refuses=(409,))
async def add_signal_receiver(call: Call, body: ReceiverBody) -> NewReceiver:
    """Let a receiver in. Its token is shown this once."""
    return await call.do(add_receivers, ReceiverOrder(body.name, body.audience, body.allows_private))


@endpoint("POST", "/signals/receivers/{name}/token", needs=Permission.TELL, refuses=(404,))
async def rotate_receiver_token(call: Call, name: str) -> NewReceiver:
    """Give a receiver another token; the former one is good no more."""
    return await call.do(rotate_receivers, name)


@endpoint("DELETE", "/signals/receivers/{name}", needs=Permission.TELL, refuses=(404,), status=204)
async def remove_signal_receiver(call: Call, name: str) -> None:
    """Remove a receiver, its stream, and all that waits for it."""
    await call.do(remove_receivers, name)


@dataclass(frozen=True, slots=True)
class StreamBody:
    """The state that a stream is to have, and why, for the receiver to read."""

    state: SubscriptionState
    reason: Annotated[str | None, Limits("", 1, 500)] = None


@endpoint("PUT", "/signals/receivers/{name}/stream", needs=Permission.TELL, refuses=(404, 409), status=204)
async def turn_signal_stream(call: Call, name: str, body: StreamBody) -> None:
    """Have a stream go on, keep what it would tell for later, or drop it; the receiver is told so first."""
    await call.do(turn_streams, TurnOrder(name, body.state, body.reason))


@endpoint("GET", "/signals/keys")
async def list_signal_keys(call: Call) -> tuple[KeyRow, ...]:
    """List the keys that receivers are shown."""
    now = call.runner.now()
    return await call.see(of_fleet(lambda tx: list_keys(tx, now)))


@endpoint("POST", "/signals/keys", needs=Permission.TELL, status=201)
async def rotate_signal_key(call: Call) -> KeyMade:
    """Make another key: published now, it signs from tomorrow on, when receivers know it."""
    made = await call.do(rotate_keys, None)
    return KeyMade(made.kid, made.signs_from)


ENDPOINTS = (
    list_signal_receivers,
    add_signal_receiver,
    rotate_receiver_token,
    remove_signal_receiver,
    turn_signal_stream,
    list_signal_keys,
    rotate_signal_key,
)

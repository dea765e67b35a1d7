"""An administrator lets receivers of shared signals in, holds their streams up, and replaces the key that signs."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from muster.crypto.jws import public_jwk
from muster.crypto.keys import private_key_der
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import Detail
from muster.domain.permissions import Permission
from muster.domain.signals import KEY_SIGNS_AFTER, SignalType, SigningKey
from muster.domain.webhooks import SubscriptionState, read_name
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret, random_secret
from muster.operations.permit import act
from muster.operations.serve_signals import send_own, turn_stream
from muster.storage import people, signals
from muster.storage.engine import Transaction
from muster.storage.signals import Receiver, Stream

KEY_BITS: Final = 2048
"""As the CAEP Interoperability Profile wants them at least; RS256 is what every receiver verifies."""
MAXIMUM_RECEIVERS: Final = 20
"""Each change of a device is signed for each of them."""
MAXIMUM_AUDIENCE_CHARACTERS: Final = 512


@dataclass(frozen=True, slots=True)
class ReceiverOrder:
    """A receiver to let in. *audience*: as its tokens name it, usually its issuer's URL."""

    name: str
    audience: str
    allows_private: bool = False


@dataclass(frozen=True, slots=True)
class NewReceiver:
    """A receiver with its token, which is shown once: only its hash is kept."""

    receiver: Receiver
    token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class TurnOrder:
    """The state that a receiver's stream is to have, and why, for the receiver to read."""

    name: str
    state: SubscriptionState
    reason: str | None = None


ReceiverOutcome: TypeAlias = NewReceiver | Refusal


@act(Permission.TELL)
def add_receivers(tx: Transaction, orders: Sequence[ReceiverOrder], ctx: Context) -> list[ReceiverOutcome]:
    """Let receivers in; with the first comes the key that signs. Refused: a name that is taken or none, an audience
    that is none, and more than MAXIMUM_RECEIVERS."""
    return [_add(tx, order, ctx) for order in orders]


@act(Permission.TELL)
def rotate_receivers(tx: Transaction, names: Sequence[str], ctx: Context) -> list[ReceiverOutcome]:
    """Give receivers other tokens; the former ones are good no more."""
    outcomes: list[ReceiverOutcome] = []
    for name in names:
        receiver = signals.receiver_named(tx, name)
        if receiver is None:
            outcomes.append(_absent(name))
            continue
        token = random_secret(ctx)
        signals.set_token(tx, receiver.id, hash_secret(token))
        people.record_act(tx, ctx.actor, "signals.rotate_token", name, {}, ctx.now)
        outcomes.append(NewReceiver(receiver, token))
    return outcomes


@act(Permission.TELL)
def remove_receivers(tx: Transaction, names: Sequence[str], ctx: Context) -> list[Receiver | Refusal]:
    """Remove receivers, their streams, and all that waits for them."""
    outcomes: list[Receiver | Refusal] = []
    for name in names:
        receiver = signals.receiver_named(tx, name)
        if receiver is None:
            outcomes.append(_absent(name))
            continue
        stream = signals.stream_of(tx, receiver.id)
        if stream is not None:
            signals.remove_stream(tx, stream.id)
        signals.remove_receiver(tx, receiver.id)
        people.record_act(tx, ctx.actor, "signals.remove_receiver", name, {}, ctx.now)
        outcomes.append(receiver)
    return outcomes


@act(Permission.TELL)
def turn_streams(tx: Transaction, orders: Sequence[TurnOrder], ctx: Context) -> list[Stream | Refusal]:
    """Hold streams up, or have them go on; their receivers are told so by the stream itself (SSF 1.0, 8.1.5)."""
    outcomes: list[Stream | Refusal] = []
    for order in orders:
        receiver = signals.receiver_named(tx, order.name)
        stream = None if receiver is None else signals.stream_of(tx, receiver.id)
        if stream is None:
            outcomes.append(
                _absent(order.name)
                if receiver is None
                else Refusal(RefusalCode.NOT_FOUND, f"{order.name} has no stream", "The receiver sets it up.")
            )
            continue
        detail = {"status": order.state.value, "reason": order.reason}
        send_own(tx, stream.id, SignalType.STREAM_UPDATED, detail, ctx)
        turn_stream(tx, stream, order.state, order.reason, ctx)
        people.record_act(tx, ctx.actor, "signals.set_state", order.name, detail, ctx.now)
        outcomes.append(replace(stream, state=order.state, status_reason=order.reason))
    return outcomes


@act(Permission.TELL)
def rotate_keys(tx: Transaction, items: Sequence[None], ctx: Context) -> list[SigningKey]:
    """Make another key that signs: published now, and used when KEY_SIGNS_AFTER has passed."""
    made = []
    for _ in items:
        key = _new_key(tx, ctx, is_first=not signals.keys(tx))
        people.record_act(tx, ctx.actor, "signals.rotate_key", key.kid, {}, ctx.now)
        made.append(key)
    return made


def _add(tx: Transaction, order: ReceiverOrder, ctx: Context) -> ReceiverOutcome:
    tx.lock_name("signal_receivers")
    name = read_name(order.name)
    if isinstance(name, Refusal):
        return name
    audience = order.audience
    if not audience or len(audience) > MAXIMUM_AUDIENCE_CHARACTERS or not audience.isprintable():
        return Refusal(
            RefusalCode.ORDER_UNFIT,
            f"the audience has 1 to {MAXIMUM_AUDIENCE_CHARACTERS} printable characters",
            "It is what the receiver says it is, usually a URL.",
        )
    if signals.receiver_named(tx, name) is not None:
        return Refusal(RefusalCode.CONFLICT, f"there is a receiver {name} already", "`muster signals receiver list`")
    if len(signals.receivers(tx)) >= MAXIMUM_RECEIVERS:
        return Refusal(RefusalCode.CONFLICT, f"there are {MAXIMUM_RECEIVERS} receivers already, and no more can be")
    if not signals.keys(tx):
        _new_key(tx, ctx, is_first=True)
    token = random_secret(ctx)
    receiver = Receiver(ctx.new_id(), name, audience, ctx.now, order.allows_private)
    signals.add_receiver(tx, receiver, hash_secret(token))
    detail: Detail = {"audience": audience, "allows_private": order.allows_private}
    people.record_act(tx, ctx.actor, "signals.add_receiver", name, detail, ctx.now)
    return NewReceiver(receiver, token)


def _new_key(tx: Transaction, ctx: Context, *, is_first: bool) -> SigningKey:
    made = ctx.new_rsa_key(KEY_BITS)
    jwk = public_jwk(made.public_key())
    sealed = ctx.seal(private_key_der(made), table="signal_keys", column="key_sealed", row=jwk["kid"])
    signs_from = ctx.now if is_first else ctx.now + KEY_SIGNS_AFTER
    key = SigningKey(jwk["kid"], jwk, sealed, ctx.now, signs_from)
    signals.add_key(tx, key)
    return key


def _absent(name: str) -> Refusal:
    return Refusal(
        RefusalCode.NOT_FOUND, f"there is no receiver {name[:80]!r}", "`muster signals receiver list` lists them."
    )

"""Receivers of shared signals set up their stream, say what they want to hear of, and fetch what waits for them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, TypeVar

from muster.domain.errors import Refusal, RefusalCode
from muster.domain.signals import VERIFICATION_INTERVAL, Signal, SignalType
from muster.domain.webhooks import SubscriptionKind, SubscriptionState, read_address
from muster.operations.context import Context
from muster.operations.issue_certificate import hash_secret
from muster.operations.signal_devices import bring_up_to_date
from muster.operations.write_tokens import open_signer, token_issuer, write_token
from muster.protocol.identifiers import DeviceId
from muster.protocol.shared_signals import (
    EVENTS_SUPPORTED,
    Compliance,
    DeliveryMethod,
    PollRequest,
    StreamRequest,
    StreamStatus,
)
from muster.storage import outbox, signals, subscriptions
from muster.storage.engine import Transaction
from muster.storage.signals import KnownStatus, Receiver, Stream
from muster.storage.subscriptions import Subscription

MAXIMUM_WAITING: Final = 50_000
"""Tokens that wait for a receiver who doesn't come: each device of a large fleet, once. Then his stream is disabled,
and begins anew with what changed when he has it go on."""
POLL_LIMIT: Final = 25
"""Tokens in one answer: each is signed for it, in the transaction for which devices wait on SQLite."""
STREAM_PREFIX: Final = "signals/"
"""Of the names of streams among the subscriptions; no webhook is called so."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ByReceiver:
    """Something that whoever has *token* wants of a stream. *stream_id* absent: of the only one he has."""

    token: str = field(repr=False)
    stream_id: str | None = None


@dataclass(frozen=True, slots=True)
class StreamOrder(ByReceiver):
    """A stream as its receiver wants it; *is_whole*: what it doesn't say is as by default."""

    request: StreamRequest = field(default_factory=StreamRequest)
    is_whole: bool = False


@dataclass(frozen=True, slots=True)
class StatusOrder(ByReceiver):
    """The status that a stream is to have."""

    status: StreamStatus = StreamStatus.ENABLED
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class SubjectOrder(ByReceiver):
    """A device of which a stream is to tell, or not."""

    device_id: str = ""
    is_added: bool = True


@dataclass(frozen=True, slots=True)
class VerificationOrder(ByReceiver):
    """A verification that is to come by the stream, with *state* in it."""

    state: str | None = None


@dataclass(frozen=True, slots=True)
class PollOrder(ByReceiver):
    """A poll."""

    request: PollRequest = field(default_factory=PollRequest)


@dataclass(frozen=True, slots=True)
class Polled:
    """The tokens that wait, by their ids, in their order; *refused*: those of which the receiver said what is wrong."""

    tokens: Mapping[str, str]
    is_more: bool
    refused: Mapping[str, str]


Configuration: TypeAlias = dict[str, object]


def create_streams(tx: Transaction, orders: Sequence[StreamOrder], ctx: Context) -> list[Configuration | Refusal]:
    """Set up streams: each begins with a verification, and with the devices that are not compliant now.

    Refused: a token that is nobody's, a second stream of one receiver, and what `change_streams` refuses.
    """
    return [_create(tx, order, ctx) for order in orders]


def change_streams(tx: Transaction, orders: Sequence[StreamOrder], ctx: Context) -> list[Configuration | Refusal]:
    """Change streams. Refused: members that are ours to say and say something else, an endpoint that can't be used."""

    def change(order: StreamOrder, stream: Stream) -> Configuration | Refusal:
        changed = _changed(tx, stream, order, ctx)
        if isinstance(changed, Refusal):
            return changed
        signals.change_stream(tx, changed)
        return configuration(changed, token_issuer(tx))

    return [_of_stream(tx, order, change) for order in orders]


def delete_streams(tx: Transaction, orders: Sequence[ByReceiver], ctx: Context) -> list[Stream | Refusal]:  # noqa: ARG001 - an operation has a context
    """Remove streams with all that waits for them."""

    def delete(_order: ByReceiver, stream: Stream) -> Stream:
        signals.remove_stream(tx, stream.id)
        return stream

    return [_of_stream(tx, order, delete) for order in orders]


def set_statuses(tx: Transaction, orders: Sequence[StatusOrder], ctx: Context) -> list[Configuration | Refusal]:
    """Set the status of streams as their receivers want it."""

    def set_status(order: StatusOrder, stream: Stream) -> Configuration:
        turn_stream(tx, stream, SubscriptionState(order.status.value), order.reason, ctx)
        return status_of(replace(stream, state=SubscriptionState(order.status.value), status_reason=order.reason))

    return [_of_stream(tx, order, set_status) for order in orders]


def turn_stream(tx: Transaction, stream: Stream, state: SubscriptionState, reason: str | None, ctx: Context) -> None:
    """Have a stream go on, wait or stop. What a stopped one would have said is dropped; one that goes on after that
    begins with what changed."""
    if state is SubscriptionState.DISABLED:
        for device_id, status in outbox.drop_statuses(tx, stream.id):
            known = signals.known(tx, stream.id, [device_id]).get(device_id, KnownStatus(None, is_removed=False))
            signals.set_known(tx, stream.id, device_id, replace(known, status=Compliance(status)))
    subscriptions.set_state(tx, stream.id, state, ctx.now)
    signals.change_stream(tx, replace(stream, status_reason=reason))
    if state is not SubscriptionState.DISABLED and stream.state is SubscriptionState.DISABLED:
        bring_up_to_date(tx, replace(stream, state=state), ctx)


def disable_overfull_streams(tx: Transaction, limits: Sequence[int], ctx: Context) -> list[tuple[Stream, ...]]:
    """Disable the streams for which more wait than each of *limits*; returns which. Each is told so by itself."""
    disabled = []
    for limit in limits:
        waiting = outbox.count_waiting(tx)
        overfull = [one for one in signals.streams(tx) if one.id in waiting and waiting[one.id][0] > limit]
        for stream in overfull:
            reason = f"more than {limit} tokens were not fetched or not taken"
            send_own(tx, stream.id, SignalType.STREAM_UPDATED, {"status": "disabled", "reason": reason}, ctx)
            turn_stream(tx, stream, SubscriptionState.DISABLED, reason, ctx)
        disabled.append(tuple(overfull))
    return disabled


def change_subjects(tx: Transaction, orders: Sequence[SubjectOrder], ctx: Context) -> list[Stream | Refusal]:
    """Have streams tell of a device or not. At first they tell of every device. Refused: a device that there is not."""

    def change(order: SubjectOrder, stream: Stream) -> Stream | Refusal:
        if not signals.is_device(tx, order.device_id):
            return Refusal(RefusalCode.NOT_FOUND, "there is no such device")
        device_id = DeviceId(order.device_id)
        known = signals.known(tx, stream.id, [device_id]).get(device_id, KnownStatus(None, is_removed=False))
        signals.set_known(tx, stream.id, device_id, replace(known, is_removed=not order.is_added))
        if order.is_added and stream.state is not SubscriptionState.DISABLED:
            bring_up_to_date(tx, stream, ctx, only=device_id)
        return stream

    return [_of_stream(tx, order, change) for order in orders]


def verify_streams(tx: Transaction, orders: Sequence[VerificationOrder], ctx: Context) -> list[Stream | Refusal]:
    """Send a verification by each stream; refused more often than every VERIFICATION_INTERVAL."""

    def verify(order: VerificationOrder, stream: Stream) -> Stream | Refusal:
        asked_at = stream.verification_asked_at
        if asked_at is not None and ctx.now - asked_at < VERIFICATION_INTERVAL:
            return Refusal(RefusalCode.SIGN_IN_LIMITED, "a verification was asked for less than a minute ago")
        signals.change_stream(tx, replace(stream, verification_asked_at=ctx.now))
        send_own(tx, stream.id, SignalType.VERIFICATION, {"state": order.state}, ctx)
        return stream

    return [_of_stream(tx, order, verify) for order in orders]


def poll_streams(tx: Transaction, orders: Sequence[PollOrder], ctx: Context) -> list[Polled | Refusal]:
    """Take acknowledgements, and return the tokens that wait; those that are not acknowledged come again."""

    def poll(order: PollOrder, stream: Stream) -> Polled | Refusal:
        if stream.method is not DeliveryMethod.POLL:
            return Refusal(RefusalCode.ORDER_UNFIT, "this stream's tokens are pushed")
        request = order.request
        outbox.record_fetched(tx, stream.id, request.acknowledged, at=ctx.now, status=None)
        outbox.record_fetched(tx, stream.id, list(request.errors), at=ctx.now, status=400)
        wanted = POLL_LIMIT if request.max_events is None else min(request.max_events, POLL_LIMIT)
        only = None if stream.state is SubscriptionState.ENABLED else outbox.NO_CHANNEL
        waiting = outbox.waiting(tx, stream.id, limit=wanted + 1, channel_id=only)
        signer = open_signer(tx, ctx) if waiting and wanted else None
        tokens = (
            {}
            if signer is None
            else {one.event.id: write_token(stream, one.event, signer, ctx.now) for one in waiting[:wanted]}
        )
        return Polled(tokens, len(waiting) > wanted, request.errors)

    return [_of_stream(tx, order, poll) for order in orders]


def is_anything_waiting(tx: Transaction, order: ByReceiver) -> bool:
    """Tell whether a poll would bring something; True as well where it would be refused."""
    found = _find(tx, order)
    if isinstance(found, Refusal):
        return True
    only = None if found.state is SubscriptionState.ENABLED else outbox.NO_CHANNEL
    return bool(outbox.waiting(tx, found.id, limit=1, channel_id=only))


def read_streams(tx: Transaction, order: ByReceiver) -> list[Configuration] | Refusal:
    """Read the streams of whoever has a token; refused where it is nobody's, or he has none of the id that is named."""
    if order.stream_id is not None:
        found = _find(tx, order)
        return found if isinstance(found, Refusal) else [configuration(found, token_issuer(tx))]
    receiver = _receiver(tx, order)
    if isinstance(receiver, Refusal):
        return receiver
    stream = signals.stream_of(tx, receiver.id)
    return [] if stream is None else [configuration(stream, token_issuer(tx))]


def read_status(tx: Transaction, order: ByReceiver) -> Configuration | Refusal:
    """Read the status of a stream (SSF 1.0, 8.1.2.1)."""
    found = _find(tx, order)
    return found if isinstance(found, Refusal) else status_of(found)


def send_own(
    tx: Transaction, stream_id: str, type_: SignalType, detail: Mapping[str, str | int | bool | None], ctx: Context
) -> None:
    """Send an event about the stream itself: it goes out whatever the stream's state is."""
    outbox.append_to(tx, [(stream_id, Signal(ctx.new_id(), type_, outbox.NO_CHANNEL, ctx.now, detail))])


def configuration(stream: Stream, issuer: str) -> Configuration:
    """Return a stream's configuration as receivers read it (SSF 1.0, 8.1.1); its authorization header stays here."""
    requested = stream.events_requested or EVENTS_SUPPORTED
    is_push = stream.method is DeliveryMethod.PUSH
    endpoint = stream.endpoint_url if is_push else f"{issuer}/signals/poll/{stream.id}"
    found: Configuration = {
        "stream_id": stream.id,
        "iss": issuer,
        "aud": stream.receiver.audience,
        "events_supported": list(EVENTS_SUPPORTED),
        "events_requested": list(requested),
        "events_delivered": [one for one in EVENTS_SUPPORTED if one in requested],
        "delivery": {"method": stream.method.value, "endpoint_url": endpoint},
        "min_verification_interval": int(VERIFICATION_INTERVAL.total_seconds()),
    }
    return found if stream.description is None else {**found, "description": stream.description}


def status_of(stream: Stream) -> Configuration:
    """Return a stream's status as receivers read it."""
    found: Configuration = {"stream_id": stream.id, "status": stream.state.value}
    return found if stream.status_reason is None else {**found, "reason": stream.status_reason}


def _create(tx: Transaction, order: StreamOrder, ctx: Context) -> Configuration | Refusal:
    receiver = _receiver(tx, order)
    if isinstance(receiver, Refusal):
        return receiver
    tx.lock_name("signal_streams")
    if signals.stream_of(tx, receiver.id) is not None:
        return Refusal(RefusalCode.CONFLICT, "this receiver has a stream already, and may have one")
    bare = Stream(
        ctx.new_id(), receiver, SubscriptionState.ENABLED, DeliveryMethod.POLL, None, None, (), None, None, None
    )
    stream = _changed(tx, bare, order, ctx)
    if isinstance(stream, Refusal):
        return stream
    name = f"{STREAM_PREFIX}{receiver.name}"
    subscriptions.add(tx, Subscription(stream.id, name, SubscriptionKind.STREAM, stream.state, (), ctx.now))
    signals.add_stream(tx, stream)
    send_own(tx, stream.id, SignalType.VERIFICATION, {}, ctx)
    bring_up_to_date(tx, stream, ctx)
    return configuration(stream, token_issuer(tx))


def _changed(tx: Transaction, stream: Stream, order: StreamOrder, ctx: Context) -> Stream | Refusal:
    """Return *stream* as the receiver wants it, or why it can't be so."""
    request = order.request
    ours = configuration(stream, token_issuer(tx))
    for name, value in request.stated.items():
        if ours[name] != value:
            return Refusal(RefusalCode.ORDER_UNFIT, f"{name} is ours to say, and is {ours[name]!r}")
    changed = stream
    if request.method is not None or order.is_whole:
        method = request.method or DeliveryMethod.POLL
        changed = replace(changed, method=method, endpoint_url=None, authorization_sealed=None)
        if method is DeliveryMethod.PUSH:
            if request.endpoint_url is None:
                return Refusal(RefusalCode.ORDER_UNFIT, "delivery.endpoint_url is needed for push")
            address = read_address(request.endpoint_url)
            if isinstance(address, Refusal):
                return replace(address, remedy="")
            changed = replace(changed, endpoint_url=request.endpoint_url)
            header = request.authorization_header
            if header is not None:
                if not header.isascii():
                    return Refusal(RefusalCode.ORDER_UNFIT, "delivery.authorization_header has only ASCII characters")
                sealed = ctx.seal(header.encode(), table="signal_streams", column="authorization_sealed", row=stream.id)
                changed = replace(changed, authorization_sealed=sealed)
    if request.events_requested is not None or order.is_whole:
        wanted = [one for one in request.events_requested or () if one in EVENTS_SUPPORTED]
        if request.events_requested and not wanted:
            return Refusal(RefusalCode.ORDER_UNFIT, "none of the events requested is one that we have")
        changed = replace(changed, events_requested=tuple(wanted))
    if request.description is not None or order.is_whole:
        changed = replace(changed, description=request.description)
    return changed


def _of_stream(tx: Transaction, order: "Order", do: "Callable[[Order, Stream], T | Refusal]") -> "T | Refusal":
    found = _find(tx, order)
    return found if isinstance(found, Refusal) else do(order, found)


def _find(tx: Transaction, order: ByReceiver) -> Stream | Refusal:
    receiver = _receiver(tx, order)
    if isinstance(receiver, Refusal):
        return receiver
    stream = signals.stream_of(tx, receiver.id)
    if stream is None or order.stream_id not in (None, stream.id):
        return Refusal(RefusalCode.NOT_FOUND, "this receiver has no such stream")
    return stream


def _receiver(tx: Transaction, order: ByReceiver) -> Receiver | Refusal:
    receiver = signals.receiver_by_token(tx, hash_secret(order.token))
    if receiver is None:
        return Refusal(
            RefusalCode.BEARER_UNKNOWN, "no receiver has this token", "`muster signals receiver add` makes one."
        )
    return receiver


Order = TypeVar("Order", bound=ByReceiver)

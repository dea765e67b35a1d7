"""Events leave the outbox: claimed in one transaction, sent outside of any, and recorded in another.

What is claimed is leased: when the node dies, or its record doesn't come through, the lease ends and the same event
goes out again under the same id. Nothing is given up: what fails is tried again, later and later, and holds back what
comes after it of its channel alone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial

from muster.crypto.errors import CryptoError
from muster.domain.errors import Refusal
from muster.domain.event_bodies import WRITERS
from muster.domain.events import Detail
from muster.domain.webhooks import (
    FAILURES_BEFORE_PROBING,
    LONGEST_PAUSE,
    LONGEST_PROBE_PAUSE,
    BodyFormat,
    SubscriptionKind,
    SubscriptionState,
    message_signature,
    pause_after,
    probe_after,
    read_address,
    signature_header,
)
from muster.operations.context import Context
from muster.operations.ports import EventAnswer, EventRequest
from muster.operations.tell_messages import opened_message
from muster.operations.write_tokens import TokenSigner, open_signer, write_token
from muster.protocol.identifiers import ChannelId
from muster.protocol.shared_signals import TOKEN_MEDIA_TYPE, DeliveryMethod
from muster.storage import installations, outbox, signals, subscriptions
from muster.storage.engine import Transaction
from muster.storage.outbox import Waiting
from muster.storage.signals import Stream
from muster.storage.subscriptions import Subscription, Webhook

LEASE = timedelta(minutes=1)
"""Longer than an attempt and its record may take, and short enough that what a dead node had goes out soon."""
AT_ONCE = 8
"""Requests to one receiver at one time, from each node: more would be a load that he didn't ask for."""
KEEP_DELIVERED = timedelta(days=14)
KEEP_DELIVERED_COUNT = 10_000
"""What was delivered is kept so long, and so much of each subscription: to show, and to send again."""
MAXIMUM_ERROR_CHARACTERS = 300
"""Of what a receiver says of his refusal: a line of a table."""
USER_AGENT = "Muster"


@dataclass(frozen=True, slots=True)
class Room:
    """What a node can take: *total* requests; *busy*: those under way, by subscription."""

    total: int
    busy: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Errand:
    """One attempt to deliver an event. *name* is the receiver's."""

    subscription_id: str
    name: str
    sequence: int
    event_id: str
    event_type: str
    attempts: int
    request: EventRequest
    is_token: bool = False
    """A security event token: what its receiver calls invalid (400) is not sent again (RFC 8935, 2.4)."""


@dataclass(frozen=True, slots=True)
class ClaimedErrands:
    """What a claim brought, and when something is due next but for what is under way. *failed*: receivers that can't be
    written to by a fault of ours, and why."""

    errands: tuple[Errand, ...]
    next_due_at: datetime | None
    failed: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class ErrandResult:
    """What became of an attempt."""

    errand: Errand
    answer: EventAnswer


def is_any_due(tx: Transaction, now: datetime) -> bool:
    """Tell whether there may be something to claim."""
    return any(_is_open(one, now) and outbox.is_due(tx, one.id, now, one.only) for one in _targets(tx))


def next_due_at(tx: Transaction, now: datetime) -> datetime | None:
    """Tell when something may be due after *now*; None: nothing is known to be."""
    times = []
    for one in _targets(tx):
        retry_at = one.subscription.retry_at
        if retry_at is not None and retry_at > now:
            times.append(retry_at)
        elif (due_at := outbox.next_due(tx, one.id, now)) is not None:
            times.append(due_at)
    return min(times, default=None)


def claim_errands(tx: Transaction, rooms: Sequence[Room], ctx: Context) -> list[ClaimedErrands]:
    """Take what is due, for each of *rooms*; each errand has to be recorded, or goes out again when LEASE ends."""
    return [_claim(tx, room, ctx) for room in rooms]


def record_errands(tx: Transaction, results: Sequence[ErrandResult], ctx: Context) -> list[bool]:
    """Record what became of attempts; for each, whether the event is delivered."""
    delivered = [is_settled(one) for one in results]
    for one, came_through in zip(results, delivered, strict=True):
        errand = one.errand
        if came_through:
            outbox.record_delivered(tx, errand.sequence, errand.event_id, at=ctx.now, status=one.answer.status)
        else:
            pause = max(pause_after(errand.attempts, ctx.jitter()), _wanted_pause(one.answer))
            outbox.record_failure(
                tx,
                errand.sequence,
                errand.event_id,
                attempts=errand.attempts,
                due_at=ctx.now + pause,
                why=failure_words(one.answer),
            )
    _note_how_it_goes(tx, results, delivered, ctx)
    return delivered


def forget_deliveries(tx: Transaction, items: Sequence[None], ctx: Context) -> list[bool]:
    """Forget what was delivered long ago; nothing is left to forget afterwards."""
    for _ in items:
        outbox.forget_delivered(tx, before=ctx.now - KEEP_DELIVERED, keep=KEEP_DELIVERED_COUNT)
    return [False for _ in items]


def is_success(answer: EventAnswer) -> bool:
    """Tell whether a receiver took an event: by any status from 200 to 299 (RFC 9110, 15.3)."""
    return answer.status is not None and 200 <= answer.status < 300


def is_settled(result: ErrandResult) -> bool:
    """Tell whether an event is sent no more: it was taken, or is a token that its receiver calls invalid."""
    return is_success(result.answer) or (result.errand.is_token and result.answer.status == 400)


def failure_words(answer: EventAnswer) -> str:
    """Say what kept an event from being delivered."""
    if answer.status is None:
        return answer.error[:MAXIMUM_ERROR_CHARACTERS]
    reply = " ".join("".join(one if one.isprintable() else " " for one in answer.reply).split())
    redirect = ", which is not followed" if 300 <= answer.status < 400 else ""
    words = f"answered {answer.status}{redirect}" + (f": {reply}" if reply else "")
    return words[:MAXIMUM_ERROR_CHARACTERS]


@dataclass(frozen=True, slots=True)
class _Target:
    """Somebody to whom requests go: a webhook or a stream. *only*: nothing goes to him but of this channel."""

    subscription: Subscription
    webhook: Webhook | None = None
    stream: Stream | None = None
    only: ChannelId | None = None

    @property
    def id(self) -> str:
        return self.subscription.id


def _targets(tx: Transaction) -> list[_Target]:
    """Find everybody to whom requests may go. A stream's own events go out whatever its state is."""
    everybody = subscriptions.all_of(tx)
    webhooks = subscriptions.webhooks_of(tx, [one.id for one in everybody])
    has_streams = any(one.kind is SubscriptionKind.STREAM for one in everybody)
    streams = {one.id: one for one in signals.streams(tx)} if has_streams else {}
    found = []
    for one in everybody:
        is_enabled = one.state is SubscriptionState.ENABLED
        stream = streams.get(one.id)
        if one.id in webhooks and is_enabled:
            found.append(_Target(one, webhook=webhooks[one.id]))
        elif stream is not None and stream.method is DeliveryMethod.PUSH:
            found.append(_Target(one, stream=stream, only=None if is_enabled else outbox.NO_CHANNEL))
    return found


def _claim(tx: Transaction, room: Room, ctx: Context) -> ClaimedErrands:
    errands: list[Errand] = []
    failed: list[tuple[str, str]] = []
    for target in _targets(tx):
        if not _is_open(target, ctx.now):
            continue
        one = target.subscription
        busy = room.busy.get(one.id, 0)
        is_probed = one.failures >= FAILURES_BEFORE_PROBING
        limit = min((1 if is_probed else AT_ONCE) - busy, room.total - len(errands))
        try:
            write = _writer(tx, target, ctx)
        except CryptoError as error:
            failed.append((one.name, str(error)))
            retry_at = ctx.now + LONGEST_PROBE_PAUSE
            why = f"a secret of ours can't be opened: {error}"
            subscriptions.set_failing(
                tx, one.id, failures=one.failures + 1, since=one.failing_since or ctx.now, retry_at=retry_at, why=why
            )
            continue
        heads = outbox.claim_heads(tx, one.id, now=ctx.now, until=ctx.now + LEASE, limit=limit, channel_id=target.only)
        if heads and is_probed:
            subscriptions.hold_back(tx, one.id, ctx.now + LEASE)
        errands += [
            Errand(
                one.id,
                one.name,
                head.event.sequence,
                head.event.id,
                head.event.type,
                head.attempts,
                write(head),
                is_token=target.stream is not None,
            )
            for head in heads
        ]
    return ClaimedErrands(tuple(errands), next_due_at(tx, ctx.now), tuple(failed))


def _is_open(target: _Target, now: datetime) -> bool:
    retry_at = target.subscription.retry_at
    return retry_at is None or retry_at <= now


def _writer(tx: Transaction, target: _Target, ctx: Context) -> Callable[[Waiting], EventRequest]:
    """Return what makes requests to somebody. Raises CryptoError where his secrets, or ours, can't be opened."""
    if target.webhook is not None:
        here = installations.read(tx)
        source = "urn:muster" if here is None else f"urn:uuid:{here.id}"
        return partial(_webhook_request, target.webhook, _secrets(target.webhook, ctx), source, ctx)
    assert target.stream is not None, "it is one of the two"
    signer = open_signer(tx, ctx)
    if signer is None:
        raise CryptoError("there is no key that signs tokens")
    authorization = ""
    if target.stream.authorization_sealed is not None:
        opened = ctx.open(
            target.stream.authorization_sealed, table="signal_streams", column="authorization_sealed", row=target.id
        )
        authorization = opened.decode()
    return partial(_token_request, target.stream, signer, authorization, ctx.now)


def _secrets(webhook: Webhook, ctx: Context) -> tuple[str, ...]:
    """Open the secrets by which requests are signed now, the present one first. Raises CryptoError."""
    row = webhook.subscription_id
    secrets = [ctx.open(webhook.secret_sealed, table="webhooks", column="secret_sealed", row=row)]
    if webhook.former_secret_sealed is not None and webhook.former_until is not None and ctx.now < webhook.former_until:
        secrets.append(ctx.open(webhook.former_secret_sealed, table="webhooks", column="secret_sealed", row=row))
    return tuple(one.decode() for one in secrets)


def _webhook_request(
    webhook: Webhook, secrets: Sequence[str], source: str, ctx: Context, head: Waiting
) -> EventRequest:
    address = read_address(webhook.url, allows_plain=webhook.allows_plain)
    assert not isinstance(address, Refusal), "it was read when it was stored"
    event = replace(head.event, detail=_opened(head, ctx))
    body = WRITERS[webhook.format](event, source)
    headers = [
        ("User-Agent", USER_AGENT),
        *body.headers,
        ("Muster-Attempt", str(head.attempts)),
        ("Muster-Signature", signature_header(secrets, ctx.now, body.content)),
    ]
    if webhook.format is BodyFormat.MICROMDM:
        headers.append(("X-Hmac-Signature", message_signature(secrets[0], body.content)))
    return EventRequest(address, body.content_type, tuple(headers), body.content, webhook.allows_private)


def _opened(head: Waiting, ctx: Context) -> Detail:
    """Open a message of a device; one that can't be opened any more goes out without it, and holds nothing else up."""
    try:
        return opened_message(head.event.id, head.event.detail, ctx)
    except CryptoError:
        return {name: value for name, value in head.event.detail.items() if name != outbox.SEALED}


def _token_request(
    stream: Stream, signer: TokenSigner, authorization: str, now: datetime, head: Waiting
) -> EventRequest:
    """Push a token (RFC 8935, 2)."""
    address = read_address(stream.endpoint_url or "")
    assert not isinstance(address, Refusal), "it was read when it was stored"
    token = write_token(stream, head.event, signer, now).encode()
    headers = [("User-Agent", USER_AGENT), ("Accept", "application/json")]
    if authorization:
        headers.append(("Authorization", authorization))
    return EventRequest(address, TOKEN_MEDIA_TYPE, tuple(headers), token, stream.receiver.allows_private)


def _wanted_pause(answer: EventAnswer) -> timedelta:
    """Return for how long the receiver wants to be left alone, where he says so; not longer than we would anyway."""
    if answer.status not in (429, 503) or answer.retry_after_seconds is None:
        return timedelta(0)
    return min(timedelta(seconds=answer.retry_after_seconds), LONGEST_PAUSE)


def _note_how_it_goes(
    tx: Transaction, results: Sequence[ErrandResult], delivered: Sequence[bool], ctx: Context
) -> None:
    """Keep the count of failures in a row of each receiver, and leave one alone that answers nothing any more."""
    known = {one.id: one for one in subscriptions.all_of(tx)}
    for subscription_id in sorted({one.errand.subscription_id for one in results}):
        subscription = known.get(subscription_id)
        if subscription is None:
            continue
        pairs = zip(results, delivered, strict=True)
        mine = [(one, good) for one, good in pairs if one.errand.subscription_id == subscription_id]
        if any(good for _, good in mine):
            if subscription.failures:
                subscriptions.set_well(tx, subscription_id)
            continue
        failures = subscription.failures + 1
        pauses = [_wanted_pause(one.answer) for one, _ in mine]
        pause = max([probe_after(failures) or timedelta(0), *pauses])
        subscriptions.set_failing(
            tx,
            subscription_id,
            failures=failures,
            since=subscription.failing_since or ctx.now,
            retry_at=ctx.now + pause if pause else None,
            why=failure_words(mine[-1][0].answer),
        )

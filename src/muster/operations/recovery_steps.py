"""The steps of playbooks are carried out: what each kind of them means for a channel."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from muster.domain.control.dossier import Dossier
from muster.domain.control.reasons import Reason
from muster.domain.control.recovery import StepKind
from muster.domain.enrollment import EnrollmentState
from muster.domain.push_policy import PushReason
from muster.domain.renewal import RenewalReason
from muster.operations.ask_for_inventory import ask_again
from muster.operations.context import Context
from muster.operations.probe_channels import probe_channels
from muster.operations.queue_own import queue_own
from muster.operations.release_set_up import release_again
from muster.protocol.apns import OutcomeClass
from muster.protocol.command import CommandRequest
from muster.protocol.declarative import empty_tokens_reply
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, push, queues, recoveries, renewals, reviews
from muster.storage.engine import Transaction
from muster.storage.reviews import DueReview

AFTER_CONTACT: Final = timedelta(minutes=7)
"""A push that is to be told from the contact before it: contacts are kept by slots of five minutes, and a minute
late at most."""
DECLARATIVE_MANAGEMENT: Final = "DeclarativeManagement"


@dataclass(frozen=True, slots=True)
class Order:
    """Do a step of *kind* for the channel of *dossier*; *wakes* False: without a push of its own."""

    dossier: Dossier
    kind: StepKind
    wakes: bool = True


def carry_out(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    """Carry out *orders*. The rows of their channels are held, and of their devices where a profile is sent again."""
    of_kind: dict[StepKind, list[Order]] = defaultdict(list)
    for order in orders:
        if order.dossier.state is EnrollmentState.ENROLLED:
            of_kind[order.kind].append(order)
    for kind, some in of_kind.items():
        do = _DOES.get(kind)
        if do is not None:
            do(tx, some, ctx)


_OF_THE_WAY: Final = frozenset({Reason.PUSH_PATH_BLOCKED, Reason.PUSH_MAGIC_WRONG})


def pushed_apart(tx: Transaction, due: Sequence[DueReview], ctx: Context) -> frozenset[ChannelId]:
    """Return those in contact just now of which it is in doubt whether pushes arrive, and have them pushed later.

    A push that goes out while a channel is in contact shows nothing: what comes after it looks like its answer.
    """
    fresh = {
        one.channel_id: one.last_contact_at
        for one in due
        if one.last_contact_at is not None and ctx.now - one.last_contact_at < AFTER_CONTACT
    }
    if not fresh:
        return frozenset()
    doubted = _doubted(tx, sorted(fresh))
    for channel_id in sorted(doubted):
        due_at = fresh[channel_id] + AFTER_CONTACT
        push.wish(tx, [channel_id], reason=PushReason.COMMAND_WAITING, at=ctx.now, due_at=due_at)
    return frozenset(doubted)


def is_way_doubted(tx: Transaction, channel_id: ChannelId) -> bool:
    """Tell whether it is in doubt that pushes arrive at a channel: what pushes it then does so AFTER_CONTACT."""
    return bool(_doubted(tx, [channel_id]))


def _doubted(tx: Transaction, channel_ids: Sequence[ChannelId]) -> set[ChannelId]:
    return {
        channel_id
        for channel_id, some in recoveries.open_of(tx, channel_ids).items()
        if any(one.run.reason in _OF_THE_WAY and one.run.found_until is None for one in some)
    }


def _ids(orders: Sequence[Order]) -> list[ChannelId]:
    return sorted({order.dossier.channel_id for order in orders})


_DEAD: Final = frozenset({OutcomeClass.TOKEN_UNREGISTERED, OutcomeClass.TOKEN_BAD})


def _stored_push(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    for channel_id in _ids(orders):
        push.wish_if_none(tx, {channel_id: PushReason.SILENT}, at=ctx.now)


def _push(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    """Push them, but for those whose token is dead: APNs wants to hear no more of that one."""
    alive = [order for order in orders if order.dossier.push is None or order.dossier.push.refusal not in _DEAD]
    push.wish(tx, _ids(alive), reason=PushReason.RECOVERY, at=ctx.now, due_at=ctx.now)


def _push_at_contact(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    for order in orders:
        heard_at: datetime = order.dossier.last_contact_at or ctx.now
        due_at = max(ctx.now, heard_at + AFTER_CONTACT)
        push.wish(tx, [order.dossier.channel_id], reason=PushReason.RECOVERY, at=ctx.now, due_at=due_at)


def _probe(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    woken = _ids([order for order in orders if order.wakes])
    probe_channels(tx, _ids(orders), ctx, wakes=woken)


def _ask_inventory(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    ask_again(tx, _ids(orders), ctx)


def _renewal(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    """See that a renewal is open; when it is sent and tried again is `domain.renewal`'s to say."""
    ids = _ids(orders)
    for channel_id, identity in renewals.read(tx, ids).items():
        if identity.is_enrolled and identity.situation.attempt is None:
            device_id = identity.situation.device_id
            renewals.open_if_none(tx, device_id, epoch=identity.epoch, reason=RenewalReason.EXPIRING, at=ctx.now)
        push.wish_if_none(tx, {channel_id: PushReason.COMMAND_WAITING}, at=ctx.now)


def _profile_again(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    """Send the enrollment profile once more, as a renewal does, also where one waits or has failed."""
    devices = sorted({order.dossier.device_id for order in orders})
    for device_id, identity in renewals.read(tx, devices).items():
        if not identity.is_enrolled:
            continue
        renewals.open_if_none(
            tx,
            identity.situation.device_id,
            epoch=identity.epoch,
            reason=RenewalReason.ASKED_FOR,
            at=ctx.now,
            asked_at=ctx.now,
        )
        due_at = ctx.now + AFTER_CONTACT if is_way_doubted(tx, device_id) else ctx.now
        push.wish(tx, [device_id], reason=PushReason.RECOVERY, at=ctx.now, due_at=due_at)
        reviews.schedule(tx, device_id, ctx.now)


def _ddm_again(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    ids = _ids(orders)
    queued = queues.unanswered(tx, ids)
    stored = enrollments.find(tx, ids)
    free = [
        (channel_id, stored[channel_id].epoch)
        for channel_id in ids
        if channel_id in stored
        and all(entry.request_type != DECLARATIVE_MANAGEMENT for entry in queued.get(channel_id, ()))
    ]
    request = CommandRequest(DECLARATIVE_MANAGEMENT, {"Data": empty_tokens_reply(ctx.now)})
    if free:
        queue_own(tx, request, free, ctx, wakes=False)
    push.wish(tx, ids, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now)


def _device_configured(tx: Transaction, orders: Sequence[Order], ctx: Context) -> None:
    release_again(tx, _ids(orders), ctx)


_DOES: Final[Mapping[StepKind, Callable[[Transaction, Sequence[Order], Context], None]]] = {
    StepKind.STORED_PUSH: _stored_push,
    StepKind.PUSH: _push,
    StepKind.PUSH_AT_CONTACT: _push_at_contact,
    StepKind.PROBE: _probe,
    StepKind.ASK_INVENTORY: _ask_inventory,
    StepKind.RENEWAL: _renewal,
    StepKind.PROFILE_AGAIN: _profile_again,
    StepKind.DDM_AGAIN: _ddm_again,
    StepKind.DEVICE_CONFIGURED: _device_configured,
}
"""What is done by itself. To wait and to tell is done by saying so; what needs a person is done by
`recover_by_hand`."""

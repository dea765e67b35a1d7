"""An administrator sends a command: it is stored once, queued on its channels, and they are pushed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, TypeAlias

from muster.domain.command_findings import Finding, Severity
from muster.domain.command_following import Start, start_after
from muster.domain.command_queue import MAXIMUM_RETRIES, QueuePurpose
from muster.domain.command_secrets import holds_secret
from muster.domain.enrollment import Enrollment, EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import DepartureKind
from muster.domain.permissions import to_send
from muster.domain.push_policy import PushReason
from muster.operations.check_commands import check_channels, malformed, unfit_for, unwritable
from muster.operations.context import Context
from muster.operations.enqueue_command import QueueTerms, enqueue_command
from muster.operations.keep_secrets import propose_secrets
from muster.operations.let_go import (
    REMOVE_PROFILE,
    DepartureOrder,
    enqueue_removal,
    may_unenroll,
    record_departures,
    removes_enrollment,
)
from muster.operations.limit_disruption import record_disruptions
from muster.operations.permit import act
from muster.protocol.command import Command, CommandRequest, encode_command
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import commands, enrollments, people, push, queues, reports
from muster.storage.engine import Transaction
from muster.storage.queues import Following

_REACHED: Final = (EnrollmentState.ENROLLED, EnrollmentState.DORMANT)


@dataclass(frozen=True, slots=True)
class CommandOrder:
    """A command for each of *channel_ids* (at least one; named twice is once). *command_uuid* absent: one is made."""

    channel_ids: tuple[ChannelId, ...]
    request: CommandRequest
    priority: int = 0
    """Higher goes first; 0 is the rule."""
    command_uuid: CommandUUID | None = None
    is_secret: bool = False
    """Its body holds a secret that `holds_secret` knows nothing of; it is sealed until it is handed out."""
    anyway: bool = False
    """Queue it also where the catalogue says that the device would refuse it. A wrong form is refused nevertheless."""
    part: "SendPart | None" = None
    """Present where it is a part of an order to more channels; none of these has the command yet."""
    after: CommandUUID | None = None
    """A command of the same channel that has to be acknowledged first. When it fails, this one is closed as well."""
    follows_any: bool = False
    """Hand it out also when *after* fails, expires or is cancelled."""
    expires_at: datetime | None = None
    """From then on it is not handed out any more; in the future."""
    retries: int = 0
    """How often it is tried again after an error; at most MAXIMUM_RETRIES."""
    named_count: int | None = None
    """How many channels these are, for more than the hour's limit where the command disrupts work."""
    is_pushed: bool = True
    """Wish to push the channels, so that they fetch it at once."""


@dataclass(frozen=True, slots=True)
class SendPart:
    """The order is a part of one to many channels that was recorded already, and so was its command."""

    wake_at: datetime
    """When the channels are pushed."""


@dataclass(frozen=True, slots=True)
class QueuedCommand:
    """What was queued: *queued_on* are the channels it waits on, *refused* those it can't be sent to, with why.

    *findings* is what the catalogue says to it, by channel, also where it was queued; channels without any are absent.
    """

    command_uuid: CommandUUID
    request_type: str
    queued_on: tuple[ChannelId, ...]
    refused: dict[ChannelId, Refusal]
    findings: dict[ChannelId, tuple[Finding, ...]] = field(default_factory=dict)
    may_go_out_on: tuple[ChannelId, ...] = ()
    """The channels on which it waits for nothing but the device."""


QueueOutcome: TypeAlias = QueuedCommand | Refusal


@act(lambda order: to_send(order.request.request_type), about=lambda _tx, order: order.channel_ids)
def queue_commands(tx: Transaction, orders: Sequence[CommandOrder], ctx: Context) -> list[QueueOutcome]:
    """Queue each of *orders* and wish to push its channels, in one act of the audit log each.

    Refused as a whole when the command's UUID is another's, or is on one of the channels already, when its form is
    wrong (InstallProfile with a profile that enrolls counts as that), when none of the channels can be sent to, and
    past the hour's limit of commands that disrupt work. Removing the enrollment profile needs no right and no version.
    """
    return [_queue(tx, order, ctx) for order in orders]


@dataclass(frozen=True, slots=True)
class _Sorted:
    """Channels on which a command is ordinary, those on which it ends the enrollment, and the others, with why not."""

    targets: list[Enrollment]
    ending: list[Enrollment]
    refused: dict[ChannelId, Refusal]


def _queue(tx: Transaction, order: CommandOrder, ctx: Context) -> QueueOutcome:
    unfit = unfit_terms(
        expires_at=order.expires_at,
        retries=order.retries,
        after=order.after,
        follows_any=order.follows_any,
        now=ctx.now,
    )
    unfit = unfit or unwritable(order.request)
    if unfit is not None:
        return unfit
    command_uuid = order.command_uuid or CommandUUID(ctx.new_id().upper())
    command = Command(command_uuid, order.request.request_type, order.request.keys)
    body = encode_command(command)
    is_to_be_looked_up = order.command_uuid is not None and order.part is None  # a part's command was recorded
    known = command_body(tx, command_uuid, ctx) if is_to_be_looked_up else None
    if known is not None and (
        known != body or not commands.channels_of(tx, command_uuid).isdisjoint(order.channel_ids)
    ):
        return Refusal(
            RefusalCode.CONFLICT,
            f"a command {command_uuid} was sent before",
            "Give this one another CommandUUID, or none: then Muster makes one.",
        )
    channel_ids = tuple(dict.fromkeys(order.channel_ids))
    stored = enrollments.lock(tx, channel_ids)
    found = _sort_out(tx, order, channel_ids, stored)
    findings = check_channels(tx, order.request, [*found.targets, *found.ending])
    wrong = malformed(order.request, findings.values())
    if wrong is not None:
        return wrong
    if not order.anyway:
        ordinary = {one.channel.id: findings[one.channel.id] for one in found.targets}
        found.refused.update(unfit_for(order.request, ordinary))
    following = _follow(tx, order, found)
    targets = [one for one in found.targets if one.channel.id not in found.refused]
    if not targets and not found.ending and order.part is None:
        return next(iter(found.refused.values()))
    limited = _limited(tx, order, command_uuid, targets, found.ending, ctx)
    if limited is not None:
        return limited
    if known is None and order.part is None:
        is_secret = order.is_secret or holds_secret(order.request)
        kept = ctx.seal(body, table="commands", column="body", row=command_uuid) if is_secret else body
        new = commands.NewCommand(command_uuid, command.request_type, kept, ctx.actor.name, is_sealed=is_secret)
        commands.add(tx, new, ctx.now)
    terms = QueueTerms(QueuePurpose.COMMAND, order.priority, following, order.expires_at, order.retries)
    pairs = [(one.channel.id, one.epoch) for one in targets]
    free = enqueue_command(tx, command_uuid, order.request, pairs, terms, ctx)
    propose_secrets(tx, order.request, command_uuid, targets, ctx)
    free += enqueue_removal(tx, command_uuid, found.ending, ctx)
    awake = [channel_id for channel_id in free if stored[channel_id].state is EnrollmentState.ENROLLED]
    due_at = ctx.now + ctx.policy.push_coalescing if order.part is None else order.part.wake_at
    if order.is_pushed:
        push.wish(tx, awake, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=due_at)
    queued_on = tuple(one.channel.id for one in (*targets, *found.ending))
    if order.part is None:
        _record(tx, command, queued_on, _overruled(findings, targets), ctx)
    said = {channel_id: some for channel_id, some in findings.items() if some}
    return QueuedCommand(command_uuid, command.request_type, queued_on, found.refused, said, free)


def unfit_terms(
    *, expires_at: datetime | None, retries: int, after: CommandUUID | None, follows_any: bool, now: datetime
) -> Refusal | None:
    """Tell why a command can't wait on these terms, or None; whether there is such an *after* is not checked."""
    if expires_at is not None and expires_at <= now:
        return Refusal(RefusalCode.ORDER_UNFIT, "the command would be expired at once", "Give a time to come.")
    if not 0 <= retries <= MAXIMUM_RETRIES:
        return Refusal(RefusalCode.ORDER_UNFIT, f"a command is tried again at most {MAXIMUM_RETRIES} times")
    if follows_any and after is None:
        return Refusal(RefusalCode.ORDER_UNFIT, "the command comes after none", "Name the one before it (--after).")
    return None


def _follow(tx: Transaction, order: CommandOrder, found: _Sorted) -> Following | None:
    """Tell on which channels the command waits for the one before it; where it can't, that is added to the refused."""
    if order.after is None:
        return None
    for one in found.ending:
        found.refused[one.channel.id] = Refusal(
            RefusalCode.ORDER_UNFIT, "the removal of the enrollment profile waits for no other command"
        )
    found.ending.clear()
    channel_ids = [one.channel.id for one in found.targets if one.channel.id not in found.refused]
    waiting = {one.channel_id: one.purpose for one in queues.of_command(tx, order.after, channel_ids)}
    recorded = reports.recorded_statuses(tx, [(channel_id, order.after) for channel_id in channel_ids])
    waits_on = set()
    for channel_id in channel_ids:
        start = start_after(
            order.after,
            channel_id,
            queued_for=waiting.get(channel_id),
            recorded=recorded.get((channel_id, order.after)),
            follows_any=order.follows_any,
        )
        if isinstance(start, Refusal):
            found.refused[channel_id] = start
        elif start is Start.WHEN_ANSWERED:
            waits_on.add(channel_id)
    return Following(order.after, frozenset(waits_on), order.follows_any)


def _limited(
    tx: Transaction,
    order: CommandOrder,
    command_uuid: CommandUUID,
    targets: Sequence[Enrollment],
    ending: Sequence[Enrollment],
    ctx: Context,
) -> Refusal | None:
    """Count what disrupts work and what ends enrollments; tell why these are too many, or None."""
    given = len(set(order.channel_ids))
    named_count = order.named_count if order.part is None else given  # of the whole, the count was named
    if ending:
        named = len(ending) if named_count == given else named_count
        departing = DepartureOrder(tuple(one.channel.device_id for one in ending), named)
        limited = record_departures(tx, DepartureKind.UNENROLL, ending, departing, ctx)
        if limited is not None:
            return limited
    return record_disruptions(
        tx,
        order.request.request_type,
        command_uuid,
        [one.channel.id for one in targets],
        ctx,
        named_count=named_count,
        given=given,
    )


def _record(tx: Transaction, command: Command, queued_on: Sequence[ChannelId], overruled: str, ctx: Context) -> None:
    subject = queued_on[0] if len(queued_on) == 1 else f"{len(queued_on)} channels"
    detail: people.AuditDetail = {
        "command_uuid": command.command_uuid,
        "request_type": command.request_type,
        "channels": len(queued_on),
    }
    if overruled:
        detail = {**detail, "overruled": overruled}
    people.record_act(tx, ctx.actor, "command.queue", subject, detail, ctx.now)


def command_body(tx: Transaction, command_uuid: CommandUUID, ctx: Context) -> bytes | None:
    """Return the plist of a command as its devices get it; None when there is none of this UUID."""
    stored = commands.body(tx, command_uuid)
    if stored is None or not stored.is_sealed:
        return None if stored is None else stored.body
    return ctx.open(stored.body, table="commands", column="body", row=command_uuid)


def _overruled(findings: Mapping[ChannelId, tuple[Finding, ...]], targets: Sequence[Enrollment]) -> str:
    """Name the warnings in spite of which the command was queued, for the audit log."""
    found = (finding for one in targets for finding in findings[one.channel.id])
    return ", ".join(sorted({one.code.value for one in found if one.severity is Severity.WARNING}))


def _sort_out(
    tx: Transaction, order: CommandOrder, channel_ids: Sequence[ChannelId], stored: Mapping[ChannelId, Enrollment]
) -> _Sorted:
    targets: list[Enrollment] = []
    ending: list[Enrollment] = []
    refused: dict[ChannelId, Refusal] = {}
    is_removal = order.request.request_type == REMOVE_PROFILE
    for channel_id in channel_ids:
        enrollment = stored.get(channel_id)
        if enrollment is None:
            refused[channel_id] = Refusal(
                RefusalCode.NOT_FOUND, f"no enrollment {channel_id} is known", "See `muster devices list`."
            )
        elif enrollment.state not in _REACHED:
            refused[channel_id] = Refusal(
                RefusalCode.NOT_ENROLLED,
                f"{channel_id} is not enrolled now ({enrollment.state.value})",
                "Enroll it again, or wait until its enrollment is complete.",
            )
        elif not is_removal or not removes_enrollment(tx, order.request, enrollment.channel.device_id):
            targets.append(enrollment)
        elif (refusal := _may_end(tx, enrollment)) is not None:
            refused[channel_id] = refusal
        else:
            ending.append(enrollment)
    return _Sorted(targets, ending, refused)


def _may_end(tx: Transaction, enrollment: Enrollment) -> Refusal | None:
    """Tell why the enrollment profile can't be removed by this channel, or None when it can."""
    if enrollment.channel.is_device:
        return may_unenroll(tx, enrollment)
    return Refusal(
        RefusalCode.DEVICE_CHANNEL_ONLY,
        f"{enrollment.channel.id} is a user's channel, and the enrollment profile is the device's",
        f"To let the device go, send it to {enrollment.channel.device_id}.",
    )

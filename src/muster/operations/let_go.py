"""An administrator lets devices go: unenrolls or rejects them, or takes a rejection back.

Deliberate, audited, and limited over everybody who orders it: a slip of the hand must not cost a fleet.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from muster.domain.command_queue import UNENROLL_PRIORITY, QueuePurpose
from muster.domain.enrollment import EndReason, Enrollment, EnrollmentState
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import LEAVINGS_COUNTED_FOR, Departure, DepartureKind, within_limit
from muster.domain.permissions import Permission
from muster.domain.push_policy import PushReason
from muster.operations.context import Context
from muster.operations.permit import act
from muster.protocol.command import Command, CommandRequest, encode_command
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.storage import (
    commands,
    departures,
    enrollment_profiles,
    enrollments,
    installations,
    people,
    push,
    queues,
    reviews,
)
from muster.storage.engine import Transaction

REMOVE_PROFILE = "RemoveProfile"


@dataclass(frozen=True, slots=True)
class DepartureOrder:
    """Devices to let go; named twice is once. *named_count* is how many they are, for more than the hour's limit."""

    device_ids: tuple[DeviceId, ...]
    named_count: int | None = None


@dataclass(frozen=True, slots=True)
class DeparturesOrdered:
    """What was ordered: *device_ids* are let go; *refused* are those for which it can't be, with why."""

    device_ids: tuple[DeviceId, ...]
    refused: Mapping[DeviceId, Refusal]


DepartureOutcome: TypeAlias = DeparturesOrdered | Refusal


# --- unenroll ---------------------------------------------------------------------------------------------------------


@act(Permission.ERASE, about=lambda _tx, order: order.device_ids)
def unenroll_devices(tx: Transaction, orders: Sequence[DepartureOrder], ctx: Context) -> list[DepartureOutcome]:
    """Queue the removal of each device's own enrollment profile, before all ordinary commands, and push.

    It is always allowed, whatever the access rights (Apple, "RemoveProfileCommand"). Refused as a whole past the
    limit, and where none of the devices is enrolled.
    """
    return [_unenroll(tx, order, ctx) for order in orders]


def _unenroll(tx: Transaction, order: DepartureOrder, ctx: Context) -> DepartureOutcome:
    stored, refused = _known(tx, order)
    targets: list[Enrollment] = []
    for device_id, enrollment in stored.items():
        refusal = may_unenroll(tx, enrollment)
        if refusal is None:
            targets.append(enrollment)
        else:
            refused[device_id] = refusal
    if not targets:
        return next(iter(refused.values()))
    limited = record_departures(tx, DepartureKind.UNENROLL, targets, order, ctx)
    if limited is not None:
        return limited
    by_identifier: dict[str, list[Enrollment]] = defaultdict(list)
    for enrollment in targets:
        by_identifier[enrolled_identifier(tx, enrollment.channel.device_id)].append(enrollment)
    for identifier, group in by_identifier.items():
        command = Command(CommandUUID(ctx.new_id().upper()), REMOVE_PROFILE, {"Identifier": identifier})
        new = commands.NewCommand(command.command_uuid, REMOVE_PROFILE, encode_command(command), ctx.actor.name)
        commands.add(tx, new, ctx.now)
        enqueue_removal(tx, command.command_uuid, group, ctx)
    channel_ids = [enrollment.channel.id for enrollment in targets]
    push.wish(
        tx, channel_ids, reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=ctx.now + ctx.policy.push_coalescing
    )
    return DeparturesOrdered(tuple(enrollment.channel.device_id for enrollment in targets), refused)


def may_unenroll(tx: Transaction, enrollment: Enrollment) -> Refusal | None:
    """Tell why a device can't be unenrolled now, or None when it can. *enrollment* is the device channel's."""
    device_id = enrollment.channel.device_id
    if enrollment.state is not EnrollmentState.ENROLLED:
        return Refusal(
            RefusalCode.NOT_ENROLLED,
            f"{device_id} is not enrolled now ({enrollment.state.value})",
            "To turn it away should it come, use `muster devices reject`.",
        )
    if queues.is_waiting(tx, enrollment.channel.id, QueuePurpose.UNENROLL):
        return Refusal(
            RefusalCode.CONFLICT,
            f"{device_id} is being unenrolled already: the removal of its profile waits for it",
            "See `muster commands list` for that device.",
        )
    return None


def enrolled_identifier(tx: Transaction, device_id: DeviceId) -> str:
    """Return the PayloadIdentifier of the profile that a device is enrolled with: ours, where that is not known."""
    terms = enrollment_profiles.of_device(tx, device_id)
    if terms is not None:
        return terms.payload_identifier
    here = installations.read(tx)
    assert here is not None, "the first start records the installation"
    return here.profile_identifier


def removes_enrollment(tx: Transaction, request: CommandRequest, device_id: DeviceId) -> bool:
    """Tell whether *request* would remove the enrollment profile of a device: the same act, by whatever door."""
    if request.request_type != REMOVE_PROFILE:
        return False
    return request.keys.get("Identifier") == enrolled_identifier(tx, device_id)


def may_remove_enrollments(tx: Transaction, request: CommandRequest) -> bool:
    """Tell whether *request* would remove the enrollment profile of some device."""
    if request.request_type != REMOVE_PROFILE:
        return False
    here = installations.read(tx)
    assert here is not None, "the first start records the installation"
    known = enrollment_profiles.payload_identifiers(tx) | {here.profile_identifier}
    return request.keys.get("Identifier") in known


def enqueue_removal(
    tx: Transaction, command_uuid: CommandUUID, enrolled: Sequence[Enrollment], ctx: Context
) -> tuple[ChannelId, ...]:
    """Queue a stored RemoveProfile that ends the enrollment of *enrolled*, in place of one that was never answered.

    Returns the channels on which it may be handed out at once.
    """
    for enrollment in enrolled:
        queues.close_purpose(tx, enrollment.channel.id, QueuePurpose.UNENROLL, ctx.now)
    return queues.enqueue(
        tx,
        command_uuid,
        [(enrollment.channel.id, enrollment.epoch) for enrollment in enrolled],
        priority=UNENROLL_PRIORITY,
        at=ctx.now,
        purpose=QueuePurpose.UNENROLL,
    )


# --- reject -----------------------------------------------------------------------------------------------------------


@act(Permission.ERASE, about=lambda _tx, order: order.device_ids)
def reject_devices(tx: Transaction, orders: Sequence[DepartureOrder], ctx: Context) -> list[DepartureOutcome]:
    """End the enrollment of devices, and turn them away at their next contact and at every later one.

    It stays in force for the identities of that life of the device; one enrolled anew by a link is welcome.
    """
    return [_reject(tx, order, ctx) for order in orders]


def _reject(tx: Transaction, order: DepartureOrder, ctx: Context) -> DepartureOutcome:
    stored, refused = _known(tx, order)
    targets = []
    for device_id, enrollment in stored.items():
        if _is_rejected(tx, enrollment):
            refused[device_id] = Refusal(RefusalCode.CONFLICT, f"{device_id} is rejected already")
        else:
            targets.append(enrollment)
    if not targets:
        return next(iter(refused.values()))
    limited = record_departures(tx, DepartureKind.REJECT, targets, order, ctx)
    if limited is not None:
        return limited
    for enrollment in targets:
        device_id = enrollment.channel.device_id
        enrollments.forget_provisional(tx, device_id)
        end_enrollment(tx, device_id, EndReason.REJECTED, ctx)
    return DeparturesOrdered(tuple(enrollment.channel.device_id for enrollment in targets), refused)


def _is_rejected(tx: Transaction, enrollment: Enrollment) -> bool:
    if enrollment.state is not EnrollmentState.ENDED or enrollment.pins.provisional is not None:
        return False
    rejection = departures.rejection_of(tx, enrollment.channel.device_id)
    return rejection is not None and rejection.epoch == enrollment.epoch


@act(Permission.ERASE, about=lambda _tx, order: order.device_ids)
def withdraw_rejections(tx: Transaction, orders: Sequence[DepartureOrder], ctx: Context) -> list[DepartureOutcome]:
    """Take rejections back. A device that was not turned away yet is enrolled as before; one that was and is there
    nevertheless is enrolled again when it connects."""
    return [_withdraw(tx, order, ctx) for order in orders]


def _withdraw(tx: Transaction, order: DepartureOrder, ctx: Context) -> DepartureOutcome:
    stored, refused = _known(tx, order)
    done: list[DeviceId] = []
    for device_id, enrollment in stored.items():
        rejection = departures.rejection_of(tx, device_id)
        if rejection is None:
            refused[device_id] = Refusal(RefusalCode.NOT_FOUND, f"{device_id} is not rejected")
            continue
        departures.withdraw(tx, [rejection.id], ctx.now)
        is_rejected = enrollment.ended_reason is EndReason.REJECTED and enrollment.epoch == rejection.epoch
        if is_rejected and rejection.delivered_at is None and enrollment.epoch > 0:
            channel_ids = [ChannelId(device_id), *enrollments.user_channels_of(tx, device_id)]
            enrollments.take_end_back(tx, channel_ids, epoch=enrollment.epoch, reason=EndReason.REJECTED)
            reviews.schedule(tx, ChannelId(device_id), ctx.now)
        detail = {"was_delivered": rejection.delivered_at is not None}
        people.record_act(tx, ctx.actor, "device.withdraw_rejection", device_id, detail, ctx.now)
        done.append(device_id)
    return DeparturesOrdered(tuple(done), refused) if done else next(iter(refused.values()))


# --- what both share --------------------------------------------------------------------------------------------------


def _known(tx: Transaction, order: DepartureOrder) -> tuple[dict[DeviceId, Enrollment], dict[DeviceId, Refusal]]:
    """Hold and read the device channels of *order*, in its order, and say no to those that there are not."""
    device_ids = tuple(dict.fromkeys(order.device_ids))
    tx.lock_rows(sorted(ChannelId(device_id) for device_id in device_ids))
    found = enrollments.find(tx, [ChannelId(device_id) for device_id in device_ids])
    stored: dict[DeviceId, Enrollment] = {}
    refused: dict[DeviceId, Refusal] = {}
    for device_id in device_ids:
        enrollment = found.get(ChannelId(device_id))
        if enrollment is None or not enrollment.channel.is_device:
            refused[device_id] = Refusal(
                RefusalCode.NOT_FOUND, f"no device {device_id} is known", "See `muster devices list`."
            )
        else:
            stored[device_id] = enrollment
    return stored, refused


def record_departures(
    tx: Transaction, kind: DepartureKind, targets: Sequence[Enrollment], order: DepartureOrder, ctx: Context
) -> Refusal | None:
    """Record that *targets* (device channels, held) are let go, an act of the audit log each; refused past the limit.

    Who asks at the same time waits here, so that the limit holds over all doors and nodes.
    """
    departures.lock_counting(tx)
    counted = {enrollment.channel.device_id for enrollment in targets if enrollment.state is not EnrollmentState.ENDED}
    refusal = within_limit(
        len(counted),
        counted=departures.counted_since(tx, ctx.now - LEAVINGS_COUNTED_FOR),
        limit=ctx.policy.leavings_per_hour,
        named_count=order.named_count,
        given=len(set(order.device_ids)),
    )
    if refusal is not None:
        return refusal
    for enrollment in targets:
        device_id = enrollment.channel.device_id
        departures.add(
            tx,
            Departure(
                ctx.new_id(),
                device_id,
                kind,
                enrollment.epoch,
                ordered_at=ctx.now,
                ordered_by=ctx.actor.name,
                is_counted=device_id in counted,
            ),
        )
        detail = {"devices": len(targets), "named_count": order.named_count}
        people.record_act(tx, ctx.actor, f"device.{kind.value}", device_id, detail, ctx.now)
    return None


def end_enrollment(tx: Transaction, device_id: DeviceId, reason: EndReason, ctx: Context) -> None:
    """Mark a device and its users ended, and stop pushing them; nothing of theirs is deleted."""
    device = ChannelId(device_id)
    ended = [device, *enrollments.user_channels_of(tx, device_id)]
    enrollments.set_ended(tx, ended, at=ctx.now, reason=reason)
    push.drop_wishes(tx, ended)
    reviews.schedule_all(tx, ended, ctx.now)

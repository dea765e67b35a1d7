"""What became of the removal of an enrollment profile: the device's answer, or its CheckOut, ends the enrollment."""

from muster.domain.command_queue import QueuePurpose
from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import EndReason, Enrollment
from muster.domain.events import Event, EventType
from muster.operations.context import Context
from muster.operations.let_go import end_enrollment
from muster.protocol.connect import Status
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import departures, evidence, outbox, queues
from muster.storage.engine import Transaction


def settle_unenrollment(
    tx: Transaction, enrollment: Enrollment, command_uuid: CommandUUID, status: Status, source: str, ctx: Context
) -> None:
    """Do what the answer to the removal of *enrollment*'s own profile sets going.

    Acknowledged, it is the end of the device and its users. Any other answer leaves the device enrolled; it stands in
    evidence as every error does.
    """
    departure = departures.pending_unenrollment(tx, enrollment.channel.device_id, enrollment.epoch)
    if status is not Status.ACKNOWLEDGED:
        if departure is not None:
            departures.set_failed(tx, departure.id, ctx.now)
        return
    end_enrollment(tx, enrollment.channel.device_id, EndReason.UNENROLLED, ctx)
    if departure is not None and departures.set_delivered(tx, departure.id, ctx.now):
        _tell(tx, enrollment, source, ctx, command_uuid)


def settle_by_check_out(tx: Transaction, enrollment: Enrollment, source: str, ctx: Context) -> bool:
    """Tell whether a CheckOut of *enrollment* follows the removal that we ordered, and settle that if so.

    Devices check out before they answer, or instead.
    """
    if not queues.was_handed_out(tx, enrollment.channel.id, QueuePurpose.UNENROLL):
        return False
    departure = departures.pending_unenrollment(tx, enrollment.channel.device_id, enrollment.epoch)
    if departure is not None and departures.set_delivered(tx, departure.id, ctx.now):
        _tell(tx, enrollment, source, ctx, None)
    return True


def _tell(tx: Transaction, enrollment: Enrollment, source: str, ctx: Context, command_uuid: CommandUUID | None) -> None:
    device = ChannelId(enrollment.channel.device_id)
    detail = {"command_uuid": command_uuid}
    observation = Observation(device, Signal.COMMAND_ANSWER, "unenrolled", ctx.now, enrollment.epoch, source, detail)
    evidence.append(tx, [observation], ctx.new_id)
    outbox.append(tx, [Event(ctx.new_id(), EventType.DEVICE_UNENROLLED, device, ctx.now)])

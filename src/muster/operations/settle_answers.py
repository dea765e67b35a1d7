"""What the answer to a command of ours sets going: a renewal that was refused, an enrollment that we ended.

Ordinary commands are settled by their report alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from muster.domain.command_queue import HoldReason, QueueEntry, QueuePurpose
from muster.domain.control.evidence import ERASE_ACKNOWLEDGED, Detail, Observation, Signal
from muster.domain.enrollment import Enrollment, Speaker
from muster.domain.renewal import USE_WITHIN
from muster.domain.renewal_failures import SAID_BY_US, classify_chain, describe_chain
from muster.domain.set_up import RELEASE_REQUEST_TYPES
from muster.operations.context import Context
from muster.operations.follow_pin import follow_without_token
from muster.operations.release_set_up import settle_release
from muster.operations.renew_identities import note_failure
from muster.operations.unenrollment import settle_unenrollment
from muster.protocol.connect import ErrorItem, Status, read_report
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, CommandUUID
from muster.storage import enrollments, evidence, queue_holds, renewals, reviews
from muster.storage.engine import Transaction

ERASE_DEVICE = "EraseDevice"


@dataclass(frozen=True, slots=True)
class SettledEntry:
    """An entry of the queue that its answer closed. *body* is the report as it came, *source* where it came from, and
    *speaker* as what the identity behind it speaks.
    """

    enrollment: Enrollment
    entry: QueueEntry
    status: Status
    body: bytes
    source: str
    speaker: Speaker


def settle_answers(tx: Transaction, settled: Sequence[SettledEntry], ctx: Context) -> None:
    """Do what each of *settled* sets going; those whose report is all there is to them may be among them."""
    for one in settled:
        match one.entry.purpose:
            case QueuePurpose.COMMAND if one.entry.request_type in RELEASE_REQUEST_TYPES:
                settle_release(tx, one.enrollment, one.status, ctx)
            case QueuePurpose.COMMAND if one.entry.request_type == ERASE_DEVICE:
                _settle_erasure(tx, one, ctx)
            case QueuePurpose.RENEWAL:
                _settle_renewal(tx, one, ctx)
            case QueuePurpose.UNENROLL:
                settle_unenrollment(tx, one.enrollment, one.entry.command_uuid, one.status, one.source, ctx)
            case QueuePurpose.COMMAND | QueuePurpose.INVENTORY | QueuePurpose.PROBE:
                pass
            case _:
                assert_never(one.entry.purpose)


def _settle_erasure(tx: Transaction, one: SettledEntry, ctx: Context) -> None:
    """Hold back what waits for a device that erases itself: its next life closes that."""
    if one.status is Status.ACKNOWLEDGED:
        device_id = one.enrollment.channel.device_id
        note_erasure(tx, one.enrollment, ERASE_ACKNOWLEDGED, one.entry.command_uuid, ctx)
        reviews.schedule(tx, ChannelId(device_id), ctx.now)
        channel_ids = [ChannelId(device_id), *enrollments.user_channels_of(tx, device_id)]
        queue_holds.hold_rest(tx, channel_ids, HoldReason.ERASED)


def note_erasure(
    tx: Transaction, enrollment: Enrollment, observed: str, command_uuid: CommandUUID, ctx: Context
) -> None:
    """Keep it as evidence that a device was handed EraseDevice, or has acknowledged it."""
    detail: Detail = {"command_uuid": command_uuid}
    channel_id = ChannelId(enrollment.channel.device_id)
    seen = Observation(channel_id, Signal.COMMAND_ANSWER, observed, ctx.now, enrollment.epoch, "", detail)
    evidence.append(tx, [seen], ctx.new_id)


def _settle_renewal(tx: Transaction, one: SettledEntry, ctx: Context) -> None:
    """Note what the device says of its renewal. An acknowledgement closes nothing: the new identity has to be used."""
    device_id = one.enrollment.channel.device_id
    command_uuid = one.entry.command_uuid
    if one.status is Status.ACKNOWLEDGED:
        if renewals.note_acknowledged(tx, device_id, command_uuid, ctx.now):
            reviews.schedule(tx, ChannelId(device_id), ctx.now + USE_WITHIN)
        return
    chain = _error_chain(one.body)
    failure = classify_chain(chain)
    known = renewals.failure_of(tx, device_id)
    if known in SAID_BY_US:
        failure = known  # of which the device sees only that SCEP failed
    note_failure(
        tx,
        ChannelId(device_id),
        one.enrollment.epoch,
        failure,
        describe_chain(chain) if chain else f"{one.status.value}, without a reason",
        ctx,
        command_uuid=command_uuid,
        source=one.source,
    )
    former = one.enrollment.pins.former
    if one.speaker is Speaker.FORMER and former is not None:
        follow_without_token(tx, one.enrollment, former, ctx)


def _error_chain(body: bytes) -> tuple[ErrorItem, ...]:
    """Read what can be read of a report's error chain."""
    try:
        return read_report(body)[0].error_chain
    except MalformedMessage:
        return ()

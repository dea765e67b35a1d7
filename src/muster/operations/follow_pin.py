"""The pin follows the device: back to its former identity when a renewal failed after all, and on again to the new one.

Devices tell by a TokenUpdate, by the Error of the renewal, or by nothing else than speaking on under the other one.
"""

from muster.domain.command_queue import QueuePurpose
from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import Enrollment, EnrollmentState, Identity, Pins, TokenUpdateMeaning, has_moved_on
from muster.domain.events import Event, EventType
from muster.domain.renewal_failures import EXPLANATIONS, RenewalFailure
from muster.operations.context import Context
from muster.operations.renew_identities import note_failure
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import enrollments, evidence, identities, outbox, push, queues, renewals, reviews
from muster.storage.engine import Transaction
from muster.storage.renewals import ClosedBecause


def follow_pin(tx: Transaction, enrollment: Enrollment, fingerprint: bytes, ctx: Context) -> bool | None:
    """Make the former pin *fingerprint* the current one; that one stays good for the days of a former pin.

    Tells whether the device went back to an older identity. The newer one coming to use after all ends the renewal.
    None: nothing happened, for an Authenticate waits for its TokenUpdate, which will decide.
    """
    device_id = enrollment.channel.device_id
    device = ChannelId(device_id)
    stored = enrollments.find(tx, [device])[device]
    pins = stored.pins
    is_undecided = pins.provisional is not None or stored.state is not EnrollmentState.ENROLLED
    if is_undecided or fingerprint != pins.former or pins.current is None:
        return None
    left, kept = identities.find(tx, pins.current), identities.find(tx, fingerprint)
    until = ctx.now + ctx.policy.former_pin_lifetime
    enrollments.set_renewed(tx, device, Pins(fingerprint, pins.current, until))
    identities.mark_pinned(tx, fingerprint, device_id, epoch=stored.epoch, begins_life=False, at=ctx.now)
    if left is not None and kept is not None and not _is_newer(kept, left):
        return True
    renewals.close(tx, device_id, ClosedBecause.USED, ctx.now)
    return False


def follow_without_token(tx: Transaction, enrollment: Enrollment, fingerprint: bytes, ctx: Context) -> bool | None:
    """As `follow_pin`, where no TokenUpdate says by which magic the device is pushed now: by the one before, then."""
    went_back = follow_pin(tx, enrollment, fingerprint, ctx)
    if went_back:
        push.take_former_magic(tx, ChannelId(enrollment.channel.device_id))
    return went_back


def note_rolled_back(tx: Transaction, enrollment: Enrollment, ctx: Context) -> None:
    """Have the renewal count as failed that the device used and left again."""
    failure = RenewalFailure.ROLLED_BACK
    device = ChannelId(enrollment.channel.device_id)
    note_failure(tx, device, enrollment.epoch, failure, EXPLANATIONS[failure].what, ctx)


def follow_silently(tx: Transaction, enrollment: Enrollment, fingerprint: bytes, ctx: Context, source: str) -> None:
    """As `follow_pin`, for a device that says nothing of it; evidence is what shows it then, if anything happened."""
    went_back = follow_without_token(tx, enrollment, fingerprint, ctx)
    if went_back is None:
        return
    if went_back:
        note_rolled_back(tx, enrollment, ctx)
    device = ChannelId(enrollment.channel.device_id)
    what = TokenUpdateMeaning.WENT_BACK.value
    detail = {"identity": fingerprint.hex()}
    observed = Observation(device, Signal.TOKEN_UPDATE, what, ctx.now, enrollment.epoch, source, detail)
    evidence.append(tx, [observed], ctx.new_id)


def complete_renewal(tx: Transaction, device_id: DeviceId, epoch: int, pins: Pins, ctx: Context) -> None:
    """Make the renewed identity, the current one of *pins*, the pin of *epoch*, and end the renewal: it is used."""
    device = ChannelId(device_id)
    assert pins.current is not None, "a renewal is completed by an identity"
    enrollments.set_renewed(tx, device, pins)
    identities.mark_pinned(tx, pins.current, device_id, epoch=epoch, begins_life=False, at=ctx.now)
    renewals.close(tx, device_id, ClosedBecause.USED, ctx.now)
    # its answer may still come, under either identity; handed out again, it would renew what was just renewed
    queues.withhold_purpose(tx, device, QueuePurpose.RENEWAL)
    outbox.append(tx, [Event(ctx.new_id(), EventType.DEVICE_RENEWED_IDENTITY, device, ctx.now)])


def move_on(tx: Transaction, enrollment: Enrollment, fingerprint: bytes, ctx: Context, source: str) -> None:
    """Complete the renewal of a device that has connected by it since a day and said nothing of it: its TokenUpdate was
    lost, by a fault of ours or its own. Nothing happens before; evidence tells it.
    """
    device_id = enrollment.channel.device_id
    device = ChannelId(device_id)
    pins = enrollments.find(tx, [device])[device].pins
    identity = identities.find(tx, fingerprint)
    if identity is None or not has_moved_on(identity, ctx.now):
        return
    renewed = Pins(fingerprint, pins.current, ctx.now + ctx.policy.former_pin_lifetime)
    complete_renewal(tx, device_id, enrollment.epoch, renewed, ctx)
    detail = {"identity": fingerprint.hex()}
    observed = Observation(device, Signal.TOKEN_UPDATE, "moved_on", ctx.now, enrollment.epoch, source, detail)
    evidence.append(tx, [observed], ctx.new_id)
    reviews.schedule(tx, device, ctx.now)


def _is_newer(one: Identity, other: Identity) -> bool:
    return one.issued_at is not None and other.issued_at is not None and one.issued_at > other.issued_at

"""Authenticate: a device asks to be enrolled, or installs its renewed identity."""

from dataclasses import replace

from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import EnrollmentState, ExpectRenewal, Identity, OpenEpoch, read_authenticate
from muster.domain.errors import Refusal
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, CheckinRequest, record_contact
from muster.operations.context import Context
from muster.protocol.checkin import Authenticate
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, evidence, identities, reviews
from muster.storage.engine import Transaction


def enroll_device(tx: Transaction, request: CheckinRequest[Authenticate], ctx: Context) -> CheckinOutcome:
    """Open an epoch provisionally, or expect the renewal; the pins, token, queue and escrow in force stay.

    Refused for an identity that we did not issue, that has expired, or that belongs to another device.
    """
    message = request.message
    channel = message.channel
    channel_id = ChannelId(channel.device_id)
    identity = identities.find(tx, request.fingerprint, for_update=True)
    decision = read_authenticate(
        channel,
        identity,
        enrollments.find(tx, [channel_id]).get(channel_id),
        now=ctx.now,
        last_epoch=enrollments.last_epoch(tx, channel.device_id),
        serial_number=message.serial_number,
        allowed_serials=_allowed_serials(tx, identity),
    )
    if isinstance(decision, Refusal):
        return decision
    assert identity is not None, "read_authenticate refuses an unknown identity"
    enrollments.add(tx, channel, state=EnrollmentState.ENROLLING, epoch=0, first_seen_at=ctx.now)
    identities.bind(tx, request.fingerprint, channel.device_id)
    match decision:
        case OpenEpoch(number):
            enrollments.open_epoch(
                tx,
                channel.device_id,
                number=number,
                identity=request.fingerprint,
                provenance=identity.provenance,
                at=ctx.now,
            )
            enrollments.set_provisional(tx, channel.device_id, pin=request.fingerprint, epoch=number)
            epoch, observed = number, "enrollment"
        case ExpectRenewal():
            enrollments.set_provisional(tx, channel.device_id, pin=request.fingerprint, epoch=None)
            epoch, observed = 0, "renewal"
    enrollments.store_facts(tx, channel_id, replace(_facts(message), account=identity.account), ctx.now)
    record_contact(tx, channel_id, ctx)
    evidence.append(
        tx,
        [
            Observation(
                channel_id,
                Signal.AUTHENTICATE,
                observed,
                ctx.now,
                epoch,
                request.source,
                {
                    "identity": request.fingerprint.hex(),
                    "provenance": identity.provenance.value,
                    "serial_number": message.serial_number,
                    "topic": message.topic,
                },
            )
        ],
        ctx.new_id,
    )
    reviews.schedule(tx, channel_id, ctx.now + ctx.policy.enrollment_patience)
    return CheckinAnswer(signal=observed)


def _allowed_serials(tx: Transaction, identity: Identity | None) -> frozenset[str] | None:
    """Whom the link behind *identity* lets in; None: everybody."""
    if identity is None or identity.link_id is None:
        return None
    link = identities.link_by_id(tx, identity.link_id)
    return None if link is None else link.serial_numbers


def _facts(message: Authenticate) -> enrollments.Facts:
    return enrollments.Facts(
        serial_number=message.serial_number,
        product_name=message.product_name,
        model=message.model,
        model_name=message.model_name,
        device_name=message.device_name,
        os_version=message.os_version,
        build_version=message.build_version,
        imei=message.imei,
        meid=message.meid,
    )

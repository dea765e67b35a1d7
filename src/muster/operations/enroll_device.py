"""Authenticate: a device asks to be enrolled, or installs its renewed identity."""

from dataclasses import replace

from muster.domain.control.evidence import Detail, Observation, Signal
from muster.domain.enrollment import Enrollment, EnrollmentState, ExpectRenewal, Identity, OpenEpoch, read_authenticate
from muster.domain.errors import Refusal
from muster.domain.events import Event, EventType
from muster.domain.letting_go import LetGo
from muster.operations.checkin import CheckinAnswer, CheckinOutcome, CheckinRequest, record_contact
from muster.operations.context import Context
from muster.operations.note_clones import note_clone
from muster.operations.turn_away import Newcomer, enrollment_refused, refused_then
from muster.protocol.checkin import Authenticate
from muster.protocol.identifiers import ChannelId
from muster.storage import enrollments, epoch_records, evidence, identities, known_facts, outbox, reviews
from muster.storage.engine import Transaction

SAME_SERIAL_NAMED = 10
"""Of the devices with a newcomer's serial number: virtual machines may all have the same."""


def enroll_device(tx: Transaction, request: CheckinRequest[Authenticate], ctx: Context) -> CheckinOutcome:
    """Open an epoch provisionally, or expect the renewal; the pins, token, queue and escrow in force stay.

    Refused for an identity that we did not issue, that has expired, or that belongs to another device.
    """
    message = request.message
    channel = message.channel
    channel_id = ChannelId(channel.device_id)
    identity = identities.find(tx, request.fingerprint, for_update=True)
    enrollment = enrollments.find(tx, [channel_id]).get(channel_id)
    decision = read_authenticate(
        channel,
        identity,
        enrollment,
        now=ctx.now,
        last_epoch=epoch_records.last(tx, channel.device_id),
        serial_number=message.serial_number,
        allowed_serials=_allowed_serials(tx, identity),
    )
    if isinstance(decision, Refusal):
        if request.wants_reply and identity is not None and identity.device_id not in (None, channel.device_id):
            owner = ChannelId(identity.device_id)
            note_clone(tx, owner, channel_id, request.fingerprint, request.source, ctx)
        return decision
    assert identity is not None, "read_authenticate refuses an unknown identity"
    return _let_in(tx, request, identity, enrollment, decision, ctx)


def _let_in(
    tx: Transaction,
    request: CheckinRequest[Authenticate],
    identity: Identity,
    enrollment: Enrollment | None,
    decision: OpenEpoch | ExpectRenewal,
    ctx: Context,
) -> CheckinOutcome:
    """Do what was decided, unless a policy refuses it."""
    message = request.message
    channel, channel_id = message.channel, ChannelId(message.channel.device_id)
    facts = replace(_facts(message), account=identity.account)
    refused: LetGo | Refusal | None = None
    if isinstance(decision, OpenEpoch) and request.wants_reply:
        newcomer = Newcomer(channel.device_id, request.fingerprint, facts, enrollment)
        refused = enrollment_refused(tx, identity, newcomer, ctx)
    elif isinstance(decision, OpenEpoch):
        refused = refused_then(tx, identity, enrollment)
    if refused is not None:
        return refused
    enrollments.add(tx, channel, state=EnrollmentState.ENROLLING, epoch=0, first_seen_at=ctx.now)
    alike = _note_same_serial(tx, request, ctx) if enrollment is None else None
    identities.bind(tx, request.fingerprint, channel.device_id)
    match decision:
        case OpenEpoch(number):
            epoch_records.add(
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
            assert enrollment is not None, "only what is enrolled is renewed"
            epoch, observed = enrollment.epoch, "renewal"
    known_facts.store_facts(tx, channel_id, facts, ctx.now)
    record_contact(tx, channel_id, ctx, request.source)
    detail: Detail = {
        "identity": request.fingerprint.hex(),
        "provenance": identity.provenance.value,
        "serial_number": message.serial_number,
        "topic": message.topic,
        **({} if alike is None else {"same_serial_as": alike}),
    }
    seen = Observation(channel_id, Signal.AUTHENTICATE, observed, ctx.now, epoch, request.source, detail)
    evidence.append(tx, [seen], ctx.new_id)
    reviews.schedule(tx, channel_id, ctx.now + ctx.policy.enrollment_patience)
    return CheckinAnswer(signal=observed)


def _note_same_serial(tx: Transaction, request: CheckinRequest[Authenticate], ctx: Context) -> str | None:
    """Tell others that a device we didn't know has the serial number of known ones; names them, None when there are
    none. They are linked by it, and never mistaken for one another."""
    serial_number, channel_id = request.message.serial_number, request.message.channel.id
    if not serial_number:
        return None
    others = known_facts.with_serial(tx, serial_number, but=channel_id, limit=SAME_SERIAL_NAMED)
    if not others:
        return None
    alike = ", ".join(others)
    detail = {"serial_number": serial_number, "same_serial_as": alike}
    outbox.append(tx, [Event(ctx.new_id(), EventType.DEVICE_SAME_SERIAL, channel_id, ctx.now, detail)])
    return alike


def _allowed_serials(tx: Transaction, identity: Identity | None) -> frozenset[str] | None:
    """Whom the link behind *identity* lets in; None: everybody."""
    if identity is None or identity.link_id is None:
        return None
    link = identities.link_by_id(tx, identity.link_id)
    return None if link is None else link.serial_numbers


def _facts(message: Authenticate) -> known_facts.Facts:
    return known_facts.Facts(
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

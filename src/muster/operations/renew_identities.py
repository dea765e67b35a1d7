"""Renew devices' identities: queue the enrollment profile once more, with the values the device was enrolled with.

Level-triggered by reviews. The renewal is closed by the TokenUpdate under the new identity, never by sending it or by
its acknowledgement.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from muster.crypto.certificates import inspect_certificate
from muster.domain.access import Grant
from muster.domain.command_queue import RENEWAL_PRIORITY, QueuePurpose
from muster.domain.control.evidence import Detail, Observation, Signal
from muster.domain.enrollment import Provenance
from muster.domain.events import Event, EventType
from muster.domain.push_policy import PushReason
from muster.domain.renewal import (
    CHALLENGE_LIFETIME,
    USE_WITHIN,
    CannotRenew,
    LookAgain,
    NotUsed,
    RenewalReason,
    SendRenewal,
    decide_renewal,
    due_notice,
)
from muster.domain.renewal_failures import EXPLANATIONS, RenewalFailure
from muster.operations.context import Context
from muster.operations.enrollment_profiles import make_profile
from muster.operations.issue_certificate import hash_secret
from muster.operations.recovery_steps import AFTER_CONTACT, is_way_doubted
from muster.protocol.command import Command, encode_command
from muster.protocol.identifiers import ChannelId, CommandUUID, DeviceId
from muster.protocol.profile import ScepPayload, encode_enrollment_profile
from muster.storage import commands, enrollment_profiles, evidence, identities, outbox, push, queues, renewals, reviews
from muster.storage.engine import Transaction
from muster.storage.renewals import ClosedBecause, DueIdentity


@dataclass(frozen=True, slots=True)
class RenewalOrder:
    """A device whose review found something to do about its identity. *sign* signs profiles."""

    device_id: ChannelId
    sign: Callable[[bytes], bytes]


def due_at(identity: DueIdentity, ctx: Context) -> datetime | None:
    """Tell when there is something to do about *identity*, not later than now: it is; None: nobody knows.

    `renew_identities` does what is due.
    """
    if identity.is_over or _has_stale_leftover(identity, ctx) or _notice(identity, ctx) is not None:
        return ctx.now
    if not identity.is_enrolled:
        return None
    match decide_renewal(identity.situation, ctx.now, ctx.policy):
        case LookAgain(at):
            return at
        case SendRenewal() | NotUsed():
            return ctx.now
        case CannotRenew():
            return None


def renew_identities(tx: Transaction, orders: Sequence[RenewalOrder], ctx: Context) -> list[bool]:
    """Do what is due about the identity of each device; tells of each whether a renewal was queued."""
    ids = sorted({order.device_id for order in orders})
    tx.lock_rows(ids)
    found = renewals.read(tx, ids)
    return [
        order.device_id in found and _attend(tx, order.device_id, found[order.device_id], order.sign, ctx)
        for order in orders
    ]


def _attend(
    tx: Transaction, device: ChannelId, identity: DueIdentity, sign: Callable[[bytes], bytes], ctx: Context
) -> bool:
    device_id = identity.situation.device_id
    if identity.is_over:
        renewals.close(tx, device_id, ClosedBecause.ENDED, ctx.now)
    if _has_stale_leftover(identity, ctx):
        queues.close_purpose(tx, device, QueuePurpose.RENEWAL, ctx.now)
    notice = _notice(identity, ctx)
    if notice is not None:
        _tell(tx, device, identity, notice, ctx)
    if not identity.is_enrolled:
        return False
    decision = decide_renewal(identity.situation, ctx.now, ctx.policy)
    match decision:
        case SendRenewal(reason, is_first_news):
            _send(tx, device, identity, reason, sign, ctx, is_first_news=is_first_news)
            return True
        case NotUsed():
            note_failure(
                tx,
                device,
                identity.epoch,
                RenewalFailure.NOT_USED,
                EXPLANATIONS[RenewalFailure.NOT_USED].what,
                ctx,
                command_uuid=identity.command_uuid,
            )
        case LookAgain() | CannotRenew():
            pass
        case _:
            assert_never(decision)
    return False


def _has_stale_leftover(identity: DueIdentity, ctx: Context) -> bool:
    """Tell whether a renewal's command is still queued although it is over, and its answer won't come any more."""
    since = identity.over_since
    return identity.has_leftover and (since is None or ctx.now >= since + USE_WITHIN)


def _notice(identity: DueIdentity, ctx: Context) -> int | None:
    if not identity.is_enrolled:
        return None
    return due_notice(identity.situation, identity.told_days, ctx.now, ctx.policy)


def _tell(tx: Transaction, device: ChannelId, identity: DueIdentity, days: int, ctx: Context) -> None:
    event_type = EventType.DEVICE_IDENTITY_EXPIRING if days else EventType.DEVICE_IDENTITY_EXPIRED
    detail: Detail = {
        "identity": identity.fingerprint.hex(),
        "not_after": f"{identity.situation.not_after:%Y-%m-%dT%H:%M:%SZ}",
        "days_left": days,
        "failure": None if identity.failure is None else identity.failure.value,
    }
    outbox.append(tx, [Event(ctx.new_id(), event_type, device, ctx.now, detail)])
    renewals.note_told(tx, identity.fingerprint, days)


def _send(
    tx: Transaction,
    device: ChannelId,
    identity: DueIdentity,
    reason: RenewalReason,
    sign: Callable[[bytes], bytes],
    ctx: Context,
    *,
    is_first_news: bool,
) -> None:
    """Queue the renewal; an unanswered one before it is closed, and its challenge stays good for who is about it."""
    device_id = identity.situation.device_id
    terms = enrollment_profiles.of_device(tx, device_id)
    certificate_der = identities.certificate_of(tx, identity.fingerprint)
    assert terms is not None, "an identity whose profile is not known is not renewed"
    assert certificate_der is not None, "a pin names a stored identity"
    profile = make_profile(
        tx,
        terms,
        Grant(Provenance.RENEWAL, renewal_of=device_id, expected_udid=device_id),
        ctx,
        expires_at=ctx.now + CHALLENGE_LIFETIME,
        common_name=inspect_certificate(certificate_der).common_name,
    )
    challenge = profile.identity.challenge if isinstance(profile.identity, ScepPayload) else None
    command_uuid = CommandUUID(ctx.new_id().upper())
    payload = sign(encode_enrollment_profile(profile))
    body = encode_command(Command(command_uuid, "InstallProfile", {"Payload": payload}))
    sealed = ctx.seal(body, table="commands", column="body", row=command_uuid)
    renewals.open_if_none(tx, device_id, epoch=identity.epoch, reason=reason, at=ctx.now)
    queues.close_purpose(tx, device, QueuePurpose.RENEWAL, ctx.now)
    commands.add(
        tx, commands.NewCommand(command_uuid, "InstallProfile", sealed, ctx.actor.name, is_sealed=True), ctx.now
    )
    queues.enqueue(
        tx,
        command_uuid,
        [(device, identity.epoch)],
        priority=RENEWAL_PRIORITY,
        at=ctx.now,
        purpose=QueuePurpose.RENEWAL,
    )
    renewals.note_sent(
        tx,
        device_id,
        reason=reason,
        command_uuid=command_uuid,
        challenge_hash=None if challenge is None else hash_secret(challenge),
        at=ctx.now,
    )
    if is_first_news:
        due_at = ctx.now + AFTER_CONTACT if is_way_doubted(tx, device) else ctx.now
        push.wish(tx, [device], reason=PushReason.COMMAND_QUEUED, at=ctx.now, due_at=due_at)
    else:
        push.wish_if_none(tx, {device: PushReason.COMMAND_WAITING}, at=ctx.now)
    detail = {"reason": reason.value, "command_uuid": command_uuid, "identity": identity.fingerprint.hex()}
    sent = Observation(device, Signal.IDENTITY_ISSUED, "renewal_sent", ctx.now, identity.epoch, "", detail)
    evidence.append(tx, [sent], ctx.new_id)


def note_failure(
    tx: Transaction,
    device: ChannelId,
    epoch: int,
    failure: RenewalFailure,
    text: str,
    ctx: Context,
    *,
    command_uuid: CommandUUID | None = None,
    source: str = "",
) -> None:
    """Record that the renewal sent as *command_uuid* failed, as evidence of the device, and have it reviewed again.

    Without *command_uuid* the one whose identity was used last: the device went back to the former one. A renewal that
    was closed by its use is open again.
    """
    device_id = DeviceId(device)
    is_open = command_uuid is not None and renewals.note_failed(
        tx, device_id, failure, text, at=ctx.now, command_uuid=command_uuid
    )
    if not is_open:
        renewals.reopen(tx, device_id, failure, text, epoch=epoch, at=ctx.now, command_uuid=command_uuid)
    detail = {"command_uuid": command_uuid, "failure": failure.value, "said": text}
    failed = Observation(device, Signal.COMMAND_ANSWER, "renewal_failed", ctx.now, epoch, source, detail)
    evidence.append(tx, [failed], ctx.new_id)
    reviews.schedule(tx, device, ctx.now)

"""Whether a contact gets the reply that makes a device leave: only by an administrator's order, or a policy's.

This is the one place where such an outcome is made.
"""

from dataclasses import dataclass

from muster.domain.access import Actor, ActorKind
from muster.domain.enrollment import Enrollment, EnrollmentState, Identity
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.events import Event, EventType
from muster.domain.letting_go import (
    LEAVINGS_COUNTED_FOR,
    Departure,
    DepartureKind,
    LetGo,
    is_turned_away,
    leaving_reply,
    refusing_policy,
    within_limit,
)
from muster.domain.standing_policies import Admission
from muster.operations.context import Context
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import departures, enrollments, identities, known_facts, outbox, people, policies
from muster.storage.engine import Transaction
from muster.storage.known_facts import Facts

POLICY = Actor(ActorKind.SERVER, "policy")
"""Who acts where a policy refuses."""


def turned_away(tx: Transaction, device_id: DeviceId, fingerprint: bytes, ctx: Context) -> LetGo | None:
    """Tell whether an administrator had the device rejected for which *fingerprint* speaks; None when not.

    The first time is an event. It costs one look where the device was never rejected.
    """
    rejection = _rejection_of(tx, device_id, fingerprint, ctx)
    if rejection is None:
        return None
    device = ChannelId(device_id)
    if rejection.delivered_at is None:
        tx.lock_rows([device])  # the outbox's sequence is its holder's; the first time only
        if departures.set_delivered(tx, rejection.id, ctx.now):
            detail = {"ordered_by": rejection.ordered_by}
            outbox.append(tx, [Event(ctx.new_id(), EventType.DEVICE_REJECTED, device, ctx.now, detail)])
    return _let_go(known_facts.facts_of(tx, device), RefusalCode.REJECTED)


def rejected_then(tx: Transaction, device_id: DeviceId, fingerprint: bytes, ctx: Context) -> Refusal | None:
    """Tell whether a message that is processed belatedly came after the rejection of its device; None when not.

    Nobody is there to be told to leave, and what the device said then does not enroll it again.
    """
    if _rejection_of(tx, device_id, fingerprint, ctx) is None:
        return None
    return Refusal(RefusalCode.REJECTED, f"{device_id} had been rejected when it said this")


def _rejection_of(tx: Transaction, device_id: DeviceId, fingerprint: bytes, ctx: Context) -> Departure | None:
    """Read the rejection that turns away what *fingerprint* says for a device at this time; None when there is none."""
    rejection = departures.rejection_of(tx, device_id)
    if rejection is None:
        return None
    device = ChannelId(device_id)
    identity = identities.find(tx, fingerprint)
    enrollment = enrollments.find(tx, [device]).get(device)
    if identity is None or enrollment is None or not is_turned_away(rejection, identity, enrollment, ctx.now):
        return None
    return rejection


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A contact that a policy refuses: what it says of itself, the identity it speaks by, and what it has with us."""

    device_id: DeviceId
    fingerprint: bytes
    facts: Facts
    enrollment: Enrollment | None


def _refuse(tx: Transaction, kind: DepartureKind, newcomer: Newcomer, ctx: Context) -> LetGo | Refusal:
    """Refuse *newcomer* as the policy *kind* has it: it is told to leave; past the hour's limit it is only refused.

    What is enrolled stays so on our side: the claim alone ends nothing. The first time of each identity is an act of
    the audit log, and counts towards the limit where the device is enrolled.
    """
    code = _CODES[kind]
    if departures.refusal_of(tx, newcomer.fingerprint, kind) is None:
        departures.lock_counting(tx)
        enrollment = newcomer.enrollment
        is_counted = enrollment is not None and enrollment.state is EnrollmentState.ENROLLED
        counted = departures.counted_since(tx, ctx.now - LEAVINGS_COUNTED_FOR)
        limit = ctx.policy.leavings_per_hour
        if is_counted and within_limit(1, counted=counted, limit=limit, named_count=None, given=1) is not None:
            return Refusal(code, f"the policy {kind.value} refuses this device; too many were let go within the hour")
        departure = Departure(
            ctx.new_id(),
            newcomer.device_id,
            kind,
            0 if enrollment is None else enrollment.epoch,
            ordered_at=ctx.now,
            ordered_by=POLICY.name,
            is_counted=is_counted,
            identity=newcomer.fingerprint,
            delivered_at=ctx.now,
        )
        departures.add(tx, departure)
        detail = {"policy": kind.value, "identity": newcomer.fingerprint.hex(), "was_enrolled": is_counted}
        people.record_act(tx, POLICY, "policy.refuse", newcomer.device_id, detail, ctx.now)
    return _let_go(newcomer.facts, code)


def enrollment_refused(tx: Transaction, identity: Identity, newcomer: Newcomer, ctx: Context) -> LetGo | Refusal | None:
    """Refuse an Authenticate under *identity* that would open an epoch, where policy has it so; None: accepted."""
    kind = _policy_against(tx, identity, newcomer.enrollment)
    return None if kind is None else _refuse(tx, kind, newcomer, ctx)


def refused_then(tx: Transaction, identity: Identity, enrollment: Enrollment | None) -> Refusal | None:
    """Tell whether a policy refused an Authenticate that is processed belatedly, and still would; None when not.

    Under a policy that was set since, what it let in before stays in.
    """
    kind = _policy_against(tx, identity, enrollment)
    if kind is None or departures.refusal_of(tx, identity.fingerprint, kind) is None:
        return None
    return Refusal(_CODES[kind], f"the policy {kind.value} refused this identity")


def _policy_against(tx: Transaction, identity: Identity, enrollment: Enrollment | None) -> DepartureKind | None:
    """Name the policy that refuses an Authenticate under *identity* that would open an epoch; None: none does."""
    kind = refusing_policy(identity, enrollment)
    standing = policies.read(tx)
    match kind:
        case DepartureKind.ON_ENROLL if standing.on_enroll is Admission.REFUSE:
            return kind
        case DepartureKind.ON_RESTORE if standing.on_restore is Admission.REFUSE:
            return kind
        case _:
            return None


def restored_refused(tx: Transaction, device_id: DeviceId, fingerprint: bytes, ctx: Context) -> LetGo | Refusal | None:
    """Refuse a device that was restored from an older backup, where policy has it so; None where it is accepted."""
    if policies.read(tx).on_restore is Admission.ACCEPT:
        return None
    device = ChannelId(device_id)
    newcomer = Newcomer(
        device_id, fingerprint, known_facts.facts_of(tx, device), enrollments.find(tx, [device]).get(device)
    )
    return _refuse(tx, DepartureKind.ON_RESTORE, newcomer, ctx)


_CODES = {
    DepartureKind.ON_ENROLL: RefusalCode.REFUSED_ON_ENROLL,
    DepartureKind.ON_RESTORE: RefusalCode.REFUSED_ON_RESTORE,
}


def _let_go(facts: Facts, code: RefusalCode) -> LetGo:
    is_account_driven = facts.account is not None
    return LetGo(leaving_reply(facts.product_name, facts.os_version, is_account_driven=is_account_driven), code)

"""Enrollments that another server made are brought over: what their devices said there is heard here, as of its time.

A device goes on speaking by the identity that the other server gave it. Where that is not known, another one stands in
for it, by which nobody can speak, until the device shows its own. Renewals are off until somebody says with which
profile the device was enrolled.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.crypto.certificates import inspect_certificate, issuer_name, known_certificate
from muster.crypto.chains import chain_to
from muster.crypto.errors import CryptoError
from muster.crypto.issuance import make_self_signed
from muster.crypto.keys import generate_ec_key
from muster.domain.access import Grant
from muster.domain.adoption import AdoptionOrder, QueuedElsewhere, UserElsewhere
from muster.domain.command_queue import ONCE_ONLY_REQUEST_TYPES
from muster.domain.control.evidence import Observation, Signal
from muster.domain.enrollment import Pins, Provenance
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.letting_go import LetGo
from muster.domain.permissions import Permission
from muster.operations.answer_checkin import answer_checkin
from muster.operations.checkin import CheckinRequest, record_contact
from muster.operations.context import Context
from muster.operations.journal_identity import journal_identity
from muster.operations.permit import act
from muster.operations.queue_command import CommandOrder, queue_commands
from muster.operations.upload_push_certificate import (
    UploadedPushCertificate,
    UploadOutcome,
    upload_push_certificates,
)
from muster.protocol.checkin import (
    Authenticate,
    CheckinMessage,
    SetBootstrapToken,
    TokenUpdate,
    decode_checkin,
    encode_checkin,
)
from muster.protocol.command import CommandRequest, decode_command
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import Channel, ChannelId, DeviceId
from muster.storage import enrollments, evidence, identities, people, reviews
from muster.storage.engine import Transaction
from muster.storage.identities import NewIdentity
from muster.storage.journal import JournalRecord

STANDS_IN_FOR: Final = timedelta(days=3650)
"""Longer than any identity is valid: what is told of its end would be told of nothing."""
_STAND_IN: Final = "stands in for an identity of another server"


@dataclass(frozen=True, slots=True)
class Adopted:
    """A device that came over. *left*: what did not, and why."""

    device_id: DeviceId
    users: int = 0
    commands: int = 0
    is_identity_known: bool = True
    left: tuple[str, ...] = ()


AdoptionOutcome: TypeAlias = Adopted | Refusal


@act(Permission.CERTIFICATES)
def adopt_enrollments(tx: Transaction, orders: Sequence[AdoptionOrder], ctx: Context) -> list[AdoptionOutcome]:
    """Bring devices over, each by itself; one outcome for each, in order.

    Refused: messages that can't be read or are another device's, a device that is enrolled here already, an identity
    that has expired (the other server hears it no more either) or is another's. Commands that act once only are left
    behind: nobody knows whether their devices have them.
    """
    return [_adopt(tx, order, ctx) for order in orders]


class Rehearsed(Exception):
    """What would come of it; it is raised so that nothing of it stays."""

    def __init__(self, outcomes: list[AdoptionOutcome]) -> None:
        super().__init__("rehearsed")
        self.outcomes = outcomes


@act(Permission.CERTIFICATES)
def rehearse_adoption(tx: Transaction, orders: Sequence[AdoptionOrder], ctx: Context) -> list[AdoptionOutcome]:
    """Do as `adopt_enrollments` does, and take it back. Raises Rehearsed, always."""
    raise Rehearsed(adopt_enrollments(tx, orders, ctx))


class UploadsRehearsed(Exception):
    """What would come of push certificates; it is raised so that nothing of it stays."""

    def __init__(self, outcomes: list[UploadOutcome]) -> None:
        super().__init__("rehearsed")
        self.outcomes = outcomes


@act(Permission.CERTIFICATES)
def rehearse_uploads(tx: Transaction, uploads: Sequence[UploadedPushCertificate], ctx: Context) -> list[UploadOutcome]:
    """Do as `upload_push_certificates` does, and take it back. Raises UploadsRehearsed, always."""
    raise UploadsRehearsed(upload_push_certificates(tx, uploads, ctx))


def _adopt(tx: Transaction, order: AdoptionOrder, ctx: Context) -> AdoptionOutcome:
    try:
        said, update = decode_checkin(order.authenticate), decode_checkin(order.token_update)
        if not isinstance(said, Authenticate) or not isinstance(update, TokenUpdate):
            raise MalformedMessage("it is no Authenticate followed by a TokenUpdate")
        if update.channel != said.channel:
            raise MalformedMessage("Authenticate and TokenUpdate are of different devices")
    except MalformedMessage as error:
        return Refusal(RefusalCode.BODY_MALFORMED, str(error))
    device_id = said.channel.device_id
    tx.lock_rows([ChannelId(device_id)])
    if ChannelId(device_id) in enrollments.find(tx, [ChannelId(device_id)]):
        return Refusal(RefusalCode.CONFLICT, f"{device_id} is known here already")
    identity = _introduce(tx, device_id, order.certificate_der, order.awaited, ctx)
    if isinstance(identity, Refusal):
        return identity
    if order.unlock_token and not update.unlock_token:
        update = replace(update, unlock_token=order.unlock_token)
    speaking = _Speaking(tx, identity, ctx)
    for message, at in ((said, order.authenticated_at), (update, order.updated_at)):
        refused = speaking.say(message, at)
        if refused is not None:
            return refused
    left: list[str] = []
    if order.bootstrap_token:
        speaking.say(SetBootstrapToken(said.identifiers, said.channel, order.bootstrap_token), order.updated_at)
    users = sum(_adopt_user(tx, speaking, user, said.channel, order, ctx, left) for user in order.users)
    if order.last_seen_at is not None:
        record_contact(tx, ChannelId(device_id), replace(ctx, now=min(order.last_seen_at, ctx.now)), "")
    commands = sum(_adopt_command(tx, one, ctx, left) for one in order.queue)
    reviews.schedule(tx, ChannelId(device_id), ctx.now)
    people.record_act(tx, ctx.actor, "enrollment.adopt", device_id, {"users": users, "commands": commands}, ctx.now)
    return Adopted(device_id, users, commands, identity.awaited is None, tuple(left))


def _adopt_user(
    tx: Transaction,
    speaking: "_Speaking",
    user: UserElsewhere,
    device: Channel,
    order: AdoptionOrder,
    ctx: Context,
    left: list[str],
) -> bool:
    try:
        message = decode_checkin(user.token_update)
        if not isinstance(message, TokenUpdate) or message.channel.device_id != device.device_id:
            raise MalformedMessage("it is no TokenUpdate of this device's users")
    except MalformedMessage as error:
        left.append(f"a user: {error}")
        return False
    refused = speaking.say(message, max(user.updated_at, order.authenticated_at))
    if refused is not None:
        left.append(f"{message.channel.id}: {refused.message}")
        return False
    if user.last_seen_at is not None:
        record_contact(tx, message.channel.id, replace(ctx, now=min(user.last_seen_at, ctx.now)), "")
    return True


def _adopt_command(tx: Transaction, queued: QueuedElsewhere, ctx: Context, left: list[str]) -> bool:
    try:
        command = decode_command(queued.body)
    except MalformedMessage as error:
        left.append(f"a command for {queued.channel_id}: {error}")
        return False
    if command.request_type in ONCE_ONLY_REQUEST_TYPES:
        left.append(f"{command.request_type} {command.command_uuid} for {queued.channel_id}: it acts once only")
        return False
    order = CommandOrder(
        (queued.channel_id,),
        CommandRequest(command.request_type, command.keys),
        queued.priority,
        command.command_uuid,
        anyway=True,
    )
    outcome = queue_commands(tx, [order], ctx)[0]
    if isinstance(outcome, Refusal):
        left.append(f"{command.request_type} {command.command_uuid} for {queued.channel_id}: {outcome.message}")
    return not isinstance(outcome, Refusal)


class _Speaking:
    """Has messages heard that were said to another server, by *identity*; what is journaled is so as of now."""

    def __init__(self, tx: Transaction, identity: NewIdentity, ctx: Context) -> None:
        self._tx = tx
        self._identity = identity
        self._ctx = ctx
        self._said = 0

    def say(self, message: CheckinMessage, at: datetime) -> Refusal | None:
        """Hear *message* as of *at*; tells why not, or None."""
        self._said += 1
        received_at = self._ctx.now + timedelta(microseconds=self._said)  # no two of a device have the same
        body = encode_checkin(message)
        request = CheckinRequest(
            message,
            self._identity.fingerprint,
            body,
            "",
            identity_not_after=self._identity.not_after,
            received_at=received_at,
            wants_reply=False,
        )
        outcome = answer_checkin(self._tx, request, replace(self._ctx, now=min(at, self._ctx.now)))
        if isinstance(outcome, Refusal):
            return outcome
        if isinstance(outcome, LetGo):
            return Refusal(RefusalCode.REJECTED, f"{message.channel.device_id} was rejected here")
        name = type(message).__name__
        self._tx.to_journal.append(
            JournalRecord(received_at, message.channel.id, name, self._identity.certificate_der, "", body)
        )
        return None


def _introduce(
    tx: Transaction, device_id: DeviceId, certificate_der: bytes | None, awaited: bytes | None, ctx: Context
) -> NewIdentity | Refusal:
    """Store the identity by which a device speaks, or what stands in for it."""
    grant = Grant(Provenance.ADOPTED, expected_udid=device_id)
    if certificate_der is None:
        made = make_self_signed(
            _STAND_IN,
            generate_ec_key(),  # which nobody keeps
            now=ctx.now,
            lifetime=STANDS_IN_FOR,
            serial_number=int.from_bytes(ctx.random_bytes(16), "big") >> 1 | 1,
        )
        new = _identity(made, grant, awaited if awaited is not None else b"")
    else:
        try:
            new = _identity(certificate_der, grant, None)
        except CryptoError as error:
            return Refusal(RefusalCode.CERTIFICATE_MALFORMED, f"the identity of {device_id} can't be read: {error}")
        if ctx.now >= new.not_after:
            return Refusal(
                RefusalCode.IDENTITY_EXPIRED,
                f"the identity of {device_id} expired on {new.not_after:%Y-%m-%d}",
                "The other server hears it no more either; enroll the device again.",
            )
        known = identities.find(tx, new.fingerprint)
        if known is not None and known.device_id not in (None, device_id):
            return Refusal(
                RefusalCode.IDENTITY_OF_ANOTHER_DEVICE,
                f"{device_id} has the same identity as {known.device_id}",
                "Enroll one of the two again.",
            )
    identities.add(tx, new)
    journal_identity(tx, new.fingerprint, ctx)
    return new


def _identity(certificate_der: bytes, grant: Grant, awaited: bytes | None) -> NewIdentity:
    """Read a certificate as an identity. Raises CryptoError when it is none."""
    facts = inspect_certificate(certificate_der)
    issuer = hashlib.sha256(repr(issuer_name(certificate_der)).encode()).digest()
    return NewIdentity(
        fingerprint_of(certificate_der), certificate_der, issuer, grant, facts.not_before, facts.not_after, awaited
    )


# --- one message after the other ------------------------------------------------------------------------------------


@act(Permission.CERTIFICATES)
def migrate_checkins(tx: Transaction, bodies: Sequence[bytes], ctx: Context) -> list[Refusal | None]:
    """Hear check-ins that a program hands on for their devices: Authenticate, TokenUpdate and SetBootstrapToken.

    What a device says whose identity was met already is passed over: it speaks for itself. Refused: what can't be
    read, other messages, and a TokenUpdate before its Authenticate.
    """
    return [_migrate(tx, body, ctx) for body in bodies]


def _migrate(tx: Transaction, body: bytes, ctx: Context) -> Refusal | None:
    try:
        message = decode_checkin(body)
    except MalformedMessage as error:
        return Refusal(RefusalCode.BODY_MALFORMED, str(error))
    if not isinstance(message, Authenticate | TokenUpdate | SetBootstrapToken):
        return Refusal(RefusalCode.MESSAGE_UNKNOWN, f"{type(message).__name__} is not taken over")
    device = ChannelId(message.channel.device_id)
    tx.lock_rows(sorted({device, message.channel.id}))
    enrollment = enrollments.find(tx, [device]).get(device)
    if enrollment is None:
        if not isinstance(message, Authenticate):
            return Refusal(RefusalCode.CHANNEL_UNKNOWN, f"no Authenticate of {device} came before")
        introduced = _introduce(tx, message.channel.device_id, None, None, ctx)
        assert isinstance(introduced, NewIdentity), "what stands in is never refused"
        return _Speaking(tx, introduced, ctx).say(message, ctx.now)
    pin = enrollment.pins.provisional or enrollment.pins.current
    stands_in = None if pin is None else identities.issued(tx, pin)
    if stands_in is None or stands_in.awaited is None:
        return None
    return _Speaking(tx, stands_in, ctx).say(message, ctx.now)


# --- the first contact ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FirstContact:
    """A device shows a certificate that is not known here. *trusted_der*: authorities of the other server."""

    device_id: DeviceId
    certificate_der: bytes
    source: str
    trusted_der: tuple[bytes, ...] = ()


def meet_adopted(tx: Transaction, contacts: Sequence[FirstContact], ctx: Context) -> list[bool]:
    """Let devices that came over speak by the identity they have, at their first contact; tells whether they may.

    That is the certificate whose SHA-256 came along; where none did, one that an authority of the other server issued.
    """
    return [_meet(tx, contact, ctx) for contact in contacts]


def _meet(tx: Transaction, contact: FirstContact, ctx: Context) -> bool:
    device = ChannelId(contact.device_id)
    tx.lock_rows([device])
    enrollment = enrollments.find(tx, [device]).get(device)
    pin = None if enrollment is None else enrollment.pins.current
    stands_in = None if pin is None else identities.issued(tx, pin)
    if enrollment is None or stands_in is None or stands_in.awaited is None:
        return False
    found = fingerprint_of(contact.certificate_der)
    if stands_in.awaited not in (b"", found) or not _is_fit(contact, stands_in.awaited, ctx):
        return False
    if identities.find(tx, found) is not None:
        return False  # it is known, and so another's
    identities.add(tx, _identity(contact.certificate_der, stands_in.made_for, None))
    journal_identity(tx, found, ctx, source=contact.source)
    take_place_of_stand_in(tx, contact.device_id, found, ctx)
    seen = Observation(
        device, Signal.AUTHENTICATE, "met", ctx.now, enrollment.epoch, contact.source, {"identity": found.hex()}
    )
    evidence.append(tx, [seen], ctx.new_id)
    reviews.schedule(tx, device, ctx.now)
    return True


def _is_fit(contact: FirstContact, awaited: bytes, ctx: Context) -> bool:
    try:
        if ctx.now >= known_certificate(contact.certificate_der).not_after:
            return False
        if not awaited:
            chain_to(contact.certificate_der, contact.trusted_der, contact.trusted_der, allow_legacy=True)
    except CryptoError:
        return False
    return True


def take_place_of_stand_in(tx: Transaction, device_id: DeviceId, fingerprint: bytes, ctx: Context) -> None:
    """Pin the stored identity *fingerprint* to a device in place of what stands in for it; else nothing happens."""
    device = ChannelId(device_id)
    enrollment = enrollments.find(tx, [device]).get(device)
    pin = None if enrollment is None else enrollment.pins.current
    stands_in = None if pin is None else identities.issued(tx, pin)
    if enrollment is None or pin == fingerprint or stands_in is None or stands_in.awaited is None:
        return
    enrollments.set_renewed(tx, device, Pins(current=fingerprint))
    identities.mark_pinned(tx, fingerprint, device_id, epoch=enrollment.epoch, begins_life=False, at=ctx.now)

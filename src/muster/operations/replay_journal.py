"""Tell a restored database what it missed: the journal's records, each as of its time, by the very operations.

What is known already stays, what the device itself has replaced since stays too; so a record may be replayed any
number of times. A check-in is known when its channel has a later one; an identity when it is stored; a secret when it
is kept and stands where it stood then, or further.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.crypto.certificates import known_certificate
from muster.crypto.errors import CryptoError
from muster.domain.enrollment import Provenance
from muster.domain.errors import Refusal
from muster.domain.secrets import SecretKind, SecretState
from muster.operations.adopt_enrollments import take_place_of_stand_in
from muster.operations.answer_checkin import AnyCheckin, answer_checkin
from muster.operations.checkin import CheckinRequest, speaking
from muster.operations.context import Context
from muster.operations.keep_secrets import keep_secret, open_escrow_key, open_secret
from muster.operations.replay_push_certificates import replay_push_certificate, replay_push_request
from muster.operations.retry_deferred import is_overtaken
from muster.protocol.checkin import CheckinMessage, SetBootstrapToken, TokenUpdate, decode_checkin
from muster.protocol.errors import MalformedMessage
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.storage import enrollment_profiles, enrollments, escrow, identities, queue_holds
from muster.storage.engine import Transaction
from muster.storage.journal import JournalRecord
from muster.storage.journal_index import device_of
from muster.storage.journal_records import (
    AUTHORITY,
    ESCROW_CERTIFICATE,
    HANDED_OUT,
    IDENTITY,
    PROCESSED,
    PUSH_CERTIFICATE,
    PUSH_REQUEST,
    SECRET,
    read_authority,
    read_escrow_certificate,
    read_handed_out,
    read_identity,
    read_secret,
)


class ReplayResult(StrEnum):
    """What became of a record that was replayed."""

    REBUILT = "rebuilt"
    KNOWN = "known"
    """The database had it, or the device has said something newer since."""
    REFUSED = "refused"
    """As it may have been when it came; or what it rests on is missing."""
    UNREADABLE = "unreadable"
    FAILED = "failed"
    """A fault of ours kept it from being replayed."""


_NO_DEVICE = DeviceId("")


@dataclass(frozen=True, slots=True)
class Replayed:
    """One record and what became of it. *device_id* is empty where none is concerned; *reason* says why it wasn't."""

    record: JournalRecord
    result: ReplayResult
    device_id: DeviceId = _NO_DEVICE
    reason: str = ""


def replay_records(tx: Transaction, records: Sequence[JournalRecord], ctx: Context) -> list[Replayed]:
    """Replay *records*, which are in the order of their times; one Replayed for each, in order.

    Refusals are returned and leave no evidence: they did when the message came.
    """
    channels = {record.channel_id for record in records if record.channel_id}
    devices = {device_of(record) for record in records} - {_NO_DEVICE}
    tx.lock_rows(sorted({ChannelId(one) for one in channels | devices}))
    return [_replay(tx, record, ctx) for record in records]


def _replay(tx: Transaction, record: JournalRecord, ctx: Context) -> Replayed:
    then = replace(ctx, now=record.at)
    device_id = device_of(record)
    try:
        match record.message:
            case _ if record.message == PROCESSED:
                return Replayed(record, ReplayResult.KNOWN)
            case _ if record.message == AUTHORITY:
                return Replayed(record, _replay_authority(tx, record))
            case _ if record.message == IDENTITY:
                return _replay_identity(tx, record, then)
            case _ if record.message == HANDED_OUT:
                return Replayed(record, _replay_hand_out(tx, record), device_id)
            case _ if record.message == SECRET:
                return Replayed(record, _replay_secret(tx, record, then), device_id)
            case _ if record.message == ESCROW_CERTIFICATE:
                return Replayed(record, _replay_escrow_certificate(tx, record, then))
            case _ if record.message == PUSH_CERTIFICATE:
                return Replayed(record, _result(is_new=replay_push_certificate(tx, record, then)))
            case _ if record.message == PUSH_REQUEST:
                return Replayed(record, _result(is_new=replay_push_request(tx, record, then)))
            case _:
                return _replay_checkin(tx, record, then)
    except (MalformedMessage, CryptoError, ValueError, KeyError, TypeError) as error:
        return Replayed(record, ReplayResult.UNREADABLE, device_id, f"{type(error).__name__}: {error}")


def _result(*, is_new: bool) -> ReplayResult:
    return ReplayResult.REBUILT if is_new else ReplayResult.KNOWN


def _replay_authority(tx: Transaction, record: JournalRecord) -> ReplayResult:
    found = read_authority(record)
    known = identities.all_authorities(tx)
    if any(one.fingerprint == found.authority.fingerprint for one in known):
        return ReplayResult.KNOWN
    newest = identities.current_since(tx)
    if newest is None or found.created_at > newest:
        identities.make_current(tx, found.authority, found.created_at)
    else:
        identities.add_authority(tx, replace(found.authority, is_current=False), found.created_at)
    return ReplayResult.REBUILT


def _replay_identity(tx: Transaction, record: JournalRecord, then: Context) -> Replayed:
    found = read_identity(record)
    identity, grant = found.identity, found.identity.made_for
    device_id = device_of(record)
    stored = identities.issued(tx, identity.fingerprint)
    if stored is not None:
        was_unknown = stored.made_for.profile_id is None and grant.profile_id is not None and found.terms is not None
        if was_unknown and grant.profile_id is not None and found.terms is not None:
            enrollment_profiles.keep_json(tx, grant.profile_id, found.terms, then.now)
            identities.set_profile(tx, identity.fingerprint, grant.profile_id)
        return Replayed(record, ReplayResult.REBUILT if was_unknown else ReplayResult.KNOWN, device_id)
    is_adopted = grant.provenance is Provenance.ADOPTED
    if not is_adopted and all(one.fingerprint != identity.authority for one in identities.all_authorities(tx)):
        return Replayed(record, ReplayResult.REFUSED, device_id, "the authority that issued it is not known")
    if grant.profile_id is not None and found.terms is not None:
        enrollment_profiles.keep_json(tx, grant.profile_id, found.terms, then.now)
    elif grant.profile_id is not None and enrollment_profiles.json_of(tx, grant.profile_id) is None:
        grant = replace(grant, profile_id=None)
    identities.add(tx, replace(identity, made_for=grant))
    if found.replaces is not None:
        identities.replace(tx, found.replaces, identity.fingerprint)
    if found.challenge_hash is not None and found.challenge_key is not None:
        challenge = identities.challenge(tx, found.challenge_hash)
        if challenge is not None and challenge.used_at is None:
            identities.use_challenge(
                tx, found.challenge_hash, key=found.challenge_key, identity=identity.fingerprint, at=then.now
            )
    if is_adopted:
        take_place_of_stand_in(tx, DeviceId(grant.expected_udid or ""), identity.fingerprint, then)
    if grant.link_id is not None and grant.provenance is Provenance.LINK and found.replaces is None:
        identities.count_link_use(tx, grant.link_id)
    return Replayed(record, ReplayResult.REBUILT, device_id)


def _replay_hand_out(tx: Transaction, record: JournalRecord) -> ReplayResult:
    was_unknown = queue_holds.note_hand_out(tx, ChannelId(record.channel_id), read_handed_out(record), at=record.at)
    return ReplayResult.REBUILT if was_unknown else ReplayResult.KNOWN


def _replay_secret(tx: Transaction, record: JournalRecord, then: Context) -> ReplayResult:
    """Keep a secret whatever is known of its device; that of an earlier life goes to the history of that."""
    found = read_secret(record)
    open_secret(found.secret, then)  # nothing is kept that the key ring doesn't open
    device = ChannelId(found.device_id)
    enrollment = enrollments.find(tx, [device]).get(device)
    is_of_earlier_life = enrollment is not None and enrollment.epoch > found.secret.epoch
    if is_of_earlier_life and found.archived_at is None:
        found = replace(found, state=SecretState.ARCHIVED, archived_at=then.now)
    return ReplayResult.REBUILT if escrow.restore(tx, found) else ReplayResult.KNOWN


def _replay_escrow_certificate(tx: Transaction, record: JournalRecord, then: Context) -> ReplayResult:
    found = read_escrow_certificate(record)
    if any(one.fingerprint == found.fingerprint for one in escrow.certificates(tx)):
        return ReplayResult.KNOWN
    open_escrow_key(found, then)
    escrow.add_certificate(tx, found, then.now)
    return ReplayResult.REBUILT


def _replay_checkin(tx: Transaction, record: JournalRecord, then: Context) -> Replayed:
    message = decode_checkin(record.body)
    request: AnyCheckin = CheckinRequest(
        message,
        fingerprint_of(record.certificate_der),
        record.body,
        record.source,
        identity_not_after=known_certificate(record.certificate_der).not_after,
        beside=record.beside,
        received_at=record.at,
        wants_reply=False,
    )
    device_id = message.channel.device_id
    checked_in_at = enrollments.checked_in_at(tx, message.channel.id)
    is_known = checked_in_at is not None and checked_in_at >= record.at
    if is_known or is_overtaken(tx, message, record.at):
        is_new = _keep_missing_secret(tx, request, then)
        return Replayed(record, ReplayResult.REBUILT if is_new else ReplayResult.KNOWN, device_id)
    outcome = answer_checkin(tx, request, then)
    if isinstance(outcome, Refusal):
        return Replayed(record, ReplayResult.REFUSED, device_id, outcome.message)
    return Replayed(record, ReplayResult.REBUILT, device_id)


def _keep_missing_secret(tx: Transaction, request: AnyCheckin, then: Context) -> bool:
    """Keep the secret in a message that is otherwise overtaken, where nothing later replaced it; tells whether it did.

    Only the first TokenUpdate may bring the unlock token, and another node may have journaled the bootstrap token.
    """
    secret = _secret_in(request.message)
    if secret is None:
        return False
    kind, value, origin = secret
    device_id = request.message.channel.device_id
    changed_at = escrow.changed_at(tx, device_id, kind)
    if changed_at is not None and changed_at >= then.now:
        return False
    spoken = speaking(tx, request, then)
    if isinstance(spoken, Refusal):
        return False
    return keep_secret(tx, device_id, kind, value, spoken.epoch, then, origin=origin)


def _secret_in(message: CheckinMessage) -> tuple[SecretKind, bytes, str] | None:
    match message:
        case TokenUpdate() if message.unlock_token:
            return SecretKind.UNLOCK_TOKEN, message.unlock_token, "TokenUpdate"
        case SetBootstrapToken() if message.bootstrap_token:
            return SecretKind.BOOTSTRAP_TOKEN, message.bootstrap_token, "SetBootstrapToken"
        case _:
            return None

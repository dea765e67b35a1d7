"""Secrets of devices are kept: what they give us, what we set on them, and what they say about that."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from muster.crypto.certificates import fingerprint as fingerprint_of
from muster.crypto.cms.enveloped_data import is_addressed_to, open_envelope
from muster.crypto.errors import CryptoError
from muster.crypto.issuance import make_self_signed
from muster.crypto.keys import load_private_key, private_key_der
from muster.domain.answered_commands import AnsweredCommand
from muster.domain.command_secrets import SECRET_ANSWER_KEYS
from muster.domain.enrollment import Enrollment
from muster.domain.faults import Fault
from muster.domain.secrets import (
    SETTING_REQUEST_TYPES,
    UNCONFIRMED,
    VERIFYING_REQUEST_TYPES,
    SecretKind,
    SecretState,
    proposal_in,
    was_taken,
    was_verified,
)
from muster.operations.context import Context
from muster.operations.journal_secrets import journal_certificate, journal_proposal, journaled
from muster.protocol.command import CommandRequest
from muster.protocol.connect import Status
from muster.protocol.identifiers import CommandUUID, DeviceId
from muster.protocol.plist import PlistValue
from muster.storage import escrow
from muster.storage.engine import Transaction
from muster.storage.escrow import EscrowCertificate, KeptSecret, SealedSecret

_LIFETIME = timedelta(days=25 * 365)
MAXIMUM_ACCOUNTS = 16
"""Administrators that a Mac names; Setup Assistant makes one."""
MAXIMUM_SECRET_BYTES = 64 * 1024
"""Of one secret that a device gives; an unlock token has some two kilobytes, a bootstrap token less than one."""


def keep_secret(
    tx: Transaction,
    device_id: DeviceId,
    kind: SecretKind,
    secret: bytes,
    epoch: int,
    ctx: Context,
    *,
    origin: str,
    as_of: datetime | None = None,
) -> bool:
    """Seal *secret* and keep it; the same one again changes nothing. Tells whether it was another. It is not journaled.

    *as_of* is when the device said it, if not now: where a newer one is in force, it goes to the history.
    """
    at = as_of or ctx.now
    current = escrow.current(tx, device_id, kind, epoch=epoch)
    if current is not None and open_secret(current, ctx) == secret:
        return False
    is_late = current is not None and current.stored_at > at
    if is_late and any(open_secret(one.secret, ctx) == secret for one in escrow.of_device(tx, device_id, kind)):
        return False
    state = SecretState.REPLACED if is_late else SecretState.IN_FORCE
    escrow.add(tx, device_id, kind, seal_secret(secret, epoch, ctx, at=at), origin=origin, state=state)
    return True


def seal_secret(secret: bytes, epoch: int, ctx: Context, *, at: datetime | None = None) -> SealedSecret:
    """Seal *secret* for a row of its own."""
    secret_id = ctx.new_id()
    sealed = ctx.seal(secret, table="escrow", column="sealed", row=secret_id)
    return SealedSecret(secret_id, sealed, epoch, at or ctx.now)


def open_secret(secret: SealedSecret, ctx: Context) -> bytes:
    """Open a kept secret."""
    return ctx.open(secret.sealed, table="escrow", column="sealed", row=secret.id)


# --- what we set on devices -------------------------------------------------------------------------------------------


def propose_secrets(
    tx: Transaction,
    request: CommandRequest,
    command_uuid: CommandUUID,
    targets: Sequence[Enrollment],
    ctx: Context,
) -> None:
    """Keep the secret that a command sets, if it sets one, for each of the devices it is queued on.

    It has to be kept before the command is handed out: the device may act on it, and never say so.
    """
    proposed = proposal_in(request)
    if proposed is None or not proposed.value:
        return
    for one in targets:
        propose_secret(
            tx,
            one,
            proposed.kind,
            proposed.value,
            ctx,
            origin=request.request_type,
            command_uuid=command_uuid,
        )


def propose_secret(
    tx: Transaction,
    enrollment: Enrollment,
    kind: SecretKind,
    secret: bytes,
    ctx: Context,
    *,
    origin: str,
    command_uuid: CommandUUID,
    subject: str = "",
    account_guid: str | None = None,
) -> None:
    """Keep a secret that a queued command sets on a device; it is in the journal before the command can go out."""
    sealed = seal_secret(secret, enrollment.epoch, ctx)
    escrow.add(
        tx,
        enrollment.channel.device_id,
        kind,
        sealed,
        origin=origin,
        subject=subject,
        account_guid=account_guid,
        command_uuid=command_uuid,
        state=SecretState.PROPOSED,
    )
    journal_proposal(tx, sealed.id, ctx)


def settle_secrets(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Bring what a command set into force, or note that the device refused it."""
    assert answered.request.request_type in SETTING_REQUEST_TYPES, answered.request.request_type
    with journaled(tx, answered.enrollment.channel.device_id, ctx):
        _settle(tx, answered)
    return []


def _settle(tx: Transaction, answered: AnsweredCommand) -> None:
    request, device_id = answered.request, answered.enrollment.channel.device_id
    is_taken = was_taken(request.request_type, answered.status, answered.report.answer)
    proposed = proposal_in(request)
    if is_taken and proposed is not None and not proposed.value:
        escrow.replace_current(tx, device_id, proposed.kind, epoch=answered.epoch, at=answered.reported_at)
    for kept in escrow.of_command(tx, device_id, answered.command_uuid):
        if is_taken and kept.state in UNCONFIRMED:
            escrow.confirm(tx, kept, answered.reported_at)
        elif kept.state is SecretState.PROPOSED:
            escrow.refuse(tx, kept.secret.id, answered.reported_at)


def settle_verification(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Learn from a device whether a password that is kept is the one in force."""
    request_type = answered.request.request_type
    kind = VERIFYING_REQUEST_TYPES[request_type]
    is_right = was_verified(request_type, answered.status, answered.report.answer)
    if is_right is None:
        is_silent = answered.status is Status.ACKNOWLEDGED
        return [Fault("PasswordVerified", "is missing or no boolean")] if is_silent else []
    tried = answered.request.keys.get("Password")
    if not answered.is_of_this_life or not isinstance(tried, str):
        return []
    matching = [
        one
        for one in escrow.of_device(tx, answered.enrollment.channel.device_id, kind)
        if one.secret.epoch == answered.epoch and open_secret(one.secret, ctx) == tried.encode()
    ]
    with journaled(tx, answered.enrollment.channel.device_id, ctx):
        for kept in matching[:1]:
            if is_right and kept.state is not SecretState.IN_FORCE:
                _put_right(tx, kept, answered.reported_at)
            elif not is_right and kept.state is SecretState.PROPOSED:
                escrow.refuse(tx, kept.secret.id, answered.reported_at)
    return []


def _put_right(tx: Transaction, kept: KeptSecret, at: datetime) -> None:
    """Bring into force what the device says is; what was taken for that is out of force, though it came later."""
    escrow.replace_current(tx, kept.device_id, kept.kind, epoch=kept.secret.epoch, at=at)
    escrow.confirm(tx, kept, at)


# --- what devices give us ---------------------------------------------------------------------------------------------

_GIVEN = {
    "ActivationLockBypassCode": SecretKind.ACTIVATION_LOCK_CODE,
    "RequestUnlockToken": SecretKind.UNLOCK_TOKEN,
}


def keep_given(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Keep the secret that a device was asked for."""
    if answered.status is not Status.ACKNOWLEDGED:
        return []
    request_type = answered.request.request_type
    key = SECRET_ANSWER_KEYS[request_type]
    value = answered.report.answer.get(key)
    secret = value.encode() if isinstance(value, str) else value
    if not isinstance(secret, bytes) or not 0 < len(secret) <= MAXIMUM_SECRET_BYTES:
        return [Fault(key, "is missing, empty or too long, or of another type")]
    return _keep_answered(tx, answered, _GIVEN[request_type], secret, ctx)


def keep_recovery_key(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Keep the recovery key of a Mac's disk that is encrypted to our certificate in its answer."""
    if answered.status is not Status.ACKNOWLEDGED:
        return []
    outer, key = _PLACES_OF_RECOVERY_KEYS[answered.request.request_type]
    place = f"{outer}.{key}"
    inner = answered.report.answer.get(outer)
    envelope: PlistValue | None = inner.get(key) if isinstance(inner, dict) else None
    if envelope is None:
        return []  # FileVault is off, or its key is kept elsewhere
    if not isinstance(envelope, bytes) or len(envelope) > MAXIMUM_SECRET_BYTES:
        return [Fault(place, "is no data, or too long")]
    opened = open_recovery_key(tx, envelope, ctx)
    if isinstance(opened, str):
        return [Fault(place, opened)]
    return _keep_answered(tx, answered, SecretKind.FILEVAULT_KEY, opened, ctx)


_PLACES_OF_RECOVERY_KEYS = {
    "SecurityInfo": ("SecurityInfo", "FDE_PersonalRecoveryKeyCMS"),
    "RotateFileVaultKey": ("RotateResult", "EncryptedNewRecoveryKey"),
}


def learn_accounts(tx: Transaction, answered: AnsweredCommand, ctx: Context) -> Sequence[Fault]:
    """Learn by which GUID a Mac knows the administrators that we had it make."""
    responses = answered.report.answer.get("QueryResponses")
    accounts = responses.get("AutoSetupAdminAccounts") if isinstance(responses, dict) else None
    if not isinstance(accounts, list) or not accounts:
        return []
    device_id = answered.enrollment.channel.device_id
    with journaled(tx, device_id, ctx):
        for account in accounts[:MAXIMUM_ACCOUNTS]:
            named = account if isinstance(account, dict) else {}
            short_name, guid = named.get("shortName"), named.get("GUID")
            if isinstance(short_name, str) and isinstance(guid, str):
                escrow.name_account(tx, device_id, short_name, guid, epoch=answered.epoch)
    return []


def open_recovery_key(tx: Transaction, envelope: bytes, ctx: Context) -> bytes | str:
    """Decrypt a recovery key; where that can't be done, tells why in a few words."""
    try:
        for certificate in escrow.certificates(tx):
            if is_addressed_to(envelope, certificate.certificate_der):
                key = load_private_key(open_escrow_key(certificate, ctx), is_ours=True)
                ours = certificate.certificate_der
                opened = open_envelope(envelope, key, allow_legacy=True, recipient_certificate_der=ours).content
                return opened.strip(b"\x00\n") or "is empty"
    except CryptoError as error:
        return f"can't be decrypted: {error}"[:200]
    return "is not encrypted to a certificate of ours"


def _keep_answered(
    tx: Transaction, answered: AnsweredCommand, kind: SecretKind, secret: bytes, ctx: Context
) -> Sequence[Fault]:
    """Keep a secret as of when the device said it; an answer of an earlier life goes to the history of that."""
    device_id, origin = answered.enrollment.channel.device_id, answered.request.request_type
    with journaled(tx, device_id, ctx):
        keep_secret(tx, device_id, kind, secret, answered.epoch, ctx, origin=origin, as_of=answered.reported_at)
        if not answered.is_of_this_life:
            escrow.archive(tx, device_id, kind, at=ctx.now, below_epoch=answered.enrollment.epoch)
    return []


# --- the certificate to which Macs encrypt their recovery keys --------------------------------------------------------


def escrow_certificate(tx: Transaction, ctx: Context) -> bytes:
    """Return our certificate, DER; it is made when it is first asked for.

    Only its key opens what Macs encrypt to it, for as long as they do: it does not expire within their lives.
    """
    tx.lock_name("foundation")
    known = escrow.certificates(tx)
    if known:
        return known[0].certificate_der
    key = ctx.new_rsa_key(2048)  # macOS takes RSA here, and nothing says that it takes longer keys
    serial_number = int.from_bytes(ctx.random_bytes(16), "big") >> 1 | 1
    certificate_der = make_self_signed(
        "FileVault Recovery Keys", key, now=ctx.now, lifetime=_LIFETIME, serial_number=serial_number
    )
    fingerprint = fingerprint_of(certificate_der)
    sealed = ctx.seal(private_key_der(key), table="escrow_certificates", column="key_sealed", row=fingerprint.hex())
    made = EscrowCertificate(fingerprint, certificate_der, sealed)
    escrow.add_certificate(tx, made, ctx.now)
    journal_certificate(tx, made, ctx)
    return certificate_der


def open_escrow_key(certificate: EscrowCertificate, ctx: Context) -> bytes:
    """Return the certificate's private key, DER. Raises CannotDecrypt or UnknownSealingKey where the ring fails."""
    row = certificate.fingerprint.hex()
    return ctx.open(certificate.key_sealed, table="escrow_certificates", column="key_sealed", row=row)

"""New secrets take the place of those in force, old ones are taken away or asked after, by commands to the device."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeAlias, assert_never

from muster.crypto.passwords import new_password
from muster.domain.access import SERVER
from muster.domain.enrollment import Enrollment
from muster.domain.errors import Refusal, RefusalCode
from muster.domain.inventory.kinds import InventoryKind
from muster.domain.permissions import Permission
from muster.domain.secrets import ROTATABLE, SecretKind, SecretState
from muster.operations.context import Context
from muster.operations.keep_secrets import escrow_certificate, open_secret, propose_secret
from muster.operations.permit import act, itself
from muster.operations.queue_command import CommandOrder, QueuedCommand, queue_commands
from muster.operations.views.secrets import in_order
from muster.protocol.command import CommandRequest
from muster.protocol.identifiers import ChannelId, DeviceId
from muster.protocol.local_account import encode_password_hash
from muster.protocol.plist import PlistValue
from muster.storage import enrollments, escrow, inventory, people, queues
from muster.storage.engine import Transaction
from muster.storage.escrow import KeptSecret

TRY_AGAIN_AFTER = timedelta(hours=6)
"""A rotation that can't be queued now, since another waits or the device is not enrolled, is tried again then."""


class SecretAct(StrEnum):
    """What is done about a secret on its device."""

    ROTATE = "rotate"
    """A new one is made and takes its place; the first one, where none is in force."""
    CLEAR = "clear"
    """The device is to have none from now on."""
    VERIFY = "verify"
    """The device is asked whether it is the one in force."""


@dataclass(frozen=True, slots=True)
class SecretOrder:
    """What to do about a secret of a device. *number* is that of the list, for VERIFY.

    *subject* and *account_guid* are an account's short name and GUID, where they are not known from before. *anyway*:
    also where the device would refuse the command as far as is known here.
    """

    device_id: DeviceId
    kind: SecretKind
    act: SecretAct
    number: int = 0
    subject: str | None = None
    account_guid: str | None = None
    anyway: bool = False


SecretOutcome: TypeAlias = QueuedCommand | Refusal


@dataclass(frozen=True, slots=True)
class _Plan:
    """The command to send, and the secret that it sets, where that does not stand in it."""

    request: CommandRequest
    secret: str | None = None
    subject: str = ""
    account_guid: str | None = None


_SETS: Final[Mapping[SecretKind, str]] = {
    SecretKind.FILEVAULT_KEY: "RotateFileVaultKey",
    SecretKind.RECOVERY_LOCK: "SetRecoveryLock",
    SecretKind.FIRMWARE_PASSWORD: "SetFirmwarePassword",
    SecretKind.ADMINISTRATOR_PASSWORD: "SetAutoAdminPassword",
}
_VERIFIES: Final[Mapping[SecretKind, str]] = {
    SecretKind.RECOVERY_LOCK: "VerifyRecoveryLock",
    SecretKind.FIRMWARE_PASSWORD: "VerifyFirmwarePassword",
}


@act(Permission.COMMAND, about=lambda _tx, order: (order.device_id,))
def change_secrets(tx: Transaction, orders: Sequence[SecretOrder], ctx: Context) -> list[SecretOutcome]:
    """Queue for each of *orders* the command that does it; new secrets are made here, and kept as proposed.

    Refused where there is no such command, where a change of the secret waits to be answered, where it is not known
    which password is in force, and where the device would refuse the command.
    """
    return [_change(tx, order, ctx) for order in orders]


def _change(tx: Transaction, order: SecretOrder, ctx: Context) -> SecretOutcome:
    channel_id = ChannelId(order.device_id)
    tx.lock_rows([channel_id])
    enrollment = enrollments.find(tx, [channel_id]).get(channel_id)
    if enrollment is None or not enrollment.channel.is_device:
        return Refusal(RefusalCode.NOT_FOUND, f"no device {order.device_id} is known", "See `muster devices list`.")
    if not order.anyway and _is_for_another_chip(tx, order.kind, channel_id):
        return Refusal(
            RefusalCode.COMMAND_UNFIT,
            f"this Mac has no {order.kind.value}: {_CHIPS[order.kind]}",
            "To try nevertheless, add --anyway.",
        )
    known = [one for one in escrow.of_device(tx, order.device_id, order.kind) if one.secret.epoch == enrollment.epoch]
    planned = _plan(tx, order, enrollment, known, ctx)
    if isinstance(planned, Refusal):
        return planned
    command = CommandOrder((channel_id,), planned.request, is_secret=True, anyway=order.anyway)
    outcome = queue_commands(tx, [command], ctx)[0]
    if isinstance(outcome, Refusal):
        return outcome
    if not outcome.queued_on:
        return next(iter(outcome.refused.values()))
    if planned.secret is not None:
        propose_secret(
            tx,
            enrollment,
            order.kind,
            planned.secret.encode(),
            ctx,
            origin=planned.request.request_type,
            command_uuid=outcome.command_uuid,
            subject=planned.subject,
            account_guid=planned.account_guid,
        )
    detail: people.AuditDetail = {"kind": order.kind.value, "command_uuid": outcome.command_uuid}
    people.record_act(tx, ctx.actor, f"secret.{order.act.value}", order.device_id, detail, ctx.now)
    return outcome


_CHIPS: Final[Mapping[SecretKind, str]] = {
    SecretKind.RECOVERY_LOCK: "only Macs with Apple silicon have; those with an Intel processor have firmware_password",
    SecretKind.FIRMWARE_PASSWORD: "only Macs with an Intel processor have; those with Apple silicon have recovery_lock",
}


def _is_for_another_chip(tx: Transaction, kind: SecretKind, channel_id: ChannelId) -> bool:
    """Tell whether a Mac said that its processor is not of the sort that has such a password."""
    told = inventory.find(tx, channel_id, InventoryKind.DEVICE_INFORMATION) if kind in _CHIPS else None
    fact = None if told is None else told.facts.get("IsAppleSilicon")
    return fact is not None and fact.value is (kind is SecretKind.FIRMWARE_PASSWORD)


def _plan(
    tx: Transaction, order: SecretOrder, enrollment: Enrollment, known: Sequence[KeptSecret], ctx: Context
) -> _Plan | Refusal:
    match order.act:
        case SecretAct.VERIFY:
            return _plan_verification(order, known, ctx)
        case SecretAct.ROTATE if order.kind in ROTATABLE:
            pass
        case SecretAct.CLEAR if order.kind in _VERIFIES:
            pass
        case SecretAct.ROTATE | SecretAct.CLEAR:
            return _unfit(f"no command can {order.act.value} a secret of kind {order.kind.value}")
        case _:
            assert_never(order.act)
    waiting = queues.unanswered(tx, [enrollment.channel.id]).get(enrollment.channel.id, ())
    pending = next((one for one in waiting if one.request_type == _SETS[order.kind]), None)
    if pending is not None:
        return Refusal(
            RefusalCode.CONFLICT,
            f"a change of this secret waits to be answered: {pending.command_uuid}",
            "Wait for the answer, or cancel that command.",
        )
    match order.kind:
        case SecretKind.FILEVAULT_KEY:
            return _plan_recovery_key(tx, known, ctx)
        case SecretKind.ADMINISTRATOR_PASSWORD:
            return _plan_administrator(order, known, ctx)
        case _:
            return _plan_password(order, known, ctx)


def _plan_recovery_key(tx: Transaction, known: Sequence[KeptSecret], ctx: Context) -> _Plan | Refusal:
    current = _current(known)
    if current is None:
        return _unfit(
            "no recovery key of this disk is kept, and only with it a new one can be made",
            "Install the profile of `muster secrets filevault-profile`, then ask with SecurityInfo.",
        )
    keys: dict[str, PlistValue] = {
        "KeyType": "personal",
        "FileVaultUnlock": {"Password": open_secret(current.secret, ctx).decode(errors="replace")},
        "ReplyEncryptionCertificate": escrow_certificate(tx, ctx),
    }
    return _Plan(CommandRequest("RotateFileVaultKey", keys))


def _plan_password(order: SecretOrder, known: Sequence[KeptSecret], ctx: Context) -> _Plan | Refusal:
    """Plan a change of the recovery lock or the firmware password; its value stands in the command, which keeps it."""
    current = _current(known)
    if not order.anyway and any(one.state is SecretState.PROPOSED for one in known):
        return Refusal(
            RefusalCode.CONFLICT,
            "an earlier change was never answered, so it is not known which password is in force",
            f"Ask the device: `muster secrets verify {order.device_id} {order.kind.value} --number N`.",
        )
    if current is None and order.act is SecretAct.CLEAR:
        return _unfit(f"no {order.kind.value} is known to be in force")
    keys: dict[str, PlistValue] = {
        "NewPassword": "" if order.act is SecretAct.CLEAR else new_password(ctx.random_bytes)
    }
    if current is not None:
        keys["CurrentPassword"] = open_secret(current.secret, ctx).decode(errors="replace")
    return _Plan(CommandRequest(_SETS[order.kind], keys))


def _plan_administrator(order: SecretOrder, known: Sequence[KeptSecret], ctx: Context) -> _Plan | Refusal:
    subjects = sorted({one.subject for one in known if order.subject in (None, one.subject)})
    if len(subjects) > 1:
        return Refusal(RefusalCode.CONFLICT, f"there are {', '.join(subjects)}", "Say whose password: --account.")
    subject = order.subject or (subjects[0] if subjects else None)
    guid = order.account_guid or next((one.account_guid for one in known if one.subject == subject), None)
    if subject is None or guid is None:
        return _unfit(
            "the administrator's short name or GUID is not known",
            "Ask the Mac, `muster commands send ID DeviceInformation --set 'Queries[]=AutoSetupAdminAccounts'`, "
            "or give --account and --guid.",
        )
    password = new_password(ctx.random_bytes)
    hashed = encode_password_hash(password, ctx.random_bytes)
    request = CommandRequest("SetAutoAdminPassword", {"GUID": guid, "passwordHash": hashed})
    return _Plan(request, password, subject, guid)


def _plan_verification(order: SecretOrder, known: Sequence[KeptSecret], ctx: Context) -> _Plan | Refusal:
    if order.kind not in _VERIFIES:
        return _unfit(f"no command asks a device after a secret of kind {order.kind.value}")
    ordered = in_order(known)
    if not 0 <= order.number < len(ordered):
        return Refusal(
            RefusalCode.NOT_FOUND,
            f"no {order.kind.value} with number {order.number} is kept of this life of the device",
            f"`muster secrets list {order.device_id}` shows what is kept.",
        )
    password = open_secret(ordered[order.number].secret, ctx).decode(errors="replace")
    return _Plan(CommandRequest(_VERIFIES[order.kind], {"Password": password}))


def _current(known: Sequence[KeptSecret]) -> KeptSecret | None:
    return next((one for one in known if one.state is SecretState.IN_FORCE), None)


def _unfit(message: str, remedy: str = "") -> Refusal:
    return Refusal(RefusalCode.SECRET_UNFIT, message, remedy)


# --- a Mac's administrator --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AdministratorOrder:
    """An administrator that Setup Assistant is to make on a Mac, with a password of ours."""

    device_id: DeviceId
    short_name: str
    full_name: str | None = None
    is_hidden: bool = False
    anyway: bool = False


@act(Permission.COMMAND, about=lambda _tx, order: (order.device_id,))
def make_administrators(tx: Transaction, orders: Sequence[AdministratorOrder], ctx: Context) -> list[SecretOutcome]:
    """Queue AccountConfiguration for each Mac that waits in Setup Assistant; the password is kept, not sent."""
    return [_make_administrator(tx, order, ctx) for order in orders]


def _make_administrator(tx: Transaction, order: AdministratorOrder, ctx: Context) -> SecretOutcome:
    channel_id = ChannelId(order.device_id)
    password = new_password(ctx.random_bytes)
    account: dict[str, PlistValue] = {
        "shortName": order.short_name,
        "fullName": order.full_name or order.short_name,
        "passwordHash": encode_password_hash(password, ctx.random_bytes),
        "hidden": order.is_hidden,
    }
    request = CommandRequest("AccountConfiguration", {"AutoSetupAdminAccounts": [account]})
    command = CommandOrder((channel_id,), request, is_secret=True, anyway=order.anyway)
    outcome = queue_commands(tx, [command], ctx)[0]
    if isinstance(outcome, Refusal):
        return outcome
    if not outcome.queued_on:
        return next(iter(outcome.refused.values()))
    propose_secret(
        tx,
        enrollments.find(tx, [channel_id])[channel_id],
        SecretKind.ADMINISTRATOR_PASSWORD,
        password.encode(),
        ctx,
        origin=request.request_type,
        command_uuid=outcome.command_uuid,
        subject=order.short_name,
    )
    return outcome


# --- the passcode of an iPhone ----------------------------------------------------------------------------------------


@act(Permission.HELP, about=itself)
def clear_passcodes(tx: Transaction, device_ids: Sequence[DeviceId], ctx: Context) -> list[SecretOutcome]:
    """Queue ClearPasscode for each device, with the unlock token that is kept of it; nobody gets to see that."""
    return [_clear_passcode(tx, device_id, ctx) for device_id in device_ids]


def _clear_passcode(tx: Transaction, device_id: DeviceId, ctx: Context) -> SecretOutcome:
    channel_id = ChannelId(device_id)
    enrollment = enrollments.find(tx, [channel_id]).get(channel_id)
    if enrollment is None or not enrollment.channel.is_device:
        return Refusal(RefusalCode.NOT_FOUND, f"no device {device_id} is known", "See `muster devices list`.")
    token = escrow.current(tx, device_id, SecretKind.UNLOCK_TOKEN, epoch=enrollment.epoch)
    if token is None:
        return _unfit(
            f"no unlock token of {device_id} is kept",
            "iPhones and iPads give theirs when they enroll, once they have been unlocked after a restart.",
        )
    request = CommandRequest("ClearPasscode", {"UnlockToken": open_secret(token, ctx)})
    outcome = queue_commands(tx, [CommandOrder((channel_id,), request)], ctx)[0]
    if isinstance(outcome, Refusal):
        return outcome
    return outcome if outcome.queued_on else next(iter(outcome.refused.values()))


# --- what is due ------------------------------------------------------------------------------------------------------


def rotate_due_secrets(tx: Transaction, channel_ids: Sequence[ChannelId], ctx: Context) -> dict[ChannelId, datetime]:
    """Rotate what was seen an hour ago on any of *channel_ids*; returns when to look again at those that wait.

    What can't be rotated as long as its device is as it is is given up on, and audited.
    """
    look_again: dict[ChannelId, datetime] = {}
    found = sorted(escrow.rotations(tx, channel_ids), key=lambda one: one.device_id)
    tx.lock_rows(sorted({ChannelId(one.device_id) for one in found}))
    for kept in found:
        assert kept.rotate_at is not None, "that is how it was found"
        channel_id = ChannelId(kept.device_id)
        at: datetime | None = kept.rotate_at
        if kept.rotate_at <= ctx.now:
            at = _rotate_due(tx, kept, ctx)
        if at is not None:
            look_again[channel_id] = min(at, look_again.get(channel_id, at))
    return look_again


def _rotate_due(tx: Transaction, kept: KeptSecret, ctx: Context) -> datetime | None:
    order = SecretOrder(kept.device_id, kept.kind, SecretAct.ROTATE, subject=kept.subject or None)
    outcome = change_secrets(tx, [order], ctx)[0]
    if isinstance(outcome, Refusal) and outcome.code in (RefusalCode.CONFLICT, RefusalCode.NOT_ENROLLED):
        escrow.put_rotation_off(tx, kept.secret.id, ctx.now + TRY_AGAIN_AFTER)
        return ctx.now + TRY_AGAIN_AFTER
    if isinstance(outcome, Refusal):
        detail: people.AuditDetail = {"kind": kept.kind.value, "because": outcome.code.value}
        people.record_act(tx, SERVER, "secret.rotation_given_up", kept.device_id, detail, ctx.now)
    escrow.rotation_done(tx, kept.secret.id)
    return None

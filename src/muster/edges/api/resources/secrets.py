"""Secrets that are kept of devices: listed without what they are, and revealed by role, an act of the audit log."""

from dataclasses import dataclass
from typing import Annotated

from muster.domain.permissions import Permission
from muster.domain.secrets import SecretKind
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.operations.permit import of_devices, of_fleet
from muster.operations.queue_command import QueuedCommand
from muster.operations.reveal_secrets import MAXIMUM_REASON_CHARACTERS, RevealOrder, reveal_secrets
from muster.operations.rotate_secrets import (
    AdministratorOrder,
    SecretAct,
    SecretOrder,
    change_secrets,
    clear_passcodes,
    make_administrators,
)
from muster.operations.views.revealed import RevealedValue, as_revealed
from muster.operations.views.secrets import SecretRow, find_secrets, list_secrets
from muster.protocol.identifiers import DeviceId


@endpoint("GET", "/devices/{device_id}/secrets", refuses=(404,))
async def list_device_secrets(call: Call, device_id: str) -> tuple[SecretRow, ...]:
    """List what is kept of a device: kinds, states and times, never what they are."""
    device = DeviceId(device_id)
    return await call.see(of_devices([device], lambda tx: list_secrets(tx, device)))


@dataclass(frozen=True, slots=True)
class RevealBody:
    """Which secret. *number*: as listed, 0 the one to try first; *subject*: whose, where there are several."""

    kind: SecretKind
    number: Annotated[int, Limits("As listed.", 0, 10_000)] = 0
    subject: Annotated[str | None, Limits("The account that it is of.", 0, 512)] = None
    reason: Annotated[str, Limits("Why, for the audit log.", 0, MAXIMUM_REASON_CHARACTERS)] = ""


@endpoint("POST", "/devices/{device_id}/secrets/reveal", needs=Permission.REVEAL_FILEVAULT_KEY, refuses=(404, 409))
async def reveal_secret(call: Call, device_id: str, body: RevealBody) -> RevealedValue:
    """Reveal a secret.

    Which role it takes depends on the kind. Who saw what, when, from where and why is an act of the audit log.
    """
    order = RevealOrder(DeviceId(device_id), body.kind, body.number, body.reason, body.subject)
    return as_revealed(await call.do(reveal_secrets, order))


@dataclass(frozen=True, slots=True)
class ChangeBody:
    """What to do with a secret: rotate, a new one takes its place; clear, there is none any more; verify, the device is
    asked whether it is the one. *number* and *subject* as for revealing; *anyway*: although the device would refuse."""

    act: SecretAct
    number: Annotated[int, Limits("As listed.", 0, 10_000)] = 0
    subject: Annotated[str | None, Limits("The account that it is of.", 0, 512)] = None
    account_guid: Annotated[str | None, Limits("The account's GUID, where it is not known.", 1, 100)] = None
    anyway: bool = False


@endpoint("POST", "/devices/{device_id}/secrets/{kind}/change", needs=Permission.COMMAND, refuses=(404, 409))
async def change_secret(call: Call, device_id: str, kind: str, body: ChangeBody) -> QueuedCommand:
    """Replace, clear or verify a secret, by a command to the device."""
    known = nothing_known(next((one for one in SecretKind if one.value == kind), None), "kind of secret", kind)
    order = SecretOrder(DeviceId(device_id), known, body.act, body.number, body.subject, body.account_guid, body.anyway)
    return await call.do(change_secrets, order)


@endpoint("GET", "/secrets/{serial_number}")
async def find_kept_secrets(call: Call, serial_number: str) -> tuple[SecretRow, ...]:
    """List what was ever kept of a serial number: kinds, states and times, never what they are."""
    return await call.see(of_fleet(lambda tx: find_secrets(tx, serial_number)))


@dataclass(frozen=True, slots=True)
class AdministratorBody:
    """An account to make. *full_name*: null: as the short name; *is_hidden*: not shown at the login window."""

    short_name: Annotated[str, Limits("Its short name.", 1, 255, is_plain=True)]
    full_name: Annotated[str | None, Limits("Its long name.", 1, 255, is_plain=True)] = None
    is_hidden: bool = False
    anyway: bool = False


@endpoint("POST", "/devices/{device_id}/administrator", needs=Permission.COMMAND, refuses=(404, 409))
async def make_mac_administrator(call: Call, device_id: str, body: AdministratorBody) -> QueuedCommand:
    """Have Setup Assistant make an administrator on a Mac that waits in it, with a password that is made and kept."""
    order = AdministratorOrder(DeviceId(device_id), body.short_name, body.full_name, body.is_hidden, body.anyway)
    return await call.do(make_administrators, order)


@endpoint("POST", "/devices/{device_id}/clear-passcode", needs=Permission.HELP, refuses=(404, 409, 422))
async def clear_device_passcode(call: Call, device_id: str) -> QueuedCommand:
    """Clear the passcode of an iPhone or iPad by the unlock token that is kept of it."""
    return await call.do(clear_passcodes, DeviceId(device_id))


ENDPOINTS = (
    list_device_secrets,
    reveal_secret,
    change_secret,
    find_kept_secrets,
    make_mac_administrator,
    clear_device_passcode,
)

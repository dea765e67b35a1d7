"""Secrets that are kept of devices: listed without what they are, and revealed by role, an act of the audit log."""

import base64
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from muster.domain.permissions import Permission
from muster.domain.secrets import SecretKind, SecretState
from muster.edges.api.endpoints import Call, endpoint
from muster.edges.api.finding import nothing_known
from muster.edges.api.limits import Limits
from muster.operations.permit import of_devices
from muster.operations.queue_command import QueuedCommand
from muster.operations.reveal_secrets import MAXIMUM_REASON_CHARACTERS, RevealOrder, reveal_secrets
from muster.operations.rotate_secrets import SecretAct, SecretOrder, change_secrets
from muster.operations.views.secrets import SecretRow, list_secrets
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


class Encoding(StrEnum):
    """How a secret is written."""

    TEXT = "text"
    BASE64 = "base64"


@dataclass(frozen=True, slots=True)
class RevealedValue:
    """A secret, in the clear. *others*: how many of the same kind may be the right one instead; *rotates_at*: when a
    new one takes its place, where one does."""

    kind: SecretKind
    subject: str
    state: SecretState
    since: datetime
    others: int
    rotates_at: datetime | None
    value: str
    encoding: Encoding


@endpoint("POST", "/devices/{device_id}/secrets/reveal", needs=Permission.REVEAL_FILEVAULT_KEY, refuses=(404, 409))
async def reveal_secret(call: Call, device_id: str, body: RevealBody) -> RevealedValue:
    """Reveal a secret.

    Which role it takes depends on the kind. Who saw what, when, from where and why is an act of the audit log.
    """
    order = RevealOrder(DeviceId(device_id), body.kind, body.number, body.reason, body.subject)
    seen = await call.do(reveal_secrets, order)
    value, encoding = _written(seen.value)
    return RevealedValue(seen.kind, seen.subject, seen.state, seen.since, seen.others, seen.rotates_at, value, encoding)


@dataclass(frozen=True, slots=True)
class ChangeBody:
    """What to do with a secret: rotate, a new one takes its place; clear, there is none any more; verify, the device is
    asked whether it is the one. *number* and *subject* as for revealing; *anyway*: although the device would refuse."""

    act: SecretAct
    number: Annotated[int, Limits("As listed.", 0, 10_000)] = 0
    subject: Annotated[str | None, Limits("The account that it is of.", 0, 512)] = None
    anyway: bool = False


@endpoint("POST", "/devices/{device_id}/secrets/{kind}/change", needs=Permission.COMMAND, refuses=(404, 409))
async def change_secret(call: Call, device_id: str, kind: str, body: ChangeBody) -> QueuedCommand:
    """Replace, clear or verify a secret, by a command to the device."""
    known = nothing_known(next((one for one in SecretKind if one.value == kind), None), "kind of secret", kind)
    order = SecretOrder(DeviceId(device_id), known, body.act, body.number, body.subject, anyway=body.anyway)
    return await call.do(change_secrets, order)


def _written(value: bytes) -> tuple[str, Encoding]:
    if value.isascii() and value.decode("ascii").isprintable():
        return value.decode("ascii"), Encoding.TEXT
    return base64.b64encode(value).decode(), Encoding.BASE64


ENDPOINTS = (list_device_secrets, reveal_secret, change_secret)
